"""People or a second subject rate a random sample: is an item relevant, and would they give the same key.

Perez et al. 2022 (arXiv 2212.09251) had crowd workers rate relevance from 1 to 5 and label the items. Agreement over
chance is Cohen's kappa (1960) between the key and the rater's answer, by place of the option. A sample is written as a
table that hides the key; ratings come back as rows `item_id, relevance, answer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from moorings.errors import InputError
from moorings.probes.filters.by_subtask import grouped
from moorings.probes.item import Item

__all__ = ["Agreement", "Rating", "agreement", "rating_sheet", "read_ratings", "sample_to_rate"]


class Rating(NamedTuple):
    """What one rater said of one item."""

    item_id: str
    relevance: int
    """1 (beside the point) to 5 (an excellent example of the subtask)."""
    answer: int | None
    """Index in `Item.options`; None where the rater found no answer."""


class Agreement(NamedTuple):
    """How the ratings of one subtask came out."""

    subtask: str
    n: int
    relevance: float
    """Mean."""
    agreement: float
    """Share of items where the rater chose the key; no answer counts as disagreement."""
    kappa: float
    """Cohen's kappa; NaN where key and answers never vary."""
    disputed: tuple[str, ...]
    """Ids of items with another answer or a relevance below 3: look at them before anything is left out."""


def sample_to_rate(items: Sequence[Item], *, n: int = 50, seed: int = 0) -> tuple[Item, ...]:
    """Draw items for rating: `n` a subtask, at most one a cluster, all of them where there are fewer."""
    chosen: list[Item] = []
    rng = np.random.default_rng(seed)
    for some in grouped(items).values():
        clusters: dict[str, list[Item]] = {}
        for item in some:
            clusters.setdefault(item.cluster_id, []).append(item)
        names = list(clusters)
        for at in sorted(rng.permutation(len(names))[:n]):
            members = clusters[names[at]]
            chosen.append(members[int(rng.integers(len(members)))])
    return tuple(chosen)


def rating_sheet(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Rows for the rater: what is asked and the options, without the key."""
    return [
        {
            "item_id": item.item_id,
            "subtask": item.subtask,
            "question": item.prompt,
            "options": {option.symbol: option.text for option in item.options},
            "relevance": None,
            "answer": None,
        }
        for item in items
    ]


def read_ratings(rows: Iterable[dict[str, Any]], items: Sequence[Item]) -> list[Rating]:
    """Ratings from rows with `item_id`, `relevance` and the symbol of the `answer`.

    Raises:
        InputError: An unknown item or symbol, or a relevance outside 1 to 5; the row is named.
    """
    known = {item.item_id: item for item in items}
    found = []
    for number, row in enumerate(rows, 1):
        item = known.get(str(row.get("item_id")))
        if item is None:
            raise InputError(f"rating {number} is of {row.get('item_id')!a:.60}, which is no item of the set")
        relevance = row.get("relevance")
        if isinstance(relevance, bool) or not isinstance(relevance, int) or not 1 <= relevance <= 5:
            raise InputError(f"rating {number} has relevance {relevance!a:.20}; allowed: 1, 2, 3, 4, 5")
        symbols = [option.symbol for option in item.options]
        answer = row.get("answer")
        if answer is not None and answer not in symbols:
            raise InputError(f"rating {number} has answer {answer!a:.20}; allowed: {', '.join(symbols)}, or null")
        found.append(Rating(item.item_id, relevance, None if answer is None else symbols.index(answer)))
    return found


def agreement(items: Sequence[Item], ratings: Sequence[Rating]) -> list[Agreement]:
    """Relevance and agreement with the key, by subtask. Items without a rating are left out."""
    from sklearn.metrics import cohen_kappa_score

    by_item = {rating.item_id: rating for rating in ratings}
    found = []
    for subtask, some in grouped([item for item in items if item.item_id in by_item]).items():
        given = [by_item[item.item_id] for item in some]
        keys = [item.key_at for item in some]
        answers = [-1 if rating.answer is None else rating.answer for rating in given]
        varied = len(set(keys) | set(answers)) > 1
        found.append(
            Agreement(
                subtask=subtask,
                n=len(some),
                relevance=float(np.mean([rating.relevance for rating in given])),
                agreement=float(np.mean(np.equal(keys, answers))),
                kappa=float(cohen_kappa_score(keys, answers)) if varied else float("nan"),
                disputed=tuple(
                    rating.item_id
                    for rating, key, answer in zip(given, keys, answers, strict=True)
                    if key != answer or rating.relevance < 3
                ),
            )
        )
    return found
