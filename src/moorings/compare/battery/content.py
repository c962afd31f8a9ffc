"""What responses hold whatever their topic: numbers, dates, quotations, names, sources."""

from __future__ import annotations

import re
from itertools import islice

from moorings.compare.battery.feature import PER_100, SHARE, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

_NUMBER = re.compile(r"\d(?<![\w.,]\d)\d*+(?:[.,:]\d++)*+")
_MOST_NUMBERS = 200
_BEFORE, _AFTER = 16, 16
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|"
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?"
)
_DATE = re.compile(
    rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b|\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}(?!\w)|\b{_MONTH},? (?:1\d|20)\d\d\b"
    r"|\b\d{4}-\d\d-\d\d\b|\b\d{1,2}/\d{1,2}/(?:\d\d)?\d\d\b|\b(?:1[0-9]|20)\d0s\b|\b\d{1,2}(?:st|nd|rd|th)[- ]century\b"
    r"|(?:\b(?:in|since|from|until|during|before|after|year|circa|early|late|mid)[ -]|\()(?:1[0-9]|20)\d\d\b(?! ?[a-z%])"
    r"|(?:\bin|\bsince|\()[ ]?(?:1[5-9]|20)\d\d (?:and|by|to|with|when|as|at|the|after|for|until)\b"
)
_QUOTE = re.compile(r"\"[^\"\n]{2,300}+\"|“[^“”\n]{2,300}+”|«[^«»\n]{2,300}+»|「[^「」\n]{2,300}+」")
_SOURCES = Lexicon(
    "according to, a study, one study, this study, recent study, studies show, studies have, studies suggest, "
    "studies indicate, studies found, research shows, research has, research suggests, research indicates, "
    "researchers, et al, a survey, journal of, published in, report by, reported by, cited, citations, references, "
    "reliable sources, sources include, bibliography, doi, peer-reviewed, meta-analysis, statistics show, data shows, "
    "data from"
)


@feature(
    name="numbers", more="Responses give more numbers", less="Responses give fewer numbers", unit=PER_100, style=False
)
def _numbers(text: Text) -> float:
    """Numbers in digits, those of list items left out; not measured without a word."""
    return text.per_100(len(_NUMBER.findall(text.prose)))


@feature(name="dates", more="More responses give a date", less="Fewer responses give a date", unit=SHARE, style=False)
def _dates(text: Text) -> bool:
    """A day of a month, a month with its year, a decade, a century, or a year after a word such as in or since.

    The first 200 numbers are looked at.
    """
    lower = text.lower
    numbers = islice(_NUMBER.finditer(lower), _MOST_NUMBERS)
    return any(_DATE.search(lower, max(0, n.start() - _BEFORE), n.end() + _AFTER) for n in numbers)


@feature(
    name="quotations",
    more="Responses put more words in quotation marks",
    less="Responses put fewer words in quotation marks",
    unit=PER_100,
    style=True,
)
def _quotations(text: Text) -> float:
    """Passages of 2 to 300 characters between double quotation marks; not measured without a word."""
    return text.per_100(len(_QUOTE.findall(text.prose)))


@feature(
    name="proper_names",
    more="Responses name more people, places or things",
    less="Responses name fewer people, places or things",
    unit=PER_100,
    style=False,
)
def _proper_names(text: Text) -> float:
    """Capitalised words inside a sentence, but I and sentences mostly in capitals, such as titles, do not count.

    Not measured without a word. German capitalises every noun, so this is for other languages.
    """
    n = 0
    for words in text.sentence_words:
        named = sum([word[0].isupper() and word != "I" and not word.startswith("I'") for word in words[1:]])
        if 2 * named <= len(words):
            n += named
    return text.per_100(n)


@feature(
    name="sources",
    more="More responses refer to sources or studies",
    less="Fewer responses refer to sources or studies",
    unit=SHARE,
    style=False,
)
def _sources(text: Text) -> bool:
    """According to, a study, research shows, researchers, et al, published in, references, or the like."""
    return _SOURCES.found_in(text.prose_words)
