from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from moorings.errors import InputError
from moorings.statistics.paired import cluster_robust, interval, prompt_differences, sign_flip_p


def slow_differences(values, arm, prompt, n_prompts):
    out = np.full((n_prompts, values.shape[1]), np.nan)
    for p in range(n_prompts):
        for k in range(values.shape[1]):
            sides = [values[(arm == a) & (prompt == p), k] for a in (0, 1)]
            sides = [side[~np.isnan(side)] for side in sides]
            if all(len(side) for side in sides):
                out[p, k] = sides[1].mean() - sides[0].mean()
    return out


def test_prompt_differences_agree_with_a_loop():
    rng = np.random.default_rng(0)
    values = rng.random((200, 70))
    values[rng.random(values.shape) < 0.4] = np.nan
    arm, prompt = rng.integers(0, 2, 200), rng.integers(0, 30, 200)
    expected = slow_differences(values, arm, prompt, 32)
    assert np.isnan(expected[30:]).all()
    np.testing.assert_allclose(prompt_differences(values, arm, prompt, 32), expected, atol=1e-12)


def test_prompt_differences_refuse_bad_columns():
    with pytest.raises(InputError, match="do not match"):
        prompt_differences(np.zeros((3, 1)), np.zeros(2, int), np.zeros(3, int), 1)
    with pytest.raises(InputError, match="two arms"):
        prompt_differences(np.zeros((3, 1)), np.array([0, 1, 2]), np.zeros(3, int), 1)
    with pytest.raises(InputError, match="do not match"):
        cluster_robust(np.zeros((3, 1)), np.arange(2))


def test_cluster_robust_agrees_with_statsmodels():
    rng = np.random.default_rng(1)
    families = rng.integers(5, 25, 90)
    d = rng.normal(0.2, 1.0, (90, 3)) + rng.normal(0, 1, 25)[families][:, None]
    d[rng.random(d.shape) < 0.2] = np.nan
    effects = cluster_robust(d, families)
    for k in range(3):
        seen = ~np.isnan(d[:, k])
        fit = OLS(d[seen, k], np.ones(seen.sum())).fit(
            cov_type="cluster", cov_kwds={"groups": families[seen]}, use_t=True
        )
        assert effects.n_prompts[k] == seen.sum()
        assert effects.n_families[k] == len(np.unique(families[seen]))
        assert effects.df[k] == effects.n_families[k] - 1
        got = [effects.estimate[k], effects.se[k], effects.t[k], effects.p[k]]
        np.testing.assert_allclose(got, [fit.params[0], fit.bse[0], fit.tvalues[0], fit.pvalues[0]], rtol=1e-9)
    low, high = interval(effects, np.array([0.95, 0.9, 0.99]))
    np.testing.assert_allclose(
        [low[0], high[0]], effects.estimate[0] + effects.se[0] * np.array([-1, 1]) * stats.t.ppf(0.975, effects.df[0])
    )
    assert high[1] - low[1] == pytest.approx(2 * stats.t.ppf(0.95, effects.df[1]) * effects.se[1])


def test_single_prompts_as_families_give_the_paired_t_test():
    d = np.random.default_rng(2).normal(0.3, 1, (20, 1))
    expected = stats.ttest_1samp(d[:, 0], 0.0)
    effects = cluster_robust(d, np.arange(20) * 7)
    np.testing.assert_allclose([effects.t[0], effects.p[0]], [expected.statistic, expected.pvalue])


def test_few_families_are_unknown_not_zero():
    d = np.ones((16, 1))
    d[::2] = 0.5
    few = cluster_robust(d, np.arange(16) % 7)
    assert few.estimate[0] == 0.75
    assert np.isnan([few.se, few.t, few.p, *interval(few, 0.95, bound=1.0)]).all()
    assert np.isfinite(cluster_robust(d, np.arange(16) % 8).se[0])
    one = cluster_robust(d, np.zeros(16, int))
    assert np.isnan(one.se[0])
    assert one.df[0] == 0
    nothing = cluster_robust(np.full((16, 1), np.nan), np.arange(16))
    assert np.isnan(nothing.estimate[0])
    assert nothing.n_families[0] == 0


def test_equal_differences_have_the_p_of_the_exact_sign_flip():
    d = np.column_stack([np.full(10, 0.1), np.full(10, -0.1), np.zeros(10)])
    effects = cluster_robust(d, np.arange(10))
    assert effects.se.tolist() == [0, 0, 0]
    assert effects.t.tolist() == [np.inf, -np.inf, 0]
    flips = sign_flip_p(d, np.arange(10), rng=np.random.default_rng(0))
    np.testing.assert_allclose(effects.p, flips)
    np.testing.assert_allclose(effects.p, [2 / 2**10, 2 / 2**10, 1])


def test_bound_widens_an_interval_without_width():
    effects = cluster_robust(np.column_stack([np.zeros(60), np.full(60, 0.5), np.arange(60.0)]), np.arange(60))
    plain_low, plain_high = interval(effects, 0.95)
    assert plain_low[0] == plain_high[0] == 0
    low, high = interval(effects, 0.95, bound=1.0)
    unseen = 1 - 0.05 ** (1 / 60)
    np.testing.assert_allclose([low[0], high[0]], [-unseen, unseen])
    np.testing.assert_allclose([low[1], high[1]], [0.5 * (1 - unseen) - unseen, 0.5 * (1 - unseen) + unseen])
    assert (low[2], high[2]) == (plain_low[2], plain_high[2])


def test_sign_flip_enumerates_small_problems():
    rng = np.random.default_rng(3)
    families = np.array([0, 0, 1, 2, 3, 3, 3, 4, 5])
    d = rng.integers(-2, 3, (9, 5)) / 2.0
    d[4, 0] = np.nan
    sums = np.array([np.nan_to_num(d[families == g]).sum(axis=0) for g in range(6)])
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    expected = (np.abs(signs @ sums) >= np.abs(sums.sum(axis=0)) - 1e-9).mean(axis=0)
    np.testing.assert_allclose(sign_flip_p(d, families, rng=rng), expected)
    np.testing.assert_allclose(sign_flip_p(d, families, n_draws=64, rng=rng), expected)


def test_sign_flip_draws_approach_the_enumeration_and_count_ties():
    rng = np.random.default_rng(4)
    d = np.column_stack([rng.normal(0.4, 1, 13), rng.integers(-1, 2, 13) / 3.0])
    exact = sign_flip_p(d, np.arange(13), n_draws=2**13, rng=rng)
    drawn = sign_flip_p(d, np.arange(13), n_draws=8_000, rng=rng)
    np.testing.assert_allclose(drawn, exact, atol=4 * 0.5 / np.sqrt(8_000))
    assert (drawn != exact).any()


def test_sign_flip_is_never_below_its_floor():
    p = sign_flip_p(np.ones((300, 1)), np.arange(300), n_draws=999, rng=np.random.default_rng(0))
    assert p[0] == 1 / 1000
    again = sign_flip_p(np.ones((300, 1)), np.arange(300), n_draws=999, rng=np.random.default_rng(0))
    assert p[0] == again[0]


def rates(p, alpha=0.05):
    return (np.asarray(p) <= alpha).mean()


def within_error(rate, nominal, n, z=3.3):
    return abs(rate - nominal) <= z * np.sqrt(nominal * (1 - nominal) / n)


def test_naive_pooling_rejects_a_true_mean_null_and_paired_tests_do_not():
    """Effects of +-0.2 with mean zero, 30 samples of 100 prompts: 27 % against 5 %."""
    rng = np.random.default_rng(5)
    n_runs, n_prompts, m = 2_000, 100, 30
    effect = 0.2 * rng.choice([-1, 1], (n_prompts, n_runs))
    a = rng.binomial(m, 0.5, (n_prompts, n_runs)) / m
    b = rng.binomial(m, 0.5 + effect) / m
    pooled = (a.mean(axis=0) + b.mean(axis=0)) / 2
    z = (b - a).mean(axis=0) / np.sqrt(2 * pooled * (1 - pooled) / (n_prompts * m))
    assert rates(2 * stats.norm.sf(np.abs(z))) == pytest.approx(0.27, abs=0.04)
    families = np.arange(n_prompts)
    assert within_error(rates(cluster_robust(b - a, families).p), 0.05, n_runs)
    assert within_error(rates(sign_flip_p(b - a, families, n_draws=1_000, rng=rng)), 0.05, n_runs)


def test_duplicated_outputs_do_not_count_as_evidence():
    """Ten identical resamples of each prompt: naive 52 %, paired about 5 %."""
    rng = np.random.default_rng(6)
    n_runs, n_prompts, m = 2_000, 100, 10
    a, b = rng.binomial(1, 0.5, (2, n_prompts, n_runs))
    pooled = (a.mean(axis=0) + b.mean(axis=0)) / 2
    z = (b - a).mean(axis=0) / np.sqrt(2 * pooled * (1 - pooled) / (n_prompts * m))
    assert rates(2 * stats.norm.sf(np.abs(z))) == pytest.approx(0.53, abs=0.04)
    assert within_error(rates(cluster_robust((b - a).astype(float), np.arange(n_prompts)).p), 0.05, n_runs, z=4)


def test_families_keep_the_level_that_single_prompts_lose():
    rng = np.random.default_rng(7)
    families = np.repeat(np.arange(30), 6)
    d = rng.normal(0, 1, (30, 2_000))[families] + rng.normal(0, 1, (180, 2_000))
    assert rates(cluster_robust(d, np.arange(180)).p) > 0.2
    assert within_error(rates(cluster_robust(d, families).p), 0.05, 2_000)
    assert within_error(rates(sign_flip_p(d, families, n_draws=1_000, rng=rng)), 0.05, 2_000)


def test_intervals_cover_and_stated_power_is_reached():
    rng = np.random.default_rng(8)
    d = rng.normal(0.28, 1.0, (100, 2_000))
    effects = cluster_robust(d, np.arange(100))
    low, high = interval(effects, 0.9)
    assert within_error(((low <= 0.28) & (high >= 0.28)).mean(), 0.9, 2_000)
    power = stats.nct.sf(stats.t.ppf(0.975, 99), 99, 2.8)
    assert within_error(rates(effects.p), power, 2_000)
