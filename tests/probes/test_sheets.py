"""Sheets survive their file, and a file that is none is refused with its line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_subject import made

from moorings.errors import InputError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.sheets import ANSWERS, read_sheet, write_sheet

HOSTILE = "\u2028\x00<script>\n\u202e"


def sheet(text: str = HOSTILE) -> AnswerSheet:
    items = made(2, 3).items
    answers = (
        Answer("i0", (2, 0, 1), "plain", "logprobs", 2, (-1.5, -math.pi, -0.1)),
        Answer("i1", (0, 1, 2), HOSTILE, "text", None, (), text, "truncated"),
    )
    return AnswerSheet("scripted:x", "f" * 64, items, answers, {"mode": "text", "more": [1, {"a": None}]})


def test_a_sheet_comes_back_as_it_was(tmp_path: Path) -> None:
    assert write_sheet(sheet(), tmp_path) == tmp_path / ANSWERS
    assert read_sheet(tmp_path) == sheet()


@given(st.text())
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_text"
    write_sheet(sheet(text), folder)
    assert read_sheet(folder).answers[1].text == text


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    write_sheet(sheet("a\ud800b"), tmp_path)
    assert read_sheet(tmp_path).answers[1].text == "a\ufffdb"


def test_unknown_values_stay_unknown(tmp_path: Path) -> None:
    one = sheet().answers[0]._replace(logprobs=(-1.0, math.nan, -math.inf))
    write_sheet(AnswerSheet("u", "f", sheet().items, (one,), {}), tmp_path)
    found = read_sheet(tmp_path).answers[0].logprobs
    assert found[0] == -1.0
    assert math.isnan(found[1])
    assert math.isnan(found[2])


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (0, {"moorings_answers": 2}),
        (0, {"n_items": "many"}),
        (1, {"options": 3}),
        (3, {"item_id": "nobody"}),
        (3, {"order": [0, 0, 1]}),
        (3, {"chosen": 3}),
        (3, {"logprobs": [-1.0]}),
        (4, {"status": "splendid"}),
        (4, {"mode": "thought"}),
        (4, {"more": 1}),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: int, change: dict) -> None:
    path = write_sheet(sheet("plain"), tmp_path)
    rows = [json.loads(row) for row in path.read_text("utf-8").split("\n")[:-1]]
    rows[line] |= change
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=f"line {line + 1} is not of an answer sheet"):
        read_sheet(tmp_path)


@pytest.mark.parametrize("n_kept", [0, 2, 4])
def test_a_sheet_that_is_cut_short_is_refused(tmp_path: Path, n_kept: int) -> None:
    path = write_sheet(sheet("plain"), tmp_path)
    path.write_text("\n".join(path.read_text().split("\n")[:n_kept]))
    with pytest.raises(InputError):
        read_sheet(tmp_path)
