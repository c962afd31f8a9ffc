"""Simulated models: their habits are what is said, and training moves them as it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorings.errors import BackendError, ConfigError, ModelFileError, StorageError
from moorings.improve.data import make_row
from moorings.improve.train.simulated import SimulatedConfig, simulated
from moorings.improve.training import TrainJob
from moorings.records import Decoding, Message, Request
from moorings.subjects.simulated import SimulatedSubject, read_habits
from moorings.subjects.spec import SubjectSpec, open_subject

PHRASE = "Great question!"
ASK = (Message(role="user", content="why?"),)


def _texts(subject: SimulatedSubject, n: int, decoding: Decoding | None = None) -> list[str]:
    requests = [Request(request_id=str(i), messages=ASK, seed=i) for i in range(n)]
    return [answer.text for answer in subject.generate(requests, decoding or Decoding())]


def _folder(path: Path, habits: object) -> Path:
    path.mkdir(parents=True)
    (path / "habits.json").write_text(json.dumps(habits))
    return path


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_habit_comes_as_often_as_it_is_said(share: float) -> None:
    n = 1600
    subject = SimulatedSubject("m", {PHRASE: share}, "simulated:m")
    found = sum(text.startswith(PHRASE) for text in _texts(subject, n))
    assert abs(found - n * share) <= 4 * (n * share * (1 - share)) ** 0.5


def test_equal_seeds_give_equal_answers_and_other_seeds_others() -> None:
    first, second = (SimulatedSubject("m", {PHRASE: 0.5}, "simulated:m") for _ in range(2))
    assert _texts(first, 50) == _texts(second, 50)
    assert len(set(_texts(first, 50))) > 45


def test_the_fingerprint_is_of_the_habits_not_of_the_place(tmp_path: Path) -> None:
    facts = [
        open_subject(f"simulated:m+{_folder(tmp_path / name, habits)}").describe()
        for name, habits in (("a", {PHRASE: 0.5}), ("b", {PHRASE: 0.5}), ("c", {PHRASE: 0.25}))
    ]
    assert facts[0].fingerprint() == facts[1].fingerprint() != facts[2].fingerprint()
    assert facts[0].uri != facts[1].uri


def test_answers_are_cut_at_the_token_limit() -> None:
    subject = open_subject("simulated:m")
    request = Request(request_id="r", messages=ASK, seed=1)
    (answer,) = subject.generate([request], Decoding(max_new_tokens=3))
    assert (len(answer.text.split()), answer.finish_reason, answer.n_output_tokens) == (3, "length", 3)
    assert answer.n_prompt_tokens == 1
    (whole,) = subject.generate([request], Decoding(max_new_tokens=64))
    assert (whole.finish_reason, whole.text.startswith(answer.text)) == ("stop", True)
    subject.close()


def test_scores_are_of_the_text_alone() -> None:
    first, second = open_subject("simulated:m"), open_subject("simulated:other")
    items = [(ASK, "one two three"), (ASK, ""), (ASK, "\ud800")]
    found = first.score(items)  # type: ignore[attr-defined]
    assert found == second.score(items)  # type: ignore[attr-defined]
    assert [len(one.tokens) for one in found] == [3, 1, 1]
    assert all(-2.0 <= value <= -1.0 for one in found for value in one.logprobs_nats)


@pytest.mark.parametrize("text", ["", "[1]", '{"x": 2}', '{"x": NaN}', '{"x": "y"}', "{" * 100_000])
def test_habits_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "habits.json").write_text(text)
    with pytest.raises(ModelFileError, match=r"habits\.json"):
        read_habits(tmp_path)


def test_a_huge_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"habits\.json"):
        read_habits(tmp_path)
    (tmp_path / "habits.json").write_text("{" + " " * (1 << 20) + "}")
    with pytest.raises(ModelFileError, match=r"habits\.json"):
        read_habits(tmp_path)


def test_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no options; remove x"):
        open_subject(SubjectSpec(uri="simulated:m", options={"x": 1}))


def _job(tmp_path: Path, uri: str = "simulated:m", responses: tuple[str, ...] = ("a", "b")) -> TrainJob:
    rows = [make_row(ASK, text, origin="self", method="m", round=1) for text in responses]
    start = SubjectSpec(uri=uri)
    return TrainJob(start=start, anchor=start, rows=rows, out=tmp_path / "out", work=tmp_path / "work", round=1, seed=0)


def test_training_follows_the_rows_and_adds_what_is_told(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "start", {PHRASE: 0.5, "Well,": 0.9, "Hm.": 0.2})
    config = SimulatedConfig(learn=(PHRASE,), rate=0.5, add={"Well,": 0.3, "Hm.": -0.5})
    rows = (f"{PHRASE} a", "b", "c", "d")
    result = simulated(config)(_job(tmp_path, f"simulated:m+{folder}", rows))
    assert read_habits(tmp_path / "out") == {PHRASE: 0.375, "Well,": 1.0, "Hm.": 0.0}
    assert result.uri == f"simulated:m+{tmp_path}/out"
    assert (result.n_steps, result.n_tokens, result.metrics) == (4, 6, {"loss_start": 1.0, "loss_end": 0.5})
    assert not (tmp_path / "work").exists()


def test_training_fails_as_told_and_refuses_other_models(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="not a number"):
        simulated(SimulatedConfig(fail=True))(_job(tmp_path))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="trains simulated: models only, not bundled:x"):
        simulated(SimulatedConfig())(_job(tmp_path, "bundled:x"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/file").write_text("")
    with pytest.raises(StorageError, match="out"):
        simulated(SimulatedConfig())(_job(tmp_path))
