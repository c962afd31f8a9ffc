from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from moorings.errors import ConfigError
from moorings.statistics.paired import cluster_robust
from moorings.statistics.power import best_m, design_effect, mde, mde_from_se, n_prompts_needed

TABLE = {
    100: (0.222, 0.116, 0.067),
    200: (0.157, 0.082, 0.047),
    500: (0.099, 0.052, 0.030),
    1000: (0.070, 0.037, 0.021),
}


@pytest.mark.parametrize("n_prompts", TABLE)
def test_table_of_least_effects(n_prompts):
    """80 % power, base rate 0.2, omega 0.1, alpha 0.05 / 20."""
    found = [round(mde(n_prompts=n_prompts, m=m, alpha=0.05 / 20), 3) for m in (1, 4, 16)]
    assert found == list(TABLE[n_prompts])


def test_design_effect_and_prompts_invert_the_mde():
    assert design_effect(5, 0.25) == 2.0
    for deff in (1.0, 2.0):
        effect = mde(n_prompts=321, m=3, deff=deff, base_rate=0.4, omega=0.2, alpha=0.01, power=0.9)
        settings = {"m": 3, "deff": deff, "base_rate": 0.4, "omega": 0.2, "alpha": 0.01, "power": 0.9}
        assert n_prompts_needed(effect * (1 + 1e-9), **settings) == 321
        assert n_prompts_needed(-effect * (1 - 1e-9), **settings) == 322
    assert mde(n_prompts=100, m=1, deff=4.0) == pytest.approx(2 * mde(n_prompts=100, m=1))
    assert n_prompts_needed(50.0, m=1) == 1


def test_power_is_reached_in_simulation():
    rng = np.random.default_rng(0)
    n_prompts, m = 200, 4
    effect = mde(n_prompts=n_prompts, m=m, base_rate=0.3)
    theta = rng.normal(0, 0.1, (n_prompts, 2_000))
    a = rng.binomial(m, 0.3 - effect / 2, theta.shape) / m
    b = rng.binomial(m, np.clip(0.3 + effect / 2 + theta, 0, 1)) / m
    power = (cluster_robust(b - a, np.arange(n_prompts)).p <= 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.03)


def test_best_m_is_the_best_of_all_under_a_budget():
    for prompt_cost, sample_cost, omega in ((10, 1, 0.1), (1, 1, 0.3), (0, 1, 0.1), (50, 0.5, 0.05)):

        def least(m, omega=omega, prompt_cost=prompt_cost, sample_cost=sample_cost):
            n = 10_000 / (prompt_cost + 2 * m * sample_cost)
            return (omega**2 + 0.32 / m) / n

        m = best_m(omega=omega, prompt_cost=prompt_cost, sample_cost=sample_cost)
        assert m == min(range(1, 400), key=least)


def test_mde_from_se_uses_t():
    expected = (stats.t.ppf(0.995, 12) + stats.t.ppf(0.9, 12)) * 0.3
    assert mde_from_se(0.3, 12, 0.01, power=0.9) == pytest.approx(expected)
    assert mde_from_se(np.array([np.nan, 1.0]), np.array([3, 1e9]), 0.05).tolist() == pytest.approx(
        [np.nan, stats.norm.ppf(0.975) + stats.norm.ppf(0.8)], nan_ok=True
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"n_prompts": 0},
        {"m": 0},
        {"base_rate": -0.1},
        {"base_rate": 1.1},
        {"omega": -1},
        {"alpha": 0},
        {"alpha": 1},
        {"power": 0},
        {"power": 1},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="not allowed"):
        mde(**{"n_prompts": 10, "m": 1, **settings})


def test_other_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="endless"):
        n_prompts_needed(0.0, m=1)
    for settings in (
        {"omega": 0, "prompt_cost": 1, "sample_cost": 1},
        {"prompt_cost": 1, "sample_cost": 0},
        {"prompt_cost": -1, "sample_cost": 1},
    ):
        with pytest.raises(ConfigError, match="not allowed"):
            best_m(**settings)
    for power in (0, 1):
        with pytest.raises(ConfigError, match=f"power {power}"):
            mde_from_se(1.0, 5, 0.05, power=power)
