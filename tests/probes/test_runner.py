"""The runner asks everything once, in every order and framing, and reads answers by symbols or by words."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scoring_subject import Scoring, made

from moorings.errors import ConfigError, InputError, StorageError
from moorings.probes.framing import PLAIN, observation
from moorings.probes.runner import ask, read_sheet
from moorings.probes.sheets import ANSWERS
from moorings.records import Message
from moorings.subjects.protocol import NextTokenScorer
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec


def test_every_item_is_asked_in_every_order_under_every_framing(tmp_path: Path) -> None:
    items = made(6, 3)
    framings = (PLAIN, *observation(1))
    sheet = ask(Scoring(), items, tmp_path, framings=framings, orders="all")
    assert len(sheet.answers) == 6 * 6 * 3
    assert len({(answer.item_id, answer.order, answer.framing) for answer in sheet.answers}) == 6 * 6 * 3
    assert {answer.mode for answer in sheet.answers} == {"logprobs"}
    assert sheet.items == items.items
    assert (sheet.about["asked"]["set"], sheet.about["asked"]["orders"], sheet.about["mode"]) == (
        items.sha256,
        "all",
        "logprobs",
    )


def test_values_belong_to_options_wherever_they_stood(tmp_path: Path) -> None:
    sheet = ask(Scoring(position=0.25), made(4, 3), tmp_path)
    both = math.log(1 + math.exp(-5.0))
    items = {item.item_id: item for item in sheet.items}
    for answer in sheet.answers:
        expected = [
            -3.0 + option.key + 0.25 * (answer.order[0] == at) + both
            for at, option in enumerate(items[answer.item_id].options)
        ]
        assert np.allclose(answer.logprobs, expected)
        assert answer.chosen == items[answer.item_id].key_at
    # Over a Latin square each option has the first place once, so what is liked for its place has no effect.
    shares = sheet.shares()
    assert all(np.ptp(np.delete(share, item.key_at)) < 1e-12 for share, item in zip(shares, sheet.items, strict=True))


def test_symbols_of_other_kinds_are_compared_alike(tmp_path: Path) -> None:
    items = made(2, 3)
    other = [
        item.model_copy(
            update={
                "options": tuple(o.model_copy(update={"symbol": s}) for o, s in zip(item.options, symbols, strict=True))
            }
        )
        for item, symbols in zip(items.items, ("123", "X1Y"), strict=True)
    ]
    sheet = ask(Scoring(), type(items)("other", tuple(other)), tmp_path)
    assert [answer.chosen for answer in sheet.answers] == [0, 0, 0, 1, 1, 1]
    assert set(sheet.about["symbol_priors"]["plain"]) == {"1 2 3", "X 1 Y"}


def test_a_liking_for_a_place_is_seen_in_one_order_and_gone_in_the_average(tmp_path: Path) -> None:
    items = made(8)
    stored = ask(Scoring(position=3.0), items, tmp_path / "stored", orders="stored")
    assert [answer.chosen for answer in stored.answers] == [0] * 8
    balanced = ask(Scoring(position=3.0), items, tmp_path / "balanced")
    wins = [share.argmax() == item.key_at for share, item in zip(balanced.shares(), items.items, strict=True)]
    assert wins == [True] * 8


def test_the_prior_of_symbols_is_measured_where_nothing_is_asked(tmp_path: Path) -> None:
    sheet = ask(Scoring(position=2.0), made(2), tmp_path, framings=(PLAIN, *observation(1)))
    both = math.log(1 + math.exp(-5.0))
    assert sheet.about["symbol_prior"] == pytest.approx({"A": -1.0 + both, "B": -3.0 + both})
    assert set(sheet.about["symbol_priors"]) == {"plain", "observed", "unobserved"}
    assert sheet.about["symbol_priors"]["observed"]["A B"] == pytest.approx([-1.0 + both, -3.0 + both])


def test_what_was_asked_is_read_again_and_nothing_else(tmp_path: Path) -> None:
    subject, items = Scoring(), made(5)
    sheet = ask(subject, items, tmp_path)
    asked = subject.n_chats
    assert ask(subject, items, tmp_path) == sheet == read_sheet(tmp_path)
    assert subject.n_chats == asked
    for change in ({"orders": "stored"}, {"seed": 1}, {"framings": observation(1)}, {"mode": "text"}):
        with pytest.raises(StorageError, match="another question"):
            ask(subject, items, tmp_path, **change)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="set was"):
        ask(subject, made(6), tmp_path)
    with pytest.raises(StorageError, match="subject was"):
        ask(Scoring(position=1.0), items, tmp_path)


def test_a_killed_call_is_resumed_with_identical_answers(tmp_path: Path) -> None:
    script = Path(__file__).with_name("scoring_subject.py")
    done = subprocess.run([sys.executable, str(script), str(tmp_path / "killed"), "3"], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "killed" / ANSWERS).exists()
    resumed = Scoring(0.5)
    sheet = ask(resumed, made(300), tmp_path / "killed")
    whole = Scoring(0.5)
    assert ask(whole, made(300), tmp_path / "whole") == sheet
    assert whole.n_chats == 600 + 3
    # One chunk of 256 and the content-free prompts had been acknowledged.
    assert resumed.n_chats == 600 - 256
    assert (tmp_path / "killed" / ANSWERS).read_bytes() == (tmp_path / "whole" / ANSWERS).read_bytes()


def test_failed_answers_are_kept_as_failed(tmp_path: Path) -> None:
    items = made(3)
    faulty = [items.items[0], items.items[1].model_copy(update={"prompt": "too long"})]
    faulty.append(items.items[2].model_copy(update={"prompt": "unknown"}))
    sheet = ask(Scoring(), type(items)("faulty", tuple(faulty)), tmp_path)
    assert [answer.status for answer in sheet.answers] == ["completed"] * 2 + ["too_long"] * 2 + ["empty"] * 2
    assert [answer.chosen is None for answer in sheet.answers] == [False, False, True, True, True, True]
    assert sheet.about["faults"] == {"9 tokens exceed a context of 8": 2}
    again = read_sheet(tmp_path)
    assert [answer[:5] for answer in again.answers] == [answer[:5] for answer in sheet.answers]
    assert np.isnan(again.answers[-1].logprobs).all()


def test_texts_are_drawn_and_read_where_symbols_cannot_be_compared(tmp_path: Path) -> None:
    items = made(4)
    said = {0: "Answer: A", 1: "either A or B", 2: "", 3: "no 0"}

    def script(chat: tuple[Message, ...], seed: int) -> str:
        return said[int(chat[-1].content.split("Question ")[1][0])]

    subject = ScriptedSubject(script)
    assert not isinstance(subject, NextTokenScorer)
    sheet = ask(subject, items, tmp_path)
    assert {answer.mode for answer in sheet.answers} == {"text"}
    assert [answer.chosen for answer in sheet.answers] == [0, 1, None, None, None, None, 0, 0]
    assert [answer.status for answer in sheet.answers][4:6] == ["empty", "empty"]
    assert sheet.about["mode"] == "text"
    with pytest.raises(ConfigError, match="cannot tell how likely"):
        ask(subject, items, tmp_path / "other", mode="logprobs")


def test_text_mode_asks_a_scorer_for_words(tmp_path: Path) -> None:
    subject = Scoring()
    sheet = ask(subject, made(3), tmp_path, mode="text")
    assert [answer.chosen for answer in sheet.answers] == [answer.order[0] for answer in sheet.answers]
    assert subject.n_chats == 0


def test_failures_of_drawn_answers_are_no_answers(tmp_path: Path) -> None:
    spec = SubjectSpec(uri="scripted:lorem", options={"hostile": True})
    sheet = ask(spec, made(150), tmp_path, orders="stored")
    statuses = {answer.status for answer in sheet.answers}
    assert {"completed", "failed", "too_long", "refused", "empty"} <= statuses
    bad = [answer for answer in sheet.answers if answer.status not in ("completed", "truncated")]
    assert all(answer.chosen is None for answer in bad)
    assert sheet.about["faults"]["scripted failure"] >= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "guess"}, "unknown mode"),
        ({"orders": "some"}, "unknown orders"),
        ({"framings": ()}, "there are none"),
        ({"chunk": 0}, "chunk=0"),
        ({"framings": (PLAIN, PLAIN)}, "'plain' is there twice"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ask(Scoring(), made(2), tmp_path, **change)


def test_sets_that_cannot_be_asked_are_refused(tmp_path: Path) -> None:
    items = made(2)
    for bad, message in (
        ((), "there are none"),
        ((items.items[0], items.items[0]), "'i0' is there twice"),
        ((items.items[0].model_copy(update={"options": ()}),), "no options"),
    ):
        with pytest.raises(ConfigError, match=message):
            ask(Scoring(), type(items)("bad", bad), tmp_path)


def test_there_is_no_sheet_before_the_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        read_sheet(tmp_path)
