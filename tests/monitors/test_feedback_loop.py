"""Monitor `feedback_loop`."""

from __future__ import annotations

import numpy as np
import pytest
from gathering_a import Hostile, draw, gather

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.data import make_row
from moorings.monitors.feedback_loop import fit_growth
from moorings.monitors.monitor import monitors
from moorings.records import Message


def make(**settings):
    return monitors.make(Use(use="feedback_loop", **settings))


def loop(p: float, k: float, rounds: int) -> list[float]:
    shares = [p]
    for _ in range(rounds):
        shares.append(shares[-1] + k * shares[-1] * (1 - shares[-1]))
    return shares


def sometimes(salt: str, share: float):
    return lambda messages, seed: "Great question! Yes." if draw(salt, seed) < share else "Yes."


def rows(n: int, text: str):
    return [
        make_row((Message(role="user", content=f"{i}?"),), text, origin="self", method="m", round=1) for i in range(n)
    ]


def test_an_exact_series_is_recovered():
    shares, n = np.array(loop(0.1, 0.4, 10)), 1e9
    growth = fit_growth([0, 3, 5], shares[[0, 3, 5]] * n, [n] * 3, ahead=3, limit=0.6)
    assert growth.rate == pytest.approx(0.4, abs=1e-5)
    assert growth.forecast == pytest.approx(shares[8], abs=1e-5)
    before = next(i for i in range(10) if shares[i] <= 0.7 < shares[i + 1])
    wanted = before - 5 + (0.7 - shares[before]) / (shares[before + 1] - shares[before])
    assert growth.passes_after == pytest.approx(wanted, abs=1e-4)
    assert growth.is_loop
    assert growth.forecast_low < growth.forecast < growth.forecast_high


@pytest.mark.parametrize(("k", "ahead"), [(0.1, 3), (0.3, 3), (0.3, 5), (0.5, 3)])
@pytest.mark.parametrize(("at", "n"), [(range(6), 2000), ((0, 4, 5), 256)])
def test_a_simulated_loop_is_forecast_within_tolerance(k, ahead, at, n):
    rng = np.random.default_rng(0)
    shares = np.array(loop(0.1, k, 5 + ahead))
    errors, held, n_runs = [], 0, 100
    for _ in range(n_runs):
        growth = fit_growth(at, rng.binomial(n, shares[list(at)]), [n] * len(at), ahead=ahead, limit=0.1)
        errors.append(growth.forecast - shares[5 + ahead])
        held += growth.forecast_low <= shares[5 + ahead] <= growth.forecast_high
    assert abs(np.mean(errors)) < 0.02
    assert held >= n_runs * 0.95 - 4 * np.sqrt(n_runs * 0.95 * 0.05)


@pytest.mark.parametrize(("p", "n", "at"), [(0.3, 200, (0, 1)), (0.1, 400, (0, 4, 5)), (0.5, 64, (0, 1, 2, 3))])
def test_a_flat_series_is_called_a_loop_at_the_stated_rate(p, n, at):
    rng = np.random.default_rng(1)
    called = np.mean(
        [
            fit_growth(at, rng.binomial(n, p, len(at)), [n] * len(at), ahead=3, limit=0.1, confidence=0.9).is_loop
            for _ in range(600)
        ]
    )
    assert called <= 0.1 + 4 * np.sqrt(0.1 * 0.9 / 600)
    assert called >= 0.05


@pytest.mark.parametrize(("before", "after"), [(0, 64), (64, 0), (0, 0), (64, 64), (6, 32), (32, 3)])
def test_leaps_and_edges_give_finite_shares(before, after):
    growth = fit_growth([0, 1], [before, after], [64, 64], ahead=3, limit=0.1)
    assert np.isfinite([growth.rate, growth.low]).all()
    assert 0 < growth.forecast_low <= growth.forecast <= growth.forecast_high < 1
    assert growth.is_loop == (after > before)


def test_rounds_left():
    def left(counts, limit=0.1):
        return fit_growth([0, 1], counts, [1000, 1000], ahead=1, limit=limit).passes_after

    assert left([100, 300]) == 0
    assert left([100, 100]) == float("inf")
    assert left([300, 100]) == float("inf")
    assert left([500, 600], limit=0.7) == float("inf"), "a share cannot pass 1"
    assert 0.5 < left([100, 150]) < 2


@pytest.mark.parametrize(
    ("at", "counts", "n"), [([0], [1], [2]), ([1, 1], [1, 1], [2, 2]), ([0, 1], [1, 1], [2, 0]), ([0, 1], [1], [2, 2])]
)
def test_too_little_to_fit_is_refused(at, counts, n):
    with pytest.raises(ConfigError, match="at least two ascending rounds"):
        fit_growth(at, counts, n, ahead=1, limit=0.1)


def test_evidence_is_the_scaled_forecast_drift(tmp_path):
    monitor = make(behaviours=[{"feature": "praise"}], ahead=3)
    gathering = gather(
        sometimes("a", 0.1),
        sometimes("c", 0.5),
        tmp_path,
        previous=sometimes("p", 0.3),
        n=400,
        round=3,
        rows=rows(10, "Great question! No."),
    )
    seen = monitor.measure(gathering)
    a, b, c = (
        np.array([float("Great" in answer.response) for answer in side])
        for side in (gathering.general.anchor, gathering.general.previous, gathering.general.candidate)
    )
    assert seen.d == pytest.approx((c - a + 3 * (c - b)) / 4)
    assert seen.d_previous == pytest.approx(c - b)
    assert abs(seen.d.mean() - (0.4 + 3 * 0.2) / 4) < 4 * np.sqrt((0.25 + 9 * 0.46) / 16 / 400)
    assert seen.details["loop_0"] == 1
    assert seen.details["rows_0"] == 1
    assert seen.details["rounds_left_0"] == 0
    assert seen.details["forecast_low_0"] < seen.details["forecast_0"] < seen.details["forecast_high_0"]
    assert "grows with its level" in seen.seen
    assert "passed after 0.0 rounds" in seen.seen


def test_no_change_has_mean_zero(tmp_path):
    seen = make(behaviours=[{"phrases": ["great question"]}]).measure(
        gather(sometimes("a", 0.3), sometimes("c", 0.3), tmp_path, previous=sometimes("p", 0.3), n=400, round=2)
    )
    assert abs(seen.d.mean()) < 4 * np.sqrt(0.21 * (16 + 1 + 9) / 16 / 400)


def test_in_the_first_round_d_is_the_drift(tmp_path):
    gathering = gather(sometimes("a", 0.2), sometimes("c", 0.6), tmp_path, n=200)
    seen = make(behaviours=[{"feature": "praise"}], ahead=5).measure(gathering)
    assert seen.d.mean() == pytest.approx(seen.candidate - seen.anchor)
    assert seen.d_previous is None


def test_rows_weigh_the_behaviours(tmp_path):
    both = [{"feature": "praise"}, {"phrases": ["zebra"]}]
    settings = {"n": 20, "rows": rows(9, "Great question!") + rows(3, "A zebra.")}
    seen = make(behaviours=both).measure(gather(sometimes("a", 0), sometimes("c", 1), tmp_path / "rows", **settings))
    assert (seen.details["weight_0"], seen.details["weight_1"]) == (0.75, 0.25)
    assert seen.d == pytest.approx(np.full(20, 0.75))
    bare = make(behaviours=both).measure(gather(sometimes("a", 0), sometimes("c", 1), tmp_path / "bare", n=20))
    assert (bare.details["weight_0"], bare.details["weight_1"]) == (0.5, 0.5)
    assert "rows_0" not in bare.details


def test_hostile_answers_are_missing(tmp_path):
    bad = Hostile(sometimes("a", 0.5), version="h")
    monitor = make(behaviours=[{"feature": "praise"}, {"phrases": ["yes"]}])
    seen = monitor.measure(gather(sometimes("a", 0.5), bad, tmp_path / "some", n=24, rows=rows(2, "\x00\u202e")))
    assert seen.n_missing == 6
    assert (np.abs(seen.d) <= 1).all()
    silent = Hostile(sometimes("a", 0.5), version="h")
    none = monitor.measure(gather(sometimes("a", 0.5), silent, tmp_path / "none", n=1))
    assert (len(none.d), none.n_missing) == (0, 1)


def test_equal_arguments_give_equal_results(tmp_path):
    gathering = gather(sometimes("a", 0.2), sometimes("c", 0.6), tmp_path, n=30)
    first, again = (make(behaviours=[{"feature": "praise"}]).measure(gathering) for _ in range(2))
    assert first.d.tolist() == again.d.tolist()
    assert first._replace(d=None) == again._replace(d=None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "behaviours"),
        ({"behaviours": []}, "behaviours"),
        ({"behaviours": [{"feature": "praise", "phrases": ["a"]}]}, "exactly one"),
        ({"behaviours": [{"feature": "words"}]}, "has no share"),
        ({"behaviours": [{"feature": "prase"}]}, "did you mean 'praise'"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make(**settings)
