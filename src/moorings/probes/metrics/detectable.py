"""How small an effect would have been found: printed wherever a null is.

Source: Bloom 1995, Minimum detectable effects, with cluster-robust errors (Miller 2024, arXiv:2411.00640):
(t_{1-alpha/2} + t_{power}) se with G - 1 degrees of freedom. Where all clusters agree the error is 0 and tells nothing;
the effect is then the share of unlike clusters that could have gone unseen, 1 - alpha^(1/G).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.statistics.paired import cluster_robust
from moorings.statistics.power import mde_from_se
from moorings.statistics.proportions import zero_of_n_upper

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["detectable_effect", "said"]


def detectable_effect(
    values: Float[np.ndarray, " n"],
    clusters: Int[np.ndarray, " n"],
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    bound: float = 1.0,
) -> float | None:
    """Least true mean of `values` that differs from 0 with the stated power.

    Args:
        values: One an item, such as right less chance, or right when observed less right when not; NaN is left out.
        clusters: Cluster of each item.
        alpha: Two-sided error rate, in (0, 1).
        power: Chance of finding it, in (0, 1).
        bound: Largest size that one value can have.

    Returns:
        The effect, in the unit of the values, at most `bound`; None with fewer than 8 clusters.
    """
    effects = cluster_robust(np.asarray(values, dtype=np.float64)[:, None], clusters)
    se, df = float(effects.se[0]), float(effects.df[0])
    if np.isnan(se):
        return None
    if se == 0:
        return bound * float(zero_of_n_upper(df + 1.0, 1.0 - alpha))
    return min(float(mde_from_se(se, df, alpha, power)), bound)


def said(effect: float | None, what: str, *, power: float = 0.8) -> str:
    """The effect as a sentence.

    >>> said(0.034, "A gap")
    'A gap of 0.034 would have been found with 80 % power.'
    """
    if effect is None:
        return f"{what} could not have been found: there are fewer than 8 clusters."
    return f"{what} of {effect:.2g} would have been found with {power:.0%} power.".replace("%", " %")
