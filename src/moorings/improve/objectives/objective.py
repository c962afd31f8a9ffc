"""What an objective is: it turns the rewards of a batch into one advantage an answer, and learns its own weights.

A batch has groups of answers to the same prompt. The same objective drives exact policies over stored answers, where a
group is all answers weighted by the policy, and live models, where it is what was sampled. Rewards come oriented
(more is better) and standardised on the start policy's answers, unless an objective says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from moorings.method import MethodConfig, Methods

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "Advantages",
    "Batch",
    "LearnsNothing",
    "Objective",
    "ObjectiveConfig",
    "leave_one_out",
    "objectives",
    "standardised",
]


class ObjectiveConfig(MethodConfig):
    """Settings that every objective has; subclass it."""


@dataclass(frozen=True)
class Batch:
    """Answers of one update."""

    rewards: Float[np.ndarray, "objectives groups size"]
    names: tuple[str, ...]
    """Of the objectives, in the order of `rewards`. Thresholds and weights are looked up by name, never by place."""
    log_ratio: Float[np.ndarray, "groups size"]
    """ln pi / pi_ref of each answer, summed over its tokens."""
    weights: Float[np.ndarray, "groups size"] | None = None
    """Probability of each answer within its group; equal if None, as for answers that were sampled."""
    step: int = 0
    gradients: Callable[[Float[np.ndarray, "n groups size"]], Float[np.ndarray, "n d"]] | None = None
    """Gradient of the policy's parameters for each of n fixed advantages, where it can be had; exact MGDA needs it."""

    def means(self) -> Float[np.ndarray, " objectives"]:
        """Mean of each reward under the policy."""
        if self.weights is None:
            return np.asarray(self.rewards.mean(axis=(1, 2)))
        return np.asarray((self.rewards * self.weights).sum(axis=2).mean(axis=1))


class Advantages(NamedTuple):
    """What an objective made of a batch."""

    values: Float[np.ndarray, "groups size"]
    """How much more, or less, likely each answer should become."""
    logged: dict[str, float]
    """Weights, multipliers, violations and the like by name."""


class Objective(Protocol):
    """One way of joining rewards."""

    def advantages(self, batch: Batch) -> Advantages:
        """Advantages of a batch under the present weights; changes nothing."""
        ...

    def update(self, batch: Batch) -> None:
        """Learn weights from a batch, after its advantages were used."""
        ...

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON, so that a stopped training can be taken up."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        ...


class LearnsNothing:
    """The part of an objective whose weights are given, or solved for afresh in each batch."""

    def update(self, batch: Batch) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to take up."""


def standardised(
    advantages: Float[np.ndarray, "n groups size"], weights: Float[np.ndarray, "groups size"] | None = None
) -> Float[np.ndarray, "n groups size"]:
    """Each objective's advantages over their root mean square in the batch; an objective without any stays 0.

    >>> standardised(np.array([[[3.0, -3.0]], [[0.0, 0.0]]])).tolist()
    [[[1.0, -1.0]], [[0.0, 0.0]]]
    """
    squares = advantages**2
    mean = squares.mean(axis=(1, 2)) if weights is None else (squares * weights).sum(axis=2).mean(axis=1)
    scale = np.sqrt(mean)[:, None, None]
    return np.asarray(np.divide(advantages, scale, out=np.zeros_like(advantages), where=scale > 1e-12))


def leave_one_out(
    values: Float[np.ndarray, "... groups size"], weights: Float[np.ndarray, "groups size"] | None = None
) -> Float[np.ndarray, "... groups size"]:
    """Each value minus the mean of the others of its group (RLOO); with weights minus the group's weighted mean.

    >>> leave_one_out(np.array([[1.0, 2.0, 6.0]])).tolist()
    [[-3.0, -1.5, 4.5]]
    """
    if weights is not None:
        return np.asarray(values - (values * weights).sum(axis=-1, keepdims=True))
    n = values.shape[-1]
    if n < 2:
        raise ValueError(f"a group has {n} answers; leave-one-out needs at least 2")
    return np.asarray((values - values.mean(axis=-1, keepdims=True)) * n / (n - 1))


objectives: Methods[Objective] = Methods(
    "objective",
    builtin={
        "all_constrained": "moorings.improve.objectives.constrained",
        "mgda": "moorings.improve.objectives.mgda",
        "mu_constrained": "moorings.improve.objectives.constrained",
        "pama": "moorings.improve.objectives.pama",
        "satisfice": "moorings.improve.objectives.satisfice",
        "uncertainty": "moorings.improve.objectives.conservative",
        "weighted": "moorings.improve.objectives.weighted",
        "worst_case": "moorings.improve.objectives.conservative",
        "xi_constrained": "moorings.improve.objectives.constrained",
    },
)
