from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, row, run

from moorings.errors import ConfigError
from moorings.improve.active_selection import badge_rows, entropy_nats, margin
from moorings.records import content_hash

ROWS = [row(f"number {i} asks", "word " * (i + 1), "human") for i in range(10)]


def lean(question: str, text: str) -> float:
    """Log-odds of `a` over `b` and `c` equal to the number in the question."""
    return float(question.split()[1]) if text == "a" else 0.0


def bench(folder: Path, script=None, score=lean, **more) -> FakeWorkbench:
    return FakeWorkbench(folder, ScoringSubject(script or {}, score, **more))


def numbers(step) -> list[int]:
    return [int(one.prompt[-1].content.split()[1]) for one in step.rows]


def test_the_least_sure_rows_are_kept_by_entropy_and_by_margin(tmp_path):
    for by in ("entropy", "margin"):
        step = run("active_selection", bench(tmp_path / by), ROWS, by=by, n_rows=3, options=["a", "b"])
        assert numbers(step) == [0, 1, 2]
        assert step.dropped == {"could not be measured": 0, "not selected": 7}
        assert balances(step, 10)
    p = 1 / (1 + np.exp(-np.arange(10.0)))
    assert step.metrics["mean_value"] == pytest.approx(float((2 * p - 1).mean()))


def test_closed_forms():
    assert entropy_nats(np.full(8, 1 / 8)) == pytest.approx(math.log(8))
    assert entropy_nats(np.array([1.0, 0.0])) == 0.0
    assert margin(np.array([1.0])) == 1.0
    assert margin(np.array([0.4, 0.4, 0.2])) == 0.0


def test_entropy_and_margin_disagree_on_three_options(tmp_path):
    def score(question: str, text: str) -> float:
        table = {"0": {"a": 0.48, "b": 0.48, "c": 0.04}, "1": {"a": 0.5, "b": 0.25, "c": 0.25}}
        return math.log(table[question.split()[1]][text])

    kept = {
        by: numbers(
            run(
                "active_selection",
                bench(tmp_path / by, score=score),
                ROWS[:2],
                by=by,
                n_rows=1,
                options=["a", "b", "c"],
            )
        )
        for by in ("entropy", "margin")
    }
    assert kept == {"entropy": [1], "margin": [0]}


def test_without_options_sampled_answers_are_grouped_by_likeness(tmp_path):
    def script(messages, seed: int) -> str:
        number = int(messages[-1].content.split()[1])
        draws = int(content_hash([number, seed])[:8], 16)
        return ["alpha beta", "beta alpha", "gamma", "delta", "epsilon"][draws % 5 if number > 6 else draws % 2]

    step = run("active_selection", bench(tmp_path, script), ROWS, by="entropy", keep_share=0.3, n_samples=8)
    assert numbers(step) == [7, 8, 9]


def test_rows_whose_answers_fail_cannot_be_measured(tmp_path):
    step = run("active_selection", bench(tmp_path, {}), ROWS[:3], n_rows=2)
    assert step.rows == []
    assert step.dropped == {"could not be measured": 3, "not selected": 0}
    assert "mean_value" not in step.metrics


def test_loss_is_the_mean_negative_log_probability_of_the_response(tmp_path):
    def score(question: str, text: str) -> float:
        return -len(text.split()) * (int(question.split()[1]) * 3 % 10)

    step = run("active_selection", bench(tmp_path, score=score), ROWS, by="loss", n_rows=2)
    assert numbers(step) == [3, 6]
    assert step.metrics["mean_kept_value"] == pytest.approx(8.5)
    assert step.metrics["mean_words_kept"] == pytest.approx(5.5)


def test_random_is_the_control_and_keeps_the_order(tmp_path):
    step = run("active_selection", bench(tmp_path), ROWS, by="random", keep_share=0.4)
    assert len(step.rows) == 4
    assert numbers(step) == sorted(numbers(step))


def test_badge_takes_different_rows_however_many_copies_there_are():
    """A hundred copies of one uncertain row, three other uncertain rows, and six sure ones, whose gradients vanish."""
    h = np.concatenate([np.tile([[1.0, 0, 0, 0]], (100, 1)), np.eye(4)[[1, 2, 3] * 3]])
    p = np.full((109, 2), 0.5)
    p[103:] = [0.999, 0.001]
    kind = [0] * 100 + [1, 2, 3] + [4] * 6
    uncertain = 0
    for seed in range(20):
        chosen = badge_rows(p, h, 4, np.random.default_rng(seed))
        assert len({kind[at] for at in chosen}) == 4
        uncertain += sum(at < 103 for at in chosen)
    # Four of the five kinds each time, so the vanishing one comes in at most once; the others are 103 of 109 rows.
    assert uncertain >= 60


def test_badge_fills_up_where_rows_coincide():
    p, h = np.full((5, 2), 0.5), np.ones((5, 3))
    assert sorted(badge_rows(p, h, 5, np.random.default_rng(0))) == [0, 1, 2, 3, 4]


def test_badge_runs_over_rows_and_leaves_out_what_cannot_be_scored(tmp_path):
    rows = [*ROWS[:6], row("number 7 " + "long " * 400, "x")]
    step = run("active_selection", bench(tmp_path, context_length=200), rows, by="badge", n_rows=3, options=["a", "b"])
    assert len(step.rows) == 3
    assert step.dropped == {"could not be measured": 1, "not selected": 3}


def test_no_rows_are_no_error(tmp_path):
    assert run("active_selection", bench(tmp_path), [], n_rows=3).rows == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give exactly one"),
        ({"n_rows": 2, "keep_share": 0.5}, "give exactly one"),
        ({"n_rows": 2, "options": ["a"]}, "two or more different"),
        ({"n_rows": 2, "options": ["a", "a"]}, "two or more different"),
        ({"n_rows": 2, "by": "badge"}, "badge needs options"),
    ],
)
def test_impossible_settings_are_refused(tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        run("active_selection", bench(tmp_path), ROWS, **given)
