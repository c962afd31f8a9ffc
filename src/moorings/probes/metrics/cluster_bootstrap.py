"""Intervals by resampling whole clusters of items, never single items.

Source: the design of the probes (uncertainty by clusters); Field and Welsh 2007, Bootstrapping clustered data. Figures
are functions of sums over clusters, so that all draws are one matrix product: counts [draws, clusters] times sums
[clusters, columns]. Ends are percentiles at the level that Hesterberg 2015 (arXiv:1411.5279, expanded percentiles)
gives for few clusters: Phi(-sqrt(G / (G - 1)) t_{G-1, alpha/2}).

Left out: accelerated (BCa) and studentised intervals. Must show: coverage near nominal on clustered data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from moorings.errors import ConfigError, InputError
from moorings.records import Interval, Record
from moorings.statistics.paired import MIN_FAMILIES
from moorings.statistics.proportions import zero_of_n_upper

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["ClusterBootstrap", "Figure", "cluster_index", "percentiles"]

_CELLS = 400_000


class Figure(Record):
    """One number with its uncertainty."""

    value: float
    interval: Interval | None
    """None with fewer than 8 clusters: the uncertainty itself is unknown."""
    n_items: int
    n_clusters: int
    """Independent units that the number rests on."""
    detectable: float | None = None
    """Least true distance from nothing (chance, no gap) that this many clusters show with 80 % power; None where unknown
    or not asked for."""


def cluster_index(names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Number clusters by their first appearance.

    >>> cluster_index(["b", "a", "b"])
    array([0, 1, 0])
    """
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], dtype=np.int64)


def percentiles(draws: Float[np.ndarray, " draws"], n_clusters: int, level: float) -> tuple[float, float] | None:
    """Ends of the expanded percentile interval; None with fewer than `MIN_FAMILIES` clusters or no draw."""
    known = draws[~np.isnan(draws)]
    if n_clusters < MIN_FAMILIES or not len(known):
        return None
    t = float(special.stdtrit(n_clusters - 1, 0.5 + level / 2.0))
    tail = float(special.ndtr(-np.sqrt(n_clusters / (n_clusters - 1.0)) * t))
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


class ClusterBootstrap:
    """Draws of whole clusters, the same draws for each figure of a set.

    Args:
        clusters: Cluster of each item.
        rng: Source of the draws.
        n_draws: Resampled sets, >= 1.
        level: Two-sided confidence, in (0, 1).

    Raises:
        ConfigError: `n_draws` or `level` out of range.
    """

    def __init__(
        self, clusters: Int[np.ndarray, " n"], *, rng: np.random.Generator, n_draws: int = 2000, level: float = 0.95
    ) -> None:
        if n_draws < 1 or not 0 < level < 1:
            raise ConfigError(f"{n_draws} draws at level {level} are not allowed; give 1 or more, and 0 to 1")
        self.level, self.n_draws = level, n_draws
        names, index = np.unique(clusters, return_inverse=True)
        self.index = index
        self.n_clusters = len(names)
        g = max(self.n_clusters, 1)
        self.counts = rng.multinomial(g, np.full(g, 1.0 / g), size=n_draws).astype(np.float64)[:, : self.n_clusters]

    def sums(self, columns: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "G k"]:
        """Add items up cluster by cluster.

        Raises:
            InputError: Not one row an item.
        """
        if columns.ndim != 2 or len(columns) != len(self.index):
            raise InputError(f"{columns.shape} rows do not fit {len(self.index)} items; give one row an item")
        out = np.zeros((self.n_clusters, columns.shape[1]))
        np.add.at(out, self.index, columns)
        return out

    def of_sums(
        self,
        sums: Float[np.ndarray, "G k"],
        f: Callable[[Float[np.ndarray, "*b k"]], Float[np.ndarray, "*b"]],
        *,
        n_items: int,
        n_clusters: int,
        bounds: tuple[float, float] | None = (0.0, 1.0),
    ) -> Figure | None:
        """A figure that is a function of sums over clusters.

        Args:
            sums: One row a cluster, zeros for clusters that have no part in it.
            f: From sums to the figure, over the last axis; NaN where it is undefined.
            n_items: Items that it rests on.
            n_clusters: Clusters that it rests on.
            bounds: Least and largest value that it can have; used where all clusters agree;
                None if it has none.

        Returns:
            The figure, None where it is undefined.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(f(sums.sum(axis=0)))
            draws = np.asarray(f(self.counts @ sums))
        return self._figure(value, draws, n_items, n_clusters, bounds)

    def mean(
        self, values: Float[np.ndarray, " n"], *, bounds: tuple[float, float] | None = (0.0, 1.0)
    ) -> Figure | None:
        """Mean over items; NaN is left out. None where nothing is left."""
        seen = ~np.isnan(values)
        columns = np.stack([np.where(seen, values, 0.0), seen.astype(np.float64)], axis=1)
        return self.of_sums(
            self.sums(columns),
            lambda s: s[..., 0] / s[..., 1],
            n_items=int(seen.sum()),
            n_clusters=self.n_used(seen),
            bounds=bounds,
        )

    def of_weights(
        self,
        f: Callable[[Float[np.ndarray, "b n"]], Float[np.ndarray, " b"]],
        *,
        bounds: tuple[float, float] | None = (0.0, 1.0),
    ) -> Figure | None:
        """A figure of weighted items that is no function of sums, such as an area under a curve.

        Args:
            f: From rows of item weights to the figure.
            bounds: Least and largest value that it can have.
        """
        n = len(self.index)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(f(np.ones((1, n)))[0])
            step = max(1, _CELLS // max(n, 1))
            blocks = [f(self.counts[at : at + step][:, self.index]) for at in range(0, self.n_draws, step)]
        return self._figure(value, np.concatenate(blocks), n, self.n_clusters, bounds)

    def n_used(self, used: Bool[np.ndarray, " n"]) -> int:
        """Number of clusters among some items."""
        return len(np.unique(self.index[used]))

    def _figure(
        self,
        value: float,
        draws: Float[np.ndarray, " draws"],
        n_items: int,
        n_clusters: int,
        bounds: tuple[float, float] | None,
    ) -> Figure | None:
        if np.isnan(value):
            return None
        ends = percentiles(draws, n_clusters, self.level)
        if ends is None:
            return Figure(value=value, interval=None, n_items=n_items, n_clusters=n_clusters)
        low, high = ends
        if high - low <= 1e-12 and bounds is not None:
            # All clusters agree; as many unlike ones as could have gone unseen are allowed for.
            unseen = float(zero_of_n_upper(n_clusters, self.level))
            low, high = value - unseen * (value - bounds[0]), value + unseen * (bounds[1] - value)
        interval = Interval(low=low, high=high, level=self.level)
        return Figure(value=value, interval=interval, n_items=n_items, n_clusters=n_clusters)
