"""Endpoints tell how likely the first tokens are, tell it badly, or do not tell it."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest
from scripted_endpoint import always, completion, subject_on

from moorings.errors import EndpointError
from moorings.records import Message, SampleStatus
from moorings.subjects.endpoint_wire import UnreadableAnswerError, parse_first_token
from moorings.subjects.protocol import NextTokenLogprobs, NextTokenScorer


def item(text: str = "A or B?") -> tuple[tuple[Message, ...], tuple[str, ...]]:
    return (Message(role="user", content=text),), ("A", " A", "B")


def with_top(*top: Any) -> dict[str, Any]:
    first = {"token": "A", "logprob": -0.1, "top_logprobs": list(top)}
    return completion("A", "length", choice={"logprobs": {"content": [first]}})


def test_the_likeliest_tokens_are_asked_for_and_matched() -> None:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=with_top({"token": "B", "logprob": -2}, {"token": "A", "logprob": -0.25}))

    subject = subject_on(answer, top_logprobs=5)
    assert isinstance(subject, NextTokenScorer)
    (found,) = subject.next_token_logprobs([item()])
    assert found.logprobs_nats[0] == -0.25
    assert math.isnan(found.logprobs_nats[1])
    assert found.logprobs_nats[2] == -2.0
    assert (bodies[0]["logprobs"], bodies[0]["top_logprobs"], bodies[0]["max_tokens"]) == (True, 5, 1)
    assert subject.usage().n_requests == 1


@pytest.mark.parametrize(
    "body",
    [
        completion("A"),
        completion("A", choice={"logprobs": None}),
        completion("A", choice={"logprobs": {"content": []}}),
        completion("A", choice={"logprobs": {"content": [3]}}),
        completion("A", choice={"logprobs": {"content": [{"token": "A", "logprob": -1}]}}),
        with_top(),
        with_top("A", None, {"token": "A"}, {"token": "A", "logprob": "-1"}, {"token": 1, "logprob": -1}),
        with_top({"token": "A", "logprob": 3.0}, {"token": "B", "logprob": -1e300}),
    ],
)
def test_what_is_not_told_is_not_known(body: dict[str, Any]) -> None:
    (found,) = subject_on(always(200, body)).next_token_logprobs([item()])
    assert all(math.isnan(value) for value in found.logprobs_nats)
    assert (found.status, found.error) == (SampleStatus.COMPLETED, None)


def test_tokens_of_one_text_are_added_up() -> None:
    half = {"token": "A", "logprob": math.log(0.25)}
    raw = json.dumps(with_top(half, half, {"token": "B", "logprob": 1e-6})).encode()
    assert parse_first_token(raw) == pytest.approx({"A": math.log(0.5), "B": 0.0}, abs=1e-5)
    with pytest.raises(UnreadableAnswerError):
        parse_first_token(b"[]")


def test_failures_are_data_and_keep_their_place() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        text = json.loads(request.content)["messages"][0]["content"]
        if text == "long":
            return httpx.Response(400, json={"error": {"message": "context_length_exceeded"}})
        if text == "bad":
            return httpx.Response(400, json={"error": {"message": "top_logprobs must be at most 5"}})
        return httpx.Response(200, json=with_top({"token": "A", "logprob": -1.0}))

    found = subject_on(answer).next_token_logprobs([item("long"), item(), item("bad")])
    assert [one.status for one in found] == [SampleStatus.TOO_LONG, SampleStatus.COMPLETED, SampleStatus.FAILED]
    assert found[1].logprobs_nats[0] == -1.0
    assert "top_logprobs must be at most 5" in str(found[2].error)
    assert isinstance(found[0], NextTokenLogprobs)
    with pytest.raises(EndpointError, match="refused the key"):
        subject_on(always(401, {"error": "no"})).next_token_logprobs([item()])
