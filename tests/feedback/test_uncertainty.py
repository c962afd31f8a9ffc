"""Disagreement, calibration, conformal bounds and gates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from moorings.errors import ConfigError
from moorings.feedback.uncertainty import (
    calibration,
    conformal_bound,
    disagreement,
    fit_temperature,
    gate,
    preference_probabilities,
)


def test_disagreement_is_the_population_variance():
    np.testing.assert_allclose(disagreement(np.array([[1.0, 2.0], [3.0, 2.0]])), [1.0, 0.0])


def test_calibration_against_sklearn_and_a_loop():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = rng.random(500) < p**2
    found = calibration(p, y, binning="width")
    assert found.brier == pytest.approx(brier_score_loss(y, p))
    bins = np.minimum((p * 10).astype(int), 9)
    ece = sum((bins == b).mean() * abs(y[bins == b].mean() - p[bins == b].mean()) for b in range(10))
    assert found.ece == pytest.approx(ece)
    assert found.n.sum() == 500
    mass = calibration(p, y)
    assert mass.n.tolist() == [50.0] * 10
    assert 0.05 < mass.ece < 0.3


def test_calibrated_probabilities_have_an_ece_within_its_bias():
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    assert calibration(p, rng.random(20_000) < p).ece < 3 * math.sqrt(0.25 / 2000)


def test_equal_probabilities_share_a_bin():
    found = calibration(np.full(8, 0.5), np.arange(8) < 2)
    assert (found.ece, found.brier) == (0.25, 0.25)
    assert found.n.tolist() == [8.0]
    assert calibration(np.array([0.0, 1.0]), np.array([False, True]), binning="width").ece == 0


@pytest.mark.parametrize("p", [[], [0.5, 1.5], [np.nan], [[0.5]]])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ConfigError, match="probabilities from 0 to 1"):
        calibration(np.array(p), np.zeros(len(p), dtype=bool))


def test_the_temperature_is_found_again():
    rng = np.random.default_rng(2)
    margins = 3 * rng.standard_normal(20_000)
    signed = np.where(rng.random(20_000) < expit(margins / 2), margins, -margins)
    assert fit_temperature(signed[None]) == pytest.approx(2, rel=0.05)
    before, after = (calibration(preference_probabilities(margins[None], t), signed == margins).ece for t in (0.5, 2.0))
    assert after < 0.02 < before
    with pytest.raises(ConfigError, match="all finite"):
        fit_temperature(np.array([[np.nan]]))


def test_disagreeing_members_are_less_sure_together():
    assert preference_probabilities(np.array([[4.0], [-4.0]])) == pytest.approx([0.5])
    assert preference_probabilities(np.array([[4.0], [4.0]])) == pytest.approx([expit(4.0)])


@pytest.mark.parametrize(
    ("n", "alpha", "rank"), [(19, 0.1, 18), (19, 0.05, 19), (9, 0.1, 9), (99, 0.1, 90), (4, 0.5, 3)]
)
def test_the_bound_is_the_ranked_score(n, alpha, rank):
    scores = np.random.default_rng(3).permutation(n) + 1.0
    assert conformal_bound(scores, alpha) == rank


def test_too_few_scores_bound_nothing():
    assert conformal_bound(np.arange(8.0), 0.1) == math.inf
    assert conformal_bound(np.empty(0), 0.1) == math.inf
    for scores, alpha in (([1.0], 0.0), ([1.0], 1.0), ([np.nan], 0.1)):
        with pytest.raises(ConfigError, match="alpha is"):
            conformal_bound(np.array(scores), alpha)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
def test_coverage_is_within_two_percent_of_nominal_over_200_random_splits(alpha):
    rng = np.random.default_rng(4)
    scores = np.exp(rng.standard_normal(1000)) * rng.choice([-1.0, 1.0], 1000)
    shares = []
    for _ in range(200):
        order = rng.permutation(1000)
        bound = conformal_bound(scores[order[:500]], alpha)
        shares.append(np.mean(scores[order[500:]] > bound))
    assert np.mean(shares) == pytest.approx(alpha, abs=0.02)


def test_coverage_of_all_splits_is_exact_by_enumeration():
    """Each of n + 1 exchangeable scores is the last with equal probability."""
    scores = np.array([3.0, -1.0, 4.0, 1.5, 9.0, 2.6, 5.0, 0.0, 7.0, 8.0])
    exceeded = [scores[at] > conformal_bound(np.delete(scores, at), 0.2) for at in range(10)]
    assert sum(exceeded) == 2


def test_a_gate_decides_only_what_is_sure():
    low = np.array([0.0, -1.0, -2.0, np.nan, np.nan])
    high = np.array([1.0, 0.0, -0.1, 5.0, -1.0])
    assert gate(low, high, 0.0) == ["accept", "escalate", "reject", "escalate", "reject"]
