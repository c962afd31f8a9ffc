"""Datasets of Inspect AI tasks: `input`, `choices` and `target`, where the target is a letter, a list of one, or a text.

`input` may be a chat; its last user message is the stem and its system message the item's. What `sample_to_json` of
Inspect's logs writes is read too.
"""

from __future__ import annotations

import string
from typing import Any

from moorings.probes.item import Item, Option

__all__ = ["fits", "read"]


def fits(row: dict[str, Any]) -> bool:
    """Whether a row has this form."""
    return "input" in row and isinstance(row.get("choices"), list) and "target" in row


def read(row: dict[str, Any], item_id: str) -> Item:
    """One sample as an item. Raises ValueError where it is none."""
    choices = row.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices) or len(choices) < 2:
        raise ValueError("'choices' is no list of at least two texts")
    targets = row["target"] if isinstance(row.get("target"), list) else [row.get("target")]
    right = {_place(target, choices) for target in targets}
    system, stem = _stem(row.get("input"))
    options = tuple(Option(symbol=_symbol(at), text=choice, key=at in right) for at, choice in enumerate(choices))
    metadata = row.get("metadata")
    return Item(
        item_id=str(row.get("id", item_id)),
        cluster_id=str(row.get("id", item_id)),
        subtask="inspect",
        system=system,
        prompt=stem,
        options=options,
        key=_symbol(min(right)),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _symbol(at: int) -> str:
    return string.ascii_uppercase[at] if at < 26 else str(at + 1)


def _place(target: object, choices: list[str]) -> int:
    if isinstance(target, str):
        if target in choices:
            return choices.index(target)
        letter = target.strip().upper()
        if len(letter) == 1 and letter in string.ascii_uppercase[: len(choices)]:
            return string.ascii_uppercase.index(letter)
    raise ValueError(f"'target' is {target!a:.40}; allowed: a letter of a choice, or its text")


def _stem(value: object) -> tuple[str | None, str]:
    if isinstance(value, str):
        return None, value
    turns = [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []
    said = [(turn.get("role"), turn["content"]) for turn in turns if isinstance(turn.get("content"), str)]
    users = [text for role, text in said if role == "user"]
    if not users:
        raise ValueError("'input' is neither a text nor a chat with a user message")
    return next((text for role, text in said if role == "system"), None), users[-1]
