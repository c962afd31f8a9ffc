"""Stored answers survive their file, with rewards and hostile texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moorings.errors import InputError
from moorings.feedback.stored_answers import StoredAnswers, read_answers, write_answers
from moorings.records import Message, Prompt


def _prompt(at: int) -> Prompt:
    return Prompt(prompt_id=f"p{at}", messages=(Message(role="user", content=f"Q{at}?"),), metadata={"answer": at})


ANSWERS = StoredAnswers(
    prompts=(_prompt(0), _prompt(1)),
    responses=(("a", "<b>\x1b[31m", "a"), ("", "d", "\u202e e")),
    logprobs_nats=np.array([[-1.0, np.nan, -1.0], [-2.0, -3.0, -4.0]]),
    n_tokens=np.array([[1, 4, 1], [0, 1, 2]]),
    about={"seed": 3},
)


def test_answers_survive_their_file(tmp_path: Path) -> None:
    scored = ANSWERS.with_reward("length", np.arange(6.0), unit="letters", direction="lower")
    back = read_answers(write_answers(scored, tmp_path / "answers.parquet"))
    assert (back.prompts, back.responses, back.about) == (scored.prompts, scored.responses, scored.about)
    assert back.about["rewards"] == {"length": {"unit": "letters", "direction": "lower"}}
    np.testing.assert_array_equal(back.rewards["length"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(back.logprobs_nats, ANSWERS.logprobs_nats)
    np.testing.assert_array_equal(back.n_tokens, ANSWERS.n_tokens)


def test_repeats_point_at_the_first() -> None:
    assert ANSWERS.repeats().tolist() == [[0, 1, 0], [0, 1, 2]]
    assert [graded.response for graded in ANSWERS.graded()][:3] == ["a", "<b>\x1b[31m", "a"]
    assert ANSWERS.graded()[4].metadata == {"answer": 1}


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    broken = StoredAnswers((_prompt(0),), (("\ud800",),), np.zeros((1, 1)), np.ones((1, 1), dtype=int))
    assert read_answers(write_answers(broken, tmp_path / "a.parquet")).responses == (("?",),)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_answers(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match="holds no stored answers"):
        read_answers(path)
    whole = pq.read_table(write_answers(ANSWERS, path))
    pq.write_table(whole.slice(0, 5), path)
    with pytest.raises(InputError, match="5 answers to 2 prompts, not equally many"):
        read_answers(path)
