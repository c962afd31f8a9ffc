"""Draw one batch: the function that an executor runs, here or on another machine."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from moorings.errors import BackendError
from moorings.records import Decoding, Generation, Interaction, Message, Request, Role
from moorings.sampling.plan import Batch, Item, derive_seed
from moorings.sampling.status import classify
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import SubjectSpec, open_subject

__all__ = ["USER_INSTRUCTION", "draw_batch", "draw_with"]

USER_INSTRUCTION = (
    "You play a person who talks with an assistant. Write only that person's next message: react to the last answer, "
    "stay on the topic, and be brief."
)
"""Default system prompt of the subject that plays the user."""

_opened: dict[str, Subject] = {}
_opening = threading.Lock()


class _Talk(NamedTuple):
    """An interaction under way."""

    item: Item
    messages: tuple[Message, ...]
    last: Generation | None
    n_prompt_tokens: int | None
    n_output_tokens: int | None


def draw_batch(batch: Batch) -> list[Interaction]:
    """Draw a batch with subjects opened once a process."""
    return draw_with(batch, _subject(batch.subject), _subject(batch.user.subject) if batch.user else None)


def draw_with(batch: Batch, subject: Subject, user: Subject | None) -> list[Interaction]:
    """Draw a batch with given subjects; one record an item, in the batch's order."""
    talks = [_Talk(item, item.opening(), None, None, None) for item in batch.items]
    talks = _advance(talks, subject, "assistant", 0, batch.decoding, lambda talk: talk.messages)
    if batch.user and user:
        as_user = partial(_as_user, instruction=batch.user.instruction)
        for turn in range(1, batch.user.n_turns):
            talks = _advance(talks, user, "user", turn, batch.decoding, as_user)
            talks = _advance(talks, subject, "assistant", turn, batch.decoding, lambda talk: talk.messages)
    return [_record(talk, batch.fingerprint) for talk in talks]


def _advance(
    talks: Sequence[_Talk],
    subject: Subject,
    role: str,
    turn: int,
    decoding: Decoding,
    view: Callable[[_Talk], tuple[Message, ...]],
) -> list[_Talk]:
    """Let one side of every living talk say its next message."""
    requests = {
        talk.item.key: Request(
            request_id=talk.item.key,
            messages=view(talk),
            seed=talk.item.seed if role == "assistant" and turn == 0 else derive_seed(talk.item.seed, turn, role),
        )
        for talk in talks
        if talk.last is None or talk.last.finish_reason not in ("error", "too_long")
    }
    answers = {g.request_id: g for g in subject.generate(list(requests.values()), decoding)} if requests else {}
    missing = [key for key in requests if key not in answers]
    if missing:
        raise BackendError(f"{subject.describe().engine} gave no answer to {len(missing)} of {len(requests)} requests")
    return [_heard(talk, answers[talk.item.key], role) if talk.item.key in answers else talk for talk in talks]


def _heard(talk: _Talk, said: Generation, role: str) -> _Talk:
    said = _storable(said)
    if role == "user":
        if said.finish_reason in ("error", "too_long"):
            failure = said.model_copy(
                update={"finish_reason": "error", "error": f"user's side: {said.error or said.finish_reason}"}
            )
            return talk._replace(last=failure)
        return talk._replace(messages=(*talk.messages, Message(role="user", content=said.text)))
    return talk._replace(
        messages=(*talk.messages, Message(role="assistant", content=said.text))
        if said.error is None
        else talk.messages,
        last=said,
        n_prompt_tokens=_plus(talk.n_prompt_tokens, said.n_prompt_tokens),
        n_output_tokens=_plus(talk.n_output_tokens, said.n_output_tokens),
    )


def _storable(said: Generation) -> Generation:
    """Text as valid UTF-8, lone surrogates replaced by U+FFFD; log-probabilities finite or None."""
    nats = said.logprobs_nats
    return said.model_copy(
        update={
            "text": said.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
            "logprobs_nats": nats and tuple(v if v is not None and math.isfinite(v) else None for v in nats),
        }
    )


def _as_user(talk: _Talk, instruction: str) -> tuple[Message, ...]:
    """The talk as the other side sees it: roles swapped, with its own instruction."""
    swapped: dict[str, Role] = {"user": "assistant", "assistant": "user"}
    told = [Message(role=swapped[m.role], content=m.content) for m in talk.messages if m.role != "system"]
    return (Message(role="system", content=instruction), *told)


def _record(talk: _Talk, fingerprint: str) -> Interaction:
    said = talk.last
    assert said is not None
    return Interaction(
        key=talk.item.key,
        subject=fingerprint,
        prompt_id=talk.item.prompt.prompt_id,
        group=talk.item.prompt.group,
        persona=talk.item.persona.name if talk.item.persona else None,
        index=talk.item.index,
        seed=talk.item.seed,
        messages=talk.messages,
        response=said.text,
        status=classify(said.text, said.finish_reason),
        finish_reason=said.finish_reason,
        n_prompt_tokens=talk.n_prompt_tokens,
        n_output_tokens=talk.n_output_tokens,
        logprobs_nats=said.logprobs_nats,
        error=said.error,
        metadata=talk.item.prompt.metadata,
    )


def _plus(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b


def _subject(spec: SubjectSpec) -> Subject:
    name = spec.model_dump_json()
    with _opening:
        if name not in _opened:
            _opened[name] = open_subject(spec)
        return _opened[name]
