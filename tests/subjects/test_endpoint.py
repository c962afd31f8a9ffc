"""The OpenAI-compatible subject: what is sent, and what answers become."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from scripted_endpoint import (
    GREEDY,
    KEY,
    URL,
    FakeTime,
    Handler,
    always,
    asked,
    completion,
    only,
    requests_for,
    script,
    subject_on,
)

from moorings.errors import EndpointError
from moorings.records import Decoding, Generation, Message
from moorings.subjects import endpoint_client
from moorings.subjects.protocol import Subject


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_an_answer_becomes_a_generation_with_its_tokens() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=completion("Yes.", system_fingerprint="fp_1"))

    subject = subject_on(handler)
    assert isinstance(subject, Subject)
    assert only(subject) == Generation(
        request_id="a", text="Yes.", finish_reason="stop", n_prompt_tokens=7, n_output_tokens=3
    )
    assert str(seen[0].url) == f"{URL}/chat/completions"
    assert json.loads(seen[0].content) == {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 3,
    }
    assert subject.system_fingerprints == ("fp_1",)


def test_extensions_and_extra_fields_are_sent_only_when_asked_for() -> None:
    bodies: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=completion())

    subject = subject_on(
        handler, send_seed=False, max_tokens_field="max_completion_tokens", extra_body={"top_k": -1, "stop": ["x"]}
    )
    only(subject)
    only(subject, Decoding(top_k=4, min_new_tokens=2, logprobs=True))
    assert bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "max_completion_tokens": 5,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": -1,
        "stop": ["x"],
    }
    assert {k: bodies[1][k] for k in ("top_k", "min_tokens", "logprobs")} == {
        "top_k": 4,
        "min_tokens": 2,
        "logprobs": True,
    }


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (completion("cut", "length"), "cut", "length"),
        (completion("", "stop"), "", "stop"),
        (completion(None, "stop"), "", "stop"),
        (completion(None, "content_filter"), "", "refusal"),
        (completion(None, "stop", message={"refusal": "I can't."}), "I can't.", "refusal"),
        (completion("x", "tool_calls"), "x", "unknown"),
        (completion("x", None), "x", "unknown"),
    ],
)
def test_finish_reasons(body: dict[str, Any], text: str, finish: str) -> None:
    generation = only(subject_on(always(200, body)))
    assert (generation.text, generation.finish_reason, generation.error) == (text, finish, None)


def test_logprobs_are_read_when_asked_for_and_complete() -> None:
    good = {"content": [{"token": "Y", "logprob": -0.5}, {"token": "es", "logprob": -2}]}
    bad = {"content": [{"token": "Y", "logprob": -0.5}, {"token": "es"}]}
    wanted = GREEDY.model_copy(update={"logprobs": True})
    assert only(subject_on(always(200, completion(choice={"logprobs": good}))), wanted).logprobs_nats == (-0.5, -2.0)
    assert only(subject_on(always(200, completion(choice={"logprobs": good})))).logprobs_nats is None
    assert only(subject_on(always(200, completion(choice={"logprobs": bad}))), wanted).logprobs_nats is None
    assert only(subject_on(always(200, completion(choice={"logprobs": None}))), wanted).logprobs_nats is None


def test_misstated_usage_is_not_known_rather_than_guessed() -> None:
    generation = only(subject_on(always(200, completion(usage={"prompt_tokens": "7", "completion_tokens": -1}))))
    assert (generation.n_prompt_tokens, generation.n_output_tokens) == (None, None)
    assert only(subject_on(always(200, completion(usage=[1])))).n_prompt_tokens is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "This model's maximum context length is 8 tokens", "code": None}}),
        (400, {"error": {"message": "too many", "code": "context_length_exceeded"}}),
        (400, {"object": "error", "message": "The prompt is longer than the maximum model length of 8", "code": 400}),
        (
            400,
            {"error": {"message": "request exceeds the available context size", "type": "exceed_context_size_error"}},
        ),
        (413, {"detail": "prompt is too long: 9 tokens"}),
    ],
)
def test_a_prompt_that_does_not_fit_is_recorded_as_such(status: int, body: dict[str, Any]) -> None:
    assert only(subject_on(always(status, body))).finish_reason == "too_long"


def test_a_filtered_prompt_is_a_refusal() -> None:
    assert (
        only(subject_on(always(400, {"error": {"message": "policy", "code": "content_filter"}}))).finish_reason
        == "refusal"
    )


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"error": {"message": "bad\ntop_k\x1b[31m"}}, "HTTP 422: bad top_k [31m"),
        ({"detail": "Unexpected fields"}, "HTTP 422: Unexpected fields"),
        ({"error": "as text"}, "HTTP 422: as text"),
        ([1], "HTTP 422: [1]"),
        ({"error": {"message": "x" * 5000}}, "…"),
    ],
)
def test_other_refusals_are_recorded_with_one_bounded_line(body: Any, part: str) -> None:
    time = FakeTime()
    generation = only(subject_on(always(422, body), time=time))
    assert generation.finish_reason == "error"
    assert generation.error is not None
    assert part in generation.error
    assert len(generation.error) < 400
    assert time.slept == []


BROKEN = [
    b'{"choices": [',
    b"<html>hello</html>",
    b"[]",
    b"{}",
    b'{"choices": []}',
    b'{"choices": [{"message": "hi"}]}',
    b'{"choices": [{"message": {"content": ["parts"]}}]}',
    b'{"choices": [{"message": {"content": "\\ud800"}}]}',
    b'{"choices": [{"message": {"content": "a"}}], "created": NaN}',
    b'{"error": {"message": "out of credit"}}',
    b"[" * 100_000,
    b"\xff\xfe",
    b"",
]


@pytest.mark.parametrize("raw", BROKEN, ids=lambda raw: repr(raw[:24]))
def test_a_broken_answer_is_a_failed_sample_beside_good_ones(raw: bytes) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=raw) if asked(request) == "bad" else httpx.Response(200, json=completion())

    found = {g.request_id: g for g in subject_on(handler, concurrency=1).generate(requests_for("bad", "good"), GREEDY)}
    assert found["good"].text == "Yes."
    assert (found["bad"].finish_reason, found["bad"].text) == ("error", "")
    assert found["bad"].error
    assert len(found["bad"].error) <= 300


def test_only_broken_answers_stop_the_batch() -> None:
    subject = subject_on(lambda _: httpx.Response(200, content=b"<html>portal</html>"))
    with pytest.raises(EndpointError, match=r"answered none of 2 requests.*<html>portal"):
        list(subject.generate(requests_for("a", "b"), GREEDY))


def test_huge_and_compressed_answers_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_client, "MAX_RESPONSE_BYTES", 2**20)
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 2**18
            yield b" " * 2**18

    def handler(request: httpx.Request) -> httpx.Response:
        if asked(request) == "huge":
            return httpx.Response(200, content=flood())
        if asked(request) == "packed":
            return httpx.Response(200, content=b"x", headers={"Content-Encoding": "br"})
        return httpx.Response(200, json=completion())

    found = {
        g.request_id: g.error or "" for g in subject_on(handler).generate(requests_for("huge", "packed", "ok"), GREEDY)
    }
    assert "larger than 1 MiB" in found["huge"]
    assert "compressed (br)" in found["packed"]
    assert found["ok"] == ""
    assert sent < 2**21


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_at_once_and_is_never_shown(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    time = FakeTime()
    subject = subject_on(
        always(status, {"error": {"message": f"Incorrect key {KEY}"}}), time=time, api_key_env="MY_KEY"
    )
    with pytest.raises(EndpointError, match=r"refused the key .*Incorrect key \*\*\*.*MY_KEY") as caught:
        list(subject.generate(requests_for("a"), GREEDY))
    assert KEY not in str(caught.value)
    with pytest.raises(EndpointError, match="refused the key"):
        subject.describe()
    assert time.slept == []


def test_an_unknown_model_stops_at_once() -> None:
    with pytest.raises(EndpointError, match=r"knows no model 'm'.*no such model.*/models"):
        only(subject_on(always(404, {"error": {"message": "no such model"}})))


def test_redirects_are_not_followed() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(307, headers={"Location": "http://169.254.169.254/latest"})

    with pytest.raises(EndpointError, match=r"HTTP 307 \(to http://169.254.169.254/latest\), which is not followed"):
        only(subject_on(handler))
    assert seen == ["127.0.0.1"]


def test_describe_asks_once_and_claims_only_what_is_seen() -> None:
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        models = [
            {"id": "other"},
            {"id": "m", "owned_by": "vllm", "root": "/w/step-100", "max_model_len": 4096},
            "junk",
        ]
        return httpx.Response(200, json={"data": models})

    subject = subject_on(handler)
    info = subject.describe()
    assert subject.describe() is info
    assert calls == ["/v1/models"]
    assert (info.engine, info.engine_version, info.seeding) == ("openai-compatible", "vllm", "none")
    assert info.weights == "served:m@127.0.0.1:8000 root=/w/step-100"
    assert info.context_length == 4096


@pytest.mark.parametrize(
    "answer", [always(404, {}), always(500, {}), always(200, []), always(200, {"data": 3}), always(200, {"data": []})]
)
def test_a_server_without_a_list_of_models_is_described_by_its_address(answer: Handler) -> None:
    time = FakeTime()
    info = subject_on(answer, time=time).describe()
    assert (info.engine_version, info.weights) == ("unreported", "served:m@127.0.0.1:8000")
    assert time.slept == []


def test_a_server_that_is_still_loading_is_waited_for() -> None:
    time = FakeTime()
    subject = subject_on(
        script(always(503, {}), always(200, {"data": [{"id": "m", "owned_by": "llamacpp"}]})), time=time
    )
    assert subject.describe().engine_version == "llamacpp"
    assert time.slept == [1.0]


def test_fingerprints_depend_on_extra_fields_and_not_on_pace() -> None:
    plain, paced, extra = (
        subject_on(always(404, {}), **options).describe().fingerprint()
        for options in ({}, {"concurrency": 2, "timeout_s": 5.0}, {"extra_body": {"min_p": 0.1}})
    )
    assert plain == paced
    assert plain != extra


def test_cost_and_tokens_add_up() -> None:
    subject = subject_on(always(200), price_input_usd_per_mtok=2.0, price_output_usd_per_mtok=10.0)
    list(subject.generate(requests_for("a", "b"), GREEDY))
    assert subject.usage() == (2, 14, 6, pytest.approx((14 * 2 + 6 * 10) / 1e6))
    assert only(subject_on(always(200))).text == "Yes."
    free = subject_on(always(200))
    only(free)
    assert free.usage().cost_usd is None


def test_the_cost_is_unknown_once_an_answer_came_without_counts() -> None:
    subject = subject_on(
        always(200, completion(usage=None)), price_input_usd_per_mtok=2.0, price_output_usd_per_mtok=10.0
    )
    only(subject)
    assert subject.usage() == (1, 0, 0, None)


def test_ask_answers_one_chat() -> None:
    subject = subject_on(lambda request: httpx.Response(200, json=completion(asked(request).upper())))
    assert subject.ask([Message(role="user", content="hi")], GREEDY).text == "HI"


def test_no_request_is_no_call() -> None:
    assert list(subject_on(always(500)).generate([], GREEDY)) == []
