"""GRPO and PPO: expected gradients by enumeration of all draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from moorings.improve.exact.closed_form import tilted
from moorings.improve.exact.grpo import Grpo
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.exact.ppo import Ppo, clipped_gradient
from moorings.improve.exact.sampled import climb

_N = 3
"""Answers drawn of one prompt, so that all draws can be listed."""


def _policy(features: bool = False) -> SoftmaxPolicy:
    rng = np.random.default_rng(1)
    if features:
        return SoftmaxPolicy(rng.normal(size=2), rng.normal(size=(1, 4, 2)))
    return SoftmaxPolicy(rng.normal(size=(1, 4)), base=rng.normal(size=(1, 4)))


REWARD = np.array([[0.3, -1.0, 2.0, 0.9]])


def _expected(policy: SoftmaxPolicy, gradient: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    total = np.zeros_like(policy.theta)
    p = np.exp(policy.log_p[0])
    for some in itertools.product(range(4), repeat=_N):
        total = total + p[list(some)].prod() * gradient(np.array([some]))
    return total


def _slope(policy: SoftmaxPolicy, goal: Callable[[SoftmaxPolicy], float]) -> np.ndarray:
    slow = np.zeros_like(policy.theta)
    for place in np.ndindex(policy.theta.shape):
        step = np.zeros_like(policy.theta)
        step[place] = 1e-6
        slow[place] = (goal(policy.moved(step)) - goal(policy.moved(-step))) / 2e-6
    return slow


@pytest.mark.parametrize("features", [False, True])
def test_grpo_without_scale_is_the_exact_gradient_shrunk(features: bool) -> None:
    policy = _policy(features)
    grpo = Grpo(0.1, group_size=_N, scale=False, kl_weight=0.3, kl_in_reward=True)
    found = _expected(policy, lambda drawn: grpo.estimate(policy, drawn, REWARD).gradient)
    exact = policy.gradient(REWARD - 0.3 * (policy.log_p - policy.log_base))
    np.testing.assert_allclose(found, (_N - 1) / _N * exact, atol=1e-12)


def test_k3_as_a_loss_has_the_gradient_of_the_other_kl() -> None:
    policy = _policy()
    grpo = Grpo(0.1, group_size=_N, scale=False, kl_weight=1.0)
    found = _expected(policy, lambda drawn: grpo.estimate(policy, drawn, np.zeros((1, 4))).gradient)

    def forward(at: SoftmaxPolicy) -> float:
        return -float((np.exp(at.log_base) * (at.log_base - at.log_p)).sum())

    np.testing.assert_allclose(found, _slope(policy, forward), atol=1e-8)
    assert not np.allclose(found, -policy.gradient(policy.log_p - policy.log_base), atol=0.05)


def test_grpo_scale_is_the_deviation_of_the_group() -> None:
    policy = _policy()
    drawn = np.array([[0, 1, 2]])
    plain = Grpo(0.1, scale=False).estimate(policy, drawn, REWARD).gradient
    scaled = Grpo(0.1, epsilon=0.0).estimate(policy, drawn, REWARD).gradient
    np.testing.assert_allclose(scaled, plain / REWARD[0, :3].std(ddof=1), atol=1e-15)


def test_grpo_counts_groups_that_teach_nothing() -> None:
    policy = SoftmaxPolicy.uniform(2, 4)
    reward = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    made = Grpo(0.1).estimate(policy, np.array([[0, 1], [0, 1]]), reward)
    assert made.logged == {"zero_variance": 0.5}
    np.testing.assert_array_equal(made.gradient[0], 0)


def test_grpo_length_choices_weigh_answers_as_they_say() -> None:
    policy = _policy()
    lengths = np.array([[1, 2, 4, 5]])
    drawn = np.array([[0, 1, 2]])
    advantages = REWARD[0, :3] - REWARD[0, :3].mean()
    score = np.eye(4)[:3] - np.exp(policy.log_p)
    for length, divisor in (("answer", np.array([1, 2, 4]) * 3), ("batch", 7), ("constant", 5 * 3)):
        found = Grpo(0.1, scale=False, length=length, n_tokens=lengths).estimate(policy, drawn, REWARD).gradient
        np.testing.assert_allclose(found[0], (advantages / divisor) @ score, atol=1e-12)


def test_ppo_starts_with_the_exact_gradient_for_any_baseline() -> None:
    policy = _policy()
    ratio = policy.log_p - policy.log_base
    advantages = REWARD - 0.2 * ratio - 1.7
    found = _expected(policy, lambda d: clipped_gradient(policy, policy, d, advantages[[[0]], d], 0.2).gradient)
    np.testing.assert_allclose(found, policy.gradient(advantages), atol=1e-12)


def test_ppo_clips_as_its_objective_does() -> None:
    old = _policy()
    policy = old.moved(np.array([[0.6, -0.5, 0.1, -0.05]]))
    advantages = np.array([[1.0, -0.7, 0.5, -0.4]])

    def surrogate(at: SoftmaxPolicy) -> float:
        ratio = np.exp(at.log_p - old.log_p)
        return float(old.mean(np.minimum(ratio * advantages, np.clip(ratio, 0.8, 1.2) * advantages))[0])

    p = np.exp(old.log_p[0])
    made = [clipped_gradient(policy, old, np.array([[a]]), advantages[:, [a]], 0.2) for a in range(4)]
    found = sum(p[a] * one.gradient for a, one in enumerate(made))
    np.testing.assert_allclose(found, _slope(policy, surrogate), atol=1e-8)
    assert [one.logged["clipped"] for one in made] == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "climber",
    [
        Grpo(1.0, group_size=8, kl_weight=0.3, kl_in_reward=True, scale=False),
        Ppo(0.5, group_size=8, epochs=2, kl_weight=0.3),
    ],
    ids=["grpo", "ppo"],
)
def test_both_climb_towards_the_optimum(climber: Grpo | Ppo) -> None:
    reward = np.random.default_rng(3).normal(size=(4, 6))
    start = SoftmaxPolicy.uniform(4, 6)
    trace = climb(start, reward, climber, 200, np.random.default_rng(4), gold=reward, watched={"r": reward})
    best = float(tilted(reward, 0.3).mean(reward).mean())
    # GRPO's gradient of the reward is shrunk by (G - 1) / G, that of the KL with it.
    assert abs(trace.gold[-100:].mean() - best) < 0.12
    np.testing.assert_array_equal(trace.watched["r"], trace.rewards["reward"])
    assert len(trace.kl) == 201
    assert (trace.kl_weight == 0.3).all()


def test_ppo_learns_its_baseline() -> None:
    ppo = Ppo(1e-6, group_size=16, kl_weight=0.0, value_rate=0.5)
    reward = np.array([[2.0, 2.0], [-1.0, -1.0]])
    climb(SoftmaxPolicy.uniform(2, 2), reward, ppo, 30, np.random.default_rng(5))
    np.testing.assert_allclose(ppo.values, [2.0, -1.0], atol=1e-6)
