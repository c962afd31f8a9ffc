"""The exact policy against finite differences and sampling."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.objective import Batch, leave_one_out


def _policies() -> list[SoftmaxPolicy]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(3, 5, 4))
    return [
        SoftmaxPolicy(rng.normal(size=(3, 5)), base=rng.normal(size=(3, 5))),
        SoftmaxPolicy(rng.normal(size=4), features),
    ]


@pytest.mark.parametrize("policy", _policies(), ids=["tabular", "features"])
def test_gradient_is_that_of_reward_less_kl(policy: SoftmaxPolicy) -> None:
    rewards = np.random.default_rng(2).normal(size=(3, 5))

    def goal(at: SoftmaxPolicy) -> float:
        return float((at.mean(rewards) - 0.3 * at.kl()).mean())

    found = policy.gradient(rewards - 0.3 * (policy.log_p - policy.log_base))
    slow = np.zeros_like(policy.theta)
    for place in np.ndindex(policy.theta.shape):
        step = np.zeros_like(policy.theta)
        step[place] = 1e-6
        slow[place] = (goal(policy.moved(step)) - goal(policy.moved(-step))) / 2e-6
    np.testing.assert_allclose(found, slow, atol=1e-8)


def test_the_start_policy_is_uniform_and_has_no_kl() -> None:
    policy = SoftmaxPolicy.uniform(2, 4)
    np.testing.assert_allclose(np.exp(policy.log_p), 0.25)
    np.testing.assert_allclose(policy.kl(), 0, atol=1e-15)


def test_samples_follow_the_policy() -> None:
    policy = _policies()[0]
    drawn = policy.sample(40_000, np.random.default_rng(3))
    shares = np.stack([np.bincount(row, minlength=5) for row in drawn]) / 40_000
    np.testing.assert_allclose(shares, np.exp(policy.log_p), atol=0.012)


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    values = np.random.default_rng(4).normal(size=(2, 3, 4))
    slow = np.stack([values[..., i] - np.delete(values, i, axis=-1).mean(axis=-1) for i in range(4)], axis=-1)
    np.testing.assert_allclose(leave_one_out(values), slow)
    with pytest.raises(ValueError, match="at least 2"):
        leave_one_out(values[..., :1])
    weights = np.full((3, 4), 0.25)
    np.testing.assert_allclose(leave_one_out(values, weights).sum(axis=-1), 0, atol=1e-12)
    batch = Batch(values, ("a", "b"), np.zeros((3, 4)), weights)
    np.testing.assert_allclose(batch.means(), Batch(values, ("a", "b"), np.zeros((3, 4))).means())
