from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, run
from scipy.stats import chisquare

from moorings.errors import ConfigError, InputError
from moorings.improve.file import reservoir


@pytest.fixture
def workbench(tmp_path: Path) -> FakeWorkbench:
    return FakeWorkbench(tmp_path, ScoringSubject({}, lambda q, a: 0.0))


def write(path: Path, *lines: object) -> None:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")


def test_rows_carry_the_origin_that_was_said(workbench, tmp_path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    write(tmp_path / "rows.jsonl", {"messages": [*chat, {"role": "assistant", "content": "Hello"}], "id": "x1"})
    step = run("file", workbench, path="rows.jsonl", origin="other model", weight=0.5)
    (row,) = step.rows
    assert (row.response, row.origin, row.method, row.round, row.weight) == ("Hello", "other model", "file", 0, 0.5)
    assert [message.role for message in row.prompt] == ["system", "user"]
    assert row.parents == ("x1",)


def test_who_wrote_it_has_no_default(workbench, tmp_path):
    with pytest.raises(ConfigError, match="setting 'origin' is missing"):
        run("file", workbench, path="rows.jsonl")


def test_empty_and_failed_responses_are_counted(workbench, tmp_path):
    write(
        tmp_path / "rows.jsonl",
        {"prompt": "a", "response": " "},
        {"prompt": "b", "response": "", "finish_reason": "error"},
        {"prompt": "c", "response": "C"},
    )
    step = run("file", workbench, path="rows.jsonl", origin="human")
    assert step.dropped == {"empty response": 1, "recorded as failed": 1, "malformed": 0}
    assert [row.response for row in step.rows] == ["C"]
    assert balances(step, 0)


def test_a_bad_row_stops_the_round_or_is_set_aside(workbench, tmp_path):
    write(tmp_path / "rows.jsonl", {"prompt": "a", "response": "A"}, "{broken", {"prompt": "c", "response": "C"})
    with pytest.raises(InputError, match="line 2"):
        run("file", workbench, path="rows.jsonl", origin="human")
    step = run("file", workbench, path="rows.jsonl", origin="human", skip_bad=True)
    assert step.dropped["malformed"] == 1
    assert len(step.rows) == 2
    assert balances(step, 0)
    assert (tmp_path / "rows.jsonl.quarantine").read_text(encoding="utf-8").strip() == "{broken"


def test_worse_responses_come_from_their_column(workbench, tmp_path):
    worse = [{"role": "user", "content": "b"}, {"role": "assistant", "content": "bad"}]
    write(
        tmp_path / "rows.jsonl",
        {"prompt": "a", "response": "A", "rejected": "no"},
        {"prompt": "b", "response": "B", "rejected": worse},
    )
    step = run("file", workbench, path="rows.jsonl", origin="human", rejected_column="rejected")
    assert [row.rejected for row in step.rows] == ["no", "bad"]
    with pytest.raises(InputError, match=r"no text in column 'reject' .*did you mean 'rejected'"):
        run("file", workbench, path="rows.jsonl", origin="human", rejected_column="reject")


def test_parquet_is_read_too(workbench, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"question": ["a", "b"], "answer": ["A", "B"]}), tmp_path / "rows.parquet")
    step = run("file", workbench, path="rows.parquet", origin="template")
    assert [row.response for row in step.rows] == ["A", "B"]


def test_a_fresh_draw_each_round_of_the_number_wanted(workbench, tmp_path):
    write(tmp_path / "rows.jsonl", *({"prompt": f"q{i}", "response": f"r{i}"} for i in range(30)))
    draws = [run("file", workbench, path="rows.jsonl", origin="human", n_rows=10) for _ in range(2)]
    assert [len(step.rows) for step in draws] == [10, 10]
    assert draws[0].dropped["not drawn"] == 20
    assert draws[0].rows != draws[1].rows
    assert all(balances(step, 0) for step in draws)


def test_a_missing_file_is_named(workbench):
    with pytest.raises(InputError, match=r"none\.jsonl"):
        run("file", workbench, path="none.jsonl", origin="human")


def test_a_reservoir_holds_each_item_and_each_pair_with_equal_probability():
    rng = np.random.default_rng(0)
    counts = Counter(tuple(reservoir(range(6), 2, rng)) for _ in range(6000))
    assert len(counts) == 15
    assert chisquare(list(counts.values())).pvalue > 1e-3
    assert all(a < b for a, b in counts)
    assert reservoir(range(3), 5, rng) == [0, 1, 2]
