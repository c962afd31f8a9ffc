"""Texts as words, shingles and counts, for filters that look at phrasing.

MinHash (Broder 1997) with banding finds candidate pairs without comparing all; each candidate's Jaccard similarity is
then computed exactly, so a pair that is reported is one. Hashes are BLAKE2b and fixed multipliers, never Python's.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["distinct_n", "jaccard", "near_pairs", "nearest_distances", "normal", "self_bleu", "shingles", "words"]

_WORDS = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
_PRIME = np.uint64(2**31 - 1)
_BANDS, _ROWS = 32, 5
_MAX_BUCKET = 200


def words(text: str) -> list[str]:
    """Words and single punctuation marks in lower case.

    >>> words("She doesn't care; really!")
    ['she', "doesn't", 'care', ';', 'really', '!']
    """
    return _WORDS.findall(text.casefold())


def normal(text: str) -> str:
    """The text without what does not tell two texts apart: case, blanks, punctuation.

    >>> normal("  Yes,  it IS. ")
    'yes it is'
    """
    return " ".join(re.findall(r"\w+", text.casefold()))


def shingles(text: str, n: int) -> frozenset[int]:
    """Hashes (31 bits) of the runs of n words; a shorter text is one shingle."""
    found = re.findall(r"\w+", text.casefold())
    runs = {" ".join(found[i : i + n]) for i in range(max(1, len(found) - n + 1))}
    return frozenset(
        int.from_bytes(hashlib.blake2b(run.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big") >> 1
        for run in runs
    )


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    """Shared over all shingles.

    >>> jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4}))
    0.5
    """
    return len(a & b) / len(a | b) if a or b else 1.0


def near_pairs(sets: Sequence[frozenset[int]], least: float) -> list[tuple[int, int, float]]:
    """Pairs (i < j) whose Jaccard similarity is at least `least`, with it.

    At similarity 0.8 a pair is missed with probability 3e-6, at 0.6 with 0.07: it is meant for `least` from 0.7.
    """
    signatures = np.stack([_minhash(one) for one in sets]) if sets else np.empty((0, _BANDS * _ROWS), dtype=np.uint64)
    candidates: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        buckets: dict[bytes, list[int]] = {}
        for i, row in enumerate(np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])):
            buckets.setdefault(row.tobytes(), []).append(i)
        for bucket in buckets.values():
            candidates.update(_pairs(bucket))
    scored = ((i, j, jaccard(sets[i], sets[j])) for i, j in sorted(candidates))
    return [pair for pair in scored if pair[2] >= least]


def _pairs(bucket: list[int]) -> Iterator[tuple[int, int]]:
    # In a crowded bucket neighbours suffice: what is far from all of them is found in another band.
    for at, i in enumerate(bucket):
        for j in bucket[at + 1 : at + 1 + _MAX_BUCKET]:
            yield i, j


def _minhash(one: frozenset[int]) -> np.ndarray:
    hashes = np.fromiter(sorted(one), dtype=np.uint64, count=len(one))
    return np.asarray(((hashes[:, None] * _A + _B) % _PRIME).min(axis=0))


_fixed = np.random.default_rng(20240229)
_A = _fixed.integers(1, 2**31 - 1, _BANDS * _ROWS, dtype=np.uint64)
_B = _fixed.integers(0, 2**31 - 1, _BANDS * _ROWS, dtype=np.uint64)


def _ngrams(text: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Distinct runs of n words over all of them (Li et al. 2016, arXiv 1510.03055); falls with the number of texts."""
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(_ngrams(words(text), n))
    return len(counts) / max(1, counts.total())


def self_bleu(texts: Sequence[str], n: int = 4) -> float:
    """Mean BLEU of each text against all the others (Zhu et al. 2018, arXiv 1802.01886); 1 is all alike.

    Precisions up to `n` words are smoothed by adding one from bigrams on; the brevity penalty takes the nearest length.
    """
    cut = [words(text) for text in texts]
    grams = [[_ngrams(text, k) for text in cut] for k in range(1, n + 1)]
    tops = [_two_largest(counts) for counts in grams]
    lengths = np.array([len(text) for text in cut])
    scores = []
    for i, text in enumerate(cut):
        others = np.delete(lengths, i)
        if not len(text) or not len(others):
            continue
        logs = []
        for k in range(n):
            own = grams[k][i]
            hit = sum(
                min(count, tops[k][gram][1] if tops[k][gram][2] == i else tops[k][gram][0])
                for gram, count in own.items()
            )
            total = own.total()
            logs.append(np.log((hit + (k > 0)) / (total + (k > 0))) if hit or k else -np.inf)
        nearest = others[np.argmin(np.abs(others - len(text)))]
        scores.append(np.exp(np.mean(logs) + min(0.0, 1 - nearest / len(text))))
    return float(np.mean(scores)) if scores else 0.0


def _two_largest(counts: list[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """For each run of words: its largest count in a text, the largest in any other text, and the first's index."""
    tops: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for i, own in enumerate(counts):
        for gram, count in own.items():
            first, second, at = tops.get(gram, (0, 0, -1))
            tops[gram] = (count, first, i) if count > first else (first, max(second, count), at)
    return tops


def nearest_distances(texts: Sequence[str], groups: Sequence[str]) -> Float[np.ndarray, " n"]:
    """One minus the cosine of TF-IDF word vectors to the nearest text of another group; 1 where there is none."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if len(texts) < 2:
        return np.ones(len(texts))
    x = TfidfVectorizer(tokenizer=words, token_pattern=None, lowercase=False, dtype=np.float32).fit_transform(texts)
    names = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    group = np.array([names[name] for name in groups])
    best = np.zeros(len(texts))
    for start in range(0, len(texts), 500):
        near = (x[start : start + 500] @ x.T).toarray()
        near[group[start : start + 500, None] == group[None, :]] = 0.0
        best[start : start + 500] = near.max(axis=1)
    return 1.0 - np.minimum(best, 1.0)
