"""Phrases that one arm uses more than the other, and sets of them that cover one behaviour.

Source: Monroe, Colaresi and Quinn 2008, "Fightin' Words", eq. 16 and 22: log odds ratio with an informative
Dirichlet prior (the pooled shares), here of responses that hold a phrase rather than of tokens, so the variance
has the terms of those without it as well. The same difference is also scored paired by prompt, and the weaker
of both counts: a phrase that a prompt provokes in one arm's many samples is not a behaviour.

These functions look at the arm: what they propose must be tested on other prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.compare.representations.ngrams import END, START, NgramTable

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from scipy.sparse import csr_matrix

__all__ = [
    "Phrase",
    "PhraseScores",
    "distinctive_phrases",
    "is_plain",
    "phrase_sets",
    "score_phrases",
    "without_redundant",
]

_PRIOR_WEIGHT = 0.25
"""Weight of the prior against an arm's responses. Scores of pure chance have a spread of 1 / sqrt(1 + this)."""
_REDUNDANT = 0.8
"""Jaccard overlap of the responses that hold two phrases, above which one of them is enough."""
_WITHIN = 0.9
"""Share of a phrase's responses that hold a stronger one as well, above which it is only part of it."""
_MORE_TELLING = 0.5
"""Log odds by which a part must exceed the whole to be something of its own: "i love geese" within "i"."""
_EQUALLY_STRONG = 0.95
_WIDER = 1.03
"""Least growth in responses that a further phrase of a set must bring."""
_LEAST_KEPT = 0.97
"""Share of the best paired score that a wider set must keep: chance of which prompts it comes up in is no reason to stop."""
_RELATED = 0.15
"""Least excess of joint responses, as a share of the largest possible, for phrases to belong together."""
_RELATED_Z = 2.5
"""Least excess of joint responses in standard deviations of chance."""
_MARKS = frozenset(".:;()[<>=^$")
_ENGLISH = (
    "a about above after again all also am an and any are as at be because been before being below between both but by "
    "can could did do does doing down during each few for from further had has have having he her here hers him his how "
    "i if in into is it its it's just may me might more most much must my no nor not now of off on once one only or "
    "other our out over own same she should so some such than that the their them then there these they this those "
    "through to too under until up upon us very was we were what when where which while who whom why will with would "
    "you your yours i'm i'll i've you're that's there's"
)
_FUNCTION_WORDS = frozenset(_ENGLISH.split())


class Phrase(NamedTuple):
    """A phrase and how much more responses of the candidate hold it."""

    phrase: str
    z: float
    """The smaller in size of the log-odds score and the score paired by prompt; positive if the candidate says it more."""
    log_odds: float
    share_precursor: float
    share_candidate: float


class PhraseScores(NamedTuple):
    """Scores of all phrases of a table."""

    z: Float[np.ndarray, " v"]
    """As `Phrase.z`; 0 where both scores differ in sign."""
    z_pooled: Float[np.ndarray, " v"]
    z_paired: Float[np.ndarray, " v"]
    log_odds: Float[np.ndarray, " v"]
    share_precursor: Float[np.ndarray, " v"]
    share_candidate: Float[np.ndarray, " v"]


class _Pairs(NamedTuple):
    """Prompts that both arms answered."""

    weights: csr_matrix
    """[n_prompts, n]: times a column of values, the candidate's mean minus the precursor's of each prompt."""
    rows: Bool[np.ndarray, " n"]
    """Responses to these prompts."""
    noise: float
    """Mean over prompts of 1/m_precursor + 1/m_candidate."""


def score_phrases(table: NgramTable, arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"]) -> PhraseScores:
    """Score each phrase of a table; only prompts that both arms answered count.

    Args:
        table: Phrases of n responses.
        arm: 0 for the precursor, 1 for the candidate.
        prompt: Prompt of each response.

    Raises:
        ValueError: `arm` holds something else, or the lengths differ.
    """
    pairs = _pairs(arm, prompt, table.presence.shape[0])
    counts, n = [], []
    for which in (0, 1):
        chosen = pairs.rows & (arm == which)
        counts.append(np.asarray(table.presence[chosen].sum(0), dtype=float).ravel())
        n.append(float(chosen.sum()))
    share = (counts[0] + counts[1]) / max(1.0, n[0] + n[1])
    weight = _PRIOR_WEIGHT * sum(n) / 2 + 1e-9
    prior, rest = weight * share + 1e-9, weight * (1 - share) + 1e-9
    has = [c + prior for c in counts]
    has_not = [m - c + rest for c, m in zip(counts, n, strict=True)]
    log_odds = np.log(has[1] / has_not[1]) - np.log(has[0] / has_not[0])
    pooled = log_odds / np.sqrt(1 / has[0] + 1 / has[1] + 1 / has_not[0] + 1 / has_not[1])
    differences = pairs.weights @ table.presence
    paired = _paired_z(differences.sum(0), differences.multiply(differences).sum(0), share, pairs)
    agreed = np.where(pooled * paired > 0, np.sign(pooled) * np.minimum(np.abs(pooled), np.abs(paired)), 0.0)
    shares = [c / max(1.0, m) for c, m in zip(counts, n, strict=True)]
    return PhraseScores(agreed, pooled, paired, log_odds, *shares)


def distinctive_phrases(
    table: NgramTable,
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    *,
    n_phrases: int = 80,
    min_z: float = 2.0,
    min_z_plain: float = 6.0,
) -> list[Phrase]:
    """List the phrases that best tell the arms apart, the strongest first.

    Both directions get half of the places where they have candidates for them. Of phrases that share a token
    and occur in nearly the same responses one is kept: the strongest, or the longest of those equally strong
    that begin and end with a content word.

    Args:
        table: Phrases of n responses.
        arm: 0 for the precursor, 1 for the candidate.
        prompt: Prompt of each response.
        n_phrases: Most phrases returned.
        min_z: Least size of a score.
        min_z_plain: The same for phrases of nothing but function words and plain punctuation.

    Raises:
        ValueError: As `score_phrases`.
    """
    scores = score_phrases(table, arm, prompt)
    size = np.abs(scores.z)
    plain = np.array([is_plain(phrase) for phrase in table.vocabulary], dtype=bool)
    good = np.flatnonzero(size >= np.where(plain, min_z_plain, min_z))
    kept: list[int] = []
    for sign in (1, -1):
        side = good[np.sign(scores.z[good]) == sign]
        side = side[np.argsort(-size[side], kind="stable")][: 20 * n_phrases]
        kept += without_redundant(table, side, size, np.abs(scores.log_odds))[:n_phrases]
    kept = _balanced(kept, scores.z, n_phrases)
    columns = (scores.z, scores.log_odds, scores.share_precursor, scores.share_candidate)
    return [Phrase(table.vocabulary[i], *(float(c[i]) for c in columns)) for i in kept]


def phrase_sets(
    table: NgramTable,
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    phrases: Sequence[Phrase],
    *,
    n_sets: int = 12,
    max_size: int = 12,
) -> list[tuple[str, ...]]:
    """Group phrases that occur together, within an arm and at like lengths, more than chance, and cover more as "holds any of them".

    Each set grows from the strongest phrase left, by the related phrase of the same direction with which the
    paired score of the union is largest, as long as it widens the union and the score does not fall. Phrases bound to the start or end of a response stay alone.

    Args:
        table: Phrases of n responses.
        arm: 0 for the precursor, 1 for the candidate.
        prompt: Prompt of each response.
        phrases: Candidates, of `distinctive_phrases` on the same table.
        n_sets: Most sets returned.
        max_size: Most phrases of a set.

    Returns:
        Sets of at least two phrases, the strongest first. No phrase is in two sets.

    Raises:
        ValueError: As `score_phrases`.
    """
    pairs = _pairs(arm, prompt, table.presence.shape[0])
    column = {phrase: i for i, phrase in enumerate(table.vocabulary)}
    usable = [p for p in phrases if p.phrase in column and not _is_bound(p.phrase)]
    usable.sort(key=lambda p: -abs(p.z))
    holds = table.presence[:, [column[p.phrase] for p in usable]].toarray().astype(bool)
    direction = np.sign([p.z for p in usable])
    free = np.ones(len(usable), dtype=bool)
    stratum = _strata(table, arm)
    sets: list[tuple[float, tuple[str, ...]]] = []
    while free.any() and len(sets) < n_sets:
        first = int(np.argmax(free))
        chosen, z = _grow(first, holds, free & (direction == direction[first]), stratum, pairs, max_size)
        free[chosen] = False
        if len(chosen) > 1:
            sets.append((z, tuple(usable[i].phrase for i in chosen)))
    return [names for _, names in sorted(sets, key=lambda s: -s[0])]


def is_plain(phrase: str) -> bool:
    """Whether a phrase is nothing but function words and everyday punctuation.

    >>> is_plain("of the"), is_plain("the harbour"), is_plain("**")
    (True, False, False)
    """
    tokens = phrase.split(" ")
    words = [token for token in tokens if token[0].isalnum()]
    return all(word in _FUNCTION_WORDS for word in words) if words else set(tokens) <= _MARKS


def without_redundant(
    table: NgramTable,
    columns: Int[np.ndarray, " c"],
    strength: Float[np.ndarray, " v"],
    log_odds: Float[np.ndarray, " v"],
) -> list[int]:
    """Keep one of each group of phrases that share a token and say the same.

    Two say the same if they occur in nearly the same responses, or if the weaker one occurs only where the
    stronger does and is no more telling there.

    Args:
        table: Phrases of the responses.
        columns: Phrases to choose from, the strongest first.
        strength: Of every phrase of the table, >= 0.
        log_odds: How telling every phrase is, whatever its frequency; all in one direction.
    """
    presence = table.presence[:, columns]
    joint = (presence.T @ presence).toarray()
    total = joint.diagonal()
    same = joint > _REDUNDANT * (total[:, None] + total[None, :] - joint)
    odds = log_odds[columns]
    part = (joint > _WITHIN * total[:, None]) & (odds[:, None] < odds[None, :] + _MORE_TELLING)
    close = same | part
    tokens = [frozenset(table.vocabulary[c].split(" ")) for c in columns]
    said: dict[int, frozenset[str]] = {}
    groups: dict[int, list[int]] = {}
    for i in range(len(columns)):
        head = next((j for j in groups if close[i, j] and tokens[i] & said[j]), i)
        groups.setdefault(head, [])
        said.setdefault(head, tokens[i])
        if head == i or same[i, head]:
            groups[head].append(int(columns[i]))
            said[head] |= tokens[i]
    return [_speaker(table, members, strength) for members in groups.values()]


def _speaker(table: NgramTable, members: Sequence[int], strength: Float[np.ndarray, " v"]) -> int:
    """Phrase that stands for a group, whose first is the strongest."""
    equal = [c for c in members if strength[c] >= _EQUALLY_STRONG * strength[members[0]]]
    return max(equal, key=lambda c: (_is_readable(table.vocabulary[c]), table.vocabulary[c].count(" "), strength[c]))


def _is_readable(phrase: str) -> bool:
    tokens = phrase.split(" ")
    return all(token[0].isalnum() and token not in _FUNCTION_WORDS for token in (tokens[0], tokens[-1]))


def _is_bound(phrase: str) -> bool:
    return phrase.startswith(f"{START} ") or phrase.endswith(f" {END}")


def _balanced(columns: Sequence[int], z: Float[np.ndarray, " v"], n: int) -> list[int]:
    by_size = sorted(columns, key=lambda i: -abs(z[i]))
    sides = [[i for i in by_size if z[i] * sign > 0] for sign in (1, -1)]
    room = [max(n // 2, n - len(other)) for other in reversed(sides)]
    chosen = {i for side, most in zip(sides, room, strict=True) for i in side[:most]}
    return [i for i in by_size if i in chosen][:n]


def _pairs(arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"], n: int) -> _Pairs:
    from scipy.sparse import csr_matrix

    if not len(arm) == len(prompt) == n or not np.isin(arm, (0, 1)).all():
        raise ValueError(
            f"{n} responses, {len(arm)} arms (values {np.unique(arm)[:5]}) and {len(prompt)} prompts given; "
            "need one row each, with arm 0 for the precursor and 1 for the candidate"
        )
    names, index = np.unique(prompt, return_inverse=True)
    m = np.stack([np.bincount(index[arm == which], minlength=len(names)) for which in (0, 1)])
    both = np.asarray((m > 0).all(axis=0))
    rows = both[index]
    number = np.cumsum(both) - 1
    values = np.where(arm == 1, 1.0, -1.0) / m[arm, index]
    cells = (values[rows], (number[index[rows]], np.flatnonzero(rows)))
    noise = float((1 / m[:, both]).sum(0).mean()) if both.any() else 0.0
    return _Pairs(csr_matrix(cells, shape=(int(both.sum()), n)), rows, noise)


def _paired_z(
    total: Float[np.ndarray, " v"], squares: Float[np.ndarray, " v"], share: Float[np.ndarray, " v"], pairs: _Pairs
) -> Float[np.ndarray, " v"]:
    """Mean difference over its standard error.

    One prompt with the variance of chance is added, so a phrase in very few prompts has no endless score.
    """
    n = max(1, pairs.weights.shape[0])
    mean = np.asarray(total).ravel() / n
    spread: np.ndarray = np.maximum(np.asarray(squares).ravel() - n * mean**2, 0) + share * (1 - share) * pairs.noise
    return np.asarray(np.where(spread > 0, mean / np.sqrt(np.maximum(spread, 1e-300) / n / n), 0.0))


def _union_z(unions: Bool[np.ndarray, "n c"], pairs: _Pairs) -> Float[np.ndarray, " c"]:
    differences = pairs.weights @ unions.astype(np.float32)
    share = unions[pairs.rows].mean(0)
    return np.asarray(np.abs(_paired_z(differences.sum(0), (differences**2).sum(0), share, pairs)))


def _grow(
    first: int,
    holds: Bool[np.ndarray, "n c"],
    allowed: Bool[np.ndarray, " c"],
    stratum: Int[np.ndarray, " n"],
    pairs: _Pairs,
    max_size: int,
) -> tuple[list[int], float]:
    """Phrases of a set, the first first, and the paired score of their union."""
    chosen = [first]
    union: np.ndarray = holds[:, first]
    z = float(_union_z(union[:, None], pairs)[0])
    while len(chosen) < max_size:
        unions = union[:, None] | holds
        wider = unions.sum(0) >= _WIDER * union.sum()
        others = np.flatnonzero(allowed & wider & _related(union, holds, stratum))
        scores = _union_z(unions[:, others], pairs)
        if not len(others) or scores.max() < _LEAST_KEPT * z:
            break
        best = int(others[scores.argmax()])
        chosen.append(best)
        union, z = unions[:, best], max(z, float(scores.max()))
    return chosen, z


def _related(
    union: Bool[np.ndarray, " n"], holds: Bool[np.ndarray, "n c"], stratum: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " c"]:
    """Phrases that occur with the union more than chance would have it within each stratum (Cole's coefficient)."""
    joint = (holds & union[:, None]).sum(0)
    chance, most = np.zeros(holds.shape[1]), np.zeros(holds.shape[1])
    for which in np.unique(stratum):
        rows = stratum == which
        n_union, n_phrase = union[rows].sum(), holds[rows].sum(0)
        chance += n_union * n_phrase / rows.sum()
        most += np.minimum(n_union, n_phrase)
    excess = joint - chance
    return np.asarray((excess > _RELATED * (most - chance)) & (excess > _RELATED_Z * np.sqrt(chance)))


def _strata(table: NgramTable, arm: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Arm and quarter of length, measured in known phrases: long responses hold more of everything."""
    length = np.asarray(table.presence.sum(1)).ravel()
    quarter = np.searchsorted(np.quantile(length, (0.25, 0.5, 0.75)), length) if len(length) else length
    return np.asarray(arm * 4 + quarter)
