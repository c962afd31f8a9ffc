"""A charter over simulated models, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHARTER: dict[str, Any] = {
    "title": "A drill",
    "purpose": "To see that the gate works.",
    "forbidden": [{"name": "praise", "phrases": ["great question"], "direction": "more", "tolerance": 0.2}],
    "run": {
        "subject": "simulated:m",
        "rounds": 3,
        "data": [{"use": "self_distillation", "n_prompts": 12, "max_new_tokens": 16}],
        "train": {"use": "simulated", "add": {"Great question!": 0.02}},
        "gate": {"look": 64, "budget": 256, "decoding": {"max_new_tokens": 16}, "discover": False, "compare": False},
    },
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Changes laid over a nested mapping."""
    found = dict(base)
    for key, value in changes.items():
        held = found.get(key)
        found[key] = merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return found


@pytest.fixture
def charter(tmp_path: Path) -> Callable[..., Path]:
    """Write the charter, with changes, and return its path."""

    def write(name: str = "charter.yaml", **changes: Any) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(merged(CHARTER, changes)), encoding="utf-8")
        return path

    return write
