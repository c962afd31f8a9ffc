r"""Untrusted text made safe to show: nothing in it acts, nothing in it hides.

Controls, direction overrides, invisible characters and broken surrogates become visible marks such as `⟨U+202E⟩`;
a run of the same one is shown once with its count, and towers of combining marks are cut.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

__all__ = ["cut", "shown", "shown_html"]

_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\r"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
_BREAKS = "\u2028\u2029"
_NOT_TEXT = "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff"
_STACKED = (
    "\u0300-\u034e\u0350-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_KEPT_STACKED = 4
_UNSAFE = re.compile(
    rf"([{_CONTROLS}{_DIRECTIONS}{_INVISIBLE}{_BREAKS}{_NOT_TEXT}])\1*"
    rf"|(?<=[{_STACKED}]{{{_KEPT_STACKED}}})[{_STACKED}]{{5,}}"
)


def shown(text: str, limit: int | None = None) -> str:
    r"""Text with a visible mark in place of each character that would act or hide.

    Line feeds and tabs stay; other text stays as it is and must still be escaped for where it goes.

    Args:
        text: Any string, lone surrogates included.
        limit: Characters of `text` that are kept; the rest is counted in a note. None keeps all.

    >>> shown("a\x1b[1m\u202eb\r\nc\0\0\0")
    'a⟨U+001B⟩[1m⟨U+202E⟩b\nc⟨U+0000 x3⟩'
    >>> shown("abcdef", limit=2)
    'ab … [4 more characters]'
    """
    kept, rest = cut(text, limit)
    return _UNSAFE.sub(_mark, kept.replace("\r\n", "\n")) + rest


def shown_html(text: str, limit: int | None = None) -> Markup:
    r"""Text as HTML that shows it: escaped, with the marks set apart from the text itself.

    >>> str(shown_html("<b>\0"))
    '&lt;b&gt;<span class="ctl">⟨U+0000⟩</span>'
    """
    kept, rest = cut(text, limit)
    kept = kept.replace("\r\n", "\n")
    parts, end = [], 0
    for match in _UNSAFE.finditer(kept):
        parts += [str(escape(kept[end : match.start()])), f'<span class="ctl">{_mark(match)}</span>']
        end = match.end()
    parts.append(str(escape(kept[end:])))
    if rest:
        parts.append(f'<span class="note">{rest}</span>')
    return Markup("".join(parts))


def cut(text: str, limit: int | None) -> tuple[str, str]:
    """The text's opening, and a note on what was left out; the note is empty if nothing was.

    >>> cut("abcdef", 4)
    ('abcd', ' … [2 more characters]')
    """
    if limit is None or len(text) <= limit:
        return text, ""
    return text[:limit], f" … [{len(text) - limit:,} more characters]"


def _mark(match: re.Match[str]) -> str:
    run = match[0]
    if match[1] is None:
        return f"⟨{len(run):,} more combining marks⟩"
    count = f" x{len(run):,}" if len(run) > 1 else ""
    return f"⟨U+{ord(run[0]):04X}{count}⟩"
