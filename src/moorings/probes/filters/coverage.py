"""Does a set cover its design, and is it varied: cells against their shares, answers within structures, and wording.

Cells are compared by Pearson's chi-square, by clusters, since variants of one cluster are not independent. Wording is
measured by distinct runs of words, self-BLEU and the distance to the nearest text of another cluster; with a gold set
each must not be worse than there, on samples of equal size. Thresholds are the design's where it gives them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from moorings.probes.files import read_items
from moorings.probes.filters.by_subtask import each_subtask, grouped
from moorings.probes.filters.filter import Challenge, FilterConfig, FilterReport, filters
from moorings.probes.filters.text_features import distinct_n, nearest_distances, normal, self_bleu
from moorings.probes.item import Item

__all__ = ["Config", "Coverage", "wording"]

_N_WORDING = 500
_N_BLEU = 100
_N_DRAWS = 5
_CLOSED = 8


class Config(FilterConfig):
    """Settings of `coverage`."""

    design: dict[str, float] | None = None
    """Wanted share of each structure type; None is equal shares of those that occur."""
    margin: float = Field(default=0.03, ge=0, lt=1)
    """Deviation of a cell's share from its design that does not matter."""
    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Chance that a set that was drawn by the design fails, over all subtasks and tables."""
    gold: str | None = None
    """Path of a gold set that wording is compared with; None only measures it."""
    slack: float = Field(default=0.05, ge=0, lt=1)
    """How much worse than the gold set wording may be, as a share of the gold set's figure."""
    least: int = Field(default=50, ge=10)
    """Fewest items of a subtask that are judged."""
    seed: int = 0
    """Of the samples on which wording is measured."""


class Coverage:
    """Cells of the design and variety of wording."""

    challenge: Challenge = "C2"
    statement = (
        "Structure types and answers have the shares of the design, and wording is as varied as in the gold set."
    )

    def __init__(self, config: Config) -> None:
        self.config = config
        gold = read_items(config.gold).items if config.gold is not None else ()
        self._gold = grouped(gold)

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        return each_subtask(items, self._look)

    def _look(self, items: list[Item], n_subtasks: int) -> FilterReport:
        if len(items) < self.config.least:
            return FilterReport(len(items), (), "not applicable", f"{len(items)} items are too few to judge.")
        level = self.config.alpha / (3 * n_subtasks)
        faults = [*self._structures(items, level), *self._answers(items, level)]
        figures = wording(items, self.config.seed)
        faults += self._against_gold(items, figures)
        structured = any(item.structure for item in items)
        judged = structured or _closed(items) is not None or items[0].subtask in self._gold
        return FilterReport(
            n_in=len(items),
            flags=(),
            verdict="fail" if faults else "pass" if judged else "not applicable",
            said=("; ".join(faults) or _said(figures)) + ".",
            figures=figures | {f"share of {name}": share for name, share in _shares(items).items()},
        )

    def _structures(self, items: list[Item], level: float) -> list[str]:
        counts = Counter(item.structure for item in items if item.structure)
        if not counts:
            return []
        wanted = self.config.design or dict.fromkeys(counts, 1 / len(counts))
        wanted = {name: share for name, share in wanted.items() if name in counts}
        return self._off("structure type", counts, wanted, len(items), level)

    def _answers(self, items: list[Item], level: float) -> list[str]:
        """Answers that come from a closed list must be balanced over the set, and signs within each structure type."""
        labels = _closed(items)
        if labels is None or items[0].kind == "disposition":
            return []
        faults = self._off("answer", Counter(_answer(item) for item in items), _even(labels), len(items), level)
        for structure, some in _by_structure(items).items():
            counts = Counter(_answer(item) for item in some)
            faults += [
                f"{fault} within {structure!a}"
                for fault in self._off("answer", counts, _even(counts), len(some), level / 20)
            ]
        return faults

    def _off(self, what: str, counts: Counter[str], wanted: dict[str, float], n: int, level: float) -> list[str]:
        from scipy.stats import chisquare

        names = list(wanted)
        if len(names) < 2:
            return []
        seen = np.array([counts[name] for name in names], dtype=float)
        share = np.array([wanted[name] for name in names])
        expected = share / share.sum() * seen.sum()
        far = np.abs(seen - expected) / max(seen.sum(), 1)
        if far.max() <= self.config.margin or chisquare(seen, expected).pvalue >= level:
            return []
        at = int(far.argmax())
        return [
            f"{what} {names[at]!a:.40} has {seen[at] / seen.sum():.0%} of {n} items, by design {expected[at] / seen.sum():.0%}"
        ]

    def _against_gold(self, items: list[Item], figures: dict[str, float]) -> list[str]:
        gold = self._gold.get(items[0].subtask)
        if not gold:
            return []
        wanted = wording(gold, self.config.seed, len(gold))
        ours = wording(items, self.config.seed, len(gold))
        figures |= {f"gold {name}": value for name, value in wanted.items()}
        worse = []
        for name, value in wanted.items():
            up = name == "self-BLEU"
            if (ours[name] > value * (1 + self.config.slack)) if up else (ours[name] < value * (1 - self.config.slack)):
                worse.append(f"{name} is {ours[name]:.2f} on samples of the gold set's size, there {value:.2f}")
        return worse


def wording(items: Sequence[Item], seed: int, n: int | None = None) -> dict[str, float]:
    """How varied the stems are: distinct-1 to -3, self-BLEU, distance to the nearest text of another cluster.

    Args:
        items: Of one subtask.
        seed: Of the samples.
        n: Items in a sample; None takes 100 for self-BLEU and 500 for the others.
    """
    rng = np.random.default_rng(seed)
    if n is None and len(items) > _N_WORDING:
        items = [items[at] for at in np.sort(rng.permutation(len(items))[:_N_WORDING])]
    size = min(n or _N_BLEU, len(items))
    draws = [rng.permutation(len(items))[:size] for _ in range(1 if n is None or n >= len(items) else _N_DRAWS)]
    samples = [[items[at] for at in draw] for draw in draws]
    wide = [list(items)] if n is None else samples
    stems = [[item.prompt for item in some] for some in wide]
    figures = {f"distinct-{k}": float(np.mean([distinct_n(texts, k) for texts in stems])) for k in (1, 2, 3)}
    figures["self-BLEU"] = float(np.mean([self_bleu([item.prompt for item in some]) for some in samples]))
    figures["nearest distance"] = float(
        np.mean([nearest_distances([i.prompt for i in some], [i.cluster_id for i in some]).mean() for some in wide])
    )
    return figures


def _closed(items: Sequence[Item]) -> tuple[str, ...] | None:
    """The answers that all items choose from, or None where options are an item's own."""
    sets = {tuple(sorted(map(normal, item.texts))) for item in items}
    labels = sorted({label for one in sets for label in one})
    return tuple(labels) if 1 < len(labels) <= _CLOSED and len(sets) == 1 else None


def _answer(item: Item) -> str:
    return normal(next((option.text for option in item.options if option.key), ""))


def _even(labels: Sequence[str] | Counter[str]) -> dict[str, float]:
    return {label: 1 / len(labels) for label in labels}


def _by_structure(items: Sequence[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        if item.structure:
            found.setdefault(item.structure, []).append(item)
    return found


def _shares(items: Sequence[Item]) -> dict[str, float]:
    return {name: len(some) / len(items) for name, some in _by_structure(items).items()}


def _said(figures: dict[str, float]) -> str:
    return (
        f"distinct-2 is {figures['distinct-2']:.2f}, self-BLEU {figures['self-BLEU']:.2f}, "
        f"the nearest text of another cluster {figures['nearest distance']:.2f} away"
    )


@filters.register("coverage", config=Config)
def coverage(config: Config) -> Coverage:
    """Compare cells with the design and wording with the gold set."""
    return Coverage(config)
