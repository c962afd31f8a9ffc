"""The OpenAI-compatible subject: its URI, its options and its key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from scripted_endpoint import (
    GREEDY,
    KEY,
    URL,
    always,
    asked,
    completion,
    only,
    requests_for,
    subject_on,
)

from moorings.errors import ConfigError
from moorings.subjects.endpoint_config import parse_target, read_config
from moorings.subjects.spec import open_subject


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_key_is_sent_and_is_in_nothing_that_is_shown_or_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    sent: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        if request.method == "GET":
            return httpx.Response(200, json={"data": [{"id": "m"}]})
        if asked(request) == "echo":
            return httpx.Response(400, json={"error": {"message": f"you sent {KEY}"}})
        return (
            httpx.Response(200, content=f"<html>{KEY}")
            if asked(request) == "page"
            else httpx.Response(200, json=completion())
        )

    subject = subject_on(handler, api_key_env="MY_KEY")
    info = subject.describe()
    found = {g.request_id: g for g in subject.generate(requests_for("echo", "page", "ok"), GREEDY)}
    assert set(sent) == {f"Bearer {KEY}"}
    assert found["echo"].error == "HTTP 400: you sent ***"
    assert "repeats the key" in (found["page"].error or "")
    shown = [
        info.model_dump_json(),
        repr(subject),
        repr(subject._connection),
        repr(subject._config),
        *map(repr, found.values()),
    ]
    assert not any(KEY in text for text in shown)


def test_a_short_placeholder_key_does_not_eat_honest_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "x")
    generation = only(subject_on(always(400, {"error": {"message": "exact text"}}), api_key_env="MY_KEY"))
    assert generation.error == "HTTP 400: exact text"


def test_the_default_key_goes_only_over_https_or_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    sent: dict[str, str | None] = {}

    def handler(request: httpx.Request) -> httpx.Response:
        sent[str(request.url.copy_with(path="/"))] = request.headers.get("authorization")
        return httpx.Response(200, json=completion())

    for url in ("http://127.0.0.1/v1", "http://localhost:9/v1", "https://far.example/v1", "http://far.example/v1"):
        only(subject_on(handler, uri=f"openai:m@{url}"))
    only(subject_on(handler, uri="openai:m@http://named.example/v1", api_key_env="OPENAI_API_KEY"))
    assert [bool(value) for value in sent.values()] == [True, True, True, False, True]


def test_a_named_key_must_be_set_and_sendable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="'NOT_SET_HERE' of option api_key_env is not set"):
        subject_on(always(200), api_key_env="NOT_SET_HERE")
    monkeypatch.setenv("MY_KEY", "sk-\u00e9\u00e9\u00e9\u00e9\u00e9")
    with pytest.raises(ConfigError, match="characters that no key has"):
        subject_on(always(200), api_key_env="MY_KEY")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurency": 3}, "did you mean 'concurrency'"),
        ({"api_key": KEY}, "unknown option 'api_key'.*api_key_env"),
        ({"api_key_env": KEY}, "option 'api_key_env'"),
        ({"concurrency": 0}, "option 'concurrency'.*greater than or equal to 1"),
        ({"timeout_s": float("inf")}, "option 'timeout_s'"),
        ({"price_input_usd_per_mtok": 1.0}, "give both"),
        ({"extra_body": {"messages": [], "n": 2}}, "may not hold messages, n"),
    ],
)
def test_bad_options_are_named_without_their_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(options)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("rest", "model", "url"),
    [
        ("smollm2@http://127.0.0.1:8000/v1", "smollm2", "http://127.0.0.1:8000/v1"),
        ("org/m:7b@rev@https://h.example/v1/", "org/m:7b@rev", "https://h.example/v1"),
        ("/models/smol@http://[::1]:80/v1", "/models/smol", "http://[::1]:80/v1"),
    ],
)
def test_the_last_at_before_the_scheme_parts_model_and_url(rest: str, model: str, url: str) -> None:
    assert parse_target(rest) == (model, url)


@pytest.mark.parametrize(
    "rest",
    [
        "m",
        "m@",
        "@http://h/v1",
        "m@ftp://h/v1",
        f"m@http://user:{KEY}@h/v1",
        f"m@http://h/v1?key={KEY}",
        f"m@http://user:a/{KEY}@h/v1",
        f"m@ftp://user:{KEY}@h/v1",
        "m@http://h/v1#x",
        "m@http://:80/v1",
        "m@http://h:port/v1",
        "m@http://h/v1/chat/completions",
    ],
)
def test_unusable_uris_are_refused_without_showing_a_password(rest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_subject(f"openai:{rest}")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("setting", [{"engine": "vllm"}, {"precision": "int8"}, {"device": "cuda"}])
def test_settings_that_only_the_server_decides_are_refused(setting: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="the server decides"):
        open_subject(f"openai:m@{URL}", **setting)
