"""Planted differential functioning is found, absent is not, and each unit's fit is that of its own regression."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools import add_constant

from moorings.errors import InputError
from moorings.probes.metrics.dif import dif


def simulate(rng, m, n, planted=0.0, n_planted=0, chance=0.0):
    """m respondents in two groups of unlike ability; the first items are harder for group 1."""
    group = np.arange(m) % 2
    theta = rng.standard_normal(m) + 0.7 * group
    shift = np.where(np.arange(n) < n_planted, planted, 0.0)
    p = chance + (1 - chance) * special.expit(theta[:, None] - rng.standard_normal(n) - shift * group[:, None])
    right = (rng.random((m, n)) < p).astype(float)
    rows = np.repeat(np.arange(m), n)
    return right.ravel(), theta[rows], group[rows], [f"i{at:03d}" for at in np.tile(np.arange(n), m)]


def test_each_unit_is_its_own_logistic_regression():
    rng = np.random.default_rng(0)
    right, theta, group, units = simulate(rng, 150, 3, 1.0, 1)
    got = dif(right, theta, group, units)
    names = np.array(units)
    for at, unit in enumerate(got.units):
        rows = names == unit
        ability = theta[rows] - theta.mean()
        x = np.column_stack([ability, group[rows], ability * group[rows]])
        full = Logit(right[rows], add_constant(x)).fit(disp=0)
        none = Logit(right[rows], add_constant(x[:, :1])).fit(disp=0)
        assert got.p[at] == pytest.approx(special.chdtrc(2, 2 * (full.llf - none.llf) * (1 - 6 / 150)), rel=1e-3)
        assert got.group[at] == pytest.approx(full.params[2], abs=5e-3)
        assert got.slope[at] == pytest.approx(full.params[3], abs=5e-3)


def test_planted_items_are_found_and_no_others():
    got = dif(*simulate(np.random.default_rng(1), 300, 60, planted=1.5, n_planted=6))
    assert got.flagged[:6].all()
    assert (got.group[:6] < -0.7).all()
    assert got.flagged[6:].sum() <= 2


def test_false_alarms_stay_at_their_level_where_nothing_is_planted():
    rng = np.random.default_rng(2)
    found = [dif(*simulate(rng, 80, 50)) for _ in range(40)]
    share = float((np.concatenate([one.p for one in found]) < 0.05).mean())
    assert share < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert sum(one.flagged.any() for one in found) <= 6, "5 % of 40 sets, within three binomial errors"


def test_a_known_guessing_floor_can_be_taken_into_account():
    rng = np.random.default_rng(3)
    columns = simulate(rng, 3000, 12, planted=1.5, n_planted=4, chance=0.25)
    got, without = dif(*columns, chance=0.25), dif(*columns)
    assert got.flagged[:4].all()
    assert got.flagged[4:].sum() <= 1
    assert np.abs(got.group[:4] + 1.5).mean() < 0.3 < np.abs(without.group[:4] + 1.5).mean()


def test_units_that_cannot_be_tested_are_missing_and_separated_data_are_not():
    rng = np.random.default_rng(4)
    n = 40
    theta, group = rng.standard_normal(n), np.arange(n) % 2
    right = np.concatenate([np.ones(n), group.astype(float), np.full(n, np.nan)])
    got = dif(right, np.tile(theta, 3), np.tile(group, 3), np.repeat(["all", "sep", "unseen"], n).tolist())
    assert np.isnan(got.p[0])
    assert not got.flagged[0]
    assert got.p[1] < 1e-6
    assert got.flagged[1]
    assert "unseen" in got.units
    assert np.isnan(got.p_adjusted[2])


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="differ in length"):
        dif(np.ones(2), np.ones(2), np.ones(1, int), ["a", "b"])
    with pytest.raises(InputError, match="other than 0 and 1"):
        dif(np.ones(2), np.ones(2), np.array([0, 2]), ["a", "b"])
