"""A preference: two replies to one prompt, of which one was judged better; how they are kept in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from moorings.errors import ConfigError
from moorings.feedback.reward import Graded
from moorings.records import Message, Record
from moorings.store.disk import Disk, write_atomic

__all__ = ["Pair", "Preference", "as_pairs", "write_preferences"]

_OWN = ("prompt", "chosen", "rejected")


class Preference(Record):
    """One judgement. All texts may be model output and are untrusted."""

    prompt: tuple[Message, ...]
    chosen: str
    """The reply that was judged better."""
    rejected: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Further columns of its source; `flipped` says that a label was turned round on purpose."""


class Pair(NamedTuple):
    """A preference as two answers that a reward can grade."""

    chosen: Graded
    rejected: Graded


def as_pairs(preferences: Sequence[Preference]) -> list[Pair]:
    """Both answers of each preference, without the label's metadata, which would tell a reward which is which."""
    return [
        Pair(Graded(preference.prompt, preference.chosen), Graded(preference.prompt, preference.rejected))
        for preference in preferences
    ]


def write_preferences(preferences: Sequence[Preference], path: Path | str) -> Path:
    """Write JSON lines that `read_preferences` and TRL read; an existing file is replaced in one step.

    Raises:
        ConfigError: Metadata has a key that is a column of its own.
    """
    lines: list[str] = []
    for preference in preferences:
        taken = sorted(set(_OWN) & set(preference.metadata))
        if taken:
            raise ConfigError(f"metadata of a preference has the key '{taken[0]}', a column of its own; rename the key")
        prompt = [message.model_dump() for message in preference.prompt]
        row = {"prompt": prompt, "chosen": _turn(preference.chosen), "rejected": _turn(preference.rejected)}
        lines.append(json.dumps({**row, **preference.metadata}, ensure_ascii=False, allow_nan=False))
    write_atomic(Path(path), "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"), Disk())
    return Path(path)


def _turn(reply: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": reply}]
