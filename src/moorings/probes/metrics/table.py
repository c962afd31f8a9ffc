"""An answer sheet as arrays: what was shown, what was picked, and which option is right.

Ties are shared: an answer whose best options are equally likely counts for each of them by equal parts, so that no score
depends on the order in which options are stored. An answer without a usable choice is missing: its rows are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import InputError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Item
from moorings.probes.metrics.cluster_bootstrap import cluster_index

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["Responses", "Table", "responses", "tops"]

_TIE = 1e-9


def tops(shares: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """One unit of weight a row, on its largest entry or by equal parts on all that tie with it; NaN rows stay NaN.

    >>> tops(np.array([[0.2, 0.8, 0.0], [0.4, 0.2, 0.4]]))
    array([[0. , 1. , 0. ],
           [0.5, 0. , 0.5]])
    """
    missing = np.isnan(shares).all(axis=1)
    filled = np.where(np.isnan(shares), -1.0, shares)
    best = (filled >= filled.max(axis=1, keepdims=True, initial=-1.0) - _TIE) & (filled >= 0)
    out = best / np.maximum(best.sum(axis=1, keepdims=True), 1)
    out[missing] = np.nan
    return np.asarray(out)


@dataclass(frozen=True)
class Table:
    """Arrays over n items with at most m options, and a answers; options that an item has not are 0 in all of them."""

    items: tuple[Item, ...]
    clusters: Int[np.ndarray, " n"]
    n_options: Int[np.ndarray, " n"]
    keys: Bool[np.ndarray, "n m"]
    item: Int[np.ndarray, " a"]
    """Item of each answer."""
    place: Int[np.ndarray, "a m"]
    """Place at which each option stood, -1 for options that are not there."""
    shares: Float[np.ndarray, "a m"]
    """Share of each option in each answer."""
    scored: Bool[np.ndarray, " a"]
    """Whether log-probabilities of all options were read."""

    @classmethod
    def of(cls, sheet: AnswerSheet) -> Table:
        """Read a sheet; give it one framing at a time where framings are not to be mixed.

        Raises:
            InputError: An item is there twice, or an answer does not fit its item.
        """
        items = sheet.items
        numbers = {item.item_id: number for number, item in enumerate(items)}
        if len(numbers) < len(items):
            raise InputError(f"{len(items) - len(numbers)} items share their item_id; give each its own")
        n_options = np.array([len(item.options) for item in items], dtype=np.int64)
        m = int(n_options.max(initial=1))
        keys = np.zeros((len(items), m), dtype=bool)
        for number, item in enumerate(items):
            keys[number, : len(item.options)] = [option.key for option in item.options]
        a = len(sheet.answers)
        at, scored = np.zeros(a, dtype=np.int64), np.zeros(a, dtype=bool)
        place, shares = np.full((a, m), -1, dtype=np.int64), np.zeros((a, m))
        for row, answer in enumerate(sheet.answers):
            number = numbers.get(answer.item_id, -1)
            _check(answer, int(n_options[number]) if number >= 0 else 0)
            at[row], scored[row] = number, bool(answer.logprobs) and all(map(math.isfinite, answer.logprobs))
            place[row, list(answer.order)] = range(len(answer.order))
            shares[row] = _row(answer, m)
        clusters = cluster_index([item.cluster_id for item in items])
        return cls(items, clusters, n_options, keys, at, place, shares, scored)

    @cached_property
    def missing(self) -> Bool[np.ndarray, " a"]:
        """Answers without a usable choice."""
        return np.asarray(np.isnan(self.shares).any(axis=1))

    @cached_property
    def picked(self) -> Float[np.ndarray, "a m"]:
        """The choice of each answer, ties by equal parts; NaN where missing."""
        return tops(self.shares)

    @cached_property
    def keyed(self) -> Bool[np.ndarray, " n"]:
        """Items with a right option."""
        return np.asarray(self.keys.any(axis=1))

    @cached_property
    def chance(self) -> Float[np.ndarray, " n"]:
        """Share of options that are right; NaN for items without a right option."""
        n_keys = self.keys.sum(axis=1)
        return np.where(n_keys > 0, n_keys / np.maximum(self.n_options, 1), np.nan)

    @cached_property
    def n_missing(self) -> Int[np.ndarray, " n"]:
        """Missing answers of each item."""
        return np.bincount(self.item[self.missing], minlength=len(self.items))

    @cached_property
    def totals(self) -> Float[np.ndarray, "n m"]:
        """Shares of each item, summed over its usable answers."""
        out = np.zeros(self.keys.shape)
        np.add.at(out, self.item[~self.missing], self.shares[~self.missing])
        return out

    @cached_property
    def mean_shares(self) -> Float[np.ndarray, "n m"]:
        """Shares averaged over the usable answers of each item; NaN without one.

        As `AnswerSheet.shares` has them, but that answers with some log-probabilities unknown count too.
        """
        n = np.bincount(self.item[~self.missing], minlength=len(self.items))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.totals / n[:, None])

    @cached_property
    def chosen(self) -> Float[np.ndarray, "n m"]:
        """What an item's averaged shares choose, ties by equal parts; NaN where all answers are missing."""
        return tops(self.mean_shares)

    @cached_property
    def right(self) -> Float[np.ndarray, " n"]:
        """1 where the averaged shares choose a right option, 0 where not, between for ties; NaN where unknown."""
        return self.judge(self.chosen)

    @cached_property
    def single(self) -> Int[np.ndarray, " n"]:
        """One answer for each item: the one in stored order if asked, else its first; -1 without any."""
        stored = (self.place == np.arange(self.place.shape[1])) | (self.place < 0)
        out = np.full(len(self.items), -1)
        for rows in (np.arange(len(self.item)), np.flatnonzero(stored.all(axis=1))):
            out[self.item[rows][::-1]] = rows[::-1]
        return out

    @cached_property
    def single_right(self) -> Float[np.ndarray, " n"]:
        """As `right`, for one answer an item."""
        asked = self.single >= 0
        picked = np.full(self.keys.shape, np.nan)
        picked[asked] = self.picked[self.single[asked]]
        return self.judge(picked)

    def judge(self, chosen: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
        """Share of each item's choice that is right; NaN for missing choices and items without a right option."""
        return np.where(self.keyed, (chosen * self.keys).sum(axis=1), np.nan)


def _check(answer: Answer, m: int) -> None:
    if sorted(answer.order) != list(range(m)) or not m:
        raise InputError(f"answer to {answer.item_id!a:.80} does not fit the items: its order is {answer.order!a:.80}")
    if len(answer.logprobs) not in (0, m) or (answer.chosen is not None and not 0 <= answer.chosen < m):
        raise InputError(f"answer to {answer.item_id!a:.80} does not fit its {m} options; ask again")


def _row(answer: Answer, m: int) -> list[float]:
    """Share of each option; all NaN where there is no choice."""
    out = [0.0] * m
    known = [(at, nats) for at, nats in enumerate(answer.logprobs) if math.isfinite(nats)]
    if answer.chosen is None or (answer.logprobs and not known):
        return [math.nan] * m
    if known:
        # What an endpoint does not tell of is less likely than what it does; it gets nothing.
        top = max(nats for _, nats in known)
        weights = [(at, math.exp(nats - top)) for at, nats in known]
        total = sum(weight for _, weight in weights)
        for at, weight in weights:
            out[at] = weight / total
    else:
        out[answer.chosen] = 1.0
    return out


class Responses(NamedTuple):
    """Scores of m respondents on the union of their n items, as `irt.fit_irt` takes them."""

    respondents: tuple[str, ...]
    items: tuple[Item, ...]
    right: Float[np.ndarray, "m n"]
    """NaN where a respondent was not asked or did not answer."""
    chance: Float[np.ndarray, " n"]
    clusters: Int[np.ndarray, " n"]


def responses(sheets: Sequence[AnswerSheet]) -> Responses:
    """Line up the sheets of several respondents, such as checkpoints; items without a right option are left out.

    Raises:
        InputError: Two sheets hold different items under one id, or an answer does not fit its item.
    """
    tables = [Table.of(sheet) for sheet in sheets]
    items: dict[str, Item] = {}
    for item in (item for table in tables for item in table.items):
        if items.setdefault(item.item_id, item).options != item.options:
            raise InputError(f"item {item.item_id!a:.80} has other options in another sheet; give each item its own id")
    kept = [item for item in items.values() if any(option.key for option in item.options)]
    numbers = {item.item_id: number for number, item in enumerate(kept)}
    right = np.full((len(sheets), len(kept)), np.nan)
    for row, table in enumerate(tables):
        known = [at for at, item in enumerate(table.items) if item.item_id in numbers]
        right[row, [numbers[table.items[at].item_id] for at in known]] = table.right[known]
    chance = np.array([np.mean([option.key for option in item.options]) for item in kept])
    clusters = cluster_index([item.cluster_id for item in kept])
    return Responses(tuple(sheet.subject for sheet in sheets), tuple(kept), right, chance, clusters)
