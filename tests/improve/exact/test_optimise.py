"""Exact ascent against closed forms, and its sampled gradient against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.exact.closed_form import tilted, tilted_to_kl
from moorings.improve.exact.kl import AdaptiveKl, estimate_kl
from moorings.improve.exact.optimise import natural_step, optimise, score_gradient
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.objective import Batch, Objective, leave_one_out, objectives


def _equal() -> Objective:
    return objectives.make(Use(use="weighted"))


def _rewards(shape: tuple[int, int] = (3, 5), seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def _policies() -> list[SoftmaxPolicy]:
    rng = np.random.default_rng(2)
    return [
        SoftmaxPolicy(rng.normal(size=(2, 3)), base=rng.normal(size=(2, 3))),
        SoftmaxPolicy(rng.normal(size=4), rng.normal(size=(2, 3, 4))),
    ]


def test_ascent_ends_at_the_closed_form_optimum() -> None:
    reward = _rewards()
    base = _rewards(seed=3)
    start = SoftmaxPolicy(np.zeros((3, 5)), base=base)
    trace = optimise(start, {"r": reward}, _equal(), 150, 0.5, kl_weight=0.4, natural=True)
    best = tilted(reward, 0.4, base)
    np.testing.assert_allclose(np.exp(trace.policy.log_p), np.exp(best.log_p), atol=1e-10)
    plain = optimise(start, {"r": reward}, _equal(), 500, 6.0, kl_weight=0.4)
    np.testing.assert_allclose(np.exp(plain.policy.log_p), np.exp(best.log_p), atol=2e-3)


def test_shared_features_end_where_the_gradient_is_zero() -> None:
    reward = _rewards()
    start = SoftmaxPolicy.uniform(3, 5, np.random.default_rng(4).normal(size=(3, 5, 2)))
    trace = optimise(start, {"r": reward}, _equal(), 300, 0.5, kl_weight=0.5, natural=True)
    end = trace.policy
    np.testing.assert_allclose(end.gradient(reward - 0.5 * (end.log_p - end.log_base)), 0, atol=1e-10)


def test_natural_gradient_moves_along_the_tilt() -> None:
    reward = _rewards()
    trace = optimise(SoftmaxPolicy.uniform(3, 5), {"r": reward}, _equal(), 20, 0.1, natural=True)
    np.testing.assert_allclose(trace.policy.log_p, tilted(reward, 1 / 2.0).log_p, atol=1e-12)


@pytest.mark.parametrize("policy", _policies(), ids=["tabular", "features"])
def test_natural_step_solves_the_fisher_system(policy: SoftmaxPolicy) -> None:
    n_prompts, n_answers = policy.log_p.shape
    fisher = np.zeros((policy.theta.size, policy.theta.size))
    for q, a in itertools.product(range(n_prompts), range(n_answers)):
        drawn = np.zeros((n_prompts, 1), dtype=int)
        drawn[q] = a
        only = np.zeros((n_prompts, 1))
        only[q] = 1.0
        score = score_gradient(policy, drawn, only).ravel()
        fisher += np.exp(policy.log_p[q, a]) / n_prompts * np.outer(score, score)
    gradient = policy.gradient(_rewards((2, 3)))
    found = natural_step(policy, gradient).ravel()
    np.testing.assert_allclose(fisher @ found, gradient.ravel(), atol=1e-10)


@pytest.mark.parametrize("policy", _policies(), ids=["tabular", "features"])
def test_drawn_gradient_is_right_on_average(policy: SoftmaxPolicy) -> None:
    """RLOO with KL in the reward: the mean over all draws of two answers, each weighed by its probability."""
    reward = _rewards((2, 3))
    ratio = policy.log_p - policy.log_base
    rows = np.arange(2)[:, None]
    mean = np.zeros_like(policy.theta)
    for first, second in itertools.product(itertools.product(range(3), repeat=2), repeat=2):
        drawn = np.array([first, second])
        chance = np.exp(policy.log_p[rows, drawn]).prod()
        factors = leave_one_out(reward[rows, drawn] - 0.3 * ratio[rows, drawn]) / drawn.size
        mean = mean + chance * score_gradient(policy, drawn, factors)
    np.testing.assert_allclose(mean, policy.gradient(reward - 0.3 * ratio), atol=1e-12)


def test_steps_from_draws_climb_to_nearly_the_same_place() -> None:
    reward = _rewards((4, 6))
    start = SoftmaxPolicy.uniform(4, 6)
    rng = np.random.default_rng(5)
    trace = optimise(start, {"r": reward}, _equal(), 250, 0.6, kl_weight=0.5, draws=8, rng=rng, gold=reward)
    best = float(tilted(reward, 0.5).mean(reward).mean())
    assert abs(trace.gold[-100:].mean() - best) < 0.1
    again = optimise(
        start, {"r": reward}, _equal(), 250, 0.6, kl_weight=0.5, draws=8, rng=np.random.default_rng(5), gold=reward
    )
    np.testing.assert_array_equal(trace.kl, again.kl)


def test_trace_holds_the_start_and_every_step() -> None:
    rewards = {"a": _rewards(), "b": _rewards(seed=6)}
    gold = _rewards(seed=7)
    seen: list[int] = []

    class Odd:
        """Logs at even steps only."""

        def advantages(self, batch: Batch):
            made = _equal().advantages(batch)
            return made._replace(logged={"odd": float(batch.step)} if batch.step % 2 == 0 else {})

        def update(self, batch: Batch) -> None:
            seen.append(batch.step)

        def state(self) -> dict[str, object]:
            return {}

        def restore(self, state: dict[str, object]) -> None:
            pass

    start = SoftmaxPolicy.uniform(3, 5)
    trace = optimise(start, rewards, Odd(), 3, 0.1, gold=gold, watched={"length": np.ones((3, 5))})
    assert seen == [0, 1, 2]
    assert trace.kl[0] == pytest.approx(0, abs=1e-15)
    assert [len(column) for column in (trace.gold, trace.kl, trace.rewards["a"], trace.kl_weight)] == [4] * 4
    np.testing.assert_array_equal(trace.logged["odd"], [0, np.nan, 2, np.nan])
    assert trace.rewards["b"][0] == pytest.approx(rewards["b"].mean())
    assert trace.gold[-1] == pytest.approx(trace.policy.mean(gold).mean())
    np.testing.assert_allclose(trace.watched["length"], 1)
    assert np.isnan(optimise(start, rewards, _equal(), 0, 0.1).gold).all()


def test_adaptive_weight_holds_the_target() -> None:
    trace = optimise(
        SoftmaxPolicy.uniform(3, 20),
        {"r": _rewards((3, 20))},
        _equal(),
        300,
        0.5,
        kl_weight=AdaptiveKl(0.3, target_nats=0.7),
        natural=True,
    )
    assert trace.kl[-1] == pytest.approx(0.7, abs=0.02)
    assert AdaptiveKl(0.1, target_nats=1.0).after(0.5).weight == pytest.approx(0.098)


def test_wrong_calls_are_refused() -> None:
    start = SoftmaxPolicy.uniform(3, 5)
    with pytest.raises(ConfigError, match="one value an answer"):
        optimise(start, {"r": _rewards((3, 4))}, _equal(), 1, 0.1)
    with pytest.raises(ConfigError, match="none given"):
        optimise(start, {}, _equal(), 1, 0.1)
    with pytest.raises(ConfigError, match="at least 2 with an rng"):
        optimise(start, {"r": _rewards()}, _equal(), 1, 0.1, draws=4)
    with pytest.raises(ConfigError, match="best answer alone"):
        tilted(_rewards(), 0.0)
    with pytest.raises(ConfigError, match="stay between"):
        tilted_to_kl(_rewards(), 9.0)


def test_frontier_reaches_the_kl_that_is_asked_for() -> None:
    assert tilted_to_kl(_rewards(), 0.8).kl().mean() == pytest.approx(0.8)
    assert tilted_to_kl(_rewards(), 0.1, _rewards(seed=8)).kl().mean() == pytest.approx(0.1)


def test_kl_estimators_have_their_expectations() -> None:
    policy = _policies()[0]
    ratio = policy.log_p - policy.log_base
    for name in ("k1", "k3"):
        np.testing.assert_allclose(policy.mean(estimate_kl(ratio, name)), policy.kl(), atol=1e-12)
    np.testing.assert_allclose(policy.mean(estimate_kl(ratio, "k2")), policy.mean(ratio**2 / 2))
    assert (estimate_kl(np.linspace(-3, 3, 25), "k3") >= 0).all()
