"""Proximal policy optimisation on a finite policy.

Schulman et al. 2017 (arXiv:1707.06347), eq. 7: maximise E[min(r A, clip(r, 1 - eps, 1 + eps) A)] with
r = pi / pi_old, over several epochs on the same draws. As in "The N+ Implementation Details of RLHF with PPO"
(arXiv:2403.17031) the reward is R - beta ln pi_old / pi0, fixed when drawn. The baseline is one value a prompt that is
moved towards the mean of what was drawn, after its use. An answer is one action, so there is no discount and GAE is
R - V. Left out: value clipping, whitening, minibatches.

At the first epoch r is 1 and the expected gradient is the exact one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.improve.exact.optimise import score_gradient
from moorings.improve.exact.sampled import Estimate, Moved

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from moorings.improve.exact.policy import SoftmaxPolicy

__all__ = ["Ppo", "clipped_gradient"]


class Ppo:
    """Settings, baseline and step of PPO.

    Args:
        learning_rate: Of each epoch.
        group_size: Answers drawn for each prompt.
        clip: eps; trl's and the paper's value.
        epochs: Gradient steps on the same draws; trl's value.
        kl_weight: beta in the reward; trl's value.
        value_rate: How far a prompt's baseline moves to the mean of its draws, 0 to 1.
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        group_size: int = 4,
        clip: float = 0.2,
        epochs: int = 4,
        kl_weight: float = 0.05,
        value_rate: float = 0.2,
    ) -> None:
        self.learning_rate, self.group_size, self.clip = learning_rate, group_size, clip
        self.epochs, self.kl_weight, self.value_rate = epochs, kl_weight, value_rate
        self.values: Float[np.ndarray, " prompts"] | None = None

    def step(
        self, policy: SoftmaxPolicy, reward: Float[np.ndarray, "prompts answers"], rng: np.random.Generator
    ) -> Moved:
        """Draw once and take a step each epoch."""
        drawn = policy.sample(self.group_size, rng)
        rows = np.arange(len(drawn))[:, None]
        ratio = (policy.log_p - policy.log_base)[rows, drawn]
        got = np.asarray(reward, dtype=np.float64)[rows, drawn] - self.kl_weight * ratio
        values = np.zeros(len(drawn)) if self.values is None else self.values
        old, logged = policy, {}
        for _ in range(self.epochs):
            made = clipped_gradient(policy, old, drawn, got - values[:, None], self.clip)
            policy = policy.moved(self.learning_rate * made.gradient)
            logged = dict(made.logged)
        self.values = values + self.value_rate * (got.mean(axis=1) - values)
        return Moved(policy, {**logged, "value": float(values.mean())})


def clipped_gradient(
    policy: SoftmaxPolicy,
    old: SoftmaxPolicy,
    drawn: Int[np.ndarray, "prompts draws"],
    advantages: Float[np.ndarray, "prompts draws"],
    clip: float,
) -> Estimate:
    """Gradient of the mean of min(r A, clip(r) A) over draws of the old policy, and the share that is clipped."""
    rows = np.arange(len(drawn))[:, None]
    ratio = np.exp((policy.log_p - old.log_p)[rows, drawn])
    # The minimum is the clipped term, which does not move, where r has already gone past the edge in A's direction.
    stopped = np.where(advantages >= 0, ratio > 1 + clip, ratio < 1 - clip)
    factors = np.where(stopped, 0.0, ratio * advantages) / drawn.size
    return Estimate(score_gradient(policy, drawn, factors), {"clipped": float(stopped.mean())})
