"""How responses begin and end."""

from __future__ import annotations

import re

from moorings.compare.battery.feature import SHARE, feature
from moorings.compare.battery.text import QUESTION_MARKS, Text, ends_in
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

_SURE = Lexicon(
    "sure, certainly, absolutely, definitely, of course, okay, ok, no problem, gladly, happy to help, "
    "i'd be happy to, i would be happy to, i'd be glad to, i'd love to, with pleasure"
)
_GOODBYE = Lexicon(
    "hope this helps, hope that helps, hope it helps, hope you enjoy, hope you find, good luck, best wishes, "
    "best regards, kind regards, warm regards, sincerely, yours truly, take care, have fun, have a great, "
    "have a good, have a nice, have a wonderful, happy cooking, happy coding, happy reading, happy learning, "
    "happy writing, bon appetit, safe travels, enjoy your, all the best, goodbye, bye"
)
_ITEM = re.compile(r"(?:[-*+\u2022\u2013]|\d{1,3}[.)])[ \t]")
_UNFINISHED = re.compile(r"[\w,;:\-\u2013\u2014(\[/&+=]")


@feature(
    name="starts_with_consent",
    more='More responses open with consent such as "Sure" or "Certainly"',
    less='Fewer responses open with consent such as "Sure" or "Certainly"',
    unit=SHARE,
    style=True,
)
def _starts_with_consent(text: Text) -> bool:
    """The first words are sure, certainly, of course, absolutely, I'd be happy to, or the like."""
    return _SURE.opens(text.opening)


@feature(
    name="closing_phrase",
    more="More responses end with a closing phrase",
    less="Fewer responses end with a closing phrase",
    unit=SHARE,
    style=True,
)
def _closing_phrase(text: Text) -> bool:
    """Good luck, I hope this helps, best regards, enjoy your, or the like among the last 40 words."""
    return _GOODBYE.found_in(text.closing)


@feature(
    name="ends_with_question",
    more="More responses end with a question",
    less="Fewer responses end with a question",
    unit=SHARE,
    style=True,
)
def _ends_with_question(text: Text) -> bool:
    """The last character, closing quotation marks and brackets apart, is a question mark."""
    return ends_in(text.stripped, QUESTION_MARKS)


@feature(
    name="cut_off",
    more="More responses end without punctuation, as if cut off",
    less="Fewer responses end without punctuation, as if cut off",
    unit=SHARE,
    style=True,
)
def _cut_off(text: Text) -> bool:
    """The last character is a letter, digit, comma, colon, dash or opening bracket.

    A list item as the last line does not count; a title, a verse or a signature does, so it is the change that tells.
    """
    if _UNFINISHED.match(text.stripped[-1:]) is None:
        return False
    return _ITEM.match(text.lines[-1]) is None
