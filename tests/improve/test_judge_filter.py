from __future__ import annotations

import math

import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, row, run

from moorings.errors import ConfigError


def taste(question: str, text: str) -> float:
    """Log-odds of Yes: what the answer says of itself."""
    odds = float(question.split("odds ")[1].split()[0]) if "odds " in question else 0.0
    return odds if text == "Yes" else 0.0


@pytest.fixture
def workbench(tmp_path) -> FakeWorkbench:
    anchor = ScoringSubject({}, lambda q, a: -taste(q, a), version="anchor")
    return FakeWorkbench(tmp_path, ScoringSubject({}, taste, version="subject"), anchor=anchor)


def rows_with(*odds: float) -> list:
    return [row(f"q{i}", f"odds {value} " + "word " * i) for i, value in enumerate(odds)]


def test_rows_are_kept_from_the_threshold_on(workbench):
    rows = rows_with(-2.0, -0.5, 0.0, 0.5, 2.0)
    step = run("judge_filter", workbench, rows, threshold=0.5)
    assert [one.score for one in step.rows] == pytest.approx([0.0, 0.5, 2.0])
    assert step.dropped == {"judged implausible": 2}
    p = [1 / (1 + math.exp(-value)) for value in (-2.0, -0.5, 0.0, 0.5, 2.0)]
    assert step.metrics["mean_p"] == pytest.approx(sum(p) / 5)
    assert step.metrics["kept_share"] == 0.6
    assert step.metrics["length_correlation"] == pytest.approx(0.98, abs=0.02)
    assert step.metrics["mean_words_kept"] > step.metrics["mean_words"]


def test_the_best_share_is_kept_in_the_rows_order(workbench):
    step = run("judge_filter", workbench, rows_with(3.0, -1.0, 2.0, 5.0), keep_share=0.5)
    assert [one.score for one in step.rows] == [3.0, 5.0]


def test_human_rows_pass_unjudged_unless_asked_for(workbench):
    rows = [*rows_with(-5.0), row("h", "odds -9 ", "human")]
    step = run("judge_filter", workbench, rows, threshold=0.5)
    assert step.rows == [rows[1]]
    workbench.round = 2
    assert run("judge_filter", workbench, rows, threshold=0.5, origins=["human", "self"]).rows == []


def test_the_anchor_can_judge(workbench):
    step = run("judge_filter", workbench, rows_with(-3.0, 3.0), threshold=0.5, judge="anchor")
    assert [one.score for one in step.rows] == [3.0]


def test_what_cannot_be_judged_is_counted_apart(tmp_path):
    subject = ScoringSubject({}, taste, context_length=150)
    rows = [*rows_with(1.0), row("q", "odds 9 " + "word " * 400)]
    step = run("judge_filter", FakeWorkbench(tmp_path, subject), rows, keep_share=0.99)
    assert step.dropped == {"could not be judged": 1}
    assert len(step.rows) == 1
    assert balances(step, 2)


def test_no_row_to_judge_asks_nothing(workbench):
    step = run("judge_filter", workbench, [row("h", "x", "human")], threshold=0.9)
    assert step.metrics == {"judged": 0.0}
    assert len(step.rows) == 1


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.5, "keep_share": 0.5}])
def test_exactly_one_rule_is_needed(workbench, settings):
    with pytest.raises(ConfigError, match="give exactly one"):
        run("judge_filter", workbench, [], **settings)


def test_right_answers_are_kept_by_a_judge_that_knows(workbench):
    # Log-odds of right answers are 1 higher on average than those of wrong ones.
    rows = rows_with(*((i % 5) - 2.5 + (i % 2) for i in range(40)))
    right = {one.row_id for i, one in enumerate(rows) if i % 2}
    step = run("judge_filter", workbench, rows, keep_share=0.5)
    assert sum(one.row_id in right for one in step.rows) / len(step.rows) > 0.5
