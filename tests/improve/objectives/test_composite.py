"""Constraints hold on an exact policy; PAMA and MGDA do what their equations say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.constrained import Constrained, ConstrainedConfig
from moorings.improve.objectives.objective import Batch, Objective, leave_one_out, objectives, standardised

RNG = np.random.default_rng(0)
REWARDS = RNG.normal(size=(2, 6, 40))
REWARDS[1] = 0.5 * REWARDS[0] + REWARDS[1]
NAMES = ("clear", "kind")


def _batch(policy: SoftmaxPolicy) -> Batch:
    return Batch(
        REWARDS,
        NAMES,
        policy.log_p - policy.log_base,
        np.exp(policy.log_p),
        gradients=lambda each: np.stack([policy.gradient(one).ravel() for one in each]),
    )


def _made(name: str, **settings: Any) -> Objective:
    return objectives.make(Use(use=name, **settings))


def _trained(objective: Objective, n_steps: int = 1000, rate: float = 10.0) -> Batch:
    return _course(objective, n_steps, rate)[-1]


def _course(objective: Objective, n_steps: int = 1000, rate: float = 10.0) -> list[Batch]:
    policy, found = SoftmaxPolicy.uniform(6, 40), []
    for _ in range(n_steps):
        found.append(_batch(policy))
        policy = policy.moved(rate * policy.gradient(objective.advantages(found[-1]).values))
        objective.update(found[-1])
    return [*found, _batch(policy)]


def test_an_equality_is_reached_by_both_rewards() -> None:
    found = _trained(_made("xi_constrained", thresholds={"kind": 0.6, "clear": 0.3}))
    np.testing.assert_allclose(found.means(), [0.3, 0.6], atol=0.05)


def test_a_lower_bound_is_reached_and_no_more_than_needed() -> None:
    start = _batch(SoftmaxPolicy.uniform(6, 40)).means()
    course = _course(_made("mu_constrained", thresholds={"clear": 0.5}), 2000)
    late = np.mean([batch.means()[0] for batch in course[1000:]])  # only averages converge
    assert late == pytest.approx(0.5, abs=0.05)
    assert start[0] < 0.2


def test_an_upper_bound_holds_while_rewards_are_raised() -> None:
    free = _trained(_made("all_constrained", thresholds={"clear": 50.0, "kind": 50.0}), 500).means()
    bound = _trained(_made("all_constrained", thresholds={"clear": 0.5, "kind": 0.5}), 1500).means()
    assert (free > 1.5).all()
    assert (bound <= 0.6).all()


def test_the_mixed_advantage_and_the_multipliers_follow_the_equations() -> None:
    batch = _batch(SoftmaxPolicy(np.random.default_rng(1).normal(size=(6, 40))))
    made = Constrained(ConstrainedConfig(thresholds={"clear": 1.0}, momentum=0.0, seed=4), "mu")
    mu = np.random.default_rng(4).normal(scale=0.01, size=1)
    task = -0.2 * leave_one_out(batch.log_ratio, batch.weights)
    each = standardised(leave_one_out(REWARDS[:1], batch.weights), batch.weights)
    expected = (1 - expit(mu)) * task + expit(mu) * each[0]
    found = made.advantages(batch)
    np.testing.assert_allclose(found.values, expected)
    gap = batch.means()[0] - 1.0
    assert found.logged["beyond clear"] == pytest.approx(gap)
    made.update(batch)
    slope = expit(mu) * (1 - expit(mu)) * gap
    slope = slope * min(1.0, 0.5 / abs(slope[0]))
    assert made.state()["multipliers"] == pytest.approx((mu - 0.1 * slope).tolist())


def test_a_state_is_taken_up() -> None:
    one, other = (Constrained(ConstrainedConfig(thresholds={"clear": 0.4}, seed=s), "xi") for s in (1, 2))
    batch = _batch(SoftmaxPolicy.uniform(6, 40))
    one.update(batch)
    other.restore(one.state())
    np.testing.assert_array_equal(one.advantages(batch).values, other.advantages(batch).values)


@pytest.mark.parametrize("name", ["mu_constrained", "xi_constrained", "all_constrained", "satisfice"])
def test_a_threshold_for_another_reward_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match="given for 'brief', which is no reward of this run; rewards are: clear, kind"
    ):
        _made(name, thresholds={"brief": 1.0}).advantages(_batch(SoftmaxPolicy.uniform(6, 40)))


def test_satisficing_comes_close_to_the_thresholds() -> None:
    objective = _made("satisfice", thresholds={"clear": 0.5, "kind": 0.5})
    start = float(np.mean(objective.advantages(_batch(SoftmaxPolicy.uniform(6, 40))).logged["satisfied"]))
    found = _trained(objective, 500)
    miss = ((REWARDS - 0.5) ** 2).sum(axis=0)
    assert float((found.weights * miss).sum(axis=1).mean()) < 0.3 < -start
    objective.restore(objective.state())


def test_pama_takes_the_weakest_positive_advantage_of_each_answer() -> None:
    batch = _batch(SoftmaxPolicy.uniform(6, 40))
    each = np.maximum(standardised(leave_one_out(REWARDS, batch.weights), batch.weights), 0)
    found = _made("pama", granularity="answer").advantages(batch)
    np.testing.assert_allclose(found.values, each.min(axis=0))
    assert found.logged["active"] == pytest.approx((each.min(axis=0) > 0).mean())


def test_pama_gives_a_batch_to_the_reward_with_least_left() -> None:
    batch = _batch(SoftmaxPolicy.uniform(6, 40))
    each = np.maximum(standardised(leave_one_out(REWARDS, batch.weights), batch.weights), 0)
    least = int(each.mean(axis=(1, 2)).argmin())
    found = _made("pama", granularity="batch").advantages(batch)
    np.testing.assert_allclose(found.values, each[least])
    assert found.logged[f"weight {NAMES[least]}"] == 1
    equal = _made("pama", equal=True).advantages(batch)
    np.testing.assert_allclose(equal.values, each.mean(axis=0))
    free = _made("pama", equal=True, noon=False).advantages(batch)
    assert (free.values < 0).any()


def test_both_rewards_rise_under_pama_and_mgda() -> None:
    start = _batch(SoftmaxPolicy.uniform(6, 40)).means()
    for objective in (_made("pama"), _made("pama", granularity="batch"), _made("mgda"), _made("mgda", normalise=True)):
        assert (_trained(objective, 100).means() - start > 0.3).all()
        objective.update(_batch(SoftmaxPolicy.uniform(6, 40)))
        objective.restore(objective.state())


def test_mgda_needs_gradients() -> None:
    with pytest.raises(ConfigError, match="needs the gradient of each reward"):
        _made("mgda").advantages(Batch(REWARDS, NAMES, np.zeros((6, 40))))
