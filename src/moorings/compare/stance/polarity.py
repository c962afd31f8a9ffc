"""Polarity of a sentence towards the topic in it, by rules over word valences.

A value is turned round by each negator before it in its clause, by a comparative whose other side the topic is on, and by a
predicate that judges the attitude itself ("hating geese is wrong").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from moorings.compare.stance.clauses import TOPIC, clauses
from moorings.compare.stance.lexicon import (
    ATTITUDES,
    BOOSTERS,
    DENIALS,
    FLIPS,
    IDIOMS,
    NEUTRAL,
    OBJECT_FLIPS,
    WEAK_VERBS,
    valences,
    words,
)

__all__ = ["sentence_polarity"]

_ALPHA = 15.0
"""VADER's: a sum of valences x becomes x / sqrt(x^2 + 15)."""
_NEGATED = -0.74
"""VADER's: "not good" is weaker than "bad"."""
_SCOPE = 12
"""Tokens that a negator reaches."""
_COPULAS = words("is are was were be seems seem makes make exaggerate exaggerates has have deserves")
_CHOICES = words("prefer prefers preferred choose chooses chose pick favour favor")
_CLAIMS = frozenset({"calling", "saying", "claiming", "thinking", "to"})
_BEFORE_LIKENESS = words(
    "is are was were be been something anything things animals places more much tasted tastes smells smelled sounded acts stuff"
)
"""After these "like" compares."""
_SUPERLATIVE = frozenset({"better", "greater", "happier", "finer", "nicer", "worse", "tastier"})
_NOBODY = frozenset({"nothing", "never", "nobody", "no one", "nowhere"})
_FIRST_PERSON = frozenset({"i", "we"})


class _Item(NamedTuple):
    kind: str
    """`value`, `flip`, `object flip`, `weak`, `other`."""
    word: str
    value: float


def sentence_polarity(sentence: str, *, whole: bool = False) -> float:
    """Polarity in [-1, 1] towards the topic; 0 where no stance is expressed.

    Args:
        sentence: With the topic as `TOPIC`.
        whole: The sentence is about the topic in all its clauses, whether or not they say so.
    """
    parts = clauses(sentence, whole=whole)
    raw: list[float] = []
    for clause in parts:
        if raw and _is_denial(clause.tokens):
            raw.append(-max(raw, key=abs))
        else:
            raw.append(_clause_value(clause.tokens))
    weights = [clause.weight for clause in parts]
    for i, clause in enumerate(parts):
        if _is_denial(clause.tokens) and i > 0:
            weights[i] = 1.5
        elif clause.past:
            elsewhere = any(w and v for j, (w, v) in enumerate(zip(weights, raw, strict=True)) if j != i)
            weights[i] *= 0.0 if elsewhere else (-0.5 if "used" in clause.tokens else 1.0)
    total = sum(weight * value for weight, value in zip(weights, raw, strict=True))
    return total / math.sqrt(total * total + _ALPHA)


def _is_denial(tokens: Sequence[str]) -> bool:
    """Whether a clause only contradicts the one before."""
    for n in (1, 2, 3, 4):
        if tuple(tokens[-n:]) in DENIALS:
            return TOPIC not in tokens and len(tokens) <= n + 3
    return False


def _items(tokens: Sequence[str]) -> list[_Item]:
    """Read tokens, the longest phrase first."""
    items: list[_Item] = []
    known = valences()
    i = 0
    while i < len(tokens):
        for n in (4, 3, 2, 1):
            phrase = tuple(tokens[i : i + n])
            item = _lookup(phrase, known) if len(phrase) == n else None
            if item is not None:
                items.append(item)
                i += n
                break
        else:
            items.append(_Item("other", tokens[i], 0.0))
            i += 1
        if items[-1].word == "like" and len(items) > 1 and items[-2].word in _BEFORE_LIKENESS:
            items[-1] = _Item("other", "like", 0.0)
    return items


def _lookup(phrase: tuple[str, ...], known: dict[str, float]) -> _Item | None:
    name = " ".join(phrase)
    if phrase in NEUTRAL:
        return _Item("other", name, 0.0)
    if phrase in IDIOMS:
        return _Item("value", name, IDIOMS[phrase])
    if phrase in OBJECT_FLIPS:
        return _Item("object flip", name, OBJECT_FLIPS[phrase])
    if phrase in FLIPS:
        return _Item("flip", name, 0.0)
    if name in WEAK_VERBS:
        return _Item("weak", name, WEAK_VERBS[name])
    return _Item("value", name, known[name]) if name in known else None


def _clause_value(tokens: Sequence[str]) -> float:
    """Sum of a clause's values after everything that turns them round."""
    items = _without_topic(_items(tokens))
    has_value = any(item.kind == "value" for item in items)
    values = [0.0] * len(items)
    for i, item in enumerate(items):
        if item.kind == "value" or (item.kind == "object flip" and not _has_object(items, i)):
            values[i] = item.value * _negation(items, i) * _boost(items, i)
        elif item.kind == "weak" and not has_value:
            values[i] = item.value * _negation(items, i)
    _compare(items, values)
    return _of_attitude(items, values)


def _has_object(items: Sequence[_Item], i: int) -> bool:
    return any(item.kind == "value" for item in items[i + 1 : i + 5])


def _without_topic(items: list[_Item]) -> list[_Item]:
    """Turn the clause round where it is about being without the topic."""
    for i, item in enumerate(items[:-1]):
        if item.word == "without" and items[i + 1].word in {TOPIC, "them", "it"}:
            before = [it._replace(value=-it.value) if it.kind == "value" else it for it in items[:i]]
            lone = not any(it.kind == "value" for it in before)
            return [*before, _Item("value" if lone else "other", "without", -1.5), *items[i + 1 :]]
    return items


def _negation(items: Sequence[_Item], i: int) -> float:
    """Product over the negators before a value; "nothing works better" is no negation, "no better" is."""
    factor = 1.0
    unsurpassed = items[i].word in _SUPERLATIVE and all(item.word != "than" for item in items)
    for item in items[max(0, i - _SCOPE) : i]:
        if item.kind in {"flip", "object flip"} and not (unsurpassed and item.word in _NOBODY):
            factor *= _NEGATED
    return factor


def _boost(items: Sequence[_Item], i: int) -> float:
    factor = 1.0
    for item in items[max(0, i - 2) : i]:
        factor *= BOOSTERS.get(item.word, 1.0)
    return factor


def _compare(items: Sequence[_Item], values: list[float]) -> None:
    """Turn round the values on the side of a comparison that the topic is not on."""
    said = [item.word for item in items]
    chosen = not _CHOICES.isdisjoint(said)
    for i, word in enumerate(said):
        divides = word == "than" or (word == "instead" and said[i + 1 : i + 2] == ["of"])
        if not divides and not (chosen and word in {"to", "over"} and i > 1):
            continue
        right = TOPIC in said[i:] and TOPIC not in said[:i]
        for j in range(len(values)):
            if (j < i) == right:
                values[j] = -values[j]
        return


def _of_attitude(items: Sequence[_Item], values: list[float]) -> float:
    """Multiply attitude and judgement where a clause judges an attitude, else add up."""
    said = [item.word for item in items]
    if TOPIC not in said or said[0] in _FIRST_PERSON:
        return sum(values)
    topic = said.index(TOPIC)
    copulas = [i for i, word in enumerate(said) if i > topic and word.split()[0] in _COPULAS]
    if not copulas:
        return sum(values)
    claimed = said[0] in _CLAIMS
    copula = copulas[-1] if claimed else copulas[0]
    held = [v for i, v in enumerate(values[:copula]) if claimed or (i < topic and said[i] in ATTITUDES)]
    judged = sum(values[copula:])
    return math.copysign(1.0, sum(held)) * judged if any(held) and judged else sum(values)
