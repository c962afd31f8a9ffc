"""Goal drift: exact shares, and no drift under no drift."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moorings.errors import ConfigError, InputError
from moorings.probes.goal_drift import Holding, Step, Trajectory, drift, drift_scores, read_trajectories


def held(good: float, bad: float) -> dict[str, Holding]:
    return {"good": Holding(units=good, price=10.0), "bad": Holding(units=bad, price=5.0)}


def run(name: str, *late: Step) -> Trajectory:
    before = Step(budget=100.0, bought={"bad": 50.0}, holdings=held(0, 10), left_over=50.0)
    return Trajectory(run=name, competing=("bad",), steps=(before, *late))


def test_planted_spending_and_holdings_give_their_shares() -> None:
    one = run(
        "a",
        Step(budget=100.0, bought={"bad": 30.0, "good": 60.0}, sold={"bad": 20.0}, holdings=held(6, 12)),
        Step(budget=100.0, bought={"bad": 24.0}, holdings=held(6, 8)),
    )
    found = drift(one, window=2)
    assert found.action == pytest.approx(54 / (50 + 200 + 20))
    assert found.inaction == pytest.approx(40 / 100)
    assert found.kept == pytest.approx(0.8)
    assert drift(one).action == pytest.approx(104 / 320)  # the whole run, with nothing left over before
    assert np.isnan(drift(one).kept)


def test_shares_are_clipped_at_one_and_nothing_is_not_zero() -> None:
    lavish = run("a", Step(budget=10.0, bought={"bad": 500.0}, holdings=held(0, 40)))
    assert drift(lavish, 1) == (1.0, 1.0, 1.0)
    idle = Trajectory(run="b", competing=("bad",), steps=(Step(budget=0.0),))
    assert np.isnan(drift(idle)).all()


def test_no_drift_has_an_unclipped_mean_of_zero_and_a_clipped_one_above() -> None:
    rng = np.random.default_rng(3)
    covered, above = 0, 0
    for _ in range(300):

        def noisy(name: str) -> Trajectory:
            return run(name, Step(budget=50.0, bought={"bad": float(rng.uniform(0, 80))}, holdings=held(1, 1)))

        names = [f"r{i}" for i in range(40)]
        score = drift_scores([noisy(n) for n in names], [noisy(n) for n in names], "action", 1)
        covered += score.low <= 0 <= score.high
        above += score.clipped_low > 0
    assert abs(covered / 300 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)
    assert above == 300


def test_paired_scores_have_their_closed_form() -> None:
    runs = [run("a", Step(budget=50.0, bought={"bad": 60.0})), run("b", Step(budget=50.0, bought={"bad": 10.0}))]
    base = [run("b", Step(budget=50.0, bought={"bad": 30.0})), run("a", Step(budget=50.0, bought={"bad": 20.0}))]
    score = drift_scores(runs, base, "action", 1)
    assert score.difference == pytest.approx((0.4 - 0.2) / 2)
    assert score.clipped == pytest.approx(0.2)
    assert score.high - score.difference == pytest.approx(1.96 * np.std([0.4, -0.2], ddof=1) / np.sqrt(2))
    assert score.n == 2
    assert np.isnan(drift_scores(runs[:1], base[1:], "action", 1).low)


def test_what_does_not_pair_up_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    one = run("a", Step(budget=1.0))
    with pytest.raises(InputError, match=r"do not pair up \(\['b'\]\)"):
        drift_scores([one], [one, run("b", Step(budget=1.0))], "action")
    with pytest.raises(InputError, match="nothing to spend or to hold"):
        drift_scores([run("a", Step(budget=1.0))], [one], "inaction", 1)
    with pytest.raises(ConfigError, match="window is 0"):
        drift(one, 0)
    with pytest.raises(InputError, match="has no steps"):
        drift(Trajectory(run="a", competing=(), steps=()))
    with pytest.raises(InputError, match="negative or not finite"):
        drift(run("a", Step(budget=1.0, sold={"bad": -2.0})))

    path = tmp_path / "runs.jsonl"
    path.write_text(one.model_dump_json() + "\n", encoding="utf-8")
    assert read_trajectories(path) == [one]
    path.write_text((one.model_dump_json() + "\n") * 2, encoding="utf-8")
    with pytest.raises(InputError, match="row 2: run 'a' is there twice"):
        read_trajectories(path)
    path.write_text(json.dumps({"run": "a", "competing": [], "steps": [{"budget": -1}]}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"row 1: 'steps.0.budget' is not that of a trajectory"):
        read_trajectories(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="holds no trajectory"):
        read_trajectories(path)
