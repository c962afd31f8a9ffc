"""All forms of a report in one folder, each file whole or not there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from moorings.compare.comparison import Comparison
from moorings.report.html import render_html
from moorings.report.junit import render_junit
from moorings.report.markdown import render_markdown
from moorings.store.disk import Disk, write_atomic

__all__ = ["read_comparison", "render_json", "write_report"]


def write_report(comparison: Comparison, folder: Path, *, disk: Disk | None = None) -> dict[str, Path]:
    """Write report.html, report.md, comparison.json and junit.xml; files of the same names are replaced.

    Args:
        comparison: What to report.
        folder: Where to; made if missing.
        disk: System calls, for tests.

    Returns:
        The written files by `html`, `markdown`, `json` and `junit`.

    Raises:
        StorageFullError: No room; an older file stays as it was.
        StorageError: Any other failed system call.
    """
    forms = {
        "json": ("comparison.json", render_json),
        "markdown": ("report.md", render_markdown),
        "junit": ("junit.xml", render_junit),
        "html": ("report.html", render_html),
    }
    written = {}
    for form, (name, render) in forms.items():
        path = folder / name
        write_atomic(path, render(comparison).encode("utf-8"), disk or Disk())
        written[form] = path
    return written


def render_json(comparison: Comparison) -> str:
    """All of a comparison as ASCII JSON: broken surrogates as escapes, numbers that are not finite as strings."""
    value = _finite(comparison.model_dump())
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False, default=str) + "\n"


def read_comparison(path: Path) -> Comparison:
    """Read a comparison.json back.

    Raises:
        InputError: The file is not one.
    """
    from pydantic import ValidationError

    from moorings.errors import InputError

    try:
        return Comparison.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a comparison that Moorings wrote ({reason}); give the comparison.json of a report"
        ) from error


def _finite(value: Any) -> Any:
    """The value with each infinite or undefined number as a string that reads back as that number."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
