from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from moorings.errors import ConfigError, InputError
from moorings.statistics.betting import confidence_sequence, e_detector, e_process, first_alarm, stakes


def differences(rng, shape, effect, m=4, base=0.2, omega=0.1):
    theta = rng.normal(effect, omega, shape)
    return rng.binomial(m, np.clip(base + theta, 0, 1)) / m - rng.binomial(m, base, shape) / m


def test_wealth_agrees_with_a_loop():
    d = np.random.default_rng(0).uniform(-1, 1, 30)
    for tau in (-0.2, 0.0, 0.3):
        wealth = np.ones(5)
        for step, value in enumerate(e_process(d, tau, "greater", 5)):
            wealth = wealth * (1 + stakes(tau, 5) * (d[step] - tau))
            assert value == pytest.approx(wealth.mean())
    np.testing.assert_allclose(e_process(d, 0.1, "less"), e_process(-d, 0.1, "greater"))
    both = (e_process(d, 0.1, "greater") + e_process(d, 0.1, "less")) / 2
    np.testing.assert_allclose(e_process(d, 0.1), both)
    streams = np.stack([d, -d, d])
    np.testing.assert_allclose(e_process(streams, 0.1)[1], e_process(-d, 0.1))


def test_stakes_can_never_lose_all():
    for tau in (-0.5, 0.0, 0.9):
        assert (stakes(tau) > 0).all()
        assert (1 + stakes(tau) * (-1 - tau) >= 0.039).all()
    assert np.isfinite(e_process(np.ones(5_000))).all()
    assert (e_process(-np.ones(5_000), 0.0, "greater") >= 0).all()


def test_null_is_rarely_ever_rejected_while_repeated_t_tests_often_are():
    """Over 2,000 prompts: e-process at most 5 % (2.5 % here), t-test at 20 looks 27 %."""
    rng = np.random.default_rng(1)
    n_runs = 500
    d = differences(rng, (n_runs, 2_000), 0.0)
    ever = np.isfinite(first_alarm(e_process(d), 0.05)).mean()
    assert ever <= 0.05
    rejected = np.zeros(n_runs, bool)
    for n in range(100, 2_001, 100):
        rejected |= stats.ttest_1samp(d[:, :n], 0.0, axis=1).pvalue <= 0.05
    assert rejected.mean() == pytest.approx(0.25, abs=0.06)


def test_null_at_the_tolerance_and_the_least_favourable_coin():
    rng = np.random.default_rng(2)
    coin = rng.choice([-1.0, 1.0], p=[0.45, 0.55], size=(1_000, 300))
    for alpha in (0.05, 0.2):
        ever = np.isfinite(first_alarm(e_process(coin, 0.1, "greater"), alpha)).mean()
        assert ever <= alpha + 3.3 * np.sqrt(alpha * (1 - alpha) / 1_000)
        assert ever > alpha / 4


@pytest.mark.parametrize(
    ("alpha", "effect", "prompts"),
    [(0.05, 0.05, 495), (0.05, 0.1, 127), (0.05, 0.2, 48), (0.0025, 0.05, 752), (0.0025, 0.1, 205), (0.0025, 0.2, 79)],
)
def test_price_in_prompts(alpha, effect, prompts):
    """80th percentile of prompts to decide; base rate 0.2, omega 0.1, m = 4."""
    d = differences(np.random.default_rng(3), (250, 900 if effect < 0.1 else 400), effect)
    assert np.quantile(first_alarm(e_process(d), alpha), 0.8) == pytest.approx(prompts, rel=0.15)


def test_confidence_sequence_covers_at_all_times_and_tightens():
    rng = np.random.default_rng(4)
    missed = 0
    for d in differences(rng, (120, 80), 0.1):
        low, high = confidence_sequence(d, 0.2, precision=0.05)
        missed += bool(((low > 0.1) | (high < 0.1)).any())
        assert (np.diff(low) >= 0).all()
        assert (np.diff(high) <= 0).all()
    assert missed / 120 <= 0.2 + 3.3 * np.sqrt(0.16 / 120)


def test_confidence_sequence_inverts_the_one_sided_tests():
    d = differences(np.random.default_rng(5), 300, 0.3)
    low, high = confidence_sequence(d, 0.05, precision=0.01)
    assert 0 < low[-1] < 0.3 < high[-1] < 0.5
    for t in (50, 299):
        past = d[: t + 1]
        assert e_process(past, low[t] - 1e-9, "greater").max() >= 40
        assert e_process(past, low[t] + 0.01, "greater").max() < 40
        assert e_process(past, -high[t] - 1e-9, "less").max() >= 40
        assert e_process(past, 0.01 - high[t], "less").max() < 40
    assert confidence_sequence(np.array([-1.0]))[0].tolist() == [-1.0]


def test_detectors_follow_their_recursions():
    d = np.random.default_rng(6).uniform(-1, 1, (2, 25))
    for kind in ("sr", "cusum"):
        state = np.zeros((4, 2))
        out = e_detector(d, 0.1, kind=kind, n_stakes=4)
        for t in range(25):
            before = state + 1 if kind == "sr" else np.maximum(state, 1)
            state = before * (1 + stakes(0.1, 4)[:, None] * (d[:, t] - 0.1))
            np.testing.assert_allclose(out[:, t], state.mean(axis=0))
        np.testing.assert_allclose(e_detector(-d, 0.1, "less", kind, 4), out)
    assert (e_detector(d, kind="sr") >= e_detector(d, kind="cusum")).all()
    assert np.isfinite(e_detector(np.ones(2_000))).all()


def test_detectors_run_long_without_change_and_see_a_late_one_sooner():
    rng = np.random.default_rng(7)
    quiet = np.minimum(first_alarm(e_detector(differences(rng, (400, 1_500), 0.0)), 0.01), 1_500)
    assert quiet.mean() >= 100 - 3.3 * quiet.std() / 20
    late = np.concatenate([differences(rng, (100, 800), -0.05), differences(rng, (100, 400), 0.2)], axis=1)
    detector = first_alarm(e_detector(late, kind="cusum"), 0.001) - 800
    process = first_alarm(e_process(late, 0.0, "greater"), 0.05) - 800
    assert 0 < np.median(detector) < 80
    assert np.median(process) > 2 * np.median(detector)


def test_bad_arguments_are_named():
    for bad in (np.nan, 1.5, -1.1):
        with pytest.raises(InputError, match="outside -1 to 1"):
            e_process(np.array([0.0, bad]))
    with pytest.raises(InputError, match="outside -1 to 1"):
        e_detector(np.array([2.0]))
    for tau in (1.0, -1.0):
        with pytest.raises(ConfigError, match="tau"):
            stakes(tau)
    with pytest.raises(ConfigError, match="two-sided"):
        e_process(np.zeros(2), -0.1)
    for alpha in (0, 1):
        with pytest.raises(ConfigError, match=f"alpha {alpha}"):
            first_alarm(np.ones(2), alpha)
        with pytest.raises(ConfigError, match=f"alpha {alpha}"):
            confidence_sequence(np.zeros(2), alpha)
