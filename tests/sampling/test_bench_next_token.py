"""Scores of short continuations are kept chunk by chunk, and what is kept is not asked again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from moorings.errors import BackendError, ConfigError, StorageError
from moorings.records import Message, SampleStatus
from moorings.sampling.bench import Bench
from moorings.subjects.protocol import NextTokenLogprobs
from moorings.subjects.scripted import ScriptedSubject

ITEMS = [((Message(role="user", content=f"{number}"),), ("A", "B")) for number in range(10)]


class Counting(ScriptedSubject):
    """Gives the number that it is asked, and fails at a call."""

    def __init__(self, version: str = "1", fails_at: int = 0) -> None:
        super().__init__(lambda chat, seed: "", name="counting", version=version)
        self.fails_at, self.calls = fails_at, []

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        self.calls.append(len(items))
        if len(self.calls) == self.fails_at:
            raise BackendError("lost")
        return [self._one(int(chat[0].content)) for chat, _ in items]

    def _one(self, number: int) -> NextTokenLogprobs:
        if number == 3:
            return NextTokenLogprobs((math.nan, math.nan), SampleStatus.FAILED, "no")
        return NextTokenLogprobs((-number / 7, -math.inf))


def told(found: list[NextTokenLogprobs]) -> list[tuple]:
    return [(str(one.logprobs_nats), one.status, one.error) for one in found]


def test_a_call_that_failed_loses_at_most_a_chunk(tmp_path: Path) -> None:
    broken = Counting(fails_at=3)
    with pytest.raises(BackendError, match="lost"):
        Bench(broken, tmp_path).next_token(ITEMS, "q", chunk=4)
    assert broken.calls == [4, 4, 2]
    resumed = Counting()
    found = Bench(resumed, tmp_path).next_token(ITEMS, "q", chunk=4)
    assert resumed.calls == [2]
    whole = Counting()
    assert told(Bench(whole, tmp_path / "whole").next_token(ITEMS, "q", chunk=4)) == told(found)
    assert told(Bench(whole, tmp_path).next_token(ITEMS, "q", chunk=4)) == told(found)
    assert whole.calls == [4, 4, 2]


def test_what_is_not_finite_or_failed_stays_so(tmp_path: Path) -> None:
    found = Bench(Counting(), tmp_path).next_token(ITEMS, "q")
    assert found[2].logprobs_nats[0] == -2 / 7
    assert math.isnan(found[2].logprobs_nats[1])
    assert (found[3].status, found[3].error) == (SampleStatus.FAILED, "no")


def test_a_label_stands_for_one_set_of_items_and_one_subject(tmp_path: Path) -> None:
    bench = Bench(Counting(), tmp_path)
    bench.next_token(ITEMS, "q")
    for other, items in ((Counting(), ITEMS[:3]), (Counting("2"), ITEMS)):
        with pytest.raises(StorageError, match="other settings"):
            Bench(other, tmp_path).next_token(items, "q")
    with pytest.raises(StorageError, match="other settings"):
        bench.next_token(ITEMS, "q", chunk=2)
    with pytest.raises(ConfigError, match="how likely an answer symbol is"):
        Bench(ScriptedSubject({}), tmp_path).next_token(ITEMS, "none")


def test_progress_counts_what_was_kept_as_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BackendError):
        Bench(Counting(fails_at=2), tmp_path).next_token(ITEMS, "q", chunk=4)
    Bench(Counting(), tmp_path, progress=True).next_token(ITEMS, "q", chunk=4)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (events[0]["done"], events[0]["total"]) == (4, 10)
    assert (events[-1]["done"], events[-1]["left_s"]) == (10, 0.0)
