"""Routing by nearest centre, tables from strangers, and the facts of a routed subject."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moorings.errors import InputError, ModelFileError
from moorings.records import Decoding, Message, Request
from moorings.subjects import routed
from moorings.subjects.protocol import NextTokenLogprobs, TokenLogprobs
from moorings.subjects.routed import Column, RoutedSubject, RoutingTable, open_routed, read_table, route, routing_text
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec


class AxisEmbedder:
    """`x`, `y` and anything else on three axes."""

    def embed_texts(self, texts):
        axes = {"x": 0, "y": 1}
        return np.eye(3, dtype=np.float32)[[axes.get(text[:1], 2) for text in texts]]


def table(**changes) -> RoutingTable:
    columns = (
        Column(adapter="../one", centroid=(1.0, 0.0, 0.0), least=0.5),
        Column(adapter="two", centroid=(0.0, 1.0, 0.0), least=0.5),
    )
    return RoutingTable(**({"base": "hf:base", "columns": columns} | changes))


class Scoring(ScriptedSubject):
    """Scores each item by the name of its column."""

    def score(self, items):
        return [TokenLogprobs((self._info.name,), (0.0,)) for _ in items]

    def next_token_logprobs(self, items):
        return [NextTokenLogprobs((), error=self._info.name) for _ in items]


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoutedSubject:
    def opened(spec):
        name = spec.uri.rpartition("/")[2]
        return Scoring(lambda messages, seed: f"{name}: {messages[-1].content}", name=name)

    monkeypatch.setattr(routed, "open_subject", opened)
    return RoutedSubject(SubjectSpec(uri="routed:t"), table(), tmp_path / "run" / "defences", AxisEmbedder())


def request(text: str) -> Request:
    return Request(request_id=text, messages=(Message(role="user", content=text),), seed=0)


def test_nearest_centre_wins_unless_too_far() -> None:
    found = route(table(), np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0.1, 0.2, 0.9], [0.7, 0.7, 0.0]]))
    assert found.tolist() == [0, 1, -1, 0]


def test_each_request_goes_to_its_column(subject: RoutedSubject) -> None:
    found = subject.generate([request(text) for text in ("y1", "x1", "z", "x2")], Decoding())
    answers = {answer.request_id: answer.text for answer in found}
    assert answers == {"x1": "one: x1", "x2": "one: x2", "y1": "two: y1", "z": "hf:base: z"}
    assert list(subject.generate([], Decoding())) == []


def test_scores_keep_the_order(subject: RoutedSubject) -> None:
    items = [((Message(role="user", content=text),), "go") for text in ("y", "x", "z")]
    assert [found.tokens[0] for found in subject.score(items)] == ["two", "one", "hf:base"]
    assert subject.score([]) == []


def test_short_continuations_keep_the_order_too(subject: RoutedSubject) -> None:
    items = [((Message(role="user", content=text),), ("A", "B")) for text in ("y", "x", "z")]
    assert [found.error for found in subject.next_token_logprobs(items)] == ["two", "one", "hf:base"]
    assert subject.next_token_logprobs([]) == []


def test_an_engine_that_cannot_score_is_refused(subject: RoutedSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routed, "open_subject", lambda spec: ScriptedSubject(lambda messages, seed: ""))
    with pytest.raises(InputError, match="cannot score"):
        subject.score([((Message(role="user", content="x"),), "go")])
    with pytest.raises(InputError, match="cannot score"):
        subject.next_token_logprobs([((Message(role="user", content="x"),), ("A", "B"))])


def test_facts_change_with_the_routes_and_not_with_the_place(subject: RoutedSubject, tmp_path: Path) -> None:
    def adapter(some: RoutingTable) -> str | None:
        return RoutedSubject(SubjectSpec(uri="routed:t"), some, tmp_path).describe().adapter

    least = table().columns[0].model_copy(update={"least": 0.6})
    moved = table().columns[0].model_copy(update={"adapter": "elsewhere/one"})
    assert adapter(table(columns=(moved, table().columns[1]))) == adapter(table())
    assert adapter(table(columns=(least, table().columns[1]))) != adapter(table())
    assert subject.describe().name == "hf:base+2 columns"
    subject.close()
    subject.close()


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "columns.json"
    path.write_text(routing_text(table()))
    assert read_table(path) == table()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "the whole"),
        ("{", "the whole"),
        (json.dumps({"base": "hf:b", "columns": []}), "columns"),
        (json.dumps({**table().model_dump(), "extra": 1}), "extra"),
        (json.dumps({**table().model_dump(), "format": 2}), "format"),
        (
            json.dumps(
                {
                    "base": "hf:b",
                    "columns": [
                        {"adapter": "a", "centroid": [1.0], "least": 0.0},
                        {"adapter": "b", "centroid": [1.0, 0.0], "least": 0.0},
                    ],
                }
            ),
            "differ in length",
        ),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "columns.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_table(path)


def test_a_missing_and_an_outsized_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError, match="no routing table"):
        read_table(tmp_path / "none.json")
    path = tmp_path / "columns.json"
    path.write_text(routing_text(table()))
    monkeypatch.setattr(routed, "_MAX_BYTES", 10)
    with pytest.raises(InputError, match="no routing table"):
        read_table(path)


def test_only_local_models_stand_below_columns(tmp_path: Path) -> None:
    path = tmp_path / "columns.json"
    path.write_text(routing_text(table(base="openai:gpt@http://localhost")))
    with pytest.raises(InputError, match="is not allowed"):
        open_routed(SubjectSpec(uri=f"routed:{path}"))
    path.write_text(routing_text(table()))
    assert isinstance(open_routed(SubjectSpec(uri=f"routed:{path}")), RoutedSubject)
