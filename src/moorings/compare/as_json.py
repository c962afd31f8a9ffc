"""A comparison as JSON text and back, whatever texts and numbers it holds."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import ValidationError

from moorings.compare.comparison import Comparison
from moorings.errors import InputError

__all__ = ["comparison_from_json", "comparison_to_json", "finite"]


def comparison_to_json(comparison: Comparison, *, indent: int | None = 1) -> str:
    """All of a comparison as ASCII JSON: broken surrogates as escapes, numbers that are not finite as strings."""
    value = finite(comparison.model_dump())
    return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False, default=str) + "\n"


def comparison_from_json(text: str | bytes, name: str) -> Comparison:
    """Read a comparison back.

    Args:
        text: As `comparison_to_json` gave it.
        name: Of the file, for the error message.

    Raises:
        InputError: The text is none.
    """
    try:
        return Comparison.model_validate(json.loads(text))
    except (ValueError, ValidationError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name} is not a comparison that Moorings wrote ({reason}); give the comparison.json of a report"
        ) from error


def finite(value: Any) -> Any:
    """Plain data with each infinite or undefined number as a string that reads back as that number."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
