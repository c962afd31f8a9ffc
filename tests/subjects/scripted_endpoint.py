"""Scripted answers and a scripted loopback server for the tests of endpoints."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from moorings.records import Decoding, Generation, Message, Request
from moorings.subjects.endpoint import EndpointSubject
from moorings.subjects.endpoint_retry import Clock
from moorings.subjects.spec import SubjectSpec

URL = "http://127.0.0.1:8000/v1"
KEY = "sk-0123456789abcdef"
GREEDY = Decoding(max_new_tokens=5, temperature=0.0)
Handler = Callable[[httpx.Request], httpx.Response]


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now_s, wall=lambda: self.now_s, sleep=self.sleep, jitter=lambda: 0.0)


def subject_on(
    handler: Handler, *, time: FakeTime | None = None, uri: str = f"openai:m@{URL}", **options: Any
) -> EndpointSubject:
    spec = SubjectSpec(uri=uri, options=options)
    return EndpointSubject(spec, clock=(time or FakeTime()).clock(), transport=httpx.MockTransport(handler))


def requests_for(*texts: str) -> list[Request]:
    return [Request(request_id=t, messages=(Message(role="user", content=t),), seed=2**62 + 3) for t in texts]


def completion(text: str | None = "Yes.", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text} | more.pop("message", {})
    choice = {"index": 0, "message": message, "finish_reason": finish} | more.pop("choice", {})
    return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}} | more


def always(status: int, body: Any = None, **headers: str) -> Handler:
    return lambda _: httpx.Response(status, json=completion() if body is None else body, headers=headers)


def script(*steps: Handler) -> Handler:
    """Play one step a call; the last one stays."""
    left = list(steps)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)


def asked(request: httpx.Request) -> str:
    return str(json.loads(request.content)["messages"][-1]["content"])


def only(subject: EndpointSubject, decoding: Decoding = GREEDY) -> Generation:
    [generation] = subject.generate(requests_for("a"), decoding)
    return generation


class LoopbackServer:
    """Answers each POST after `release` is set, and remembers how many were open at once."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.full = threading.Event()
        self.expect = 1
        self.open_now = self.most_open = 0
        self.lock = threading.Lock()
        outer = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.enter()
                outer.release.wait(60)
                outer.leave()
                raw = json.dumps(completion(body["messages"][-1]["content"])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):  # tests mean to hang up
                    super().handle()

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.http.daemon_threads = True
        self.uri = f"openai:m@http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def enter(self) -> None:
        with self.lock:
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
            if self.open_now >= self.expect:
                self.full.set()

    def leave(self) -> None:
        with self.lock:
            self.open_now -= 1
