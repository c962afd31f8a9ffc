"""Heads: the loss against its formula, its gradient against differences, members against training alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from moorings.errors import ConfigError
from moorings.feedback.label_noise import loss_weights, pair_loss
from moorings.feedback.reward_training import Heads, HeadSettings, fit_heads, torch_pair_loss


def made(n: int = 200, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of pairs whose labels follow Bradley-Terry on a direction."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(d)
    one, other = rng.standard_normal((2, n, d)) + 3.0
    first = rng.random(n) < 1 / (1 + np.exp(-(one - other) @ direction))
    return np.where(first[:, None], one, other), np.where(first[:, None], other, one), direction


@pytest.mark.parametrize(("kind", "rate"), [("plain", 0.0), ("smoothed", 0.1), ("unbiased", 0.2)])
def test_the_loss_is_its_formula(kind, rate):
    rng = np.random.default_rng(1)
    chosen, rejected = rng.standard_normal((2, 20)) * 3
    found = torch_pair_loss(
        torch.tensor(chosen), torch.tensor(rejected), torch.ones(20), loss_weights(kind, rate), 0.001
    )
    np.testing.assert_allclose(
        found, pair_loss(chosen - rejected, kind, rate) + 0.001 * (chosen**2 + rejected**2) / 2, rtol=1e-6
    )


def test_the_gradient_is_that_of_finite_differences():
    values = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    noise, label, h = loss_weights("unbiased", 0.3), torch.tensor(0.8, dtype=torch.float64), 1e-6

    def loss(scores: torch.Tensor) -> torch.Tensor:
        return torch_pair_loss(scores[0], scores[1], label, noise, 0.01)

    loss(values).backward()
    steps = torch.eye(2, dtype=torch.float64) * h
    numeric = [float((loss(values + s) - loss(values - s)).detach()) / (2 * h) for s in steps]
    np.testing.assert_allclose(values.grad, numeric, atol=1e-8)


def test_a_soft_label_is_the_mixture_of_both_labels():
    c, r = torch.tensor([1.3]), torch.tensor([0.2])
    noise = loss_weights("plain", 0.0)
    both = [float(torch_pair_loss(a, b, torch.ones(1), noise, 0.0)) for a, b in ((c, r), (r, c))]
    assert float(torch_pair_loss(c, r, torch.tensor([0.3]), noise, 0.0)) == pytest.approx(0.3 * both[0] + 0.7 * both[1])


@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("differ", ["seed", "projection"])
def test_a_member_is_what_it_would_be_alone(hidden, differ):
    chosen, rejected, _ = made()
    settings = HeadSettings(members=3, hidden=hidden, differ=differ, projected_d=4, seed=9)
    rows = np.concatenate([chosen, rejected])
    together = fit_heads(chosen, rejected, settings).scores(rows)
    alone = fit_heads(chosen, rejected, settings.model_copy(update={"members": 1})).scores(rows)
    np.testing.assert_allclose(together[:1], alone, atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-3)


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    chosen, rejected, _ = made()
    one, same, other = (fit_heads(chosen, rejected, HeadSettings(members=2, seed=seed)) for seed in (4, 4, 5))
    assert one.w1.tobytes() == same.w1.tobytes()
    assert one.w2.tobytes() == same.w2.tobytes()
    assert one.w1.tobytes() != other.w1.tobytes()


def test_scores_are_those_of_a_loop_over_members():
    chosen, rejected, _ = made(40)
    heads = fit_heads(chosen, rejected, HeadSettings(members=3, hidden=4))
    expected = [
        [float(np.maximum(row @ heads.w1[m] + heads.b1[m], 0) @ heads.w2[m]) for row in chosen] for m in range(3)
    ]
    np.testing.assert_allclose(heads.scores(chosen), expected, rtol=1e-12)


def test_a_linear_head_finds_the_penalised_maximum_likelihood():
    chosen, rejected, direction = made(400)
    settings = HeadSettings(members=1, hidden=0, epochs=300, batch_size=400, learning_rate=0.05, score_l2=0.01)
    found = fit_heads(chosen, rejected, settings)
    both = np.stack([chosen, rejected])
    centred = both - both.mean(axis=(0, 1))

    def loss(w: np.ndarray) -> float:
        score = centred @ w
        return float((pair_loss(score[0] - score[1]) + 0.01 * (score**2).sum(axis=0) / 2).mean())

    best = minimize(loss, np.zeros(6), method="BFGS").x
    np.testing.assert_allclose(found.w1[0, :, 0], best, atol=0.01)
    assert np.corrcoef(best, direction)[0, 1] > 0.9
    # The mean answer scores 0: the head has no constant to learn.
    assert found.scores(both.mean(axis=(0, 1))[None])[0, 0] == pytest.approx(0, abs=1e-5)


def test_a_hidden_layer_learns_what_no_linear_head_can():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((2, 1500, 4))
    value = np.abs(rows[..., 0])
    first = value[0] > value[1]
    chosen, rejected = (np.where((first == side)[:, None], rows[0], rows[1]) for side in (True, False))
    shares = []
    for hidden in (0, 16):
        heads = fit_heads(chosen[:1000], rejected[:1000], HeadSettings(members=1, hidden=hidden, epochs=10))
        shares.append(float((heads.scores(chosen[1000:]) > heads.scores(rejected[1000:])).mean()))
    assert shares[0] < 0.6 < 0.9 < shares[1]


def test_flipped_labels_harm_and_soft_labels_of_one_half_teach_nothing():
    chosen, rejected, _ = made(600)
    settings = HeadSettings(members=1, hidden=0, epochs=20)
    plain = fit_heads(chosen, rejected, settings)
    none = fit_heads(chosen, rejected, settings, soft_labels=np.full(600, 0.5))
    margins = [float((one.scores(chosen) - one.scores(rejected)).mean()) for one in (plain, none)]
    assert margins[0] > 0.5 > 0.05 > abs(margins[1])


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ConfigError, match="0 pairs given"):
        fit_heads(np.empty((0, 3)), np.empty((0, 3)), HeadSettings())
    with pytest.raises(ConfigError, match="leave out those"):
        fit_heads(np.array([[np.nan]]), np.array([[1.0]]), HeadSettings())
    with pytest.raises(ConfigError, match="takes no flip rate"):
        HeadSettings(flip_rate=0.2)


def test_rows_of_another_length_are_refused_and_missing_ones_stay_missing():
    heads = Heads(np.ones((2, 3, 1)), np.zeros((2, 1)), np.ones((2, 1)), linear=True)
    with pytest.raises(ConfigError, match="rows of 4 numbers"):
        heads.scores(np.ones((1, 4)))
    np.testing.assert_array_equal(heads.scores(np.array([[1.0, 2, 3], [1, np.nan, 1]])), [[6, np.nan], [6, np.nan]])
    assert np.isnan(heads.scores(np.full((2, 1), np.nan))).all()


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    chosen, rejected, _ = made(20)
    fit_heads(chosen, rejected, HeadSettings(members=1, epochs=1))
    assert torch.get_num_threads() == before
