"""The OpenAI-compatible subject: trying again, giving up, pace and cancellation."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from scripted_endpoint import (
    GREEDY,
    FakeTime,
    LoopbackServer,
    always,
    asked,
    completion,
    only,
    requests_for,
    script,
    subject_on,
)

from moorings.errors import BackendError, EndpointError
from moorings.subjects.endpoint import EndpointSubject, open_endpoint
from moorings.subjects.endpoint_retry import MAX_RETRY_AFTER_S, parse_retry_after, retry_delay_s
from moorings.subjects.spec import SubjectSpec, open_subject


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_retry_after_in_seconds_and_as_a_date_is_honoured() -> None:
    time = FakeTime()
    steps = script(
        always(429, {}, **{"Retry-After": "7"}),
        always(429, {}, **{"Retry-After": "Thu, 01 Jan 1970 00:17:07 GMT"}),
        always(200),
    )
    assert only(subject_on(steps, time=time)).text == "Yes."
    assert time.slept == [7.0, 20.0]


def test_one_request_told_to_wait_makes_the_next_ones_wait() -> None:
    time, at = FakeTime(), []

    def handler(request: httpx.Request) -> httpx.Response:
        at.append((asked(request), time.now_s))
        return (
            httpx.Response(429, headers={"Retry-After": "30"})
            if len(at) == 1
            else httpx.Response(200, json=completion())
        )

    list(subject_on(handler, time=time, concurrency=2).generate(requests_for("a", "b", "c"), GREEDY))
    assert next(when for name, when in at if name == "c") >= 1030.0


def test_server_errors_then_success_with_doubling_waits() -> None:
    time = FakeTime()
    steps = script(always(500, {}), always(503, {}), always(408, {}), always(409, {}), always(200))
    assert only(subject_on(steps, time=time, backoff_s=2.0)).text == "Yes."
    assert time.slept == [2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("1.5", 1.5),
        ("-3", None),
        ("9" * 400, MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 1970 00:16:50", 10.0),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
    ],
)
def test_retry_after_forms(value: str | None, expected: float | None) -> None:
    assert parse_retry_after(value, 1000.0) == expected


def test_delays_double_to_a_limit_and_jitter_takes_up_to_half() -> None:
    assert [retry_delay_s(n, 1.0, 0.0) for n in (0, 1, 5, 6, 10**6)] == [1.0, 2.0, 32.0, 60.0, 60.0]
    assert retry_delay_s(2, 1.0, 0.5) == 3.0
    assert retry_delay_s(0, 1.0, 0.0, retry_after_s=0.0) == 1.0


def test_a_request_that_keeps_failing_beside_others_is_recorded() -> None:
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(asked(request))
        if asked(request) == "poison":
            return httpx.Response(500, json={"error": {"message": "CUDA error"}})
        return httpx.Response(200, json=completion())

    subject = subject_on(handler, max_retries=2, concurrency=1)
    found = list(subject.generate(requests_for("poison", "b", "c"), GREEDY))
    assert [g.request_id for g in found] == ["poison", "b", "c"]
    assert found[0].error == "HTTP 500 after 3 attempts: CUDA error"
    assert calls.count("poison") == 3


def test_a_timeout_is_tried_again() -> None:
    def slow(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow")

    assert only(subject_on(script(slow, always(200)))).text == "Yes."
    with pytest.raises(EndpointError, match=r"no answer within 120 s"):
        only(subject_on(slow, max_retries=1))


def test_a_server_that_only_fails_is_blamed_before_the_batch_is_through() -> None:
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(asked(request))
        return httpx.Response(502)

    subject = subject_on(handler, max_retries=0, concurrency=4)
    with pytest.raises(EndpointError, match=r"answered none of 8 requests"):
        list(subject.generate(requests_for(*(str(n) for n in range(100))), GREEDY))
    assert len(calls) < 20


def test_nobody_listening_stops_the_batch_and_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        time = FakeTime()
        subject = EndpointSubject(SubjectSpec(uri=f"openai:m@{url}", options={"max_retries": 3}), clock=time.clock())
        with pytest.raises(EndpointError, match=r"did not answer in 4 attempts.*is up.*same command") as caught:
            list(subject.generate(requests_for("a"), GREEDY))
        assert url in str(caught.value)
        assert time.slept == [1.0, 2.0, 4.0]
        with pytest.raises(EndpointError, match="did not answer"):
            subject.describe()


def test_a_server_that_dies_midway_stops_the_batch_and_what_came_is_handed_out() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if asked(request) == "a":
            return httpx.Response(200, json=completion())
        raise httpx.ConnectError("refused")

    answers = subject_on(handler, concurrency=1, max_retries=1).generate(requests_for("a", "b", "c"), GREEDY)
    assert next(answers).request_id == "a"
    with pytest.raises(EndpointError, match="did not answer in 2 attempts"):
        next(answers)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    found = LoopbackServer()
    yield found
    found.release.set()
    found.http.shutdown()
    found.http.server_close()


def test_the_server_sees_the_allowed_number_of_requests_at_once_and_no_more(server: LoopbackServer) -> None:
    server.expect = 3
    subject = open_subject(server.uri, options={"concurrency": 3})
    threading.Thread(target=lambda: (server.full.wait(60), server.release.set()), daemon=True).start()
    found = list(subject.generate(requests_for(*(f"q{n}" for n in range(12))), GREEDY))
    assert sorted(g.text for g in found) == sorted(f"q{n}" for n in range(12))
    assert server.full.is_set()
    assert server.most_open == 3


def test_answers_are_handed_out_before_the_batch_is_through() -> None:
    first_came = threading.Event()

    async def handler(request: httpx.Request) -> httpx.Response:
        if asked(request) == "b":
            assert await asyncio.to_thread(first_came.wait, 60)
        return httpx.Response(200, json=completion(asked(request)))

    answers = subject_on(handler).generate(requests_for("a", "b"), GREEDY)
    assert next(answers).text == "a"
    first_came.set()
    assert [g.text for g in answers] == ["b"]


def test_an_abandoned_batch_is_cancelled() -> None:
    cancelled = threading.Event()

    async def handler(request: httpx.Request) -> httpx.Response:
        if asked(request) == "a":
            return httpx.Response(200, json=completion())
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    answers = subject_on(handler).generate(requests_for("a", "b"), GREEDY)
    assert next(answers).request_id == "a"
    answers.close()
    assert cancelled.is_set()


def test_closing_stops_what_is_in_flight(server: LoopbackServer) -> None:
    subject = open_endpoint(SubjectSpec(uri=server.uri, options={"concurrency": 2}))
    failures: list[BaseException] = []

    def consume() -> None:
        try:
            list(subject.generate(requests_for("a", "b", "c"), GREEDY))
        except BackendError as error:
            failures.append(error)

    server.expect = 2
    consumer = threading.Thread(target=consume)
    consumer.start()
    assert server.full.wait(60)
    subject.close()
    consumer.join(60)
    assert not consumer.is_alive()
    assert "closed before all answers" in str(failures[0])
    subject.close()
    with pytest.raises(BackendError, match="was closed"):
        list(subject.generate(requests_for("a"), GREEDY))


def test_closing_while_a_batch_starts_stops_it_too() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        return await asyncio.Future()

    subject = subject_on(handler)

    class ClosedMeanwhile(set[Any]):
        def add(self, work: Any) -> None:
            subject.close()
            super().add(work)

    subject._running = ClosedMeanwhile()
    with pytest.raises(BackendError, match="closed before all answers"):
        list(subject.generate(requests_for("a"), GREEDY))


def test_it_works_inside_a_running_event_loop(server: LoopbackServer) -> None:
    server.release.set()

    async def notebook() -> list[str]:
        return [g.text for g in open_subject(server.uri).generate(requests_for("a"), GREEDY)]

    assert asyncio.run(notebook()) == ["a"]


def test_one_attempt_may_not_outlast_its_limit(server: LoopbackServer) -> None:
    subject = EndpointSubject(
        SubjectSpec(uri=server.uri, options={"timeout_s": 0.05, "max_retries": 1}), clock=FakeTime().clock()
    )
    with pytest.raises(EndpointError, match=r"no answer within 0.05 s"):
        list(subject.generate(requests_for("a"), GREEDY))
