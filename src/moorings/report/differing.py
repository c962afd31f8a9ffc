"""Two responses to one prompt, side by side, with what differs between them set apart.

The cost is bounded whatever the texts are: only an opening (or the surroundings of the first marked passage) is looked
at, and the words of no more than that are compared.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from moorings.report.text import shown_html

__all__ = ["Side", "Span", "side_by_side"]

SHOWN_CHARS = 1200
"""Characters of a response that are shown."""
_SEARCHED_CHARS = 100_000
_BEFORE_MARK = 300
_MAX_WORDS = 160
_MIN_ALIKE = 0.35
_MAX_MARKS = 40
_WORD = re.compile(r"\w+|[^\w\s]")


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int


class Side(NamedTuple):
    """One response as HTML, and whether its differing words are set apart."""

    html: Markup
    compared: bool


def side_by_side(precursor: str, candidate: str, marks: Sequence[str] = ()) -> tuple[Side, Side]:
    """Both responses as HTML: marked passages in `<mark>`, words that only one has in `<del>` or `<ins>`.

    Responses with few words in common are not compared: everything would be set apart.

    Args:
        precursor: Untrusted text of any length.
        candidate: The same.
        marks: Passages to highlight where they occur in either, whatever their case.
    """
    finder = _finder(marks)
    left, right = _Window.around(precursor, finder), _Window.around(candidate, finder)
    differing = _differing(left.text, right.text)
    removed, added = differing or ([], [])
    return (
        Side(left.html(finder, removed, "del"), differing is not None),
        Side(right.html(finder, added, "ins"), differing is not None),
    )


class _Window(NamedTuple):
    """The part of a response that is shown."""

    text: str
    before: int
    after: int

    @classmethod
    def around(cls, text: str, finder: re.Pattern[str] | None) -> _Window:
        first = finder.search(text, 0, _SEARCHED_CHARS) if finder else None
        start = max(0, first.start() - _BEFORE_MARK) if first and first.end() > SHOWN_CHARS else 0
        part = text[start : start + SHOWN_CHARS]
        return cls(part, start, len(text) - start - len(part))

    def html(self, finder: re.Pattern[str] | None, differing: Sequence[Span], tag: str) -> Markup:
        found = [Span(*m.span()) for m in finder.finditer(self.text)] if finder else []
        body = _tagged(self.text, found, differing, tag)
        if self.before:
            body = Markup('<span class="note">[{:,} characters before] … </span>').format(self.before) + body
        if self.after:
            body += Markup('<span class="note"> … [{:,} more characters]</span>').format(self.after)
        return body


def _finder(marks: Iterable[str]) -> re.Pattern[str] | None:
    known = sorted({m for m in marks if m.strip() and len(m) <= SHOWN_CHARS}, key=len, reverse=True)[:_MAX_MARKS]
    return re.compile("|".join(map(re.escape, known)), re.IGNORECASE) if known else None


def _differing(a: str, b: str) -> tuple[list[Span], list[Span]] | None:
    """Spans of words that only one side has; None where the sides have too little in common."""
    left, right = (list(_WORD.finditer(text))[:_MAX_WORDS] for text in (a, b))
    matcher = difflib.SequenceMatcher(None, [m[0] for m in left], [m[0] for m in right], autojunk=False)
    if matcher.quick_ratio() < _MIN_ALIKE or matcher.ratio() < _MIN_ALIKE:
        return None
    spans: tuple[list[Span], list[Span]] = ([], [])
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            continue
        for side, words, lo, hi in ((0, left, i1, i2), (1, right, j1, j2)):
            if hi > lo:
                spans[side].append(Span(words[lo].start(), words[hi - 1].end()))
    return spans


def _tagged(text: str, marks: Sequence[Span], differing: Sequence[Span], tag: str) -> Markup:
    edges = sorted({0, len(text), *(edge for span in (*marks, *differing) for edge in span)})
    parts = []
    for start, end in itertools.pairwise(edges):
        piece = str(shown_html(text[start:end]))
        if any(s.start <= start and end <= s.end for s in marks):
            piece = f"<mark>{piece}</mark>"
        if any(s.start <= start and end <= s.end for s in differing):
            piece = f"<{tag}>{piece}</{tag}>"
        parts.append(piece)
    return Markup("".join(parts))
