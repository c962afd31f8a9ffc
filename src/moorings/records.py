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
    "Check",
    "Decision",
    "Decoding",
    "Effect",
    "Evidence",
    "Example",
    "Finding",
    "FinishReason",
    "Generation",
    "IntentJudgement",
    "IntentVerdict",
    "Interaction",
    "Interval",
    "Message",
    "Persona",
    "Prompt",
    "Record",
    "Request",
    "Role",
    "SampleStatus",
    "Seeding",
    "SubjectInfo",
    "Verdict",
    "canonical_json",
    "content_hash",
]

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "refusal", "too_long", "error", "unknown"]
Seeding = Literal["sample", "batch", "none"]
Verdict = Literal["changed", "equivalent", "undecided"]
IntentVerdict = Literal["intended", "side effect", "concerning", "not judged"]


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


class Interval(Record):
    """A range that holds the true value with the stated confidence."""

    low: float
    high: float
    level: float = Field(default=0.95, gt=0.0, lt=1.0)


class Effect(Record):
    """How much more the candidate shows a behaviour than the precursor, per prompt and paired by prompt."""

    estimate: float
    """Mean over prompts of candidate minus precursor, in `unit`."""
    unit: str
    """`share of responses` for behaviours that a response has or has not, else what is counted, such as `words`."""
    standardised: float
    """The estimate in standard deviations of a single response; comparable between units."""
    precursor: float
    """The precursor's mean."""
    candidate: float
    """The candidate's mean."""
    interval: Interval
    """Adjusted for the selection of findings (false coverage rate)."""
    p: float
    """Two-sided, of no mean difference; the larger of the cluster-robust t and the sign-flip test."""
    p_adjusted: float
    """Adjusted for all hypotheses of its family."""
    mde: float
    """Least true effect that this comparison would have found with 80 % power, in `unit`."""
    n_prompts: int
    n_families: int
    """Independent units of the test: prompts, or families of prompts that belong together."""
    n_missing: int = 0
    """Responses without a value, such as failed ones."""
    worst_case: Interval | None = None
    """Estimates if every missing value were the most unfavourable one in either direction; None if none is missing."""


class Check(Record):
    """One test of whether a statement says what the numbers measure."""

    name: str
    """L1 to L10 with a word, such as `L1 membership`."""
    value: float | None
    """None where it could not be measured."""
    bar: str
    """What passes, such as `>= 0.80`."""
    passed: bool | None
    """None where it could not be measured."""
    note: str = ""


class Example(Record):
    """Responses of both sides to one prompt. All texts are untrusted."""

    prompt_id: str
    prompt: str
    precursor: str
    candidate: str
    precursor_value: float
    candidate_value: float
    marks: tuple[str, ...] = ()
    """Passages to highlight where they occur in either response."""


class IntentJudgement(Record):
    """Whether a change was meant."""

    verdict: IntentVerdict = "not judged"
    rule: str = ""
    """The charter's entry that decided, or the judge's reason in quotes."""
    by: str = "rule"
    """`rule`, the judge's name, or `judges disagree`."""


class Finding(Record):
    """One behaviour in which two subjects were compared, and what was found."""

    finding_id: str
    statement: str
    """What the candidate does more or less than the precursor, as a sentence. May quote untrusted text."""
    kind: Literal["content", "style", "outcome", "volume", "stance"]
    """Outcome: refusals, empty, truncated and failed responses. Volume: how often a topic comes up. Stance: how it is spoken of."""
    origin: str
    """Where the hypothesis came from: `battery`, `phrases`, `clusters`, `sparse`, `charter`, `judge`, `outcomes`, `topics`."""
    registered: bool
    """Whether it was fixed before any look at which response is whose."""
    predicate: dict[str, Any]
    """The frozen predicate: enough to evaluate it on other texts."""
    scope: str | None = None
    """Prompts that it speaks of; None is all."""
    verdict: Verdict
    guaranteed: bool = False
    """Whether it also stands under arbitrary dependence between hypotheses (Benjamini-Yekutieli or Holm)."""
    exceeds_tolerance: bool = False
    """Whether the whole interval lies outside the tolerance."""
    effect: Effect
    fidelity: float | None = None
    """Held-out agreement (area under the ROC curve) of the statement with what it was written for; None if it is its own definition."""
    checks: tuple[Check, ...] = ()
    intent: IntentJudgement = IntentJudgement()
    examples: tuple[Example, ...] = ()
    part_of: str | None = None
    """Finding that explains this one: given that one, nothing is left of it."""


class Evidence(Record):
    """What a monitor accumulated up to the end of a round."""

    monitor: str
    """Its name in the charter, or of the discovered change."""
    statement: str
    """What would be wrong, as a sentence. May quote untrusted text."""
    round: int
    side: Literal["more", "less", "either"]
    tolerance: float
    """Largest harm that does not matter: a mean of differences in [-1, 1]."""
    n_units: int
    """Units of this round, missing ones left out."""
    n_missing: int = 0
    mean: float
    """Mean difference in this round; NaN is written as None elsewhere, so a round without units has no evidence."""
    interval: Interval
    """Of this round's mean, valid at every look of the round together."""
    e_value: float
    """Evidence of the whole run so far that a tolerance was left, capped at 1e300."""
    threshold: float
    """E-value at which harm counts as shown."""
    status: Literal["harm", "fine", "undecided"]
    anchor: float | None = None
    candidate: float | None = None
    seen: str = ""
    """What was seen, in one plain sentence. May quote untrusted text."""
    details: dict[str, float] = Field(default_factory=dict)


class Decision(Record):
    """What became of a round."""

    round: int
    attempt: int = 0
    """Tries of this round before it."""
    action: Literal["promote", "hold", "rollback", "stop"]
    rule: str
    """Why, by which rule, in a sentence."""
    causes: tuple[str, ...] = ()
    """Monitors that decided."""
    back_to: int | None = None
    """Round whose subject is taken again after a rollback; 0 is the anchor."""
    by: str = "gate"
    """`gate`, or who approved or stopped by hand."""
