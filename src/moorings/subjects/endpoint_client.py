"""Asks one server, again where that may help, and tells a bad sample from a bad server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from moorings.errors import EndpointError
from moorings.records import Decoding, FinishReason, Generation, Request
from moorings.subjects.endpoint_config import EndpointConfig, Target
from moorings.subjects.endpoint_meter import EndpointMeter
from moorings.subjects.endpoint_retry import Clock, is_passing, parse_retry_after, retry_delay_s
from moorings.subjects.endpoint_wire import (
    Complaint,
    ServedModel,
    UnreadableAnswerError,
    chat_body,
    one_line,
    parse_complaint,
    parse_completion,
    parse_first_token,
    parse_models,
)

__all__ = ["MAX_RESPONSE_BYTES", "Connection", "EndpointClient", "TopTokens"]

MAX_RESPONSE_BYTES = 32 * 2**20
"""Largest answer that is read."""

_UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_LOADING = {408, 425, 429, 502, 503, 504}
"""What is worth a second question about the models; a plain 500 is how some servers say that they keep no list."""


@dataclass(frozen=True)
class TopTokens:
    """The likeliest first tokens of each answer, where they are asked for."""

    n_top: int
    found: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """By request id: log-probabilities in nats by the tokens' text."""


@dataclass(frozen=True)
class Connection:
    """What every call of one subject shares."""

    target: Target
    config: EndpointConfig
    key: str | None = field(repr=False)
    clock: Clock
    meter: EndpointMeter
    tls: ssl.SSLContext
    transport: httpx.AsyncBaseTransport | None

    def clean(self, text: str) -> str:
        """One bounded line in which the key does not occur, even if the server repeats it."""
        return one_line(text.replace(self.key, "***") if self.key and self._is_secret else text)

    def complaint(self, raw: bytes) -> Complaint:
        """What an error body says, without the key."""
        hidden = raw.replace(self.key.encode(), b"***") if self.key and self._is_secret else raw
        found = parse_complaint(hidden)
        return found._replace(message=self.clean(found.message))

    def repeats_key(self, raw: bytes) -> bool:
        """Whether an answer holds the key, so that no part of it may be shown."""
        return bool(self.key and self._is_secret and self.key.encode() in raw)

    @property
    def _is_secret(self) -> bool:
        """False for the placeholders ('EMPTY', 'x') that local servers are given, which occur in honest text."""
        return self.key is not None and len(self.key) >= 8


class _Response(NamedTuple):
    status: int
    headers: httpx.Headers
    raw: bytes


class _Failure(NamedTuple):
    reason: str
    is_unreachable: bool


class EndpointClient:
    """Connections to one server for the length of one batch; use as an async context manager."""

    def __init__(self, connection: Connection, top: TopTokens | None = None) -> None:
        self.n_answers = 0
        """Requests that the server has dealt with, refusals to do so included."""
        self.connection = connection
        self._top = top
        self._paused_until_s = 0.0
        self._opened: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for http in self._opened:
            await http.aclose()

    async def complete(self, request: Request, decoding: Decoding) -> Generation:
        """Ask for one answer; `n_answers` tells whether the server dealt with it.

        Raises:
            EndpointError: No further request can succeed: wrong key, model or URL, or nobody listens there.
        """
        n_top = self._top.n_top if self._top else 0
        body = chat_body(self.connection.target.model, request, decoding, self.connection.config, n_top=n_top)
        n_before = self.n_answers
        try:
            response = await self._persist("POST", "/chat/completions", body, is_passing)
        except UnreadableAnswerError as error:
            return _ended(request, "error", self.connection.clean(str(error)))
        if isinstance(response, _Failure):
            if response.is_unreachable and self.n_answers == n_before:
                raise self._down(response.reason)
            return _ended(request, "error", response.reason)
        return self._interpret(response, request, decoding)

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
        config, clock = self.connection.config, self.connection.clock
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
            if asked_s is not None:
                # The limit is the server's, not this request's, so the others wait as well.
                self._paused_until_s = max(self._paused_until_s, clock.monotonic() + asked_s)
            await clock.sleep(retry_delay_s(attempt, config.backoff_s, clock.jitter(), asked_s))
            attempt += 1

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> _Response | _Failure:
        timeout_s = self.connection.config.timeout_s
        http = self._idle.pop() if self._idle else self._open()
        try:
            async with (
                asyncio.timeout(timeout_s),
                http.stream(method, self.connection.target.url + path, json=body) as response,
            ):
                return _Response(response.status_code, response.headers, await _read(response))
        except (TimeoutError, httpx.TimeoutException) as error:
            return _Failure(f"no answer within {timeout_s:g} s", isinstance(error, httpx.ConnectTimeout))
        except httpx.TransportError as error:
            reason = self.connection.clean(f"{type(error).__name__}: {error}")
            return _Failure(reason, isinstance(error, _UNREACHABLE))
        finally:
            self._idle.append(http)

    def _open(self) -> httpx.AsyncClient:
        """One connection, for one request at a time: a pool's bookkeeping grows with the square of its connections."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "moorings"}
        if self.connection.key:
            headers["Authorization"] = f"Bearer {self.connection.key}"
        timeout_s = self.connection.config.timeout_s
        http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            limits=httpx.Limits(max_connections=1),
            follow_redirects=False,
            verify=self.connection.tls,
            trust_env=not self.connection.target.is_local,
            transport=self.connection.transport,
        )
        self._opened.append(http)
        return http

    def _asked_delay_s(self, response: _Response) -> float | None:
        return parse_retry_after(response.headers.get("retry-after"), self.connection.clock.wall())

    def _exhausted(self, response: _Response) -> _Failure:
        said = self.connection.complaint(response.raw).message
        return _Failure(
            f"HTTP {response.status} after {self.connection.config.max_retries + 1} attempts: {said}", False
        )

    def _interpret(self, response: _Response, request: Request, decoding: Decoding) -> Generation:
        if response.status in (401, 403, 404) or 300 <= response.status < 400:
            raise self._fatal(response)
        if response.status == 200:
            try:
                answer = parse_completion(response.raw, request.request_id, with_logprobs=decoding.logprobs)
            except UnreadableAnswerError as error:
                hide = self.connection.repeats_key(response.raw)
                reason = "the answer cannot be read, nor shown since it repeats the key" if hide else str(error)
                return _ended(request, "error", self.connection.clean(reason))
            if self._top is not None:
                self._top.found[request.request_id] = parse_first_token(response.raw)
            self.connection.meter.add(answer)
            self.n_answers += 1
            return answer.generation
        self.n_answers += 1
        complaint = self.connection.complaint(response.raw)
        if complaint.is_too_long:
            return _ended(request, "too_long")
        if complaint.is_filtered:
            return _ended(request, "refusal")
        return _ended(request, "error", f"HTTP {response.status}: {complaint.message}")

    def _fatal(self, response: _Response) -> EndpointError:
        url, model = self.connection.target.url, self.connection.target.model
        said = self.connection.complaint(response.raw).message
        if response.status in (401, 403):
            env = self.connection.config.api_key_env
            sent = "sent" if self.connection.key else "found no key to send"
            return EndpointError(
                f"{url} refused the key (HTTP {response.status}: {said}); {sent} from environment variable {env}: put the "
                "right key there, or name another variable in option api_key_env"
            )
        if response.status == 404:
            return EndpointError(
                f"{url} knows no model '{model}' or no /chat/completions (HTTP 404: {said}); check both in the URI, "
                f"and ask {url}/models for the names it serves"
            )
        where = self.connection.clean(response.headers.get("location", "nowhere"))
        return EndpointError(
            f"{url} answered with HTTP {response.status} (to {where}), which is not followed; write the final URL in the URI"
        )

    def _down(self, reason: str) -> EndpointError:
        return EndpointError(
            f"{self.connection.target.url} did not answer in {self.connection.config.max_retries + 1} attempts ({reason}); see that the server "
            "is up and the URL is right, then run the same command again: what was stored is kept"
        )


async def _read(response: httpx.Response) -> bytes:
    """The body as sent, up to a limit; a compressed one was not asked for and could unpack to any size."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("identity", ""):
        raise UnreadableAnswerError(f"the answer is compressed ({one_line(encoding, 40)}), which was not asked for")
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnreadableAnswerError(f"the answer is larger than {MAX_RESPONSE_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _ended(request: Request, reason: FinishReason, error: str | None = None) -> Generation:
    return Generation(request_id=request.request_id, text="", finish_reason=reason, error=error)
