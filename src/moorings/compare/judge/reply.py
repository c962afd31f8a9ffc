"""Reading a judge's reply: strictly, because what cannot be read must be missing and not a score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from moorings.compare.judge.prompts import Task

__all__ = ["Answer", "parse_reply"]

_MAX_LINE = 400
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class Answer(NamedTuple):
    """What a judge said about one item."""

    lines: tuple[str, ...]
    """One label, or the lines of a free answer."""
    reason: str = ""
    """The judge's words; untrusted like all model text."""

    @property
    def label(self) -> str:
        """The label of a task that has labels."""
        return self.lines[0]


def parse_reply(text: str, task: Task, tags: Sequence[str], *, cut: bool = False) -> list[Answer | None]:
    """Read the answers to some items.

    Lines that do not open with a tag of this request are ignored, whatever they claim. An answer off the list, two
    different answers to one item, or too many lines make that item missing.

    Args:
        text: The reply. Untrusted.
        task: What was asked.
        tags: Tags of the request.
        cut: Whether the reply ended at the token limit; its last line is not trusted then.

    Returns:
        One entry an item; None is missing.

    >>> task = Task("t", "?", ("yes", "no"))
    >>> parse_reply("verdict: yes\\nbq7: no", task, ["bq7"])[0].label
    'no'
    """
    lines = text.split("\n")
    if cut:
        lines = lines[:-1]
    said: dict[str, list[str]] = {tag: [] for tag in tags}
    reasons: dict[str, list[str]] = {tag: [] for tag in tags}
    for line in lines:
        head, colon, rest = line.strip().partition(":")
        if not colon:
            continue
        tag, _, word = head.strip().partition(" ")
        if tag in said and word in ("", "reason"):
            (reasons if word else said)[tag].append(_UNSAFE.sub(" ", rest).strip())
    return [_answer(task, said[tag], reasons[tag]) for tag in tags]


def _answer(task: Task, said: list[str], reasons: list[str]) -> Answer | None:
    reason = " ".join(reasons[0].split())[:_MAX_LINE] if reasons else ""
    if task.reason and (len(reasons) != 1 or not reason):
        return None
    if task.labels is None:
        kept = tuple(dict.fromkeys(" ".join(line.split())[:_MAX_LINE] for line in said if line))
        return Answer(kept, reason) if 1 <= len(kept) <= task.n_lines else None
    label = _label(said, task.labels)
    return None if label is None else Answer((label,), reason)


def _label(said: list[str], labels: tuple[str, ...]) -> str | None:
    """The one label that all lines agree on; case, quotes and a full stop do not matter."""
    known = {label.lower(): label for label in labels}
    found = {known.get(line.lower().strip("`'\" ").removesuffix(".")) for line in said}
    return found.pop() if len(found) == 1 else None
