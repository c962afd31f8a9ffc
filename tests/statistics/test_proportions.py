from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from moorings.errors import ConfigError, InputError
from moorings.statistics.proportions import beta_binomial, clopper_pearson, mcnemar_exact, wilson, zero_of_n_upper


@pytest.mark.parametrize(("ours", "theirs"), [(wilson, "wilson"), (clopper_pearson, "beta")])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_agree_with_statsmodels(ours, theirs, level):
    k, n = np.array([0, 1, 7, 19, 20, 300]), np.array([20, 20, 20, 20, 20, 1000])
    low, high = ours(k, n, level)
    expected = np.array([proportion_confint(a, b, 1 - level, theirs) for a, b in zip(k, n, strict=True)]).T
    np.testing.assert_allclose([low, high], expected, atol=1e-12)
    assert [float(end) for end in ours(0, 0, level)] == [0.0, 1.0]


def coverage(interval, n, share, level):
    k = np.arange(n + 1)
    low, high = interval(k, n, level)
    return stats.binom.pmf(k, n, share)[(low <= share) & (share <= high)].sum()


def test_exact_coverage():
    shares = np.linspace(0.01, 0.99, 99)
    assert min(coverage(clopper_pearson, 15, share, 0.95) for share in shares) >= 0.95
    assert np.mean([coverage(wilson, 15, share, 0.95) for share in shares]) == pytest.approx(0.95, abs=0.01)
    assert np.mean([coverage(beta_binomial, 15, share, 0.95) for share in shares]) == pytest.approx(0.95, abs=0.01)


def test_beta_binomial_is_the_posterior():
    low, high = beta_binomial(3, 10, 0.9, a=0.5, b=2.0)
    np.testing.assert_allclose([low, high], stats.beta(3.5, 9.0).ppf([0.05, 0.95]))


def test_zero_of_n_is_the_exact_bound_near_three_over_n():
    n = np.array([10, 100, 1000])
    upper = zero_of_n_upper(n)
    np.testing.assert_allclose((1 - upper) ** n, 0.05)
    np.testing.assert_allclose(upper, clopper_pearson(0, n, 0.9)[1])
    assert upper[2] == pytest.approx(3 / 1000, rel=0.01)
    assert float(zero_of_n_upper(0)) == 1.0


def test_mcnemar_agrees_with_statsmodels():
    b, c = np.array([0, 1, 5, 12, 6]), np.array([4, 9, 5, 3, 7])
    expected = [mcnemar([[0, x], [y, 0]], exact=True).pvalue for x, y in zip(b, c, strict=True)]
    np.testing.assert_allclose(mcnemar_exact(b, c), expected)
    assert float(mcnemar_exact(0, 0)) == 1.0


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, beta_binomial])
def test_bad_counts_and_levels_are_named(interval):
    for level in (0, 1):
        with pytest.raises(ConfigError, match=f"level {level}"):
            interval(1, 2, level)
    for k, n in ((3, 2), (-1, 2)):
        with pytest.raises(InputError, match="0 <= k <= n"):
            interval(k, n)


def test_negative_counts_are_named():
    with pytest.raises(InputError, match="negative"):
        mcnemar_exact(-1, 2)
    with pytest.raises(InputError, match="negative"):
        mcnemar_exact(1, -2)
    with pytest.raises(InputError, match="negative"):
        zero_of_n_upper(-1)
