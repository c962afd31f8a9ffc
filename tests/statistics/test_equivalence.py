from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from moorings.errors import ConfigError, InputError
from moorings.statistics.equivalence import kernel_equivalence, tost
from moorings.statistics.paired import cluster_robust, interval


def test_tost_agrees_with_statsmodels_and_with_the_interval():
    rng = np.random.default_rng(0)
    d = rng.normal(0.05, 0.4, (50, 30))
    effects = cluster_robust(d, np.arange(50))
    p = tost(effects.estimate, effects.se, effects.df, 0.15)
    np.testing.assert_allclose(p, [DescrStatsW(column).ttost_mean(-0.15, 0.15)[0] for column in d.T])
    low, high = interval(effects, 0.9)
    inside = (low > -0.15) & (high < 0.15)
    assert 0 < inside.sum() < 30
    np.testing.assert_array_equal(p <= 0.05, inside)


def test_tost_edges():
    assert np.isnan(tost(0.0, np.nan, 9, 0.1))
    assert float(tost(0.0, 0.0, 9, 0.1)) == 0.0
    assert float(tost(0.2, 0.0, 9, 0.1)) == 1.0
    assert float(tost(0.1, 0.0, 9, 0.1)) == 0.5
    with pytest.raises(ConfigError, match="margin 0"):
        tost(0.0, 1.0, 9, 0.0)


def test_tost_level_at_the_margin():
    d = np.random.default_rng(1).normal(0.1, 0.2, (60, 3_000))
    effects = cluster_robust(d, np.arange(60))
    rate = (tost(effects.estimate, effects.se, effects.df, 0.1) <= 0.05).mean()
    assert abs(rate - 0.05) <= 3.3 * np.sqrt(0.05 * 0.95 / 3_000)


def made(rng, n_prompts, shift, family_size=1):
    prompt, arm = np.repeat(np.arange(n_prompts), 4), np.tile([0, 0, 1, 1], n_prompts)
    families = prompt // family_size
    x = rng.normal(size=(len(arm), 2))
    x[:, 0] += shift * arm
    return x, arm, prompt, families


def test_distance_is_the_norm_of_the_mean_difference():
    """With the linear kernel the distance is that of the means."""
    x, arm, prompt, families = made(np.random.default_rng(2), 12, 0.7)
    result = kernel_equivalence(x @ x.T, arm, prompt, families, margin=1.0, rng=np.random.default_rng(0))
    assert result.mmd == pytest.approx(np.linalg.norm(x[arm == 1].mean(axis=0) - x[arm == 0].mean(axis=0)))
    assert result.upper > result.mmd


@pytest.mark.parametrize(("shift", "family_size"), [(0.0, 1), (0.6, 1), (0.6, 2)])
def test_bound_covers_the_true_distance(shift, family_size):
    rng = np.random.default_rng(3)
    covered, at_margin = [], []
    for _ in range(200):
        x, arm, prompt, families = made(rng, 32, shift, family_size)
        x[:, 0] += rng.normal(size=32)[families] * 0.3 * arm
        margin = shift or 0.01
        result = kernel_equivalence(x @ x.T, arm, prompt, families, margin=margin, n_draws=199, rng=rng)
        covered.append(result.upper >= shift)
        at_margin.append(result.p <= 0.05)
    slack = 3.3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(covered) >= 0.95 - slack
    assert np.mean(at_margin) <= 0.05 + slack


def test_sameness_is_shown_with_enough_prompts():
    x, arm, prompt, families = made(np.random.default_rng(4), 300, 0.0)
    result = kernel_equivalence(x @ x.T, arm, prompt, families, margin=0.4, rng=np.random.default_rng(0))
    assert result.p <= 0.01
    assert result.upper < 0.4


def test_few_families_and_bad_arguments():
    x, arm, prompt, families = made(np.random.default_rng(5), 7, 0.0)
    gram, rng = x @ x.T, np.random.default_rng(0)
    few = kernel_equivalence(gram, arm, prompt, families, margin=1.0, rng=rng)
    assert few.mmd > 0
    assert np.isnan([few.upper, few.p]).all()
    for margin, level in ((0, 0.9), (1, 1), (1, 0)):
        with pytest.raises(ConfigError, match=f"margin {margin}, level {level}"):
            kernel_equivalence(gram, arm, prompt, families, margin=margin, level=level, rng=rng)
    with pytest.raises(InputError, match="28 rows"):
        kernel_equivalence(gram[:3], arm, prompt, families, margin=1.0, rng=rng)


def test_normal_quantiles_agree_at_large_df():
    assert float(tost(0.0, 1.0, 1e7, 1.645)) == pytest.approx(stats.norm.sf(1.645), abs=1e-5)
