"""Estimators from drawn answers on a finite policy, stepped in one loop and measured exactly.

`optimise` with `draws` is RLOO under any objective. What differs from it by more than an objective has a `Climber`:
GRPO (`moorings.improve.exact.grpo`), PPO (`moorings.improve.exact.ppo`), DPO (`moorings.improve.exact.dpo`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from moorings.improve.exact.optimise import Column, Recorder, Trace

if TYPE_CHECKING:
    from jaxtyping import Float

    from moorings.improve.exact.policy import SoftmaxPolicy

__all__ = ["Climber", "Estimate", "Moved", "climb"]


class Estimate(NamedTuple):
    """A gradient from drawn answers."""

    gradient: Float[np.ndarray, ...]
    """Upwards, in the shape of theta."""
    logged: Mapping[str, float]


class Moved(NamedTuple):
    """What one step did."""

    policy: SoftmaxPolicy
    logged: Mapping[str, float]


class Climber(Protocol):
    """One way of stepping."""

    @property
    def kl_weight(self) -> float:
        """beta, for the record."""
        ...

    def step(
        self, policy: SoftmaxPolicy, reward: Float[np.ndarray, "prompts answers"], rng: np.random.Generator
    ) -> Moved:
        """Draw, and move the policy."""
        ...


def climb(
    policy: SoftmaxPolicy,
    reward: Float[np.ndarray, "prompts answers"],
    climber: Climber,
    steps: int,
    rng: np.random.Generator,
    *,
    gold: Float[np.ndarray, "prompts answers"] | None = None,
    watched: Column | None = None,
) -> Trace:
    """Step a policy; what a step logged stands at the policy that it started from, so the last entry has none."""
    recorder = Recorder({"reward": reward}, gold, watched)
    for _ in range(steps):
        moved = climber.step(policy, reward, rng)
        recorder.add(policy, moved.logged, climber.kl_weight)
        policy = moved.policy
    recorder.add(policy, {}, climber.kl_weight)
    return recorder.trace(policy)
