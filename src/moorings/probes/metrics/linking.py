"""Rounds on one scale, through the anchors that both answered.

Source: Loyd and Hoover 1980, the mean/mean method; the design of the probes names it. With theta_ref = A theta_new + B:
`A = mean(a_new) / mean(a_ref)` and `B = mean(b_ref) - A mean(b_new)` over the anchors. Each round's fit is
centred by its own priors, so that without linking a round with easier items looks like one with abler respondents.

Left out: characteristic-curve methods (Haebara; Stocking and Lord), which pay off with many respondents. Must show:
linked abilities survive dropping a third of the items. The priors of both fits shrink the gap of two rounds by about a
tenth with 40 respondents and 90 anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from moorings.errors import InputError
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure, cluster_index
from moorings.records import Record

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Link", "link"]


class Link(Record):
    """How to carry a round over to the scale of another."""

    slope: float
    """A; 1 if both rounds' respondents are equally far apart."""
    shift: Figure
    """B, with an interval over clusters of anchors; 0 if both rounds' respondents are equally able. The interval is
    wide where anchors disagree."""
    n_anchors: int
    spread: float
    """Root mean square distance of the anchors' linked difficulties from their difficulties in the reference."""

    def theta(self, theta: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Abilities on the reference's scale."""
        return np.asarray(self.slope * theta + self.shift.value)

    def b(self, b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Difficulties on the reference's scale."""
        return self.theta(b)


def link(
    a_ref: Float[np.ndarray, " k"],
    b_ref: Float[np.ndarray, " k"],
    a_new: Float[np.ndarray, " k"],
    b_new: Float[np.ndarray, " k"],
    clusters: Sequence[str],
    *,
    rng: np.random.Generator,
    n_draws: int = 2000,
    level: float = 0.95,
) -> Link:
    """Link a round to a reference by k anchors, given in the same sequence.

    Args:
        a_ref: Discriminations of the anchors in the reference, > 0.
        b_ref: Difficulties in the reference.
        a_new: Discriminations in the new round, > 0.
        b_new: Difficulties in the new round.
        clusters: Cluster of each anchor.
        rng: Source of the bootstrap's draws.
        n_draws: Draws of the bootstrap.
        level: Confidence of the interval of `shift`.

    Raises:
        InputError: No anchor, columns of different length, or a discrimination that is not positive.
    """
    sizes = {len(column) for column in (a_ref, b_ref, a_new, b_new, clusters)}
    if sizes == {0} or len(sizes) > 1:
        raise InputError(f"columns of {sorted(sizes)} anchors cannot be linked; give the same anchors, at least one")
    if min(a_ref.min(), a_new.min()) <= 0:
        raise InputError("a discrimination is not positive; leave that anchor out")
    columns = np.stack([a_ref, b_ref, a_new, b_new], axis=1)
    bootstrap = ClusterBootstrap(cluster_index(clusters), rng=rng, n_draws=n_draws, level=level)

    def shift_of(s: Float[np.ndarray, "*b 5"]) -> Float[np.ndarray, "*b"]:
        return np.asarray((s[..., 1] - s[..., 2] / s[..., 0] * s[..., 3]) / s[..., 4])

    k = len(a_ref)
    shift = bootstrap.of_sums(
        bootstrap.sums(np.column_stack([columns, np.ones(k)])),
        shift_of,
        n_items=k,
        n_clusters=bootstrap.n_clusters,
        bounds=None,
    )
    if shift is None:
        raise InputError("a difficulty of an anchor is not a number; leave that anchor out")
    slope = float(a_new.mean() / a_ref.mean())
    spread = float(np.sqrt(np.mean((slope * b_new + shift.value - b_ref) ** 2)))
    return Link(slope=slope, shift=shift, n_anchors=k, spread=spread)
