"""Words, marks and short phrases of responses, and where they occur.

A response becomes a list of tokens: lower-cased words and numbers, the punctuation that carries
style, markdown marks at the start of a line, and emoji. Scripts written without spaces between words
(Chinese, Japanese) give one token a character. `^` stands for the start of a response and `$` for its
end, so `^ sure` is an opening and `here $` an ending. A phrase is its tokens joined by spaces.

`count_ngrams` finds the phrases of a corpus and `matches` evaluates phrases on any texts, with the
same tokens, so a phrase frozen as a predicate means the same everywhere. Neither sees an arm.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from scipy.sparse import csr_matrix

__all__ = ["END", "MAX_TOKENS", "START", "NgramTable", "count_ngrams", "matches", "tokenise"]

MAX_TOKENS = 2_000
"""Tokens that are read of one text; what follows is not looked at, and such a text has no `$`."""
START = "^"
END = "$"

_MAX_CHARACTERS = 64_000
"""Characters that are read of one text, so that a hostile one costs no more than others."""
_LETTER = r"[\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff\u0e31-\u0e4e]"
_EMOJI = r"[\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_TOKEN = re.compile(
    r"^(?:\#{1,6}|[-*+>\u2022]|\d{1,3}[.)])(?=\s)"
    r"|^(?:-{3,}|\*{3,})$"
    r"|\d+(?:[.,]\d+)*(?!\w)"
    rf"|{_LETTER}{{1,40}}(?:['-]{_LETTER}{{1,40}}){{0,4}}"
    r"|\*\*|```|\.\.\.|--"
    rf"|[.!?:;()\[|~=*`<>\u2013\u2014\u2026]|{_EMOJI}",
    re.MULTILINE,
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


class NgramTable(NamedTuple):
    """Phrases of a corpus and the texts that hold them."""

    vocabulary: tuple[str, ...]
    """Phrases, the most frequent first; those equally frequent in alphabetical order."""
    presence: csr_matrix
    """[n, V], int32: 1 where the text holds the phrase at least once."""


class _Stream(NamedTuple):
    """Tokens of all texts, one after another."""

    ids: Int[np.ndarray, " t"]
    text: Int[np.ndarray, " t"]
    """Row of the text that each token is from."""


class _Level(NamedTuple):
    """Frequent phrases of one length."""

    gram: Int[np.ndarray, " t"]
    """At each token, the phrase that starts there; -1 for none that is frequent."""
    first: Int[np.ndarray, " g"]
    """Where each phrase stands first."""
    column: Int[np.ndarray, " nnz"]
    row: Int[np.ndarray, " nnz"]


def tokenise(text: str) -> list[str]:
    """Split one text into at most `MAX_TOKENS` tokens, without `^` and `$`.

    Any string is allowed, lone surrogates included; they are no part of a token.

    >>> tokenise("**Sure!** Don't worry:\\n- Set sail")
    ['**', 'sure', '!', '**', "don't", 'worry', ':', '-', 'set', 'sail']
    """
    return _read(text)[:MAX_TOKENS]


def count_ngrams(
    texts: Sequence[str], *, max_n: int = 4, min_texts: int = 5, max_vocabulary: int = 60_000
) -> NgramTable:
    """Find the phrases of up to `max_n` tokens that occur in at least `min_texts` texts.

    `^` and `$` count as tokens, but do not stand alone. Phrases are grown from frequent shorter ones,
    so time and memory are linear in the number of tokens.

    Args:
        texts: n texts of any content.
        max_n: Most tokens of a phrase, >= 1.
        min_texts: Fewest texts that hold a phrase, >= 1.
        max_vocabulary: Most phrases kept; the rarest go first.

    Raises:
        ValueError: `max_n` or `min_texts` is below 1.
    """
    from scipy.sparse import csr_matrix

    if max_n < 1 or min_texts < 1:
        raise ValueError(f"max_n is {max_n} and min_texts is {min_texts}; both must be at least 1")
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    stream = _stream(texts, numbers)
    names = list(numbers)
    levels = _frequent(stream, n_texts=len(texts), max_n=max_n, min_texts=min_texts)
    phrases = [" ".join([names[i] for i in stream.ids[at : at + n]]) for n, x in enumerate(levels, 1) for at in x.first]
    offsets = np.cumsum([0, *(len(x.first) for x in levels)])
    columns = np.concatenate([x.column + offset for x, offset in zip(levels, offsets, strict=False)])
    rows = np.concatenate([x.row for x in levels])
    frequency = np.bincount(columns, minlength=len(phrases))
    wordless = {START, END, f"{START} {END}"}
    ranked = sorted((-frequency[i], p, i) for i, p in enumerate(phrases) if p not in wordless)[:max_vocabulary]
    target = np.full(len(phrases), -1)
    target[[i for _, _, i in ranked]] = np.arange(len(ranked))
    kept = target[columns] >= 0
    cells = (np.ones(kept.sum(), dtype=np.int32), (rows[kept], target[columns[kept]]))
    return NgramTable(tuple(p for _, p, _ in ranked), csr_matrix(cells, shape=(len(texts), len(ranked))))


def matches(phrases: Sequence[str], texts: Sequence[str]) -> Bool[np.ndarray, "n k"]:
    """Tell which texts hold which phrases.

    Args:
        phrases: k phrases as `count_ngrams` writes them: tokens joined by single spaces.
        texts: n texts of any content.
    """
    split = [phrase.split(" ") for phrase in phrases]
    known = {token: i for i, token in enumerate(dict.fromkeys(chain.from_iterable(split)), 1)}
    stream = _stream(texts, defaultdict(int, known))
    # Padding keeps a phrase that would run past the last text from being looked up beyond the end.
    ids = np.pad(stream.ids, (0, max((len(tokens) for tokens in split), default=0)))
    found = np.zeros((len(texts), len(phrases)), dtype=bool)
    for column, tokens in enumerate(split):
        at = np.flatnonzero(stream.ids == known[tokens[0]])
        for step, token in enumerate(tokens[1:], 1):
            at = at[ids[at + step] == known[token]]
        same = stream.text[np.minimum(at + len(tokens) - 1, len(stream.text) - 1)] == stream.text[at]
        found[stream.text[at[same]], column] = True
    return found


def _read(text: str) -> list[str]:
    clean = text[:_MAX_CHARACTERS]
    if not clean.isascii():
        clean = unicodedata.normalize("NFC", clean).replace("\u2019", "'")
        clean = _UNSPACED.sub(r" \g<0> ", clean)
    return _TOKEN.findall(_INDENT.sub("", clean.lower().replace("_", " ")))


def _with_ends(text: str) -> list[str]:
    tokens = _read(text)
    cut = len(tokens) > MAX_TOKENS or len(text) > _MAX_CHARACTERS
    return [START, *tokens[:MAX_TOKENS]] if cut else [START, *tokens, END]


def _stream(texts: Sequence[str], number: defaultdict[str, int]) -> _Stream:
    lengths: list[int] = []

    def tokens() -> Iterator[list[str]]:
        for text in texts:
            found = _with_ends(text)
            lengths.append(len(found))
            yield found

    ids = np.fromiter(map(number.__getitem__, chain.from_iterable(tokens())), dtype=np.int64)
    return _Stream(ids, np.repeat(np.arange(len(texts)), lengths))


def _frequent(stream: _Stream, *, n_texts: int, max_n: int, min_texts: int) -> list[_Level]:
    """Phrases of 1 to `max_n` tokens; a phrase is only looked at if both its ends, a token shorter, are frequent."""
    levels = [_level(stream.ids, stream.text, n_texts, min_texts)]
    same_text = np.append(stream.text[1:] == stream.text[:-1], np.zeros(min(1, len(stream.text)), dtype=bool))
    for _ in range(1, max_n):
        head = levels[-1].gram
        tail = np.append(head[1:], np.full(min(1, len(head)), -1))
        both = (head >= 0) & (tail >= 0) & same_text
        keys = np.where(both, head * (len(levels[-1].first) + 1) + tail, -1)
        levels.append(_level(keys, stream.text, n_texts, min_texts))
    return levels


def _level(keys: Int[np.ndarray, " t"], text: Int[np.ndarray, " t"], n_texts: int, min_texts: int) -> _Level:
    """Keep the keys (-1 for none) that occur in enough texts, numbered from 0."""
    at = np.flatnonzero(keys >= 0)
    _, first, number = np.unique(keys[at], return_index=True, return_inverse=True)
    cells = np.sort(number * n_texts + text[at])
    column, row = np.divmod(cells[np.append(True, cells[1:] != cells[:-1])[: len(cells)]], max(1, n_texts))
    frequent = np.bincount(column, minlength=len(first)) >= min_texts
    renumbered = np.where(frequent, np.cumsum(frequent) - 1, -1)
    gram = np.full(len(keys), -1)
    gram[at] = renumbered[number]
    kept = frequent[column]
    return _Level(gram, at[first[frequent]], renumbered[column[kept]], row[kept])
