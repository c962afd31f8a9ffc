"""Subjects behind HTTP: `openai:MODEL@URL`, any server that speaks OpenAI's chat completions.

vLLM, llama.cpp's server, Ollama, LM Studio, `transformers serve` and hosted providers do. What cannot be
seen through HTTP is not claimed: the weights are the served name, and no seeding is promised.

Two servers have habits to know. vLLM fills settings that are not sent (`top_k`) from the model's
generation_config.json; start it with `--generation-config vllm`, or pass `extra_body={"top_k": -1}`.
`transformers serve` takes the likeliest token at every temperature unless the model's own settings say
otherwise; pass `extra_body={"generation_config": '{"do_sample": true, "top_k": 0}'}`.
"""

from __future__ import annotations

import math
import queue
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from functools import cached_property

import httpx
from anyio.from_thread import start_blocking_portal

from moorings.errors import BackendError, ConfigError
from moorings.records import Decoding, Generation, Message, Request, SampleStatus, SubjectInfo, content_hash
from moorings.subjects.endpoint_batch import answer_batch
from moorings.subjects.endpoint_client import Connection, EndpointClient, TopTokens
from moorings.subjects.endpoint_config import parse_target, read_config, read_key
from moorings.subjects.endpoint_meter import EndpointMeter
from moorings.subjects.endpoint_retry import Clock
from moorings.subjects.endpoint_wire import ServedModel
from moorings.subjects.protocol import NextTokenLogprobs, Usage
from moorings.subjects.spec import SubjectSpec, parse_uri, subject_backends

__all__ = ["EndpointSubject", "open_endpoint"]

_BATCH_SIZE = 64
"""Requests a batch unless the spec says otherwise; the server decides what it decodes together."""

_FIRST_TOKEN = Decoding(max_new_tokens=1, temperature=1.0)
"""At this temperature a server that tempers its log-probabilities gives the model's own."""
_STATUSES = {"error": SampleStatus.FAILED, "too_long": SampleStatus.TOO_LONG, "refusal": SampleStatus.REFUSED}

_Queue = queue.SimpleQueue[Generation | None]


class EndpointSubject:
    """A model that answers over HTTP.

    A request that fails while others succeed is recorded as failed. Where nothing succeeds the server is
    blamed and `EndpointError` raised, so that a run stops and can be resumed instead of filling with failures.

    Args:
        spec: URI and options; the options are those of `EndpointConfig`.
        clock: Time and waiting.
        transport: Takes the place of the network.

    Raises:
        ConfigError: The URI, an option or a setting is not allowed.
    """

    def __init__(
        self, spec: SubjectSpec, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._spec = spec
        self._target = parse_target(parse_uri(spec.uri)[1])
        for name in ("engine", "precision", "device"):
            if (value := getattr(spec, name)) != "auto":
                raise ConfigError(
                    f"{name} '{value}' cannot be chosen for '{spec.uri}'; the server decides, so leave {name} at auto"
                )
        self._config = read_config(spec.options)
        self._key = read_key(self._config, self._target)
        self._meter = EndpointMeter(self._config)
        self._clock = clock or Clock()
        self._transport = transport
        self._running: set[Future[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"EndpointSubject({self._spec.uri!r})"

    @property
    def system_fingerprints(self) -> tuple[str, ...]:
        """Builds that the server named in its answers so far; more than one means that it changed on the way."""
        return self._meter.fingerprints()

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint; asks the server once for its list of models.

        Raises:
            EndpointError: The server is down or refuses the key.
        """
        return self._info

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer each request once, as answers arrive; works in a notebook's running event loop too.

        Raises:
            BackendError: The subject was closed.
            EndpointError: No request can succeed: key, model or URL is wrong, or the server is down.
        """
        return self._answers(requests, decoding, None)

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probability of each continuation as the first token of an answer, where the server tells it.

        NaN for a continuation that is not among the `top_logprobs` likeliest tokens, is more than one token, or where the
        server gives no log-probabilities.

        Raises:
            BackendError: The subject was closed.
            EndpointError: See `generate`.
        """
        top = TopTokens(self._config.top_logprobs)
        requests = [
            Request(request_id=str(number), messages=tuple(chat), seed=0) for number, (chat, _) in enumerate(items)
        ]
        answers = {answer.request_id: answer for answer in self._answers(requests, _FIRST_TOKEN, top)}
        found = []
        for request, (_, texts) in zip(requests, items, strict=True):
            nats = top.found.get(request.request_id, {})
            answer = answers[request.request_id]
            found.append(
                NextTokenLogprobs(
                    tuple(nats.get(text, math.nan) for text in texts),
                    _STATUSES.get(answer.finish_reason, SampleStatus.COMPLETED),
                    answer.error,
                )
            )
        return found

    def _answers(self, requests: Sequence[Request], decoding: Decoding, top: TopTokens | None) -> Iterator[Generation]:
        if self._closed:
            raise BackendError(f"{self!r} was closed; open it again")
        done: _Queue = queue.SimpleQueue()
        with start_blocking_portal("asyncio", name="moorings-endpoint") as portal:
            work = portal.start_task_soon(answer_batch, self._connection, list(requests), decoding, done.put, top)
            self._running.add(work)
            work.add_done_callback(lambda _: done.put(None))
            if self._closed:  # close() came between the start and its registration
                work.cancel()
            try:
                while (generation := done.get()) is not None:
                    yield generation
                work.result()
            except CancelledError:
                raise BackendError(f"{self!r} was closed before all answers had come; open it again") from None
            finally:
                work.cancel()
                self._running.discard(work)

    def ask(self, messages: Sequence[Message], decoding: Decoding, *, seed: int = 0) -> Generation:
        """Answer one chat.

        Raises:
            BackendError: The subject was closed.
            EndpointError: The server gave no answer in all attempts.
        """
        request = Request(request_id="ask", messages=tuple(messages), seed=seed)
        [generation] = self.generate([request], decoding)
        return generation

    def usage(self) -> Usage:
        """Requests answered, tokens and money so far; see `EndpointMeter.usage`."""
        return self._meter.usage()

    def close(self) -> None:
        """Stop what is in flight; calling twice is allowed."""
        self._closed = True
        for work in list(self._running):
            work.cancel()

    @cached_property
    def _connection(self) -> Connection:
        tls: ssl.SSLContext = httpx.create_ssl_context()
        return Connection(self._target, self._config, self._key, self._clock, self._meter, tls, self._transport)

    @cached_property
    def _info(self) -> SubjectInfo:
        with start_blocking_portal("asyncio", name="moorings-endpoint") as portal:
            served = portal.call(self._find_served)
        version = served.owner if served and served.owner else "unreported"
        if self._config.extra_body:
            version = f"{version} extra_body:{content_hash(self._config.extra_body)[:16]}"
        model = self._target.model
        root = f" root={served.root}" if served and served.root and served.root != model else ""
        return SubjectInfo(
            name=model,
            uri=self._spec.uri,
            engine="openai-compatible",
            engine_version=version,
            precision="unreported",
            weights=f"served:{model}@{self._target.host}{root}",
            device="remote",
            batch_size=self._spec.batch_size or _BATCH_SIZE,
            context_length=served.context_length if served else None,
            seeding="none",
        )

    async def _find_served(self) -> ServedModel | None:
        async with EndpointClient(self._connection) as client:
            models = await client.list_models()
        return next((entry for entry in models if entry.model == self._target.model), None)


@subject_backends.register("openai")
def open_endpoint(spec: SubjectSpec) -> EndpointSubject:
    """Open an `openai:MODEL@URL` subject; nothing is sent before it is asked."""
    return EndpointSubject(spec)
