"""Asks one server, again where that may help, and tells a bad sample from a bad server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from moorings.errors import EndpointError
from moorings.records import Decoding, Generation, Request
from moorings.subjects.endpoint_config import EndpointConfig, Target
from moorings.subjects.endpoint_meter import EndpointMeter
from moorings.subjects.endpoint_retry import Clock, is_passing, parse_retry_after, retry_delay_s
from moorings.subjects.endpoint_wire import (
    ServedModel,
    UnreadableAnswerError,
    chat_body,
    one_line,
    parse_complaint,
    parse_completion,
    parse_models,
)

__all__ = ["MAX_RESPONSE_BYTES", "Connection", "EndpointClient", "Outcome"]

MAX_RESPONSE_BYTES = 32 * 2**20
"""Largest answer that is read."""

_UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_LOADING = {408, 425, 429, 502, 503, 504}
"""What is worth a second question about the models; a plain 500 is how some servers say that they keep no list."""


class Connection(NamedTuple):
    """What every call of one subject shares."""

    target: Target
    config: EndpointConfig
    key: str | None
    clock: Clock
    meter: EndpointMeter
    tls: ssl.SSLContext
    transport: httpx.AsyncBaseTransport | None

    def clean(self, text: str) -> str:
        """One bounded line in which the key does not occur, even if the server repeats it."""
        return one_line(text.replace(self.key, "***") if self.key else text)


class Outcome(NamedTuple):
    """What became of one request."""

    generation: Generation
    is_answer: bool
    """False where it may be the server that failed, and not this request."""


class _Response(NamedTuple):
    status: int
    headers: httpx.Headers
    raw: bytes


class _Failure(NamedTuple):
    reason: str
    is_unreachable: bool


class EndpointClient:
    """Connections to one server for the length of one batch; use as an async context manager."""

    def __init__(self, connection: Connection) -> None:
        self.n_answers = 0
        """Requests that the server has dealt with, refusals to do so included."""
        self._c = connection
        self._paused_until_s = 0.0
        headers = {"Accept-Encoding": "identity", "User-Agent": "moorings"}
        if connection.key:
            headers["Authorization"] = f"Bearer {connection.key}"
        timeout_s, n = connection.config.timeout_s, connection.config.concurrency
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            limits=httpx.Limits(max_connections=n, max_keepalive_connections=n),
            follow_redirects=False,
            verify=connection.tls,
            trust_env=not connection.target.is_local,
            transport=connection.transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def complete(self, request: Request, decoding: Decoding) -> Outcome:
        """Ask for one answer.

        Raises:
            EndpointError: No further request can succeed: wrong key, model or URL, or nobody listens there.
        """
        body = chat_body(self._c.target.model, request, decoding, self._c.config)
        n_before = self.n_answers
        try:
            response = await self._persist("POST", "/chat/completions", body, is_passing)
            if isinstance(response, _Failure):
                if response.is_unreachable and self.n_answers == n_before:
                    raise self._down(response.reason)
                return _failed(request, response.reason, is_answer=False)
            outcome = self._interpret(response, request, decoding)
        except UnreadableAnswerError as error:
            return _failed(request, self._c.clean(str(error)), is_answer=False)
        self.n_answers += 1
        return outcome

    async def list_models(self) -> tuple[ServedModel, ...]:
        """The models that the server says it has; empty where it keeps no readable list.

        Raises:
            EndpointError: The server is down, or refuses the key.
        """
        try:
            response = await self._persist("GET", "/models", None, _LOADING.__contains__)
            if isinstance(response, _Failure):
                raise self._down(response.reason)
            if response.status in (401, 403):
                raise self._fatal(response)
            return parse_models(response.raw) if response.status == 200 else ()
        except UnreadableAnswerError:
            return ()

    async def _persist(
        self, method: str, path: str, body: dict[str, Any] | None, try_again: Callable[[int], bool]
    ) -> _Response | _Failure:
        """Send until there is an answer that another attempt would not change, or no attempt is left."""
        config, clock = self._c.config, self._c.clock
        attempt = 0
        while True:
            while (left_s := self._paused_until_s - clock.monotonic()) > 0:
                await clock.sleep(left_s)
            result = await self._send(method, path, body)
            if isinstance(result, _Response) and not try_again(result.status):
                return result
            if attempt >= config.max_retries:
                return result if isinstance(result, _Failure) else self._exhausted(result)
            asked_s = self._asked_delay_s(result) if isinstance(result, _Response) else None
            delay_s = retry_delay_s(attempt, config.backoff_s, clock.jitter(), asked_s)
            if asked_s is not None:
                # The limit is the server's, not this request's, so all others in flight wait as well.
                self._paused_until_s = max(self._paused_until_s, clock.monotonic() + delay_s)
            else:
                await clock.sleep(delay_s)
            attempt += 1

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> _Response | _Failure:
        timeout_s = self._c.config.timeout_s
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._http.stream(method, self._c.target.url + path, json=body) as response,
            ):
                return _Response(response.status_code, response.headers, await _read(response))
        except (TimeoutError, httpx.TimeoutException) as error:
            return _Failure(f"no answer within {timeout_s:g} s", isinstance(error, httpx.ConnectTimeout))
        except httpx.TransportError as error:
            reason = self._c.clean(f"{type(error).__name__}: {error}")
            return _Failure(reason, isinstance(error, _UNREACHABLE))

    def _asked_delay_s(self, response: _Response) -> float | None:
        return parse_retry_after(response.headers.get("retry-after"), self._c.clock.wall())

    def _exhausted(self, response: _Response) -> _Failure:
        said = self._c.clean(parse_complaint(response.raw).message)
        return _Failure(f"HTTP {response.status} after {self._c.config.max_retries + 1} attempts: {said}", False)

    def _interpret(self, response: _Response, request: Request, decoding: Decoding) -> Outcome:
        if response.status == 200:
            answer = parse_completion(response.raw, request.request_id, with_logprobs=decoding.logprobs)
            self._c.meter.add(answer)
            return Outcome(answer.generation, is_answer=True)
        if response.status in (401, 403, 404) or response.status < 400:
            raise self._fatal(response)
        complaint = parse_complaint(response.raw)
        if complaint.is_too_long:
            return Outcome(Generation(request_id=request.request_id, text="", finish_reason="too_long"), is_answer=True)
        if complaint.is_filtered:
            return Outcome(Generation(request_id=request.request_id, text="", finish_reason="refusal"), is_answer=True)
        return _failed(request, f"HTTP {response.status}: {self._c.clean(complaint.message)}", is_answer=True)

    def _fatal(self, response: _Response) -> EndpointError:
        url, model = self._c.target.url, self._c.target.model
        said = self._c.clean(parse_complaint(response.raw).message)
        if response.status in (401, 403):
            env = self._c.config.api_key_env
            sent = "sent" if self._c.key else "found no key to send"
            return EndpointError(
                f"{url} refused the key (HTTP {response.status}: {said}); {sent} from environment variable {env}: put the "
                "right key there, or name another variable in option api_key_env"
            )
        if response.status == 404:
            return EndpointError(
                f"{url} knows no model '{model}' or no /chat/completions (HTTP 404: {said}); check both in the URI, "
                f"and ask {url}/models for the names it serves"
            )
        where = self._c.clean(response.headers.get("location", "nowhere"))
        return EndpointError(
            f"{url} answered with HTTP {response.status} (to {where}), which is not followed; write the final URL in the URI"
        )

    def _down(self, reason: str) -> EndpointError:
        return EndpointError(
            f"{self._c.target.url} did not answer in {self._c.config.max_retries + 1} attempts ({reason}); see that the server "
            "is up and the URL is right, then run the same command again: what was stored is kept"
        )


async def _read(response: httpx.Response) -> bytes:
    """The body as sent, up to a limit; a compressed one was not asked for and could unpack to any size."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnreadableAnswerError(f"the answer is compressed ({one_line(encoding, 40)}), which was not asked for")
    parts, size = [], 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnreadableAnswerError(f"the answer is larger than {MAX_RESPONSE_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _failed(request: Request, error: str, *, is_answer: bool) -> Outcome:
    generation = Generation(request_id=request.request_id, text="", finish_reason="error", error=error)
    return Outcome(generation, is_answer=is_answer)
