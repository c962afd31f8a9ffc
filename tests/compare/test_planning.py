from __future__ import annotations

import numpy as np
import pytest

from moorings.compare.planning import plan_comparison
from moorings.errors import ConfigError


def test_the_needed_prompts_find_the_effect_and_fewer_do_not():
    plan = plan_comparison(effect=0.1, n_samples=2)
    assert plan.prompts_needed is not None
    assert plan_comparison(n_prompts=plan.prompts_needed).mde_discovered <= 0.1
    assert plan_comparison(n_prompts=plan.prompts_needed - 5).mde_discovered > 0.1


def test_the_battery_has_twice_the_prompts():
    plan = plan_comparison(n_prompts=1000)
    assert plan.mde_discovered / plan.mde_registered == pytest.approx(np.sqrt(2))
    assert plan.alpha == pytest.approx(0.1 * 5 / 150)
    assert plan.prompts_needed is None


def test_simulated_power_is_what_was_promised():
    n_prompts, m, rng = 400, 4, np.random.default_rng(0)
    plan = plan_comparison(n_prompts=n_prompts, n_samples=m, spread=0.0)
    effect, n_confirm = plan.mde_discovered, int(n_prompts * 0.4)
    base = np.full((3000, n_confirm), 0.2)
    d = (rng.binomial(m, base + effect) - rng.binomial(m, base)) / m
    z = d.mean(1) / (d.std(1, ddof=1) / np.sqrt(n_confirm))
    from scipy.stats import norm

    power = float((z > norm.ppf(1 - plan.alpha / 2)).mean())
    # The candidate's rate is higher, so its variance is too: a little less power than for equal rates.
    assert 0.66 < power < 0.86


@pytest.mark.parametrize("share", [0.0, -0.1, 0.7, 1.0])
def test_discovery_keeps_its_prompts(share):
    with pytest.raises(ConfigError, match=r"at most 0\.6"):
        plan_comparison(confirm_share=share)
