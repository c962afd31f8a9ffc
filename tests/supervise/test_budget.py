from __future__ import annotations

import numpy as np
import pytest

from moorings.charter_run import GatePlan
from moorings.errors import ConfigError
from moorings.statistics.sequential import RoundMean, RunEvidence, tally
from moorings.supervise.budget import check_plan, units_to_promote, units_to_stop
from moorings.supervise.gate import Gate, Stream, threshold


def streams(*tolerances, side="more"):
    return [Stream(f"m{i}", "it drifts", tolerance, side) for i, tolerance in enumerate(tolerances)]


@pytest.mark.parametrize("tolerance", [0.02, 0.1, 0.4])
def test_the_least_units_to_promote_are_exact(tolerance):
    n = units_to_promote(0.05, tolerance, 0.0)
    bounds = RoundMean(0.05, tolerance, "more"), RoundMean(0.05, tolerance, "more")
    bounds[0].add(tally(np.zeros(n)))
    bounds[1].add(tally(np.zeros(n - 1)))
    assert bounds[0].within
    assert not bounds[1].within


@pytest.mark.parametrize(("side", "sides"), [("less", 1), ("either", 2)])
@pytest.mark.parametrize("n_rounds", [3, 200, None])
def test_the_least_units_to_stop_are_exact(side, sides, n_rounds):
    n = units_to_stop(1_000.0, 0.05, 1.0, 0.0, n_rounds, sides=sides)
    reached = []
    for units in (n, n - 1):
        process = RunEvidence(0.05, side, n_rounds)
        process.begin_round(1)
        process.add(tally(-np.ones(units)))
        reached.append(process.value >= 1_000.0)
    assert reached == [True, False]


def test_a_plan_at_its_least_budget_can_promote_and_one_below_is_refused():
    watched = streams(0.05, 0.2)
    cost = check_plan(GatePlan(budget=128), watched, 3)[0]
    plan = GatePlan(look=8, budget=cost.promote_at_best, discover=False)
    assert check_plan(plan, watched, 3)
    gate = Gate(plan, watched, 3)
    gate.begin_round(1)
    assert gate.look(1, "m0", np.zeros(plan.budget)) == "fine"
    with pytest.raises(
        ConfigError, match=f"no round could be promoted for 'm0'.*at least {cost.promote_at_best} "
    ) as told:
        check_plan(GatePlan(look=8, budget=cost.promote_at_best - 1), watched, 3)
    assert f"usual variance, 0.2: about {cost.promote_usually:,}; the worst, 0.5: {cost.promote_at_worst:,}" in str(
        told.value
    )


def test_an_alpha_beyond_the_budget_is_refused_with_the_budget_that_would_do():
    watched = streams(0.9)
    with pytest.raises(ConfigError, match=r"alpha 1e-300 cannot be reached for 'm0'.*budget of at least") as told:
        check_plan(GatePlan(look=8, budget=256, alpha=1e-300), watched, 3)
    enough = int(str(told.value).split("at least ")[1].split(",")[0])
    assert check_plan(GatePlan(look=8, budget=enough, alpha=1e-300), watched, 3)
    with pytest.raises(ConfigError, match=f"at least {enough}"):
        check_plan(GatePlan(look=8, budget=enough - 1, alpha=1e-300), watched, 3)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        check_plan(GatePlan(), streams(tolerance), 3)


def test_other_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="look 300 is more than budget 256; lower look or raise budget to 300"):
        check_plan(GatePlan(look=300, budget=256), streams(0.1), 3)
    with pytest.raises(ConfigError, match="variance 0"):
        check_plan(GatePlan(), streams(0.1), 3, variance=0.0)
    with pytest.raises(ConfigError, match=r"the worst, 0.5: more than 10,000,000"):
        check_plan(GatePlan(), streams(0.0005), 3)


@pytest.mark.parametrize(("tolerance", "variance"), [(0.1, 0.2), (0.15, 0.5)])
def test_what_a_round_costs_is_an_upper_estimate_of_the_right_size(tolerance, variance):
    """Looking once is assumed; the gate looks often, so it is done earlier, by less than half."""
    rng = np.random.default_rng(0)
    needed = []
    for _ in range(150):
        bound, n = RoundMean(0.05, tolerance, "more"), 0
        while not bound.within:
            bound.add(tally(rng.choice([-1.0, 0.0, 1.0], p=[variance / 2, 1 - variance, variance / 2], size=10)))
            n += 10
        needed.append(n)
    for share in (0.5, 0.9):
        told = units_to_promote(0.05, tolerance, variance, share=share)
        assert 0.5 * told < np.quantile(needed, share) < 1.1 * told


def test_what_showing_harm_costs_is_of_the_right_size():
    rng = np.random.default_rng(1)
    told = units_to_stop(500.0, 0.1, 0.2, 0.2, 10)
    needed = []
    for _ in range(80):
        process, n = RunEvidence(0.1, "more", 10), 0
        process.begin_round(1)
        while process.value < 500.0:
            process.add(tally(rng.choice([-1.0, 0.0, 1.0], p=[0.02, 0.76, 0.22], size=10)))
            n += 10
        needed.append(n)
    assert 0.6 * told < np.median(needed) < 1.1 * told


def test_costs_rise_as_they_should():
    plan = GatePlan(look=8, budget=4096)
    tight, loose = check_plan(plan, streams(0.03, 0.1), 50)
    for cost in (tight, loose):
        assert cost.promote_at_best < cost.promote_usually < cost.promote_nearly_always
        assert cost.promote_usually < cost.promote_at_worst
        assert cost.threshold == threshold(plan, 2)
    assert tight.promote_usually > loose.promote_usually
    assert tight.stop_usually > loose.stop_usually
    either = check_plan(plan, streams(0.03, 0.1, side="either"), 50)[0]
    assert either.promote_nearly_always > tight.promote_nearly_always
    assert either.stop_usually > tight.stop_usually
    assert check_plan(plan, streams(0.03), 5)[0].stop_usually < check_plan(plan, streams(0.03), 500)[0].stop_usually
