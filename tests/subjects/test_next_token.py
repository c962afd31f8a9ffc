"""Short continuations cost one reading of the chat, and their values are those of scoring them in full."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.errors import BackendError, InputError
from moorings.records import Message, SampleStatus
from moorings.subjects.next_token import share_prefixes, token_logprobs
from moorings.subjects.protocol import NextTokenScorer
from moorings.subjects.simulated import SimulatedSubject
from moorings.subjects.spec import open_subject

pytestmark = pytest.mark.usefixtures("own_cache")

ENGINES = ("transformers", "ctranslate2")
TEXTS = ("A", " A", "B", "(C)")


def chat(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


STEMS = ("the keeper of the light", "the keeper of the", "row", "", "another tide and a long way home")
CHATS = [
    chat(f"{stem}\nA) {a}\nB) {b}") for stem in STEMS for a, b in (("more", "less"), ("less", "more"), ("x", "yz"))
]


def opened(uri: Path, engine: str, **settings: Any) -> Any:
    return open_subject(f"hf:{uri}", engine=engine, **{"threads": 1, "precision": "fp32", **settings})


def values(found: list) -> np.ndarray:
    return np.array([one.logprobs_nats for one in found])


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple), min_size=1, max_size=6, unique=True),
    st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_no_other_cut_of_the_sorted_rows_costs_fewer_tokens(rows: list[tuple[int, ...]], most: int) -> None:
    segments = share_prefixes(rows, most=most)
    assert sorted(at for segment in segments for at in segment.rows) == list(range(len(rows)))
    for n_prefix, places in segments:
        assert 1 <= len(places) <= most
        assert len({rows[at][:n_prefix] for at in places}) == 1
        assert all(len(rows[at]) > n_prefix for at in places)
    ordered = sorted(range(len(rows)), key=lambda at: rows[at])
    least = min(sum(_read(rows, run) for run in runs) for runs in _cuts(ordered, most))
    assert sum(_read(rows, places) for _, places in segments) == least


def _read(rows: list[tuple[int, ...]], places: Any) -> int:
    """Tokens that a group costs: its longest usable common beginning once, and the endings."""
    mine = [rows[at] for at in places]
    shared = 0
    while all(len(row) > shared + 1 and row[shared] == mine[0][shared] for row in mine):
        shared += 1
    return shared + sum(len(row) - shared for row in mine)


def _cuts(places: list[int], most: int) -> Any:
    """All ways to cut a list into runs."""
    if not places:
        yield []
        return
    for size in range(1, min(most, len(places)) + 1):
        for rest in _cuts(places[size:], most):
            yield [places[:size], *rest]


def test_log_softmax_of_wanted_tokens() -> None:
    logits = np.array([1000.0, 999.0, -np.inf], dtype=np.float32)
    assert token_logprobs(logits, [1, 0]) == pytest.approx([-1.3132617, -0.3132617])
    assert token_logprobs(logits, [2]) == [-math.inf]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_values_are_those_of_full_scoring(tiny_model: Path, engine: str, batch_size: int) -> None:
    subject = opened(tiny_model, engine, batch_size=batch_size)
    assert isinstance(subject, NextTokenScorer)
    found = subject.next_token_logprobs([(one, TEXTS) for one in CHATS])
    full = subject.score([(one, text) for one in CHATS for text in TEXTS])
    expected = np.array([sum(one.logprobs_nats) for one in full]).reshape(len(CHATS), len(TEXTS))
    assert np.allclose(values(found), expected, atol=2e-4)
    assert {one.status for one in found} == {SampleStatus.COMPLETED}
    assert subject.next_token_logprobs([(one, TEXTS) for one in CHATS]) == found
    subject.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_each_chat_may_have_other_continuations(tiny_model: Path, engine: str) -> None:
    subject = opened(tiny_model, engine)
    mixed = subject.next_token_logprobs(
        [(CHATS[0], ("A",)), (CHATS[1], ("B", "A")), (CHATS[0], ("B", "A")), (CHATS[2], ())]
    )
    assert [len(one.logprobs_nats) for one in mixed] == [1, 2, 2, 0]
    assert mixed[0].logprobs_nats[0] == mixed[2].logprobs_nats[1]
    assert subject.next_token_logprobs([]) == []
    subject.close()


def test_engines_agree(tiny_model: Path) -> None:
    one, other = (opened(tiny_model, engine).next_token_logprobs([(c, TEXTS) for c in CHATS]) for engine in ENGINES)
    assert np.allclose(values(one), values(other), atol=1e-3)


def test_an_adapter_changes_the_values(tiny_model: Path, tiny_adapter: Path) -> None:
    items = [(one, TEXTS) for one in CHATS]
    plain = opened(tiny_model, "transformers").next_token_logprobs(items)
    adapted = opened(Path(f"{tiny_model}+{tiny_adapter}"), "transformers")
    found = values(adapted.next_token_logprobs(items))
    full = [sum(one.logprobs_nats) for one in adapted.score([(CHATS[3], text) for text in TEXTS])]
    assert np.allclose(found[3], full, atol=2e-4)
    assert not np.allclose(found, values(plain), atol=1e-2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_chat_that_cannot_be_asked_spoils_no_other(tiny_model: Path, engine: str) -> None:
    subject = opened(tiny_model, engine)
    items = [(chat("x" * 300), ("A", "B")), (CHATS[0], ("A", "B")), (chat("\ud800"), ("A", "B"))]
    long, good, broken = subject.next_token_logprobs(items)
    assert (long.status, broken.status) == (SampleStatus.TOO_LONG, SampleStatus.FAILED)
    assert "exceed a context of 256" in long.error
    assert "UTF-8" in broken.error
    assert all(math.isnan(value) for one in (long, broken) for value in one.logprobs_nats)
    assert good == subject.next_token_logprobs(items[1:2])[0]
    with pytest.raises(InputError, match="has no tokens"):
        subject.next_token_logprobs([(CHATS[0], ("",))])
    with pytest.raises(InputError, match="UTF-8"):
        subject.next_token_logprobs([(CHATS[0], ("\ud800",))])
    subject.close()


def test_an_empty_chat_without_a_template_is_a_failed_one(tiny_model: Path) -> None:
    subject = opened(tiny_model, "transformers", options={"template": "plain"})
    (found,) = subject.next_token_logprobs([(chat(""), ("A",))])
    assert (found.status, found.error) == (SampleStatus.FAILED, "the chat has no tokens")


def test_a_chat_of_one_token_has_no_prefix(tiny_model: Path) -> None:
    subject = opened(tiny_model, "transformers", options={"template": "plain"})
    items = [(chat(text), ("A", "bc")) for text in ("x", "y")]
    full = subject.score([(one, text) for one, texts in items for text in texts])
    expected = np.array([sum(one.logprobs_nats) for one in full]).reshape(2, 2)
    assert np.allclose(values(subject.next_token_logprobs(items)), expected, atol=2e-4)


def test_what_the_engine_refuses_is_a_backend_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = opened(tiny_model, "ctranslate2")

    def refuse(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(subject, "_submit", refuse)
    with pytest.raises(BackendError, match="failed to score 1 chats: out of memory"):
        subject.next_token_logprobs([(CHATS[0], ("A",))])


def test_a_simulated_model_scores_by_the_words() -> None:
    one, other = SimulatedSubject("one", {}, "simulated:one"), SimulatedSubject("other", {}, "simulated:other")
    items = [(CHATS[0], TEXTS), (CHATS[1], TEXTS)]
    found = one.next_token_logprobs(items)
    assert found == other.next_token_logprobs(items)
    assert found[0] != found[1]
    assert found[0].logprobs_nats[3] == sum(one.score([(CHATS[0], "(C)")])[0].logprobs_nats)


@pytest.mark.model
def test_the_embedded_model_is_read_alike_by_both_engines() -> None:
    chats = [
        chat(f"Is {place} an island?\nA) {a}\nB) {b}")
        for place in ("Malta", "Bern")
        for a, b in (("yes", "no"), ("no", "yes"))
    ]
    items = [(one, ("A", " A", "B", " (B)")) for one in chats]
    found = []
    for engine in ENGINES:
        subject = open_subject("bundled:smollm2-135m", engine=engine, precision="fp32", threads=1)
        found.append(values(subject.next_token_logprobs(items)))
        subject.close()
    assert np.allclose(*found, atol=1e-3)
