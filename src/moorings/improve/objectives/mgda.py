"""Exact MGDA: the convex combination of rewards whose gradient of the parameters is shortest, O(n^2 d).

Source: Desideri 2012; Sener and Koltun 2018 (arXiv:1810.04650). The comparison that PAMA is cheaper than. It needs the
gradient of each reward: exact policies have it, live models take one backward pass a reward.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from moorings.errors import ConfigError
from moorings.improve.objectives.min_norm import min_norm_weights
from moorings.improve.objectives.objective import (
    Advantages,
    Batch,
    LearnsNothing,
    Objective,
    ObjectiveConfig,
    leave_one_out,
    objectives,
    standardised,
)

__all__ = ["Mgda", "MgdaConfig"]


class MgdaConfig(ObjectiveConfig):
    """Settings of `mgda`."""

    normalise: bool = False
    """Divide each gradient by its length first, so that a reward that is nearly learned does not take all weight."""
    kl_weight: float = Field(default=0.0, ge=0)
    """Of ln(pi / pi_ref), taken off every reward."""


class Mgda(LearnsNothing):
    """See the module."""

    def __init__(self, config: MgdaConfig) -> None:
        self.config = config

    def advantages(self, batch: Batch) -> Advantages:
        """See `Objective`.

        Raises:
            ConfigError: The policy does not give gradients.
        """
        if batch.gradients is None:
            raise ConfigError(
                "objective 'mgda' needs the gradient of each reward, which this trainer does not give; use pama, or an "
                "exact policy"
            )
        rewards = batch.rewards - self.config.kl_weight * batch.log_ratio
        each = standardised(leave_one_out(rewards, batch.weights), batch.weights)
        gradients = batch.gradients(each)
        lengths = np.linalg.norm(gradients, axis=1)
        if self.config.normalise:
            factors = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            gradients, each = gradients * factors[:, None], each * factors[:, None, None]
        weights = min_norm_weights(gradients)
        joint = float(np.linalg.norm(weights @ gradients))
        logged = {f"weight {name}": float(x) for name, x in zip(batch.names, weights, strict=True)}
        return Advantages(np.tensordot(weights, each, axes=1), {**logged, "joint gradient": joint})


@objectives.register("mgda", MgdaConfig)
def mgda(config: MgdaConfig) -> Objective:
    """Several rewards at once, by the combination of gradients that is shortest."""
    return Mgda(config)
