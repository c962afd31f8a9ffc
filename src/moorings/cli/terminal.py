"""What is printed for people. Model text is hostile: controls and markup are shown, never obeyed."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["print_json", "print_table", "safe_text"]

_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


def safe_text(value: object, *, limit: int | None = None) -> str:
    r"""Turn any text into one that a terminal only displays.

    Control characters, direction overrides and broken surrogates become visible marks; rich markup is escaped.

    >>> safe_text("a\x1b[31mb[bold]")
    'a\\x1b[31mb\\[bold]'
    """
    text = str(value)
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return escape("".join(_shown(c) for c in text))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, console: Console | None = None
) -> None:
    """Print rows as a table, on standard output unless another console is given."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else safe_text(cell) for cell in row))
    (console or Console()).print(table)


def print_json(value: Any) -> None:
    """Print JSON that other programs read, whatever text it holds."""
    print(json.dumps(value, indent=2, ensure_ascii=True, default=str))


def _shown(char: str) -> str:
    code = ord(char)
    if char in "\n\t" or (
        code >= 0x20 and code != 0x7F and unicodedata.category(char) not in ("Cc", "Cs") and code not in _BIDI
    ):
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
