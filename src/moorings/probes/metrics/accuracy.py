"""How often a subject is right, above chance, over whole clusters and over minimal pairs.

Source: the design of the probes (metrics); averaging over option orders as against a single order. Equations: corrected
accuracy (acc - c) / (1 - c), averaged over structure types with equal weight; a cluster or pair is right where all of its
items are. Credits are shared between tied options, and a cluster's credit is their product.

Must show: a permutation of orders or symbols leaves the averaged scores unchanged to rounding; a responder who only
prefers a place scores chance when orders are balanced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure
from moorings.probes.metrics.detectable import detectable_effect
from moorings.probes.metrics.table import Table
from moorings.records import Record

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["Accuracy", "Bounds", "StructureAccuracy", "accuracy", "chance_corrected", "product_by"]


class Bounds(Record):
    """Range of a figure over all that missing answers could have been."""

    low: float
    high: float


class StructureAccuracy(Record):
    """Accuracy on the items of one structure type."""

    structure: str
    """`(none)` for items without a structure type."""
    chance: float
    item: Figure | None
    corrected: Figure | None


class Accuracy(Record):
    """How often a subject is right. For dispositions, right means that the answer shows the disposition."""

    chance: float | None
    """Mean share of options that are right."""
    item: Figure | None
    """Share of items that are right when shares are averaged over orders, among items with an answer."""
    corrected: Figure | None
    """(item - chance) / (1 - chance): 0 at chance, 1 if all are right; `detectable` is in this unit."""
    macro: Figure | None
    """`corrected`, averaged over structure types with equal weight."""
    single_order: Figure | None
    """As `item`, from one order alone, the stored one where it was asked."""
    key_share: Figure | None
    """Mean share that the right options get, averaged over orders."""
    cluster: Figure | None
    """Share of clusters of two or more items, each with an answer, whose items are all right."""
    cluster_chance: float | None
    pair: Figure | None
    """Share of minimal pairs of which both are right."""
    pair_chance: float | None
    as_wrong: Figure | None
    """As `item`, items without any answer counted as wrong."""
    worst_case: Bounds | None
    """Range of `as_wrong` over all that the missing answers could have been."""
    structures: tuple[StructureAccuracy, ...] = ()
    n_items: int
    n_missing: int
    """Items without any usable answer."""
    n_keyless: int
    """Items without a right option; they are in no figure here."""


def chance_corrected(accuracy: float, chance: float) -> float:
    """0 at chance, 1 if all are right, negative below chance.

    >>> chance_corrected(0.7, 0.25)
    0.6
    """
    return round((accuracy - chance) / (1.0 - chance), 15)


def accuracy(table: Table, bootstrap: ClusterBootstrap) -> Accuracy:
    """Score a table; see `Accuracy`."""
    keyed = table.keyed
    answered = ~np.isnan(table.right)
    cluster, cluster_chance = _cluster(table, bootstrap)
    pair, pair_chance = _pairs(table, bootstrap)
    names = np.array([item.structure or "(none)" for item in table.items], dtype=object)
    return Accuracy(
        chance=float(table.chance[keyed].mean()) if keyed.any() else None,
        item=bootstrap.mean(table.right),
        corrected=_corrected(table, bootstrap, keyed, detect=True),
        macro=_macro(table, bootstrap, names),
        single_order=bootstrap.mean(table.single_right),
        key_share=bootstrap.mean(table.judge(table.mean_shares)),
        cluster=cluster,
        cluster_chance=cluster_chance,
        pair=pair,
        pair_chance=pair_chance,
        as_wrong=bootstrap.mean(np.where(keyed & ~answered, 0.0, table.right)),
        worst_case=_worst_case(table, keyed),
        structures=tuple(
            StructureAccuracy(
                structure=name,
                chance=float(table.chance[keyed & (names == name)].mean()),
                item=bootstrap.mean(np.where(names == name, table.right, np.nan)),
                corrected=_corrected(table, bootstrap, names == name, detect=True),
            )
            for name in sorted(set(names[keyed]))
        ),
        n_items=len(table.items),
        n_missing=int((keyed & ~answered).sum()),
        n_keyless=int((~keyed).sum()),
    )


def _columns(table: Table, used: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Right, chance and number of the items that are used."""
    used = used & ~np.isnan(table.right)
    return np.where(used[:, None], np.stack([table.right, table.chance, np.ones(len(used))], axis=1), 0.0)


def _ratio(s: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b"]:
    return np.asarray((s[..., 0] - s[..., 1]) / (s[..., 2] - s[..., 1]))


def _corrected(
    table: Table, bootstrap: ClusterBootstrap, used: Bool[np.ndarray, " n"], *, detect: bool = False
) -> Figure | None:
    columns = _columns(table, used)
    seen = columns[:, 2] > 0
    if not seen.any():
        return None
    c = float(table.chance[seen].mean())
    figure = bootstrap.of_sums(
        bootstrap.sums(columns),
        _ratio,
        n_items=int(seen.sum()),
        n_clusters=bootstrap.n_used(seen),
        bounds=(-c / (1.0 - c) if c < 1 else 0.0, 1.0),
    )
    if figure is None or not detect:
        return figure
    above = np.where(seen, (table.right - table.chance) / (1.0 - c), np.nan)
    return figure.model_copy(update={"detectable": detectable_effect(above, table.clusters)})


def _macro(table: Table, bootstrap: ClusterBootstrap, names: np.ndarray) -> Figure | None:
    """Mean of the corrected accuracies of the structure types; a type that a draw lacks is left out of that draw."""
    types = sorted(set(names))
    columns = [_columns(table, names == name) for name in types]
    seen = ~np.isnan(table.right)
    if not seen.any():
        return None

    def mean(s: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b"]:
        each = np.stack([_ratio(s[..., 3 * at : 3 * at + 3]) for at in range(len(types))], axis=-1)
        known = ~np.isnan(each)
        return np.asarray(np.where(known, each, 0.0).sum(axis=-1) / known.sum(axis=-1))

    c = float(table.chance[seen].mean())
    return bootstrap.of_sums(
        bootstrap.sums(np.concatenate(columns, axis=1)),
        mean,
        n_items=int(seen.sum()),
        n_clusters=bootstrap.n_used(seen),
        bounds=(-c / (1.0 - c) if c < 1 else 0.0, 1.0),
    )


def product_by(
    groups: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"], n_groups: int
) -> Float[np.ndarray, " g"]:
    """Product of the values of each group; 1 for a group without any, NaN where one is NaN.

    >>> product_by(np.array([0, 0, 1]), np.array([1.0, 0.5, 1.0]), 2)
    array([0.5, 1. ])
    """
    out = np.ones(n_groups)
    np.multiply.at(out, groups, values)
    return out


def _cluster(table: Table, bootstrap: ClusterBootstrap) -> tuple[Figure | None, float | None]:
    index, g = bootstrap.index, bootstrap.n_clusters
    several = np.bincount(index, minlength=g) >= 2
    right, chance = product_by(index, table.right, g), product_by(index, table.chance, g)
    used = several & ~np.isnan(right)
    if not used.any():
        return None, None
    figure = bootstrap.of_sums(
        np.stack([np.where(used, right, 0.0), used.astype(np.float64)], axis=1),
        lambda s: s[..., 0] / s[..., 1],
        n_items=int(used[index].sum()),
        n_clusters=int(used.sum()),
    )
    return figure, float(chance[used].mean())


def _pairs(table: Table, bootstrap: ClusterBootstrap) -> tuple[Figure | None, float | None]:
    numbers = {item.item_id: number for number, item in enumerate(table.items)}
    pairs = {
        (min(at, numbers[item.pair]), max(at, numbers[item.pair]))
        for at, item in enumerate(table.items)
        if item.pair in numbers and item.pair != item.item_id
    }
    chance = []
    columns = np.zeros((len(table.items), 2))
    used = np.zeros(len(table.items), dtype=bool)
    for first, second in sorted(pairs):
        credit = table.right[first] * table.right[second]
        if not np.isnan(credit):
            columns[first] += (credit, 1.0)
            chance.append(table.chance[first] * table.chance[second])
            used[[first, second]] = True
    if not chance:
        return None, None
    figure = bootstrap.of_sums(
        bootstrap.sums(columns),
        lambda s: s[..., 0] / s[..., 1],
        n_items=int(used.sum()),
        n_clusters=bootstrap.n_used(used),
    )
    return figure, float(np.mean(chance))


def _worst_case(table: Table, keyed: Bool[np.ndarray, " n"]) -> Bounds | None:
    """Give all missing answers of an item to its strongest wrong option, then to its strongest right one."""
    if not keyed.any():
        return None
    options = np.arange(table.keys.shape[1]) < table.n_options[:, None]
    key = np.where(table.keys, table.totals, -np.inf).max(axis=1)
    wrong = np.where(options & ~table.keys, table.totals, -np.inf).max(axis=1)
    gone = table.n_missing > 0
    known = np.nan_to_num(table.right)
    low = np.where(gone, key > wrong + table.n_missing, known)
    high = np.where(gone, key + table.n_missing >= wrong, known)
    return Bounds(low=float(low[keyed].mean()), high=float(high[keyed].mean()))
