"""Weighted sum of rewards with fixed weights: the baseline of every method that adapts them.

A = sum_k w_k R_k minus the group's mean of it. Fixed weights are what Moskovitz et al. 2023 (arXiv:2310.04373) call the
standard approach; no weights stay right while rewards saturate at different times.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from moorings.errors import ConfigError, nearest
from moorings.improve.objectives.objective import (
    Advantages,
    Batch,
    LearnsNothing,
    Objective,
    ObjectiveConfig,
    leave_one_out,
    objectives,
)

__all__ = ["WeightedConfig", "weighted"]


class WeightedConfig(ObjectiveConfig):
    """Settings of `weighted`."""

    weights: dict[str, float] = Field(default_factory=dict)
    """Weight of each reward by name; empty gives each the same, and they add up to 1."""


class _Weighted(LearnsNothing):
    """An objective without anything to learn."""

    def __init__(self, config: WeightedConfig) -> None:
        self._weights = config.weights

    def advantages(self, batch: Batch) -> Advantages:
        """See `Objective`.

        Raises:
            ConfigError: A weight is given for a reward that the batch lacks.
        """
        weights = self._of(batch)
        joined = np.tensordot(weights, batch.rewards, axes=1)
        logged = {f"weight:{name}": float(w) for name, w in zip(batch.names, weights, strict=True)}
        return Advantages(leave_one_out(joined, batch.weights), logged)

    def _of(self, batch: Batch) -> np.ndarray:
        if not self._weights:
            return np.full(len(batch.names), 1 / len(batch.names))
        unknown = sorted(set(self._weights) - set(batch.names))
        if unknown:
            raise ConfigError(f"objective 'weighted' weighs '{unknown[0]}'; {nearest(unknown[0], batch.names)}")
        return np.array([self._weights.get(name, 0.0) for name in batch.names])


@objectives.register("weighted", WeightedConfig)
def weighted(config: WeightedConfig) -> Objective:
    """Fixed weights; a reward without one counts nothing."""
    return _Weighted(config)
