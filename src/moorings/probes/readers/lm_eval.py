"""Logged samples of the lm-evaluation-harness (`--log_samples`): one row a document, with the requests made of it.

Of a multiple-choice task each request is (context, continuation): the context is the stem, the continuations are the
options, and `target` is the index or the text of the right one. Where a row has no such requests, its `doc` is read by
its columns.
"""

from __future__ import annotations

from typing import Any

from moorings.probes.item import Item, Option
from moorings.probes.readers import generic

__all__ = ["fits", "read"]


def fits(row: dict[str, Any]) -> bool:
    """Whether a row has this form."""
    return isinstance(row.get("doc"), dict) and "target" in row


def read(row: dict[str, Any], item_id: str) -> Item:
    """One logged sample as an item. Raises ValueError where it is none."""
    item_id = f"{item_id}-{row['doc_id']}" if "doc_id" in row else item_id
    pairs = _requests(row.get("arguments"))
    stems = {stem for stem, _ in pairs}
    if len(pairs) < 2 or len(stems) > 1:
        return generic.read(row["doc"], item_id)
    choices = [choice for _, choice in pairs]
    right = _place(row.get("target"), choices)
    return Item(
        item_id=item_id,
        cluster_id=item_id,
        subtask=str(row.get("task", "lm-eval")),
        prompt=stems.pop(),
        options=tuple(
            Option(symbol=generic.symbol(at), text=choice.strip(), key=at == right) for at, choice in enumerate(choices)
        ),
        key=generic.symbol(right),
        metadata={"doc": row["doc"]},
    )


def _requests(arguments: object) -> list[tuple[str, str]]:
    """(context, continuation) of each request, in either of the forms in which the harness has written them."""
    rows = list(arguments.values()) if isinstance(arguments, dict) else arguments if isinstance(arguments, list) else []
    found = []
    for row in rows:
        parts = list(row.values()) if isinstance(row, dict) else row
        if isinstance(parts, list) and len(parts) == 2 and all(isinstance(part, str) for part in parts):
            found.append((parts[0], parts[1]))
    return found


def _place(target: object, choices: list[str]) -> int:
    if isinstance(target, str) and target.strip() in [choice.strip() for choice in choices]:
        return [choice.strip() for choice in choices].index(target.strip())
    if isinstance(target, str) and target.strip().isdecimal():
        target = int(target)
    if isinstance(target, int) and 0 <= target < len(choices):
        return target
    raise ValueError(f"'target' is {target!a:.40}; allowed: the index of one of {len(choices)} choices, or its text")
