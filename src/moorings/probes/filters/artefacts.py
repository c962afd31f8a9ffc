"""Does the form of the options give the key away: its place, its length, or single words that keys prefer or avoid.

Words are compared by the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008,
"Fightin' Words", eqs. 16 and 22) and by clusters. Lengths are characters as they stand, blanks included, for a model's
tokeniser sees them. Left out: syntax and other format features; the character learner of `choices_only` sees those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from moorings.probes.filters.by_subtask import MAX_EXAMPLES, each_subtask
from moorings.probes.filters.choices_only import usable
from moorings.probes.filters.filter import Challenge, FilterConfig, FilterReport, Flag, filters
from moorings.probes.filters.text_features import words
from moorings.probes.item import Item

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Artefacts", "Config", "Lengths", "lengths", "log_odds"]

_PRIOR_SHARE = 0.1
"""Weight of the prior, all options together, for each observed word."""


_MOST_LONGER = 0.01
"""Share of keys that may be longer than any wrong option ever is; by chance it is less than one item."""


class Config(FilterConfig):
    """Settings of `artefacts`."""

    margin: float = Field(default=0.03, ge=0, lt=1)
    """Deviation of a share from chance that does not matter: of places, and of keys that are longest; the design's value."""
    z_word: float = Field(default=4.0, gt=0)
    """|z| of a word's log-odds between keys and other options from which it is key-specific; the design's value."""
    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Chance that a set without an artefact fails, over all its subtasks, places and lengths."""
    outlier: float = Field(default=0.99, gt=0.5, lt=1)
    """Quantile of the wrong options' lead in length over which a key is flagged in a set where keys are too long."""
    least: int = Field(default=50, ge=10)
    """Fewest items of a subtask that are judged as a set."""


class Lengths(NamedTuple):
    """How long keys are."""

    longest: float
    """Share of items whose key is the longest option; equal ones share."""
    shortest: float
    """Share whose key is the shortest."""
    chance: float
    """Mean of one over the number of options."""
    lead: Float[np.ndarray, " items"]
    """Characters by which each key is longer than the longest other option; negative where it is not the longest."""


def lengths(items: Sequence[Item]) -> Lengths:
    """Length of keys against that of the other options. Every item needs exactly one right option."""
    longest, shortest, lead = [], [], []
    for item in items:
        size = [len(text) for text in item.texts]
        own = size[item.key_at]
        longest.append((own == max(size)) / size.count(max(size)))
        shortest.append((own == min(size)) / size.count(min(size)))
        lead.append(own - max(size[: item.key_at] + size[item.key_at + 1 :]))
    chance = np.mean([1 / len(item.options) for item in items])
    return Lengths(float(np.mean(longest)), float(np.mean(shortest)), float(chance), np.array(lead))


def log_odds(items: Sequence[Item]) -> dict[str, float]:
    """z-value of each word's log-odds between keys and other options; positive where keys have it more often.

    An option counts a word once, and the other options of an item count as one together. Variants of one cluster
    repeat each other, so the value is never larger than that of a sign test between clusters, sum d / sqrt(sum d^2)
    with d a cluster's count in keys less that in others.
    """
    key: Counter[str] = Counter()
    other: Counter[str] = Counter()
    by_cluster: dict[str, Counter[str]] = {}
    for item in items:
        difference = by_cluster.setdefault(item.cluster_id, Counter())
        for option in item.options:
            weight = 1.0 if option.key else 1 / (len(item.options) - 1)
            counts = key if option.key else other
            for word in set(words(option.text)):
                counts[word] += weight  # type: ignore[assignment]
                difference[word] += weight if option.key else -weight  # type: ignore[assignment]
    total: Counter[str] = Counter()
    square: Counter[str] = Counter()
    for difference in by_cluster.values():
        for word, d in difference.items():
            total[word] += d
            square[word] += d * d
    n_key, n_other = sum(key.values()), sum(other.values())
    found = {}
    for word in sorted(key | other):
        prior = _PRIOR_SHARE * (key[word] + other[word])
        a, b = key[word] + prior, other[word] + prior
        odds_a = a / max(n_key + _PRIOR_SHARE * (n_key + n_other) - a, 1e-9)
        odds_b = b / max(n_other + _PRIOR_SHARE * (n_key + n_other) - b, 1e-9)
        z = float((np.log(odds_a) - np.log(odds_b)) / np.sqrt(1 / a + 1 / b))
        limit = abs(total[word]) / np.sqrt(square[word]) if square[word] > 0 else 0.0
        found[word] = float(np.clip(z, -limit, limit))
    return found


class Artefacts:
    """Place, length and words of keys."""

    challenge: Challenge = "C3"
    statement = "Place, length and single words of an option say nothing about whether it is the key."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        return each_subtask(usable(items), self._look)

    def _look(self, items: list[Item], n_subtasks: int) -> FilterReport:
        if len(items) < self.config.least:
            return FilterReport(len(items), (), "not applicable", f"{len(items)} items are too few to judge.")
        level = self.config.alpha / (3 * n_subtasks)
        place = _place(items)
        size = lengths(items)
        odds = log_odds(items)
        marked = {word: z for word, z in odds.items() if abs(z) > self.config.z_word}
        by_place, by_length, by_shortness = self._place_and_length(len(items), place, size, level)
        longer = self._longer(items, size, 1.0 if not by_length else self.config.outlier)
        stand_out = (
            f"{len(longer)} keys are longer than any wrong option ever is"
            if len(longer) > _MOST_LONGER * len(items)
            else ""
        )
        faults = [fault for fault in (by_place, by_length or stand_out, by_shortness) if fault]
        if marked:
            shown = ", ".join(
                f"{word!a} ({z:+.1f})" for word, z in sorted(marked.items(), key=lambda one: -abs(one[1]))[:5]
            )
            faults.append(f"{len(marked)} words tell keys from other options: {shown}")
        disposition = all(item.kind == "disposition" for item in items)
        flags: dict[str, str] = {}
        if not disposition:
            flags = _surplus(items, place) if by_place else {}
            flags |= _with_words(items, marked)
            flags |= longer
        return FilterReport(
            n_in=len(items),
            flags=tuple(Flag(item_id, reason) for item_id, reason in flags.items()),
            verdict="not applicable" if disposition else "fail" if faults else "pass",
            said=("; ".join(faults) or "place, length and words of keys are at chance") + ".",
            figures={
                "longest": size.longest,
                "shortest": size.shortest,
                "chance": size.chance,
                **{f"key at place {at + 1}": share for at, share in enumerate(place)},
                "words over the limit": float(len(marked)),
                "largest word z": max((abs(z) for z in odds.values()), default=0.0),
            },
            examples=_examples(items, flags),
        )

    def _place_and_length(self, n: int, place: list[float], size: Lengths, level: float) -> list[str]:
        worst = max(range(len(place)), key=lambda at: abs(place[at] - 1 / len(place)))
        return [
            self._off(f"the key is at place {worst + 1}", place[worst], 1 / len(place), n, level / len(place)),
            self._off("the key is the longest option", size.longest, size.chance, n, level),
            self._off("the key is the shortest option", size.shortest, size.chance, n, level),
        ]

    def _off(self, what: str, share: float, chance: float, n: int, level: float) -> str:
        from scipy.stats import norm

        error = np.sqrt(chance * (1 - chance) / n)
        far = abs(share - chance) > max(self.config.margin, norm.isf(level / 2) * error)
        return f"{what} in {share:.0%} of the items, by chance in {chance:.0%}" if far else ""

    def _longer(self, items: list[Item], size: Lengths, quantile: float) -> dict[str, str]:
        """Items whose key leads in length by more than a quantile of what wrong options lead by."""
        leads = [_wrong_lead(item, at) for item in items for at, option in enumerate(item.options) if not option.key]
        limit = max(float(np.quantile(leads, quantile)), 0.0)
        return {
            item.item_id: f"the key is {lead:.0f} characters longer than any other option"
            for item, lead in zip(items, size.lead, strict=True)
            if lead > limit
        }


def _with_words(items: Sequence[Item], marked: dict[str, float]) -> dict[str, str]:
    preferred = {word for word, z in marked.items() if z > 0}
    found = {item.item_id: preferred & set(words(item.options[item.key_at].text)) for item in items if preferred}
    return {name: f"the key holds {min(some)!a}, which keys prefer" for name, some in found.items() if some}


def _surplus(items: Sequence[Item], place: Sequence[float]) -> dict[str, str]:
    """The latest items whose key is at the commonest place, as many as are too many."""
    worst = max(range(len(place)), key=lambda at: place[at])
    there = [item for item in items if len(item.options) == len(place) and item.key_at == worst]
    rest = len(there) / place[worst] - len(there)
    n = round(len(there) - rest / (len(place) - 1))
    reason = f"surplus of keys at place {worst + 1}; rotate its options"
    return {item.item_id: reason for item in there[len(there) - n :]}


def _wrong_lead(item: Item, at: int) -> int:
    size = [len(text) for text in item.texts]
    return size[at] - max(size[:at] + size[at + 1 :])


def _place(items: Sequence[Item]) -> list[float]:
    """Share of keys at each place among the items with the commonest number of options."""
    sizes = Counter(len(item.options) for item in items)
    m = max(sizes, key=lambda size: (sizes[size], -size))
    at = [item.key_at for item in items if len(item.options) == m]
    return [float(share) for share in np.bincount(at, minlength=m) / len(at)]


def _examples(items: Sequence[Item], flags: dict[str, str]) -> tuple[dict[str, Any], ...]:
    found = [item for item in items if item.item_id in flags][:MAX_EXAMPLES]
    return tuple(
        {
            "item_id": item.item_id,
            "reason": flags[item.item_id],
            "options": [f"{'key: ' if option.key else ''}{option.text[:200]}" for option in item.options],
        }
        for item in found
    )


@filters.register("artefacts", config=Config)
def artefacts(config: Config) -> Artefacts:
    """Look for keys that stand out by place, length or words."""
    return Artefacts(config)
