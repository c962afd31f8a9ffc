"""The nouns: frozen records that move between the rooms.

A record is plain data that survives a round trip through JSON. Text is stored as given: it is
untrusted model output and is escaped where it is shown, never here.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Decoding",
    "FinishReason",
    "Generation",
    "Interaction",
    "Message",
    "Persona",
    "Prompt",
    "Request",
    "Role",
    "SampleStatus",
    "Seeding",
    "SubjectInfo",
    "canonical_json",
    "content_hash",
]

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "refusal", "too_long", "error", "unknown"]
Seeding = Literal["sample", "batch", "none"]


def canonical_json(value: Any) -> str:
    """Serialise to the one JSON text that equal values share (sorted keys, no spaces, no NaN)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Any) -> str:
    """SHA-256 (64 hex digits) of a JSON-able value's canonical text."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


class Record(BaseModel):
    """Base of all records: immutable, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Record):
    """One turn of a chat."""

    role: Role
    content: str


class Prompt(Record):
    """An input whose answer is to be recorded."""

    prompt_id: str
    """Name of the prompt, unique within its set; a content hash unless the file names one."""
    messages: tuple[Message, ...]
    """The chat so far; the last message is normally the user's."""
    group: str | None = None
    """Topic, environment or any other unit that later statistics may cluster by."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Further columns of the source, kept as they were."""


class Persona(Record):
    """A system prompt under which the same prompts are asked again."""

    name: str
    system: str


class Decoding(Record):
    """How tokens are drawn. Part of a subject's fingerprint."""

    max_new_tokens: int = Field(default=256, ge=1)
    """Most tokens an answer may have; a longer one is recorded as truncated."""
    min_new_tokens: int = Field(default=0, ge=0)
    """Fewest tokens before the end token is allowed; for benchmarks of equal length."""
    temperature: float = Field(default=1.0, ge=0.0)
    """Softmax temperature; 0 takes the likeliest token."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Nucleus mass; 1 keeps every token."""
    top_k: int = Field(default=0, ge=0)
    """Keep the k likeliest tokens; 0 keeps all."""
    logprobs: bool = False
    """Record the log-probability of each answer token under the untempered model, in nats."""


class Request(Record):
    """One answer wanted from a subject."""

    request_id: str
    messages: tuple[Message, ...]
    seed: int
    """Non-negative, below 2**63; used by engines that can seed a single sample."""


class Generation(Record):
    """What an engine returned for one request."""

    request_id: str
    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int | None = None
    n_output_tokens: int | None = None
    logprobs_nats: tuple[float | None, ...] | None = None
    """One value an answer token; None where not asked for or not known."""
    error: str | None = None
    """The failure in one line, set exactly when finish_reason is 'error'."""


class SampleStatus(StrEnum):
    """What became of one sample. Nothing is dropped: every planned sample ends in one of these."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"
    """The token limit was reached before the answer ended."""
    EMPTY = "empty"
    """The answer holds no visible character."""
    REFUSED = "refused"
    """The endpoint said so, or the answer opens with a refusal phrase."""
    TOO_LONG = "too_long"
    """The prompt does not fit the subject's context."""
    FAILED = "failed"
    """The engine or endpoint gave no answer after all retries."""


class SubjectInfo(Record):
    """What a subject is, down to everything that can change its behaviour."""

    name: str
    """For people; not part of the fingerprint."""
    uri: str
    """How it was opened; not part of the fingerprint."""
    engine: str
    engine_version: str
    precision: str
    weights: str
    """Content hash of the weights, or the served model's name where weights cannot be seen."""
    adapter: str | None = None
    template: str | None = None
    """Content hash of the chat template."""
    device: str = "cpu"
    batch_size: int = 1
    threads: int = 1
    workers: int = 1
    """Parts of a batch that are decoded side by side, each on `threads` threads."""
    context_length: int | None = None
    seeding: Seeding = "none"
    """Finest unit whose random draws the engine can fix: a sample, a batch, or nothing."""

    def fingerprint(self, decoding: Decoding | None = None) -> str:
        """Content hash of all that can change behaviour, with the decoding if given."""
        facts = self.model_dump(exclude={"name", "uri"})
        return content_hash({"subject": facts, "decoding": decoding.model_dump() if decoding else None})


class Interaction(Record):
    """One recorded behaviour: the transcript that a subject produced for a prompt.

    The record holds nothing that depends on when or where it was made, so two runs that draw the
    same tokens store the same bytes; timings are kept by batch (view `batches`).
    """

    key: str
    """Content hash of subject, decoding, prompt, persona, index and seed: what makes it the same sample."""
    subject: str
    """Fingerprint of the subject with its decoding."""
    prompt_id: str
    group: str | None = None
    persona: str | None = None
    index: int
    """0-based sample number within (prompt, persona)."""
    seed: int | None
    """None where the behaviour was recorded elsewhere."""
    messages: tuple[Message, ...]
    """The whole transcript, the answers included."""
    response: str
    """The last answer of the subject."""
    status: SampleStatus
    finish_reason: FinishReason
    n_prompt_tokens: int | None = None
    n_output_tokens: int | None = None
    """Summed over all turns."""
    logprobs_nats: tuple[float | None, ...] | None = None
    """One value an answer token of the last turn; None for a token whose value is not finite."""
    error: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
