from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, row, run
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.errors import InputError

SUBJECT = ScoringSubject({}, lambda q, a: 0.0)


def own(n: int) -> list:
    return [row(f"q{i}", f"self {i}") for i in range(n)]


def human(n: int) -> list:
    return [row(f"h{i}", f"human {i}", "human", round=1, method="file") for i in range(n)]


def bench(history=()) -> FakeWorkbench:
    return FakeWorkbench(Path("unused"), SUBJECT, history=history, round=2)


def test_the_least_number_is_added_that_reaches_the_share():
    step = run("human_mix", bench([human(30)]), own(18), share=0.1)
    assert step.metrics["human_rows_added"] == 2
    assert step.metrics["human_share"] == 0.1
    added = [one for one in step.rows if one.origin == "human"]
    assert {one.method for one in added} == {"human_mix"}
    assert {one.round for one in added} == {1}
    assert step.metrics["human_rows_left"] == 28


def test_human_rows_that_are_there_count():
    step = run("human_mix", bench([human(30)]), [*own(6), *human(4)], share=0.4)
    assert step.metrics["human_rows_added"] == 0
    assert len(step.rows) == 10


def test_too_few_human_rows_push_others_out_or_the_share_is_missed():
    step = run("human_mix", bench([human(2)]), own(20), share=0.25)
    assert step.metrics["human_share"] == 0.25
    assert step.dropped == {"over the share not written by people": 14}
    kept = run("human_mix", bench([human(2)]), own(20), share=0.25, when_short="keep")
    assert len(kept.rows) == 22
    assert kept.metrics["human_share"] == pytest.approx(2 / 22)


def test_rows_come_from_a_file(tmp_path):
    lines = [{"prompt": f"q{i}", "response": f"r{i}" if i else ""} for i in range(5)]
    (tmp_path / "h.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    workbench = FakeWorkbench(tmp_path, SUBJECT)
    step = run("human_mix", workbench, own(4), share=0.5, path="h.jsonl")
    assert step.metrics["human_share"] == 0.5
    assert step.dropped["empty response"] == 1
    assert balances(step, 4)


def test_no_human_row_anywhere_stops_the_round():
    with pytest.raises(InputError, match="found no human-written row in the rows so far or of earlier rounds"):
        run("human_mix", bench([own(3)]), own(3))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 40),
    there=st.integers(0, 10),
    past=st.integers(0, 20),
    share=st.sampled_from([0.1, 0.25, 0.3, 0.9]),
)
def test_the_share_always_holds_and_rows_are_conserved(n, there, past, share):
    rows = [*own(n), *human(there)]
    if not past and not there:
        return
    step = run("human_mix", bench([human(past)]), rows, share=share)
    assert balances(step, len(rows))
    n_human = sum(one.origin == "human" for one in step.rows)
    assert n_human >= share * len(step.rows) - 1e-9
    assert len({one.row_id for one in step.rows}) == len(step.rows)
    assert n_human >= there
