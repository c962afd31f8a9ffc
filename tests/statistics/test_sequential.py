from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.errors import ConfigError, InputError
from moorings.statistics.betting import confidence_sequence, e_process, stakes
from moorings.statistics.sequential import RoundMean, RunEvidence, Tally, checked, start_share, tally

BETTING = {"more": "greater", "less": "less", "either": "two-sided"}


def evidence(rounds, tolerance=0.1, side="more", n_rounds=None, **settings):
    process = RunEvidence(tolerance, side, n_rounds, **settings)
    values = []
    for number, d in enumerate(rounds, start=1):
        process.begin_round(number)
        process.add(tally(d))
        values.append(process.value)
    return values


@pytest.mark.parametrize("side", ["more", "less", "either"])
def test_without_leaving_it_is_the_mean_over_start_rounds_of_the_plain_e_process(side):
    rng = np.random.default_rng(0)
    rounds = [rng.choice([-1.0, -0.5, 0.0, 0.5], size=7) for _ in range(5)]
    for n_rounds, weight in ((5, lambda s: 1 / 5), (8, lambda s: 1 / 8), (None, lambda s: 1 / (s * (s + 1)))):
        found = evidence(rounds, 0.2, side, n_rounds, leave=0.0)
        for now in range(1, 6):
            begun = sum(weight(s) for s in range(1, now + 1))
            bets = [e_process(np.concatenate(rounds[s - 1 : now]), 0.2, BETTING[side])[-1] for s in range(1, now + 1)]
            wanted = sum(weight(s) * bet for s, bet in enumerate(bets, start=1)) + 1 - begun
            assert found[now - 1] == pytest.approx(wanted)


def test_wealth_that_leaves_agrees_with_a_loop():
    rng = np.random.default_rng(1)
    rounds = [rng.choice([-1.0, 0.0, 1.0], size=6) for _ in range(6)]
    cash, wealth = 1.0, np.zeros(12)
    found = evidence(rounds, 0.1, "less", 6, leave=0.3)
    for number, d in enumerate(rounds, start=1):
        put = cash / (6 - number + 1)
        cash, wealth = cash - put + 0.3 * wealth.sum(), 0.7 * wealth + put / 12
        for value in d:
            wealth = wealth * (1 + stakes(0.1) * (-value - 0.1))
        assert found[number - 1] == pytest.approx(cash + wealth.sum())


@pytest.mark.parametrize("side", ["more", "less", "either"])
@pytest.mark.parametrize("n_rounds", [3, None])
def test_it_is_fair_at_the_tolerance_by_enumeration(side, n_rounds):
    """Every outcome of three rounds of two units, each unit with a mean exactly at the tolerance: the expectation is 1."""
    sign = -1.0 if side == "less" else 1.0
    chances = {sign: 0.3, 0.0: 0.5, -sign: 0.2}
    mean = 0.0
    for outcome in itertools.product(chances, repeat=6):
        d = np.array(outcome).reshape(3, 2)
        mean += np.prod([chances[value] for value in outcome]) * evidence(list(d), 0.1, side, n_rounds)[-1]
    assert mean == pytest.approx(1.0) if side != "either" else mean < 1.0


def test_runs_at_the_tolerance_are_rarely_ever_rejected():
    """Ten rounds, looked at after every 10 of 40 units; the least favourable coin, at two levels."""
    rng = np.random.default_rng(2)
    n_runs, highest = 400, []
    for _ in range(n_runs):
        process, most = RunEvidence(0.1, "more", 10), 0.0
        for number in range(1, 11):
            process.begin_round(number)
            for _ in range(4):
                up = rng.binomial(10, 0.55)
                process.add(Tally(np.array([-1.0, 1.0]), np.array([10 - up, up])))
                most = max(most, process.value)
        highest.append(most)
    for alpha in (0.05, 0.2):
        ever = np.mean(np.array(highest) >= 1 / alpha)
        assert ever <= alpha + 3.3 * np.sqrt(alpha * (1 - alpha) / n_runs)
    assert np.mean(np.array(highest) >= 5) > 0.02


def test_quiet_rounds_do_not_drown_a_late_drift():
    rng = np.random.default_rng(3)
    quiet = [rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8, 0.1], size=300) for _ in range(30)]
    drift = [rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.7, 0.25], size=300) for _ in range(2)]
    found = evidence(quiet + drift, 0.05, "more", 50)
    assert max(found[:30]) < 20
    assert found[-1] > 1e3
    assert e_process(np.concatenate(quiet + drift), 0.05, "greater")[-1] < 1e-6


def test_a_drift_that_comes_and_goes_is_found_because_bets_end():
    rng = np.random.default_rng(4)
    rounds = [rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8 - e, 0.1 + e], size=300) for e in [0.0, 0.0, 0.0, 0.2] * 6]
    staying, leaving = (evidence(rounds, 0.05, "more", 50, leave=leave) for leave in (0.0, 0.1))
    assert leaving[-1] > 100 * staying[-1]
    assert leaving[-1] > 1e4


def test_it_stays_finite():
    up, down = [np.ones(5_000)] * 3, [-np.ones(5_000)] * 3
    assert evidence(up, n_rounds=3)[-1] == 1e300
    assert 0 <= evidence(down, n_rounds=9)[-1] <= 1
    assert 1e250 < evidence(down + up, n_rounds=6)[-1] <= 1e300


def test_a_late_bet_still_wins_after_the_first_ones_lost_everything():
    process = RunEvidence(0.1, "more", 2)
    process.begin_round(1)
    process.add(tally(-np.ones(10_000)))
    assert process.value == pytest.approx(0.5)
    process.begin_round(2)
    process.add(tally(np.ones(30)))
    assert process.value > 1e5


def test_start_shares_give_each_round_its_weight():
    left, weights = 1.0, []
    for number in range(1, 21):
        weights.append(left * start_share(number, 20))
        left -= weights[-1]
    np.testing.assert_allclose(weights, 1 / 20)
    assert start_share(25, 20) == 1.0


@given(st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.5, 1.0]), min_size=1, max_size=30), st.integers(0, 30))
@settings(deadline=None, max_examples=40)
def test_order_and_cuts_into_looks_do_not_matter(d, cut):
    whole, parts = RunEvidence(0.1, "either", 4), RunEvidence(0.1, "either", 4)
    mean, means = RoundMean(0.05, 0.1, "either"), RoundMean(0.05, 0.1, "either")
    for process in (whole, parts):
        process.begin_round(1)
    whole.add(tally(np.array(d)))
    mean.add(tally(np.array(d)))
    for part in (d[::-1][:cut], d[::-1][cut:]):
        parts.add(tally(np.array(part)))
        means.add(tally(np.array(part)))
    assert whole.value == pytest.approx(parts.value)
    # More looks can only rule out more.
    assert means.ends()[0] >= mean.ends()[0] - 1e-9
    assert means.ends()[1] <= mean.ends()[1] + 1e-9


def test_tallies():
    counted = tally(np.array([0.5, -1.0, 0.5]))
    assert counted.n == 3
    assert counted.total == 0.0
    assert tally(np.array([])).n == 0
    process = RunEvidence(0.1, "more", 3)
    process.begin_round(1)
    process.add(tally(np.array([])))
    assert process.value == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [[0.1, np.nan], [1.5], [-np.inf], [[0.1], [0.2]], 0.3])
def test_unusable_differences_are_refused(bad):
    with pytest.raises(InputError):
        tally(np.array(bad))


@pytest.mark.parametrize(
    ("values", "counts"),
    [([0.0, 2.0], [1, 1]), ([np.nan], [1]), ([0.0], [-1]), ([0.0, 0.5], [1]), ([[0.0]], [[1]])],
)
def test_unusable_tallies_are_refused(values, counts):
    with pytest.raises(InputError):
        checked(Tally(np.array(values), np.array(counts)))


@pytest.mark.parametrize(
    ("tolerance", "n_rounds", "leave"), [(0.0, 3, 0.1), (1.0, 3, 0.1), (0.1, 0, 0.1), (0.1, 3, 1.0)]
)
def test_impossible_settings_are_refused(tolerance, n_rounds, leave):
    with pytest.raises(ConfigError, match="not allowed"):
        RunEvidence(tolerance, "more", n_rounds, leave=leave)


@pytest.mark.parametrize(("alpha", "tolerance"), [(0.0, 0.1), (1.0, 0.1), (0.05, 0.0), (0.05, 1.0)])
def test_impossible_bounds_are_refused(alpha, tolerance):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        RoundMean(alpha, tolerance, "more")


def test_ends_agree_with_the_slow_confidence_sequence():
    d = np.random.default_rng(5).choice([-1.0, -0.5, 0.0, 0.25, 1.0], size=80)
    low, high = confidence_sequence(d, alpha=0.1, precision=1e-3)
    bound = RoundMean(0.05, 0.1, "either")
    for t, value in enumerate(d):
        bound.add(tally(np.array([value])))
        if t % 20 == 19:
            ends = bound.ends()
            assert ends[0] == pytest.approx(low[t], abs=1.2e-3)
            assert ends[1] == pytest.approx(high[t], abs=1.2e-3)


@pytest.mark.parametrize("side", ["more", "less", "either"])
def test_within_is_what_the_ends_say(side):
    rng = np.random.default_rng(6)
    said = []
    for shift in (-0.3, -0.1, 0.0, 0.1, 0.3):
        bound = RoundMean(0.05, 0.2, side)
        for _ in range(5):
            bound.add(tally(np.clip(rng.choice([-0.5, 0.0, 0.5], size=60) + shift, -1, 1)))
            low, high = bound.ends(1e-5)
            inside = {"more": high <= 0.2, "less": low >= -0.2, "either": high <= 0.2 and low >= -0.2}[side]
            near = min(abs(high - 0.2), abs(low + 0.2)) < 2e-5
            assert bound.within == inside or near
        said.append(bound.within)
    assert said[2]
    assert not (said[4] if side != "less" else said[0])


def test_bounds_hold_at_all_looks_together():
    rng = np.random.default_rng(7)
    n_rounds, alpha, low_wrong, high_wrong, within = 300, 0.1, 0, 0, 0
    for _ in range(n_rounds):
        bound = RoundMean(alpha, 0.2, "more")
        for _ in range(6):
            bound.add(tally(rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=30)))
        low, high = bound.ends()
        low_wrong, high_wrong, within = low_wrong + (low > 0.2), high_wrong + (high < 0.2), within + bound.within
    for wrong in (low_wrong, high_wrong, within):
        assert wrong / n_rounds <= alpha + 3.3 * np.sqrt(alpha * (1 - alpha) / n_rounds)
    assert low_wrong + high_wrong > 0


def test_missing_units_are_the_worst_case_of_each_end():
    d = np.array([0.0, 0.5, -0.5] * 30)
    bound, worst, best = (RoundMean(0.05, 0.3, "more") for _ in range(3))
    bound.add(tally(d), n_missing=5)
    worst.add(tally(np.append(d, np.ones(5))))
    best.add(tally(np.append(d, -np.ones(5))))
    assert bound.ends() == (best.ends()[0], worst.ends()[1])
    assert bound.within == worst.within


def test_no_units_say_nothing():
    bound = RoundMean(0.05, 0.1, "either")
    assert bound.ends() == (-1.0, 1.0)
    bound.add(tally(np.array([])), n_missing=500)
    assert bound.ends() == (-1.0, 1.0)
    assert not bound.within
