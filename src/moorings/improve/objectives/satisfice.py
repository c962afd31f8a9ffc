"""Fixed thresholds without multipliers (PPO-SAT): reward = -sum a_i (r_i - theta_i)^2, answer by answer.

Source: Moskovitz et al. 2023 (arXiv:2310.04373), table 1; a baseline of the constrained methods. It asks each answer
to hit the thresholds, where they ask it of the mean.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from moorings.errors import ConfigError
from moorings.improve.objectives.objective import (
    Advantages,
    Batch,
    LearnsNothing,
    Objective,
    ObjectiveConfig,
    leave_one_out,
    objectives,
)

__all__ = ["Satisfice", "SatisficeConfig"]


class SatisficeConfig(ObjectiveConfig):
    """Settings of `satisfice`."""

    thresholds: dict[str, float] = Field(min_length=1)
    """By name of the reward, in the units of the rewards as they come."""
    weights: dict[str, float] = Field(default_factory=dict)
    """By name; 1 if not given."""
    kl_weight: float = Field(default=0.0, ge=0)
    """Of ln(pi / pi_ref), taken off the reward."""


class Satisfice(LearnsNothing):
    """See the module."""

    def __init__(self, config: SatisficeConfig) -> None:
        self.config = config

    def advantages(self, batch: Batch) -> Advantages:
        """See `Objective`.

        Raises:
            ConfigError: A threshold is given for a reward that the batch lacks.
        """
        total = -self.config.kl_weight * batch.log_ratio
        for name, threshold in sorted(self.config.thresholds.items()):
            if name not in batch.names:
                raise ConfigError(
                    f"a threshold is given for '{name}', which is no reward of this run; rewards are: "
                    f"{', '.join(batch.names)}"
                )
            miss = batch.rewards[batch.names.index(name)] - threshold
            total = total - self.config.weights.get(name, 1.0) * miss**2
        logged = {"satisfied": float(np.mean(total))}
        return Advantages(leave_one_out(total, batch.weights), logged)


@objectives.register("satisfice", SatisficeConfig)
def satisfice(config: SatisficeConfig) -> Objective:
    """Bring each answer's rewards close to fixed thresholds."""
    return Satisfice(config)
