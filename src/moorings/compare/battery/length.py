"""How long responses, their paragraphs, sentences and words are."""

from __future__ import annotations

import re
from math import nan

from moorings.compare.battery.feature import feature
from moorings.compare.battery.text import Text

__all__: list[str] = []

_BLANK_LINES = re.compile(r"\n[ \t\n]*\n")


@feature(
    name="characters",
    more="Responses have more characters",
    less="Responses have fewer characters",
    unit="characters",
    style=True,
)
def _characters(text: Text) -> float:
    """Unicode characters, white space at either end left out."""
    return len(text.stripped)


@feature(name="words", more="Responses are longer", less="Responses are shorter", unit="words", style=True)
def _words(text: Text) -> float:
    """Words, code included; an apostrophe or hyphen joins, a character of Chinese or Japanese is a word."""
    return len(text.words)


@feature(
    name="sentences",
    more="Responses have more sentences",
    less="Responses have fewer sentences",
    unit="sentences",
    style=True,
)
def _sentences(text: Text) -> float:
    """Sentences outside code; the end of a line ends one too, so a list item is at least one."""
    return len(text.sentences)


@feature(
    name="paragraphs",
    more="Responses have more paragraphs",
    less="Responses have fewer paragraphs",
    unit="paragraphs",
    style=True,
)
def _paragraphs(text: Text) -> float:
    """Blocks of text between blank lines."""
    return len(_BLANK_LINES.findall(text.stripped)) + 1 if text.stripped else 0


@feature(
    name="words_per_sentence",
    more="Sentences are longer",
    less="Sentences are shorter",
    unit="words per sentence",
    style=True,
)
def _words_per_sentence(text: Text) -> float:
    """Mean words of a sentence; not measured without a sentence."""
    return len(text.cased_words) / len(text.sentences) if text.sentences else nan


@feature(
    name="word_length",
    more="Words are longer",
    less="Words are shorter",
    unit="characters per word",
    style=True,
)
def _word_length(text: Text) -> float:
    """Mean characters of a word of prose; not measured without a word."""
    words = text.cased_words
    return sum(map(len, words)) / len(words) if words else nan
