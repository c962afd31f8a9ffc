"""Parts of Markdown that reports share. Untrusted text is quoted so that none of it is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from moorings.report.text import shown

__all__ = ["plain", "table"]

_MAX_TEXT = 400
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&@:$!]|(?<=www)\.)", re.IGNORECASE)
_OPENING = re.compile(r"^([-+=]|\d+(?=[.)](?:\s|$)))")


def table(
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    most: int = 50,
    rest_in: str = "comparison.json",
) -> list[str]:
    """Lines of a table below its heading, if it has one; nothing without rows.

    Args:
        title: A line above it, such as a heading; may be empty.
        header: Names of the columns.
        rows: Cells that are quoted already.
        most: Rows that are shown.
        rest_in: File that holds the others, which the last line names.
    """
    rows = list(rows)
    if not rows:
        return []
    lines = [*((title, "") if title else ()), f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows[:most]]
    rest = len(rows) - most
    return [*lines, "", *([f"{rest} more in {rest_in}.", ""] if rest > 0 else [])]


def plain(text: str, limit: int = _MAX_TEXT) -> str:
    """Text on one line whose every character that Markdown or HTML could read as markup is escaped."""
    one_line = " ".join(shown(text, limit).split())
    escaped = _SPECIAL.sub(r"\\\1", one_line)
    return _OPENING.sub(lambda m: f"\\{m[0]}" if m[0] in "-+=" else f"{m[0]}\\", escaped)
