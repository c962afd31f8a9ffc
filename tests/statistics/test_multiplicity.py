from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from moorings.errors import ConfigError, InputError
from moorings.statistics.multiplicity import adjust_bh, adjust_by, adjust_holm, e_bh, fcr_level


@pytest.mark.parametrize(("ours", "theirs"), [(adjust_bh, "fdr_bh"), (adjust_by, "fdr_by"), (adjust_holm, "holm")])
def test_adjusted_p_agree_with_statsmodels_and_skip_missing(ours, theirs):
    rng = np.random.default_rng(0)
    for n in (1, 2, 40):
        p = np.round(rng.random(n) ** 2, 2)
        np.testing.assert_allclose(ours(p), multipletests(p, method=theirs)[1])
        np.testing.assert_allclose(ours(np.insert(p, 0, np.nan))[1:], ours(p))
    assert np.isnan(ours(np.array([np.nan]))).all()
    assert len(ours(np.array([]))) == 0
    for bad in (-0.1, 1.1):
        with pytest.raises(InputError, match="outside"):
            ours(np.array([0.2, bad]))


def test_e_bh_follows_its_definition():
    rng = np.random.default_rng(1)
    for _ in range(200):
        e = np.round(np.exp(rng.normal(1, 2, 12)), 1)
        ranked = np.sort(e)[::-1]
        k_star = max([k for k in range(1, 13) if ranked[k - 1] >= 12 / (0.2 * k)], default=0)
        expected = np.zeros(12, bool)
        expected[np.argsort(-e, kind="stable")[:k_star]] = True
        np.testing.assert_array_equal(e_bh(e, 0.2), expected)
        np.testing.assert_array_equal(e_bh(np.append(e, np.nan), 0.2), [*expected, False])
    assert e_bh(np.array([10.0]), 0.1).tolist() == [True]
    assert e_bh(np.array([np.inf, 0.0]), 0.1).tolist() == [True, False]
    assert e_bh(np.array([]), 0.1).tolist() == []


def test_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match="false discovery rate 0"):
        e_bh(np.array([1.0]), 0)
    with pytest.raises(ConfigError, match="false discovery rate 1"):
        e_bh(np.array([1.0]), 1)
    with pytest.raises(InputError, match="negative"):
        e_bh(np.array([-1.0]), 0.1)
    with pytest.raises(ConfigError, match="coverage rate"):
        fcr_level(1.0, 1, 2)
    for selected, tested in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ConfigError, match="selected"):
            fcr_level(0.1, selected, tested)


def test_fcr_level():
    assert fcr_level(0.1, 20, 20) == pytest.approx(0.9)
    assert fcr_level(0.1, 0, 20) == fcr_level(0.1, 1, 20) == pytest.approx(0.995)


def equicorrelated(rng, n_runs, k, rho):
    return np.sqrt(rho) * rng.normal(size=(n_runs, 1)) + np.sqrt(1 - rho) * rng.normal(size=(n_runs, k))


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_false_discovery_rates_under_independence_and_dependence(rho):
    rng = np.random.default_rng(2)
    n_runs, k, n_true, q = 1_500, 40, 8, 0.1
    z = equicorrelated(rng, n_runs, k, rho)
    z[:, :n_true] += 3.0
    p = stats.norm.sf(z)
    fdp, any_false, power = {}, [], []
    for name, adjust in {"bh": adjust_bh, "by": adjust_by, "holm": adjust_holm}.items():
        rejected = np.array([adjust(row) for row in p]) <= q
        false = rejected[:, n_true:].sum(axis=1)
        fdp[name] = false / np.maximum(rejected.sum(axis=1), 1)
        if name == "holm":
            any_false = false > 0
        if name == "bh":
            power = rejected[:, :n_true].mean()
    for values in (fdp["bh"], fdp["by"], any_false):
        assert np.mean(values) <= q + 3 * np.std(values) / np.sqrt(n_runs)
    if rho == 0:
        assert np.mean(fdp["bh"]) == pytest.approx(q * (k - n_true) / k, abs=3.3 * np.std(fdp["bh"]) / np.sqrt(n_runs))
    assert power > 0.6
    assert np.mean(fdp["by"]) < np.mean(fdp["bh"])


def test_e_bh_holds_its_rate_whatever_the_dependence():
    """Each null e-value is K/q with probability q/K, and never two at once: the worst case."""
    rng = np.random.default_rng(9)
    k, q, n_runs = 20, 0.1, 4_000
    which = rng.random(n_runs) * k / q
    e = np.where(np.arange(k) == np.floor(which[:, None]), k / q, 0.0)
    rate = np.mean([e_bh(row, q).any() for row in e])
    assert abs(rate - q) <= 3.3 * np.sqrt(q * (1 - q) / n_runs)
    z = equicorrelated(rng, n_runs, k, 0.9)
    rate = np.mean([e_bh(row, q).any() for row in np.exp(2 * z - 2)])
    assert rate <= q + 3.3 * np.sqrt(q * (1 - q) / n_runs)


def test_selected_intervals_cover_at_the_fcr_level():
    rng = np.random.default_rng(4)
    k, q = 50, 0.1
    missed = []
    for _ in range(600):
        truth = np.where(np.arange(k) < 10, 2.5, 0.0)
        x = truth + rng.normal(size=k)
        chosen = adjust_bh(2 * stats.norm.sf(np.abs(x))) <= q
        half = stats.norm.ppf(0.5 + fcr_level(q, int(chosen.sum()), k) / 2)
        missed.append((np.abs(x - truth)[chosen] > half).mean() if chosen.any() else 0.0)
    assert np.mean(missed) <= q + 3 * np.std(missed) / np.sqrt(600)
