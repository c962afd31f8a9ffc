from __future__ import annotations

import numpy as np
import pytest

from moorings.errors import ConfigError, InputError
from moorings.statistics.annotator import Calibration, Estimate, difference, prediction_powered_mean, rogan_gladen


def close(rate, nominal, n):
    return abs(rate - nominal) <= 3.3 * np.sqrt(nominal * (1 - nominal) / n)


def annotate(rng, n, share, se, sp, n_known=150):
    truth = rng.random(n) < share
    flagged = int((rng.random(n) < np.where(truth, se, 1 - sp)).sum())
    return flagged, n, Calibration(int(rng.binomial(n_known, se)), n_known, int(rng.binomial(n_known, sp)), n_known)


def test_closed_form():
    estimate = rogan_gladen(31, 100, Calibration(80, 100, 90, 100), 0.9)
    assert estimate.value == pytest.approx((0.31 + 0.9 - 1) / 0.7)
    assert estimate.high - estimate.value == pytest.approx(1.6448536 * estimate.se)
    assert estimate.value - estimate.low == pytest.approx(1.6448536 * estimate.se)
    shares = [(32 / 102, 100, 1.0), (81 / 102, 100, 0.3), (91 / 102, 100, 0.7)]
    variance = sum(w**2 * s * (1 - s) / n for s, n, w in shares) / 0.7**2
    assert estimate.se == pytest.approx(np.sqrt(variance))


def test_intervals_cover_the_truth_and_know_of_the_calibration():
    rng = np.random.default_rng(0)
    covered, naive = [], []
    for _ in range(1_500):
        flagged, n, calibration = annotate(rng, 400, 0.2, 0.8, 0.9)
        estimate = rogan_gladen(flagged, n, calibration)
        covered.append(estimate.low <= 0.2 <= estimate.high)
        naive.append(abs(flagged / n - 0.2) <= 1.96 * np.sqrt(flagged / n * (1 - flagged / n) / n))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    assert np.mean(naive) < 0.6


def test_unequal_specificity_fakes_an_effect_unless_calibrated_per_arm():
    rng = np.random.default_rng(1)
    found, naive = [], []
    for _ in range(1_000):
        a, b = annotate(rng, 800, 0.2, 0.85, 0.95), annotate(rng, 800, 0.2, 0.85, 0.85)
        effect = difference(rogan_gladen(*b), rogan_gladen(*a))
        found.append(effect.low > 0 or effect.high < 0)
        naive.append((b[0] - a[0]) / 800)
    assert np.mean(found) <= 0.07
    assert np.mean(naive) == pytest.approx(0.08, abs=0.01)


def test_difference_adds_variances():
    effect = difference(Estimate(0.5, 0.3, 0, 0), Estimate(0.2, 0.4, 0, 0), 0.95)
    assert effect.value == pytest.approx(0.3)
    assert effect.se == pytest.approx(0.5)
    assert effect.high == pytest.approx(0.3 + 1.959964 * 0.5)


def test_predictions_narrow_the_interval_and_keep_its_coverage():
    rng = np.random.default_rng(2)
    covered, widths, alone = [], [], []
    for _ in range(1_500):
        truth = (rng.random(1_060) < 0.3).astype(float)
        predicted = np.clip(0.7 * truth + 0.25 + rng.normal(0, 0.15, 1_060), 0, 1)
        estimate = prediction_powered_mean(truth[:60], predicted[:60], predicted[60:])
        covered.append(estimate.low <= 0.3 <= estimate.high)
        widths.append(estimate.se)
        alone.append(truth[:60].std(ddof=1) / np.sqrt(60))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)
    assert np.mean(widths) < 0.6 * np.mean(alone)


def test_worthless_predictions_do_no_harm():
    rng = np.random.default_rng(3)
    truth = rng.random(100)
    estimate = prediction_powered_mean(truth, np.ones(100), np.ones(500))
    assert estimate.value == pytest.approx(truth.mean())
    assert estimate.se == pytest.approx(truth.std(ddof=1) / 10)
    against = prediction_powered_mean(truth, 1 - truth, rng.random(500))
    assert against.value == pytest.approx(truth.mean())


def test_perfect_predictions_act_as_labels():
    rng = np.random.default_rng(4)
    truth, rest = rng.normal(size=50), rng.normal(size=5_000)
    estimate = prediction_powered_mean(truth, truth, rest)
    assert estimate.se == pytest.approx(1 / np.sqrt(5_050), rel=0.05)


def test_bad_arguments_are_named():
    good = Calibration(8, 10, 9, 10)
    with pytest.raises(InputError, match="no better than guessing"):
        rogan_gladen(1, 10, Calibration(5, 10, 5, 10))
    for flagged, n, calibration in (
        (11, 10, good),
        (-1, 10, good),
        (0, 0, good),
        (1, 10, Calibration(11, 10, 9, 10)),
        (1, 10, Calibration(8, 10, -1, 10)),
        (1, 10, Calibration(0, 0, 9, 10)),
        (1, 10, Calibration(8, 10, 0, 0)),
    ):
        with pytest.raises(InputError, match="out of range"):
            rogan_gladen(flagged, n, calibration)
    with pytest.raises(ConfigError, match="level 1"):
        rogan_gladen(1, 10, good, 1)
    for sizes in ((1, 1, 9), (3, 4, 9), (3, 3, 1)):
        with pytest.raises(InputError, match="do not fit"):
            prediction_powered_mean(*(np.zeros(size) for size in sizes))
