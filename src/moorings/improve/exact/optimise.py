"""Policy gradient ascent on a finite set of answers, driven by any objective, with everything measured exactly.

One step: theta <- theta + rate * grad (E[A] - beta KL(pi || pi0)), where A are the objective's advantages, held fixed.
With `draws` None the gradient is exact: the objective sees all answers with their probabilities. Otherwise it sees
`draws` answers to each prompt, drawn from the policy, and the gradient is the estimate of RLOO (Ahmadian et al. 2024,
arXiv:2402.14740), with the KL in the reward: mean_i (A_i - beta (l_i - mean of the other l)) grad ln pi(a_i),
l = ln pi / pi0. What is recorded is exact in both cases.

With `natural` the step is multiplied by the inverse Fisher information. Without features this moves the policy along
pi0 exp(t A), the path on which no other policy has as much E[A] at the same KL, if A stays the same.
Left out: tokens; an answer is one action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import ConfigError
from moorings.improve.exact.kl import AdaptiveKl
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.objective import Advantages, Batch, Objective, leave_one_out

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Column", "Recorder", "Trace", "natural_step", "optimise", "score_gradient"]

Column = Mapping[str, "Float[np.ndarray, 'prompts answers']"]
"""One value an answer, by name."""


@dataclass(frozen=True)
class Trace:
    """What happened at each step: entry t belongs to the policy after t steps, so there is one more than steps."""

    rewards: Mapping[str, Float[np.ndarray, " steps_and_start"]]
    """Mean of each reward under the policy, as it was given."""
    gold: Float[np.ndarray, " steps_and_start"]
    """Mean of the gold reward, which no step looked at; NaN if there is none."""
    kl: Float[np.ndarray, " steps_and_start"]
    """KL(pi || pi0) in nats, mean over prompts."""
    kl_weight: Float[np.ndarray, " steps_and_start"]
    """beta; it moves if it is adaptive."""
    logged: Mapping[str, Float[np.ndarray, " steps_and_start"]]
    """What the objective logged; NaN where it logged nothing under that name."""
    watched: Mapping[str, Float[np.ndarray, " steps_and_start"]]
    """Means of other columns, such as length."""
    policy: SoftmaxPolicy
    """The policy after the last step."""


class Recorder:
    """Collects a `Trace` while a policy moves."""

    def __init__(self, rewards: Column, gold: np.ndarray | None = None, watched: Column | None = None) -> None:
        self._rewards, self._watched = dict(rewards), dict(watched or {})
        self._gold = gold
        self._rows: list[dict[str, float]] = []
        self._logged: list[dict[str, float]] = []

    def add(self, policy: SoftmaxPolicy, logged: Mapping[str, float], kl_weight: float) -> float:
        """Measure a policy; returns its KL."""
        log_p = policy.log_p
        share = np.exp(log_p) / len(log_p)

        def mean(values: np.ndarray) -> float:
            return float((share * values).sum())

        row = {"kl": mean(log_p - policy.log_base), "kl_weight": kl_weight}
        row["gold"] = float("nan") if self._gold is None else mean(self._gold)
        for kind, columns in (("reward", self._rewards), ("watched", self._watched)):
            row |= {f"{kind}:{name}": mean(values) for name, values in columns.items()}
        self._rows.append(row)
        self._logged.append(dict(logged))
        return row["kl"]

    def trace(self, policy: SoftmaxPolicy) -> Trace:
        """All that was measured."""

        def column(rows: list[dict[str, float]], name: str) -> np.ndarray:
            return np.array([row.get(name, np.nan) for row in rows])

        names = sorted({name for row in self._logged for name in row})
        return Trace(
            rewards={name: column(self._rows, f"reward:{name}") for name in self._rewards},
            gold=column(self._rows, "gold"),
            kl=column(self._rows, "kl"),
            kl_weight=column(self._rows, "kl_weight"),
            logged={name: column(self._logged, name) for name in names},
            watched={name: column(self._rows, f"watched:{name}") for name in self._watched},
            policy=policy,
        )


class _Move(NamedTuple):
    gradient: np.ndarray
    made: Advantages


def optimise(
    policy: SoftmaxPolicy,
    rewards: Column,
    objective: Objective,
    steps: int,
    learning_rate: float,
    *,
    gold: Float[np.ndarray, "prompts answers"] | None = None,
    watched: Column | None = None,
    kl_weight: float | AdaptiveKl = 0.0,
    natural: bool = False,
    draws: int | None = None,
    rng: np.random.Generator | None = None,
) -> Trace:
    """Let an objective move a policy.

    Args:
        policy: Where to start.
        rewards: Rewards by name, oriented so that more is better.
        objective: Joins them; its own weights are learned along the way.
        steps: How many, >= 0.
        learning_rate: Factor of the gradient, > 0.
        gold: The true reward, only measured.
        watched: Further columns that are only measured.
        kl_weight: beta, or a controller that holds the KL at a target.
        natural: Take natural gradients.
        draws: Answers drawn for each prompt and step, >= 2; None takes the exact gradient.
        rng: Randomness of the draws.

    Raises:
        ConfigError: No rewards, one of another shape, draws without an rng, or fewer than 2 draws.
    """
    names, values = _stacked(policy, rewards)
    if draws is not None and (rng is None or draws < 2):
        raise ConfigError(
            f"draws is {draws} and rng is {'not ' if rng is None else ''}given; draw at least 2 with an rng"
        )
    recorder = Recorder(rewards, gold, watched)
    control = kl_weight if isinstance(kl_weight, AdaptiveKl) else AdaptiveKl(kl_weight, target_nats=1.0, gain=0.0)
    for step in range(steps + 1):
        batch, drawn = _batch(policy, names, values, step, draws, rng)
        move = _move(policy, objective, batch, drawn, control.weight)
        kl = recorder.add(policy, move.made.logged, control.weight)
        if step < steps:
            by = natural_step(policy, move.gradient) if natural else move.gradient
            policy = policy.moved(learning_rate * by)
            objective.update(batch)
            control = control.after(kl)
    return recorder.trace(policy)


def score_gradient(
    policy: SoftmaxPolicy, drawn: Int[np.ndarray, "prompts draws"], factors: Float[np.ndarray, "prompts draws"]
) -> Float[np.ndarray, ...]:
    """Sum over draws of factor times grad ln pi(draw)."""
    shape = policy.log_p.shape
    counts = np.zeros(shape)
    np.add.at(counts, (np.arange(shape[0])[:, None], drawn), factors)
    pull = counts - np.exp(policy.log_p) * factors.sum(axis=1, keepdims=True)
    return pull if policy.features is None else np.asarray(np.tensordot(pull, policy.features, axes=2))


def natural_step(policy: SoftmaxPolicy, gradient: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """The gradient times the pseudo-inverse of the Fisher information, mean over prompts of Cov[phi].

    Without features this is grad / p times the number of prompts, each prompt for itself.
    """
    p = np.exp(policy.log_p)
    if policy.features is None:
        return np.asarray(gradient * len(p) / np.maximum(p, np.finfo(float).tiny))
    centred = policy.features - (p[:, :, None] * policy.features).sum(axis=1, keepdims=True)
    flat = (np.sqrt(p / len(p))[:, :, None] * centred).reshape(-1, centred.shape[-1])
    return np.asarray(np.linalg.lstsq(flat.T @ flat, gradient, rcond=1e-8)[0])


def _stacked(policy: SoftmaxPolicy, rewards: Column) -> tuple[tuple[str, ...], np.ndarray]:
    shape = policy.log_p.shape
    wrong = {name: np.shape(values) for name, values in rewards.items() if np.shape(values) != shape}
    if wrong or not rewards:
        raise ConfigError(
            f"the policy has answers {shape}, rewards that differ: {wrong or 'none given'}; give one value an answer"
        )
    return tuple(rewards), np.stack([np.asarray(values, dtype=np.float64) for values in rewards.values()])


def _batch(
    policy: SoftmaxPolicy,
    names: tuple[str, ...],
    values: np.ndarray,
    step: int,
    draws: int | None,
    rng: np.random.Generator | None,
) -> tuple[Batch, np.ndarray | None]:
    log_p = policy.log_p
    ratio = log_p - policy.log_base
    if draws is None or rng is None:

        def exact(each: np.ndarray) -> np.ndarray:
            return np.stack([policy.gradient(one).ravel() for one in each])

        return Batch(values, names, ratio, np.exp(log_p), step, exact), None
    drawn = policy.sample(draws, rng)
    rows = np.arange(len(drawn))[:, None]

    def estimated(each: np.ndarray) -> np.ndarray:
        return np.stack([score_gradient(policy, drawn, one / drawn.size).ravel() for one in each])

    return Batch(values[:, rows, drawn], names, ratio[rows, drawn], None, step, estimated), drawn


def _move(
    policy: SoftmaxPolicy, objective: Objective, batch: Batch, drawn: np.ndarray | None, kl_weight: float
) -> _Move:
    made = objective.advantages(batch)
    if drawn is None:
        return _Move(policy.gradient(made.values - kl_weight * batch.log_ratio), made)
    factors = (made.values - kl_weight * leave_one_out(batch.log_ratio)) / drawn.size
    return _Move(score_gradient(policy, drawn, factors), made)
