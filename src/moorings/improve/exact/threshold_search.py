"""Search for thresholds inside one run: Nelder-Mead over threshold vectors, the policy moving on from each to the next.

Source: Moskovitz et al. 2023 (arXiv:2310.04373), algorithm 3. A vector is tried by training the equality objective
towards it until every reward is within `reach` of it, or for a share of all steps, and then reading gold once. A
vector near an old one gets the old one's gold. Moves are SciPy's, with the source's factors 1, 2, 1/2, 1/2. The
simplex starts at the start policy's own rewards and small steps from there.

What differs: what was reached is kept beside what was asked for, since a pair that cannot be reached says nothing of
itself; gold is read on the policy that was reached. Gold is asked seldom, each time is counted: a search that asks
often fits it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from moorings.improve.exact.optimise import Column, optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.constrained import Constrained, ConstrainedConfig

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SearchSettings", "ThresholdSearch", "Tried", "search_thresholds"]


@dataclass(frozen=True)
class SearchSettings:
    """How thresholds are searched for."""

    steps: int = 2000
    """Of the whole run."""
    cap: float = 1 / 8
    """Share of the steps that one vector may take; the source's paper has 1/8, its code 1/10."""
    reach: float = 0.05
    """Relative distance at which a vector counts as reached, and below which two are the same."""
    spread: float = 0.3
    """Size of the first simplex, in the rewards' units."""
    learning_rate: float = 0.5
    """Of natural gradient steps."""
    multiplier_rate: float = 0.1
    """Of the multipliers; table 2 of the source. With faster ones rewards swing about the thresholds."""
    chunk: int = 5
    """Steps between two looks at how far it has come."""
    seed: int = 0


@dataclass(frozen=True)
class Tried:
    """One vector that was tried."""

    wanted: dict[str, float]
    reached: dict[str, float]
    gold: float
    steps: int
    """Steps of the whole run so far."""


@dataclass(frozen=True)
class ThresholdSearch:
    """What was found."""

    best: Tried
    tried: tuple[Tried, ...]
    policy: SoftmaxPolicy
    """The policy of the best vector."""

    @property
    def n_queries(self) -> int:
        """How often gold was read."""
        return len(self.tried)


class _Spent(Exception):
    """All steps are used up."""


class _Search:
    def __init__(
        self, policy: SoftmaxPolicy, rewards: Column, gold: Callable[[SoftmaxPolicy], float], settings: SearchSettings
    ) -> None:
        self.policy, self.rewards, self.gold, self.settings = policy, rewards, gold, settings
        self.names = tuple(rewards)
        self.steps = 0
        self.tried: list[Tried] = []
        self.policies: list[SoftmaxPolicy] = []
        self.multipliers: dict[str, Any] = {}
        """Kept from vector to vector: starting anew would first pull back to the start policy."""

    def minus_gold(self, wanted: Float[np.ndarray, " k"]) -> float:
        """What Nelder-Mead makes small."""
        for old in self.tried:
            if self._close(wanted, old.wanted):
                return -old.gold
        if self.steps >= self.settings.steps:
            raise _Spent
        reached = self._approach(wanted)
        named = {name: float(value) for name, value in zip(self.names, wanted, strict=True)}
        self.tried.append(Tried(named, reached, float(self.gold(self.policy)), self.steps))
        self.policies.append(self.policy)
        return -self.tried[-1].gold

    def _approach(self, wanted: Float[np.ndarray, " k"]) -> dict[str, float]:
        thresholds = {name: float(value) for name, value in zip(self.names, wanted, strict=True)}
        config = ConstrainedConfig(
            thresholds=thresholds, learning_rate=self.settings.multiplier_rate, seed=self.settings.seed
        )
        objective = Constrained(config, "xi")
        objective.restore(self.multipliers or objective.state())
        end = min(self.settings.steps, self.steps + max(1, round(self.settings.cap * self.settings.steps)))
        now = self.means()
        while self.steps < end and not self._close(wanted, now):
            n = min(self.settings.chunk, end - self.steps)
            trace = optimise(self.policy, self.rewards, objective, n, self.settings.learning_rate, natural=True)
            self.policy = trace.policy
            self.steps += n
            now = self.means()
        self.multipliers = objective.state()
        return now

    def means(self) -> dict[str, float]:
        """Mean of each reward under the present policy."""
        return {name: float(self.policy.mean(np.asarray(values)).mean()) for name, values in self.rewards.items()}

    def _close(self, wanted: Float[np.ndarray, " k"], other: Mapping[str, float]) -> bool:
        there = np.array([other[name] for name in self.names])
        scale = np.maximum(np.abs(wanted), self.settings.spread)
        return bool((np.abs(wanted - there) <= self.settings.reach * scale).all())


def search_thresholds(
    policy: SoftmaxPolicy,
    rewards: Column,
    gold: Callable[[SoftmaxPolicy], float],
    settings: SearchSettings | None = None,
) -> ThresholdSearch:
    """Find thresholds at which gold is large.

    Args:
        policy: Where to start.
        rewards: By name, oriented so that more is better.
        gold: True quality of a policy; each call is counted.
        settings: How.
    """
    from scipy.optimize import minimize

    settings = settings or SearchSettings()
    search = _Search(policy, rewards, gold, settings)
    origin = np.array(list(search.means().values()))
    simplex = np.vstack([origin, origin + settings.spread * np.eye(len(origin))])
    with contextlib.suppress(_Spent):
        minimize(
            search.minus_gold,
            origin,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxiter": settings.steps, "xatol": 1e-9, "fatol": 1e-9},
        )
    best = int(np.argmax([one.gold for one in search.tried]))
    return ThresholdSearch(search.tried[best], tuple(search.tried), search.policies[best])
