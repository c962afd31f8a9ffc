"""Language, mood, readability, variety and repetition."""

from __future__ import annotations

import re
import zlib
from functools import cache, lru_cache
from math import nan
from string import punctuation
from typing import Any

from moorings.compare.battery.feature import SHARE, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

_LETTERS = re.compile(r"[^\W\d_]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_VOWELS = re.compile(r"[aeiouy]+")
_COMMON = Lexicon(
    "the, of, and, to, that, it, with, for, you, this, are, have, from, by, not, they, which, your, can, will, at, "
    "what, when, their, there, been, would, has, as, be, or, it's, if, these, how, my, i, he, she, his, her, was"
)
_FOREIGN = Lexicon(
    "de, la, le, les, des, et, est, une, dans, qui, pour, pas, sur, au, aux, je, vous, nous, il, elle, "
    "el, los, las, que, y, en, un, una, por, con, para, es, se, del, al, su, lo, como, m\u00e1s, esta, "
    "os, um, uma, n\u00e3o, com, da, em, \u00e9, na, mais, di, che, non, per, \u00e8, sono, della, mi, ti, ho, "
    "der, die, das, und, ist, nicht, ein, eine, mit, zu, den, von, auf, f\u00fcr, sich, im, ich, dass, auch, "
    "het, een, van, dat, niet, op, voor, zijn, ik, wij, och, att, som, det, \u00e4r, p\u00e5, inte, og, til, ikke, jeg, "
    "nie, si\u0119, \u017ce, jest, i, se, je, ale, bir, bu, i\u00e7in, ve, ile, yang, dan, ini, untuk, dengan, "
    "\u0219i, este, c\u0103, ja, ei, ett\u00e4, hogy, az, egy, \u00e9s, nem, l\u00e0, c\u1ee7a, v\u00e0, kh\u00f4ng, c\u00f3"
)
_LANGUAGE_CHARACTERS = 400
_LEAST_WORDS = 5
_ENGLISH_SHARE = 0.12
_FOREIGN_SHARE = 0.08
_MOOD_CHARACTERS = 600
_WINDOW = 50
_MOST_WORDS = 5_000
_ZIP_BYTES = 300
_MOST_ZIPPED = 10


@cache
def _mood_analyser() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@feature(
    name="not_english",
    more="More responses are not in English",
    less="Fewer responses are not in English",
    unit=SHARE,
    style=False,
)
def _not_english(text: Text) -> float:
    """Prose in another language: mostly in another alphabet; or else with few common English words, some of another
    large European or Asian language, and not English to py3langid.

    The start of the prose is looked at; lists of names and code do not count; not measured on fewer than five words
    in the Latin alphabet.
    """
    start = text.prose[: 5 * _LANGUAGE_CHARACTERS].strip()[:_LANGUAGE_CHARACTERS]
    if not start.isascii() and len(_LETTERS.findall(start)) > 2 * len(_LATIN.findall(start)):
        return 1.0
    words = text.opening
    if len(words) < _LEAST_WORDS:
        return nan
    if _COMMON.count(words) >= _ENGLISH_SHARE * len(words):
        return 0.0
    if _FOREIGN.count(words) < _FOREIGN_SHARE * len(words):
        return 0.0
    from py3langid import classify

    return float(classify(start)[0] != "en")


@feature(
    name="non_ascii",
    more="Responses hold more characters outside ASCII",
    less="Responses hold fewer characters outside ASCII",
    unit="share of characters",
    style=True,
)
def _non_ascii(text: Text) -> float:
    """Characters outside ASCII: accents, other alphabets, emoji, curly quotation marks; not measured on nothing."""
    if not text.text:
        return nan
    return 0.0 if text.text.isascii() else 1 - len(text.text.encode("ascii", "ignore")) / len(text.text)


@feature(
    name="sentiment",
    more="Responses are more positive in mood",
    less="Responses are more negative in mood",
    unit="points of sentiment (-1 to 1)",
    style=False,
)
def _sentiment(text: Text) -> float:
    """Mean VADER compound score of the sentences in the first 600 characters of prose; not measured without one.

    English only: sentences in other languages score near 0. Source: Hutto and Gilbert 2014.
    """
    total, n, left = 0.0, 0, _MOOD_CHARACTERS
    for sentence in text.sentences:
        if left <= 0:
            break
        total += _mood(sentence[:left])
        n += 1
        left -= len(sentence)
    return total / n if n else nan


def _mood(sentence: str) -> float:
    """VADER's score; it is 0 without a word of its lexicon, which is quicker to look up than to compute."""
    analyser = _mood_analyser()
    if sentence.isascii():
        lexicon = analyser.lexicon
        if not any(word in lexicon or word.strip(punctuation) in lexicon for word in sentence.lower().split()):
            return 0.0
    return float(analyser.polarity_scores(sentence)["compound"])


@feature(
    name="reading_ease",
    more="Responses are easier to read",
    less="Responses are harder to read",
    unit="points",
    style=True,
)
def _reading_ease(text: Text) -> float:
    """Flesch reading ease, 206.835 - 1.015 words per sentence - 84.6 syllables per word, kept in -100 to 130.

    Syllables are groups of vowels, less a silent e. Made for English; not measured without a word.
    Source: Flesch 1948.
    """
    words = text.prose_words
    if not words.words:
        return nan
    syllables = sum([_syllables(word[:40]) * n for word, n in words.counts.items()])
    ease = 206.835 - 1.015 * len(words) / len(text.sentences) - 84.6 * syllables / len(words)
    return min(130.0, max(-100.0, ease))


@lru_cache(maxsize=20_000)
def _syllables(word: str) -> int:
    n = len(_VOWELS.findall(word))
    if n > 1 and ((word.endswith(("es", "ed")) and word[-3] not in "aeiouyrtdszxl") or _silent_e(word)):
        n -= 1
    return max(1, n)


def _silent_e(word: str) -> bool:
    return word.endswith("e") and not (word.endswith("le") and word[-3] not in "aeiouy") and word[-2] not in "aeiouy"


@feature(
    name="lexical_diversity",
    more="Wording is more varied",
    less="Wording is less varied",
    unit="share of distinct words",
    style=True,
)
def _lexical_diversity(text: Text) -> float:
    """Mean share of distinct words in every stretch of 50 words (MATTR), over the first 5,000 words.

    Does not depend on length; not measured on fewer than 50 words. Source: Covington and McFall 2010.
    """
    words = text.prose_words.words[:_MOST_WORDS]
    if len(words) < _WINDOW:
        return nan
    counts: dict[str, int] = {}
    for word in words[:_WINDOW]:
        counts[word] = counts.get(word, 0) + 1
    total = distinct = len(counts)
    for old, new in zip(words, words[_WINDOW:], strict=False):
        counts[old] -= 1
        distinct -= not counts[old]
        seen = counts.get(new, 0)
        distinct += not seen
        counts[new] = seen + 1
        total += distinct
    return total / (_WINDOW * (len(words) - _WINDOW + 1))


@feature(
    name="repeated_phrases",
    more="Responses repeat phrases more",
    less="Responses repeat phrases less",
    unit="share of four-word phrases",
    style=True,
)
def _repeated_phrases(text: Text) -> float:
    """Runs of four words that occurred before, over the first 5,000 words; not measured on fewer than eight words."""
    words = text.prose_words.words[:_MOST_WORDS]
    if len(words) < 8:
        return nan
    return 1 - len(set(zip(words, words[1:], words[2:], words[3:], strict=False))) / (len(words) - 3)


@feature(
    name="repeated_lines",
    more="Responses repeat whole lines more",
    less="Responses repeat whole lines less",
    unit="share of lines",
    style=True,
)
def _repeated_lines(text: Text) -> float:
    """Lines with a letter or digit that occurred before; not measured without such a line."""
    lines = [line for line in text.lines if any(map(str.isalnum, line))]
    return 1 - len(set(lines)) / len(lines) if lines else nan


@feature(
    name="compressibility",
    more="Responses are more repetitive to a compressor",
    less="Responses are less repetitive to a compressor",
    unit="share of bytes saved",
    style=True,
)
def _compressibility(text: Text) -> float:
    """Mean share of bytes that zlib saves on each of the first ten stretches of 300 bytes.

    Stretches of one size, so that it does not grow with length; not measured under 300 bytes.
    """
    data = text.text[: _ZIP_BYTES * _MOST_ZIPPED].encode("utf-8", "surrogatepass")
    ends = range(_ZIP_BYTES, min(len(data), _ZIP_BYTES * _MOST_ZIPPED) + 1, _ZIP_BYTES)
    zipped = [len(zlib.compress(data[end - _ZIP_BYTES : end], 1)) for end in ends]
    return 1 - sum(zipped) / (_ZIP_BYTES * len(zipped)) if zipped else nan
