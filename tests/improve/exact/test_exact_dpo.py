"""DPO against finite differences and its closed-form optimum."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.errors import ConfigError
from moorings.improve.exact.closed_form import tilted
from moorings.improve.exact.dpo import Dpo, all_pairs, draw_pairs, fit_dpo
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.exact.sampled import climb


def _reward() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 6))


def test_all_pairs_recover_the_optimum_of_reward_less_kl() -> None:
    reward = _reward()
    base = np.random.default_rng(2).normal(size=(3, 6))
    fitted = fit_dpo(SoftmaxPolicy(np.zeros((3, 6)), base=base), Dpo(all_pairs(reward), beta=0.5))
    np.testing.assert_allclose(np.exp(fitted.log_p), np.exp(tilted(reward, 0.5, base).log_p), atol=1e-6)


@pytest.mark.parametrize(("loss", "flip_rate"), [("sigmoid", 0.0), ("ipo", 0.0), ("robust", 0.2)])
@pytest.mark.parametrize("features", [False, True])
def test_gradient_is_that_of_the_loss(loss: str, flip_rate: float, features: bool) -> None:
    rng = np.random.default_rng(3)
    policy = (
        SoftmaxPolicy(rng.normal(size=4), rng.normal(size=(3, 6, 4)))
        if features
        else SoftmaxPolicy(rng.normal(size=(3, 6)), base=rng.normal(size=(3, 6)))
    )
    dpo = Dpo(all_pairs(_reward()), beta=0.4, loss=loss, flip_rate=flip_rate)
    found = dpo.loss_and_gradient(policy)[1]
    slow = np.zeros_like(policy.theta)
    for place in np.ndindex(policy.theta.shape):
        step = np.zeros_like(policy.theta)
        step[place] = 1e-6
        up, down = dpo.loss_and_gradient(policy.moved(step))[0], dpo.loss_and_gradient(policy.moved(-step))[0]
        slow[place] = (up - down) / 2e-6
    np.testing.assert_allclose(found, slow, atol=1e-8)


def test_robust_loss_undoes_flipped_labels() -> None:
    """Its mean over flips is the sigmoid loss of the true labels."""
    pairs = all_pairs(_reward())
    flipped = pairs._replace(label=0.8 * pairs.label + 0.2 * (1 - pairs.label))
    policy = SoftmaxPolicy(np.random.default_rng(4).normal(size=(3, 6)))
    robust = Dpo(flipped, loss="robust", flip_rate=0.2).loss_and_gradient(policy)
    plain = Dpo(pairs).loss_and_gradient(policy)
    assert robust[0] == pytest.approx(plain[0])
    np.testing.assert_allclose(robust[1], plain[1], atol=1e-12)


def test_ipo_ends_at_a_gap_of_half_over_beta() -> None:
    reward = np.array([[1.0, 0.0]])
    pairs = draw_pairs(reward, 20, np.random.default_rng(5))
    policy = fit_dpo(SoftmaxPolicy.uniform(1, 2), Dpo(pairs, beta=0.25, loss="ipo"))
    assert policy.log_p[0, 0] - policy.log_p[0, 1] == pytest.approx(2.0, abs=1e-6)


def test_drawn_pairs_are_ordered_and_flipped_at_the_rate() -> None:
    reward = _reward()
    pairs = draw_pairs(reward, 4000, np.random.default_rng(6), flip_rate=0.25)
    assert (pairs.first != pairs.second).all()
    wrong = (reward[pairs.prompt, pairs.first] < reward[pairs.prompt, pairs.second]).mean()
    assert abs(wrong - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    clean = draw_pairs(reward, 200, np.random.default_rng(6))
    assert (reward[clean.prompt, clean.first] > reward[clean.prompt, clean.second]).all()


def test_margin_grows_while_steps_fall_down_the_loss() -> None:
    reward = _reward()
    dpo = Dpo(all_pairs(reward), beta=0.5, learning_rate=2.0)
    trace = climb(SoftmaxPolicy.uniform(3, 6), reward, dpo, 100, np.random.default_rng(7), gold=reward)
    assert (np.diff(trace.logged["loss"][:-1]) < 0).all()
    assert trace.logged["margin"][-2] > trace.logged["margin"][1] > 0
    assert trace.gold[-1] > trace.gold[0]
    assert trace.kl_weight[0] == 0.5


@pytest.mark.parametrize(
    "settings", [{"beta": 0.0}, {"flip_rate": 0.1}, {"loss": "robust"}, {"loss": "robust", "flip_rate": 0.5}]
)
def test_settings_that_do_not_fit_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match="give a beta above 0"):
        Dpo(all_pairs(_reward()), **settings)
