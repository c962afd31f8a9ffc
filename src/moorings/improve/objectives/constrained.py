"""Constrained composite rewards: each reward is kept above, below or at a threshold by a learned multiplier.

Source: Moskovitz et al. 2023, Confronting Reward Model Overoptimization with Constrained RLHF (arXiv:2310.04373), for
answers as a whole instead of tokens with a critic a reward.

mu    max v_KL          subject to v_i >= theta_i    sigma = sigmoid
all   max sum a_i v_i   subject to v_i <= theta_i    sigma = sigmoid
xi    max v_KL          subject to v_i =  theta_i    sigma = tanh

A_mix = (N - sum sigma(mu_i)) A_0 + sum s_i sigma(mu_i) A_i with s = -1 for `all`, else 1, where v_KL is the value of
-ln(pi / pi_ref) and the A of each reward is divided by its root mean square in the batch. Multipliers descend
L = sum sigma(mu_i) s_i (J_i - theta_i), J_i held fixed, the mean reward of the batch: a reward that falls short gets
more weight. They oscillate, only averages converge: `Trace` has them at each step.

Choices that the source leaves open: the KL's advantage keeps its size, times `kl_weight`, since dividing it by its root
mean square makes the pull to the start model as strong beside it as far away; with tanh the task's weight N - sum can exceed N, it is kept as printed; each
multiplier gets its own first draw (the released code shares one); thresholds are found by name.
What it must show: >=, <= and = hold at the end of training on an exact policy (tests, benchmarks/composite.py).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from moorings.errors import ConfigError
from moorings.improve.objectives.objective import (
    Advantages,
    Batch,
    Objective,
    ObjectiveConfig,
    leave_one_out,
    objectives,
    standardised,
)

__all__ = ["Constrained", "ConstrainedConfig"]

Form = Literal["mu", "all", "xi"]


class ConstrainedConfig(ObjectiveConfig):
    """Settings of `mu_constrained`, `all_constrained` and `xi_constrained`."""

    thresholds: dict[str, float] = Field(min_length=1)
    """By name of the reward, in the units of the rewards as they come: standardised ones if they are."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Of the task of `all`, by name; 1 if not given."""
    kl_weight: float = Field(default=0.2, gt=0)
    """Factor of the task of `mu` and `xi`, -ln(pi / pi_ref) in nats; the first KL coefficient of table 2 of the source."""
    learning_rate: float = Field(default=0.1, gt=0)
    """Of the multipliers; table 2 of the source."""
    momentum: float = Field(default=0.1, ge=0, lt=1)
    """Of the multipliers; table 2 of the source."""
    clip: float = Field(default=0.5, gt=0)
    """Largest norm of the multipliers' gradient; table 2 of the source."""
    seed: int = 0
    """Of the multipliers' first values, N(0, 0.01^2)."""


class Constrained:
    """Advantages under constraints; see the module."""

    def __init__(self, config: ConstrainedConfig, form: Form) -> None:
        self.config, self.form = config, form
        self.names = tuple(sorted(config.thresholds))
        start = np.random.default_rng(config.seed).normal(scale=0.01, size=len(self.names))
        self._multipliers, self._velocity = start, np.zeros(len(self.names))

    @property
    def shares(self) -> dict[str, float]:
        """sigma(mu) of each constraint."""
        squash = np.tanh if self.form == "xi" else expit
        return {name: float(x) for name, x in zip(self.names, squash(self._multipliers), strict=True)}

    def advantages(self, batch: Batch) -> Advantages:
        """See `Objective`.

        Raises:
            ConfigError: A threshold is given for a reward that the batch lacks.
        """
        at = self._places(batch)
        rewards = batch.rewards[at]
        if self.form == "all":
            factors = np.array([self.config.weights.get(name, 1.0) for name in batch.names])
            task = np.tensordot(factors, batch.rewards, axes=1)
            task = standardised(leave_one_out(task[None], batch.weights), batch.weights)[0]
        else:
            task = leave_one_out(-self.config.kl_weight * batch.log_ratio, batch.weights)
        each = standardised(leave_one_out(rewards, batch.weights), batch.weights)
        sign = -1.0 if self.form == "all" else 1.0
        shares = np.array(list(self.shares.values()))
        mixed = (len(shares) - shares.sum()) * task + np.tensordot(sign * shares, each, axes=1)
        gaps = self._gaps(batch)
        logged = {f"share {name}": share for name, share in self.shares.items()}
        logged.update({f"beyond {name}": float(gap) for name, gap in zip(self.names, gaps, strict=True)})
        return Advantages(mixed, logged)

    def update(self, batch: Batch) -> None:
        """See `Objective`."""
        gaps = self._gaps(batch)
        squashed = np.array(list(self.shares.values()))
        slope = 1 - squashed**2 if self.form == "xi" else squashed * (1 - squashed)
        gradient = slope * gaps * (-1.0 if self.form == "all" else 1.0)
        norm = float(np.linalg.norm(gradient))
        gradient = gradient * min(1.0, self.config.clip / norm) if norm else gradient
        self._velocity = self.config.momentum * self._velocity + gradient
        self._multipliers = self._multipliers - self.config.learning_rate * self._velocity

    def state(self) -> dict[str, Any]:
        """See `Objective`."""
        return {"multipliers": self._multipliers.tolist(), "velocity": self._velocity.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Objective`."""
        self._multipliers, self._velocity = np.array(state["multipliers"]), np.array(state["velocity"])

    def _gaps(self, batch: Batch) -> np.ndarray:
        """J - theta of each constraint."""
        wanted = np.array([self.config.thresholds[name] for name in self.names])
        return np.asarray(batch.means()[self._places(batch)] - wanted)

    def _places(self, batch: Batch) -> list[int]:
        lacking = [name for name in self.names if name not in batch.names]
        if lacking:
            raise ConfigError(
                f"a threshold is given for '{lacking[0]}', which is no reward of this run; rewards are: "
                f"{', '.join(batch.names)}"
            )
        return [batch.names.index(name) for name in self.names]


@objectives.register("mu_constrained", ConstrainedConfig)
def mu_constrained(config: ConstrainedConfig) -> Objective:
    """Stay close to the start model while each reward is at least its threshold."""
    return Constrained(config, "mu")


@objectives.register("all_constrained", ConstrainedConfig)
def all_constrained(config: ConstrainedConfig) -> Objective:
    """Raise the weighted rewards while each is at most its threshold."""
    return Constrained(config, "all")


@objectives.register("xi_constrained", ConstrainedConfig)
def xi_constrained(config: ConstrainedConfig) -> Objective:
    """Stay close to the start model while each reward is at its threshold."""
    return Constrained(config, "xi")
