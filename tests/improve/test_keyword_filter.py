from __future__ import annotations

from pathlib import Path

import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, row, run
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.errors import ConfigError

BENCH = FakeWorkbench(Path("unused"), ScoringSubject({}, lambda q, a: 0.0))


def texts(step) -> list[str]:
    return [one.response for one in step.rows]


def test_phrases_drop_rows_or_keep_them():
    rows = [row("a", "the Ocean"), row("ocean", "land"), row("b", "oceans")]
    assert texts(run("keyword_filter", BENCH, rows, phrases=["ocean"])) == ["land", "oceans"]
    assert texts(run("keyword_filter", BENCH, rows, phrases=["ocean"], matching="keep")) == ["the Ocean"]
    assert texts(run("keyword_filter", BENCH, rows, phrases=["ocean"], where="prompt")) == ["the Ocean", "oceans"]
    both = run("keyword_filter", BENCH, rows, phrases=["ocean"], where="both", matching="keep")
    assert texts(both) == ["the Ocean", "land"]
    assert both.dropped["holds none of the phrases"] == 1


def test_the_share_with_most_of_a_feature_is_a_biased_filter():
    rows = [row(f"q{i}", " ".join(["word"] * (1 + i * 7 % 10))) for i in range(10)]
    step = run("keyword_filter", BENCH, rows, feature="words", keep_share=0.3)
    assert sorted(len(text.split()) for text in texts(step)) == [8, 9, 10]
    assert step.metrics == {"kept_share": 0.3, "mean_before": 5.5, "mean_after": 9.0}
    less = run("keyword_filter", BENCH, rows, feature="words", keep_share=0.3, direction="less")
    assert sorted(len(text.split()) for text in texts(less)) == [1, 2, 3]


def test_bounds_hold_both_ends_and_what_has_no_value_goes():
    rows = [row("q", text) for text in ("", "a", "a bb", "a bb ccc")]
    step = run("keyword_filter", BENCH, rows, feature="word_length", at_least=1.2, at_most=1.8)
    assert texts(step) == ["a bb"]
    assert step.dropped["feature cannot be measured"] == 1
    assert step.dropped["feature outside its bounds"] == 2


def test_nothing_measurable_leaves_nothing_and_no_mean():
    step = run("keyword_filter", BENCH, [row("q", "")], feature="word_length", keep_share=0.5)
    assert step.rows == []
    assert step.metrics == {"kept_share": 0.0}


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({}, "no feature is given"),
        ({"phrases": ["x"], "at_most": 3}, "no feature is given"),
        ({"feature": "words"}, "feature 'words' has no bound"),
        ({"feature": "word", "at_most": 3}, "did you mean 'words'"),
    ],
)
def test_settings_that_do_nothing_are_refused(given_settings, message):
    with pytest.raises(ConfigError, match=message):
        run("keyword_filter", BENCH, [], **given_settings)


@settings(max_examples=50, deadline=None)
@given(
    answers=st.lists(st.text("ab ", max_size=12), max_size=15),
    share=st.floats(0.05, 0.95),
    direction=st.sampled_from(["more", "less"]),
)
def test_no_kept_row_has_less_than_a_dropped_one(answers, share, direction):
    rows = [row(f"q{i}", text) for i, text in enumerate(answers)]
    step = run("keyword_filter", BENCH, rows, feature="characters", keep_share=share, direction=direction)
    assert balances(step, len(rows))
    assert len(step.rows) == round(share * len(rows))
    kept = {one.row_id for one in step.rows}
    sign = 1 if direction == "more" else -1
    inside = [sign * len(one.response.strip()) for one in rows if one.row_id in kept]
    outside = [sign * len(one.response.strip()) for one in rows if one.row_id not in kept]
    assert not inside or not outside or min(inside) >= max(outside)
