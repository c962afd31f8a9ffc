"""Conservative objectives over the members of a reward ensemble: worst case (WCO) and uncertainty-weighted (UWO).

Coste et al. 2023 (arXiv:2310.02743): each answer's reward is min_i R_i, or mean_i R_i - lambda Var_i(R_i) (its eq. 5),
minus the group's mean of it. Members must be standardised on the same reference answers first. The share of answers
that each member decides, or the disagreement, is logged. Left out: the paper's critic; the group's mean is the baseline.

What it must show: less gold reward lost under optimisation than with the mean of the same members, and a disagreement
that stays flat under UWO while it grows under the mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from moorings.errors import ConfigError, nearest
from moorings.feedback.aggregate import uncertainty_weighted
from moorings.feedback.aggregate import worst_case as least_member
from moorings.improve.objectives.objective import (
    Advantages,
    Batch,
    LearnsNothing,
    Objective,
    ObjectiveConfig,
    leave_one_out,
    objectives,
)

__all__ = ["MembersConfig", "UncertaintyConfig", "uncertainty", "worst_case"]


class MembersConfig(ObjectiveConfig):
    """Settings of `worst_case`."""

    members: tuple[str, ...] = ()
    """Rewards that form the ensemble, by name; empty takes all."""


class UncertaintyConfig(MembersConfig):
    """Settings of `uncertainty`."""

    lam: float = Field(default=0.1, ge=0.0)
    """Weight of the population variance; 0.1 for policy gradients in the paper's config_rl.yaml, 0.5 for best-of-n."""


class _Conservative(LearnsNothing):
    """An objective without weights of its own."""

    def __init__(self, members: tuple[str, ...], join: Callable[[np.ndarray], np.ndarray]) -> None:
        self._members, self._join = members, join

    def advantages(self, batch: Batch) -> Advantages:
        """See `Objective`.

        Raises:
            ConfigError: A member is no reward of the batch.
        """
        names = self._members or batch.names
        for name in names:
            if name not in batch.names:
                raise ConfigError(f"ensemble member '{name}' is no reward of this run; {nearest(name, batch.names)}")
        values = batch.rewards[[batch.names.index(name) for name in names]]
        weights = np.full(values.shape[1:], 1 / values.shape[2]) if batch.weights is None else batch.weights
        share = weights / len(weights)
        decides = {
            f"decides:{name}": float((share * (values.argmin(axis=0) == k)).sum()) for k, name in enumerate(names)
        }
        logged = {"disagreement": float((share * values.std(axis=0)).sum()), **decides}
        return Advantages(leave_one_out(self._join(values), batch.weights), logged)


@objectives.register("worst_case", MembersConfig)
def worst_case(config: MembersConfig) -> Objective:
    """The least member of each answer."""
    return _Conservative(config.members, least_member)


@objectives.register("uncertainty", UncertaintyConfig)
def uncertainty(config: UncertaintyConfig) -> Objective:
    """Mean of the members less `lam` times their variance."""
    return _Conservative(config.members, lambda values: uncertainty_weighted(values, config.lam))
