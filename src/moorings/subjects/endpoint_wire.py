"""What is sent to a chat-completions server and what its answers mean: plain data in, records out.

An answer that is not exactly a chat completion is an error, never repaired or guessed at.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from moorings.errors import EndpointError
from moorings.records import Decoding, FinishReason, Generation, Request
from moorings.subjects.endpoint_config import EndpointConfig
from moorings.subjects.strict_json import parse_json

__all__ = [
    "Completion",
    "Complaint",
    "ServedModel",
    "UnreadableAnswerError",
    "chat_body",
    "one_line",
    "parse_completion",
    "parse_complaint",
    "parse_first_token",
    "parse_models",
]

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "refusal"}
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum (context|model) length"
    r"|exceeds?\b.{0,60}\bcontext (length|size|window)|prompt is too long",
    re.IGNORECASE,
)
_LINE_LENGTH = 300
_LEAST_NATS = 1e6
_ROUNDING_NATS = 1e-3
"""A certain token's value may come out just above 0."""


class UnreadableAnswerError(EndpointError):
    """A server's answer is not what the protocol says."""


class Completion(NamedTuple):
    """A parsed answer."""

    generation: Generation
    system_fingerprint: str | None
    """What the server says of its build, if anything."""


class Complaint(NamedTuple):
    """Why a server did not answer."""

    message: str
    is_too_long: bool
    is_filtered: bool


class ServedModel(NamedTuple):
    """One entry of a server's list of models; what it does not say is None."""

    model: str
    owner: str | None
    root: str | None
    """What the name stands for, such as a folder of weights (vLLM)."""
    context_length: int | None


def chat_body(
    model: str, request: Request, decoding: Decoding, config: EndpointConfig, *, n_top: int = 0
) -> dict[str, Any]:
    """Body of one chat-completions call; `n_top` asks for so many likeliest tokens at each place.

    `top_k` and `min_tokens` are extensions (vLLM, llama.cpp) that other servers reject, so they are sent
    only where they differ from 'keep all' and 'no minimum'.
    """
    body = config.extra_body | {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        config.max_tokens_field: decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
    }
    if decoding.top_k:
        body["top_k"] = decoding.top_k
    if decoding.min_new_tokens:
        body["min_tokens"] = decoding.min_new_tokens
    if decoding.logprobs:
        body["logprobs"] = True
    if n_top:
        body["logprobs"], body["top_logprobs"] = True, n_top
    if config.send_seed:
        body["seed"] = request.seed % 2**31
    return body


def parse_completion(raw: bytes, request_id: str, *, with_logprobs: bool) -> Completion:
    """Read the body of a successful answer.

    What a server leaves out or misstates beside the text (token counts, log-probabilities) is None.

    Raises:
        UnreadableAnswerError: It is not a chat completion.
    """
    body = _object(raw)
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        told = f": {parse_complaint(raw).message}" if "error" in body else ""
        raise UnreadableAnswerError(f"the answer has no choices[0].message{told}")
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        raise UnreadableAnswerError("the answer's choices[0].message.content is not text")
    reason = choice.get("finish_reason")
    finish = _FINISH.get(reason, "unknown") if isinstance(reason, str) else "unknown"
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    fingerprint = body.get("system_fingerprint")
    generation = Generation(
        request_id=request_id,
        text=content or refusal or "",
        finish_reason="refusal" if refusal else finish,
        n_prompt_tokens=_count(usage.get("prompt_tokens")),
        n_output_tokens=_count(usage.get("completion_tokens")),
        logprobs_nats=_logprobs(choice.get("logprobs")) if with_logprobs else None,
    )
    return Completion(generation, one_line(fingerprint) if isinstance(fingerprint, str) and fingerprint else None)


def parse_first_token(raw: bytes) -> dict[str, float]:
    """Log-probabilities in nats of the likeliest first tokens, by their text; empty where the server gives none.

    Tokens with equal text, such as parts of characters, are added up.

    Raises:
        UnreadableAnswerError: It is no JSON object.
    """
    choices = _object(raw).get("choices")
    found: Any = choices[0] if isinstance(choices, list) and choices else None
    for key in ("logprobs", "content"):
        found = found.get(key) if isinstance(found, dict) else None
    first = found[0] if isinstance(found, list) and found else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    nats: dict[str, float] = {}
    for entry in top if isinstance(top, list) else []:
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
        if isinstance(token, str) and isinstance(value, int | float) and -_LEAST_NATS <= value <= _ROUNDING_NATS:
            known = nats.get(token, -math.inf)
            likelier = max(known, float(value))
            nats[token] = likelier + math.log(math.exp(known - likelier) + math.exp(value - likelier))
    return nats


def parse_complaint(raw: bytes) -> Complaint:
    """Read what a server says is wrong, in any of the shapes in use, else the body's first words."""
    text = raw[:100_000].decode("utf-8", "replace")
    body = parse_json(text).value
    found = body.get("error", body) if isinstance(body, dict) else None
    message, code = found, ""
    if isinstance(found, dict):
        message = found.get("message") or found.get("detail") or found.get("error")
        code = f"{found.get('code')} {found.get('type')}"
    if not message:
        message = text
    said = f"{code} {message}"
    return Complaint(str(message), bool(_TOO_LONG.search(said)), "content_filter" in code)


def parse_models(raw: bytes) -> tuple[ServedModel, ...]:
    """Read a server's list of models; entries that are none are left out.

    Raises:
        UnreadableAnswerError: It is no such list.
    """
    data = _object(raw).get("data")
    if not isinstance(data, list):
        raise UnreadableAnswerError("the list of models has no 'data'")
    return tuple(
        ServedModel(
            model=entry["id"],
            owner=_text(entry.get("owned_by")),
            root=_text(entry.get("root")),
            context_length=_count(entry.get("max_model_len")),
        )
        for entry in data
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    )


def one_line(text: str, limit: int = _LINE_LENGTH) -> str:
    """Make a stranger's text one bounded line of printable characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def _object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableAnswerError("the answer is not UTF-8 text") from None
    item = parse_json(text)
    if item.fault is not None:
        raise UnreadableAnswerError(f"the answer cannot be read: {item.fault}; it begins: {one_line(text, 80)}")
    if not isinstance(item.value, dict):
        raise UnreadableAnswerError(f"the answer is not a JSON object; it begins: {one_line(text, 80)}")
    return item.value


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: Any) -> str | None:
    return one_line(value) if isinstance(value, str) and value else None


def _logprobs(value: Any) -> tuple[float, ...] | None:
    tokens = value.get("content") if isinstance(value, dict) else None
    if not isinstance(tokens, list):
        return None
    found = [token.get("logprob") if isinstance(token, dict) else None for token in tokens]
    numbers = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    return tuple(numbers) if len(numbers) == len(found) else None
