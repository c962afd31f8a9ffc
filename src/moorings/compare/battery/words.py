"""Words of a text, and word lists to look for in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

__all__ = ["Lexicon", "Words", "lower_words", "split_words"]

_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u1ab0-\u1aff\u200c\u200d\u20d0-\u20f0"
)
_COMMON = (
    "a about above after again against all also am an and any are aren't as at be because been before being below "
    "between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each few "
    "for from further get give had hadn't has hasn't have haven't having he her here here's hers herself him himself "
    "his how i i'd i'll i'm i've if in into is isn't it it's its itself just let let's like make may me might more "
    "most must my myself need no nor not now of off on once one only or other our ours out over own please same shall "
    "she should so some such than that that's the their theirs them themselves then there there's these they they're "
    "this those through to too under until up us use very want was wasn't we we're we've were weren't what what's "
    "when where which while who whom why will with won't would wouldn't you you'd you'll you're you've your yours "
    "yourself s t d ll m re ve"
)
_STOP = frozenset(_COMMON.split())
_ASCII_WORD = re.compile(r"[A-Za-z0-9]++(?:['\-][A-Za-z0-9]++)*+")
_ANY_WORD = re.compile(rf"[{_WIDE}]|(?:[^\W_{_WIDE}][{_MARKS}]*+)++(?:['\-](?:[^\W_{_WIDE}][{_MARKS}]*+)++)*+")


def split_words(text: str) -> list[str]:
    """Words in their order and case; an apostrophe or hyphen joins, a character of Chinese or Japanese is a word.

    >>> split_words("Don't re-read it: 日本, naïve_x!")
    ["Don't", 're-read', 'it', '日', '本', 'naïve', 'x']
    """
    text = text.replace("\u2019", "'")
    return (_ASCII_WORD if text.isascii() else _ANY_WORD).findall(text)


class Words:
    """Lower-case words in their order, with what word lists need, each made once."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each word occurs."""
        return Counter(self.words)

    @cached_property
    def content(self) -> Counter[str]:
        """How often each word occurs, common words such as articles, pronouns and auxiliaries left out."""
        return Counter({word: n for word, n in self.counts.items() if word not in _STOP})

    @cached_property
    def line(self) -> str:
        """Words with one space between them."""
        return " ".join(self.words)

    @cached_property
    def spaced(self) -> str:
        """Words with a space on each side of each, so that phrases that touch are both counted."""
        return f" {'  '.join(self.words)} "

    def per_100(self, n: float) -> float:
        """A count per 100 of these words; NaN where there is no word."""
        return 100 * n / len(self.words) if self.words else float("nan")


def lower_words(words: Sequence[str]) -> Words:
    """Words in any case, as lower-case ones."""
    return Words([word.lower() for word in words])


class Lexicon:
    """A list of words and phrases.

    Args:
        entries: Lower-case words and phrases, parted by commas.
    """

    def __init__(self, entries: str) -> None:
        listed = [" ".join(entry.split()) for entry in entries.split(",") if entry.strip()]
        self.entries = tuple(dict.fromkeys(listed))
        self._single = frozenset(entry for entry in self.entries if " " not in entry)
        self._phrases: dict[str, list[str]] = {}
        for entry in self.entries:
            if " " in entry:
                first = entry.partition(" ")[0]
                self._phrases.setdefault(first, []).append(f" {entry.replace(' ', '  ')} ")

    def count(self, words: Words) -> int:
        """Occurrences of all entries.

        >>> Lexicon("sea, a lot").count(Words("the sea is a lot of sea".split()))
        3
        """
        counts = words.counts
        n = sum([counts[word] for word in self._single.intersection(counts)])
        for first in self._phrases.keys() & counts.keys():
            n += sum([words.spaced.count(phrase) for phrase in self._phrases[first]])
        return n

    def found_in(self, words: Words) -> bool:
        """Whether any entry occurs."""
        return self.count(words) > 0

    def opens(self, words: Words) -> bool:
        """Whether the words begin with an entry."""
        if not words.words:
            return False
        first = words.words[0]
        return first in self._single or any(words.spaced.startswith(phrase) for phrase in self._phrases.get(first, ()))
