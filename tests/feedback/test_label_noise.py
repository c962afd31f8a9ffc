"""Flips, losses that bear them, and estimates of their rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feedback_tools import made_preferences
from scipy.special import expit

from moorings.errors import ConfigError
from moorings.feedback.label_noise import (
    _nll_and_gradient,
    flip_labels,
    flip_rate_from_agreement,
    flip_rate_from_margins,
    loss_weights,
    pair_loss,
)
from moorings.feedback.preference_readers import read_preferences
from moorings.feedback.preferences import write_preferences


def test_flips_are_counted_fixed_by_the_seed_and_stored(tmp_path):
    some = made_preferences(40)
    noisy = flip_labels(some, 0.25, np.random.default_rng(3))
    assert sum(one.metadata["flipped"] for one in noisy) == 10
    assert noisy == flip_labels(some, 0.25, np.random.default_rng(3))
    assert noisy != flip_labels(some, 0.25, np.random.default_rng(4))
    for before, after in zip(some, noisy, strict=True):
        turned = after.metadata["flipped"]
        assert (after.chosen, after.rejected) == (
            (before.rejected, before.chosen) if turned else (before.chosen, before.rejected)
        )
    assert read_preferences(write_preferences(noisy, tmp_path / "p.jsonl")).preferences == noisy


def test_a_label_turned_twice_stands_as_it_was():
    once = flip_labels(made_preferences(5), 1.0, np.random.default_rng(0))
    twice = flip_labels(once, 1.0, np.random.default_rng(0))
    assert [one.chosen for one in twice] == [one.chosen for one in made_preferences(5)]
    assert not any(one.metadata["flipped"] for one in twice)


def test_the_mean_of_the_unbiased_loss_over_flips_is_the_clean_loss():
    margins, rate = np.linspace(-4, 4, 9), 0.3
    noisy = (1 - rate) * pair_loss(margins, "unbiased", rate) + rate * pair_loss(-margins, "unbiased", rate)
    np.testing.assert_allclose(noisy, pair_loss(margins))
    np.testing.assert_allclose(pair_loss(margins), -np.log(expit(margins)))


def test_the_smoothed_loss_is_least_where_the_probability_is_one_minus_the_rate():
    margins = np.linspace(-5, 5, 100_001)
    assert expit(margins[pair_loss(margins, "smoothed", 0.2).argmin()]) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("kind", "rate"), [("plain", 0.1), ("unbiased", 0.5), ("smoothed", -0.1)])
def test_impossible_rates_are_refused(kind, rate):
    with pytest.raises(ConfigError, match="flip rate"):
        loss_weights(kind, rate)
    with pytest.raises(ConfigError, match=r"flip rate is 1\.5"):
        flip_labels([], 1.5, np.random.default_rng(0))


def test_two_labellings_tell_the_rate_within_their_error():
    rng = np.random.default_rng(5)
    n, rate = 2000, 0.15
    found = []
    for _ in range(200):
        one, other = rng.random((2, n)) < rate
        found.append(flip_rate_from_agreement(int((one == other).sum()), n))
    inside = np.mean([abs(one.rate - rate) < 1.96 * one.standard_error for one in found])
    # Binomial error of 200 trials at 0.95 is 0.015.
    assert 0.90 < inside <= 1.0
    assert np.mean([one.rate for one in found]) == pytest.approx(rate, abs=0.003)
    assert flip_rate_from_agreement(10, 10) == (0.0, 0.0)
    assert flip_rate_from_agreement(1, 2).rate == 0.5
    with pytest.raises(ConfigError, match="3 of 2 labels agree"):
        flip_rate_from_agreement(3, 2)


def drawn_margins(rng: np.random.Generator, rate: float, n: int) -> np.ndarray:
    """Margins in the order of noisy labels: truth by Bradley-Terry at three times the margin, then flips."""
    margins = rng.standard_normal(n) * 2
    first = (rng.random(n) < expit(3 * margins)) != (rng.random(n) < rate)
    return np.where(first, margins, -margins)


@pytest.mark.parametrize("rate", [0.05, 0.25])
def test_margins_tell_the_rate_within_their_error(rate):
    rng = np.random.default_rng(6)
    found = [flip_rate_from_margins(drawn_margins(rng, rate, 1500)) for _ in range(60)]
    assert np.mean([one.rate for one in found]) == pytest.approx(rate, abs=0.01)
    inside = np.mean([abs(one.rate - rate) < 1.96 * one.standard_error for one in found])
    assert inside > 0.85  # 0.95 less three and a half binomial errors of 60 trials


def test_the_estimate_does_not_depend_on_the_margins_unit():
    margins = drawn_margins(np.random.default_rng(7), 0.2, 800)
    assert flip_rate_from_margins(margins).rate == pytest.approx(flip_rate_from_margins(100 * margins).rate, abs=1e-4)


def test_the_gradient_is_that_of_finite_differences():
    margins = drawn_margins(np.random.default_rng(8), 0.2, 50)
    x, h = np.array([0.17, 0.4]), 1e-6
    numeric = [
        (_nll_and_gradient(x + step, margins)[0] - _nll_and_gradient(x - step, margins)[0]) / (2 * h)
        for step in np.eye(2) * h
    ]
    np.testing.assert_allclose(_nll_and_gradient(x, margins)[1], numeric, atol=1e-7)


def test_at_the_edge_there_is_no_error_and_too_little_is_refused():
    assert math.isnan(flip_rate_from_margins(np.ones(20)).standard_error)
    with pytest.raises(ConfigError, match="at least ten"):
        flip_rate_from_margins(np.ones(3))
    with pytest.raises(ConfigError, match="all finite"):
        flip_rate_from_margins(np.full(20, np.nan))
