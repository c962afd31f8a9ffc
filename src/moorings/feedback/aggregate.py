"""Several rewards of one answer as one: mean, worst case, uncertainty-weighted, soft minimum, weighted sum, constraints.

Reward ensembles: Coste et al. 2023 (arXiv:2310.02743). With members R_1..R_k: mean; WCO = min_i R_i;
UWO = mean - lambda Var_i(R_i), its eq. 5, with the population variance (the paper's best-of-n code; its PPO code takes
the sample variance, so its lambda there is ours times (k - 1) / k). Soft minimum: -beta ln mean_i exp(-R_i / beta), the
mean for beta -> infinity, WCO for beta -> 0, and mean - Var / (2 beta) to second order, which is UWO with
lambda = 1 / (2 beta).

All functions take oriented values (more is better), members along the first axis. They compare members with each other,
so members must be on one scale: standardise them first (`moorings.feedback.standardise`). A missing value of any member
makes the aggregate missing: a minimum over those that happen to be there would reward what cannot be graded.

What it must show: worst case and uncertainty weighting lose less gold score under optimisation than the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from moorings.errors import ConfigError, nearest
from moorings.method import MethodConfig

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "Aggregation",
    "Threshold",
    "aggregated",
    "mean",
    "satisfied",
    "share_satisfied",
    "soft_min",
    "uncertainty_weighted",
    "weighted_sum",
    "worst_case",
]


def mean(values: Float[np.ndarray, "members ..."]) -> Float[np.ndarray, ...]:
    """Mean over members; not conservative."""
    return np.asarray(np.mean(values, axis=0))


def worst_case(values: Float[np.ndarray, "members ..."]) -> Float[np.ndarray, ...]:
    """The least member of each answer (WCO)."""
    return np.asarray(np.min(values, axis=0))


def uncertainty_weighted(values: Float[np.ndarray, "members ..."], lam: float) -> Float[np.ndarray, ...]:
    """Mean minus `lam` times the population variance over members (UWO).

    >>> uncertainty_weighted(np.array([[1.0], [3.0]]), 0.5).tolist()
    [1.5]
    """
    return np.asarray(np.mean(values, axis=0) - lam * np.var(values, axis=0))


def soft_min(values: Float[np.ndarray, "members ..."], beta: float) -> Float[np.ndarray, ...]:
    """-beta ln mean exp(-values / beta), between the least member and the mean.

    Args:
        values: Oriented values.
        beta: Temperature in their unit, > 0; small is near the minimum, large near the mean.
    """
    values = np.asarray(values, dtype=np.float64)
    least = np.min(values, axis=0)
    # From the minimum and with log1p, so that neither a small nor a large beta loses digits.
    return np.asarray(least - beta * np.log1p(np.mean(np.expm1(-(values - least) / beta), axis=0)))


def weighted_sum(
    values: Float[np.ndarray, "members ..."], names: Sequence[str], weights: Mapping[str, float]
) -> Float[np.ndarray, ...]:
    """Sum of the named members by weight; members without a weight take no part.

    Raises:
        ConfigError: A weight for a member that is not there.
    """
    rows = _rows(names, weights, "weight")
    return np.asarray(np.tensordot(list(weights.values()), np.asarray(values, dtype=np.float64)[rows], axes=1))


class Threshold(MethodConfig):
    """Where one reward should be; at least one end."""

    at_least: float | None = None
    """Least allowed value, in the reward's own unit."""
    at_most: float | None = None
    """Greatest allowed value; equal to `at_least` for an equality, which then needs a tolerance to be met at all."""
    tolerance: float = Field(default=0.0, ge=0.0)
    """How far beyond an end still counts as within."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Threshold:
        low, high = self.at_least, self.at_most
        if (low is None and high is None) or (low is not None and high is not None and low > high):
            raise ConfigError(f"threshold has at_least {low} and at_most {high}; give one, or a pair in order")
        return self


def satisfied(
    values: Float[np.ndarray, "members ..."], names: Sequence[str], thresholds: Mapping[str, Threshold]
) -> Float[np.ndarray, "constraints ..."]:
    """1 where a named reward is within its threshold, else 0, in the order of the thresholds; NaN where it is missing.

    Thresholds are looked up by name, never by place. Values are in the rewards' own units and directions.

    Raises:
        ConfigError: A threshold for a reward that is not there.
    """
    wanted = np.asarray(values, dtype=np.float64)[_rows(names, thresholds, "threshold")]
    out = np.empty(wanted.shape)
    for row, found, threshold in zip(out, wanted, thresholds.values(), strict=True):
        low = -np.inf if threshold.at_least is None else threshold.at_least - threshold.tolerance
        high = np.inf if threshold.at_most is None else threshold.at_most + threshold.tolerance
        row[...] = np.where(np.isnan(found), np.nan, (found >= low) & (found <= high))
    return out


def share_satisfied(
    values: Float[np.ndarray, "members ..."], names: Sequence[str], thresholds: Mapping[str, Threshold]
) -> Float[np.ndarray, ...]:
    """Share of the named constraints that each answer meets; see `satisfied`."""
    return mean(satisfied(values, names, thresholds))


class Aggregation(MethodConfig):
    """How members become one value."""

    kind: Literal["mean", "worst_case", "uncertainty_weighted", "soft_min", "weighted_sum", "constraints"] = "mean"
    """Which function of this module."""
    lam: float = Field(default=0.5, ge=0.0)
    """For `uncertainty_weighted`: weight of the variance; 0.5 for best-of-n and 0.1 for PPO in arXiv:2310.02743."""
    beta: float = Field(default=1.0, gt=0.0)
    """For `soft_min`: its temperature; 1 is UWO with 0.5 to second order."""
    weights: dict[str, float] | None = Field(default=None, min_length=1)
    """For `weighted_sum`: weight of each member by name."""
    thresholds: dict[str, Threshold] | None = Field(default=None, min_length=1)
    """For `constraints`: where each named member should be, in its own unit and direction."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Aggregation:
        for kind, setting in (("weighted_sum", "weights"), ("constraints", "thresholds")):
            if (self.kind == kind) != (getattr(self, setting) is not None):
                raise ConfigError(
                    f"aggregation '{self.kind}' {'lacks' if self.kind == kind else 'has'} {setting}; "
                    f"give {setting} for {kind} and for nothing else"
                )
        return self


def aggregated(
    values: Float[np.ndarray, "members ..."], names: Sequence[str], how: Aggregation
) -> Float[np.ndarray, ...]:
    """One value an answer, of which more is better.

    Raises:
        ConfigError: A weight or threshold for a member that is not there.
    """
    if how.kind == "worst_case":
        return worst_case(values)
    if how.kind == "uncertainty_weighted":
        return uncertainty_weighted(values, how.lam)
    if how.kind == "soft_min":
        return soft_min(values, how.beta)
    if how.kind == "weighted_sum":
        return weighted_sum(values, names, how.weights or {})
    if how.kind == "constraints":
        return share_satisfied(values, names, how.thresholds or {})
    return mean(values)


def _rows(names: Sequence[str], wanted: Mapping[str, object], what: str) -> list[int]:
    for name in wanted:
        if name not in names:
            raise ConfigError(f"{what} for unknown reward '{name}'; {nearest(name, names)}")
    return [names.index(name) for name in wanted]
