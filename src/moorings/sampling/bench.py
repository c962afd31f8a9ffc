"""A subject that can be asked again and again: every answer is kept, so a crash never asks twice."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from moorings.errors import ConfigError
from moorings.records import (
    Decoding,
    Generation,
    Interaction,
    Message,
    Prompt,
    Request,
    SampleStatus,
    SubjectInfo,
    canonical_json,
    content_hash,
)
from moorings.sampling.progress import open_meter
from moorings.sampling.prompts import PromptSet
from moorings.sampling.sample import sample
from moorings.store import Run
from moorings.subjects.protocol import NextTokenLogprobs, NextTokenScorer, Scorer, Subject, TokenLogprobs
from moorings.subjects.spec import SubjectSpec, open_subject

__all__ = ["CHUNK", "Bench"]

CHUNK = 256
"""Chats whose scores are kept at once; a crash loses at most so many."""


class Bench:
    """One subject whose answers are stored under a folder, one run a label.

    The weights are loaded at the first question that has no stored answer.

    Args:
        subject: A spec, or an opened subject, which the caller closes.
        folder: Where the runs lie.
        seed: The run's seed; equal prompts under equal labels get equal seeds on every bench with this seed.
        progress: Show a bar.
        known_as: URI that is recorded instead of the subject's own, so that records stay right when folders are moved.
    """

    def __init__(
        self,
        subject: SubjectSpec | Subject,
        folder: Path,
        *,
        seed: int = 0,
        progress: bool = False,
        known_as: str | None = None,
    ) -> None:
        self._given, self.folder, self.seed, self._progress = subject, folder, seed, progress
        self._known_as = known_as
        self._opened: Subject | None = None

    @property
    def subject(self) -> Subject:
        """The subject, opened once."""
        if self._opened is None:
            self._opened = open_subject(self._given)
        return self._opened

    def describe(self) -> SubjectInfo:
        """Facts of the subject."""
        return self.subject.describe()

    def ask(
        self, prompts: Sequence[Prompt], label: str, *, decoding: Decoding | None = None, n_samples: int = 1
    ) -> list[list[Interaction]]:
        """Answers to prompts, `n_samples` each, in the order of the prompts; failed ones have status `failed`.

        Args:
            prompts: At least one, with unique ids.
            label: Names what is asked, unique in the folder: the same label with other prompts is refused.
            decoding: How tokens are drawn.
            n_samples: Answers a prompt.

        Raises:
            ConfigError: No prompts, or an id is there twice.
            StorageError: The label is taken by other questions.
            BackendError: The engine failed on every attempt.
        """
        ids = [prompt.prompt_id for prompt in prompts]
        if len(set(ids)) != len(ids):
            raise ConfigError(f"prompts of '{label}' share an id; give each prompt its own prompt_id")
        digest = content_hash([prompt.model_dump(mode="json") for prompt in prompts])
        questions = PromptSet(label, tuple(prompts), digest)
        run = self.folder / label
        sample(
            self.subject if self._known_as is None else _KnownAs(self.subject, self._known_as),
            questions,
            run,
            n_samples=n_samples,
            decoding=decoding,
            seed=self.seed,
            progress=self._progress,
        )
        with Run.open(run) as stored:
            found: dict[str, list[Interaction]] = {prompt_id: [] for prompt_id in ids}
            for row in stored.interactions():
                found[row.prompt_id].append(row)
        return [sorted(found[prompt_id], key=lambda row: row.index) for prompt_id in ids]

    def score(self, items: Sequence[tuple[Sequence[Message], str]], label: str) -> list[TokenLogprobs]:
        """Log-probabilities of given continuations, kept like answers; NaN for one that is not finite.

        Raises:
            ConfigError: The subject cannot score.
        """
        asked = [[[message.model_dump() for message in chat], text] for chat, text in items]
        digest = content_hash(asked)
        with Run.create_or_open(self.folder / label, {"scores": digest}) as stored:
            name = "scores.json"
            kept = stored.artifacts().get(name)
            if kept is None:
                if not isinstance(self.subject, Scorer):
                    raise ConfigError(
                        f"{self.describe().uri} cannot tell how likely a text is, which '{label}' needs; "
                        "use a local model, or leave that monitor out"
                    )
                scored = self.subject.score(items)
                scores = [[list(one.tokens), [_finite(v) for v in one.logprobs_nats]] for one in scored]
                kept = stored.put_artifact(name, canonical_json(scores).encode("utf-8", "surrogatepass"))
            return _read_scores(stored.get_artifact(kept))

    def next_token(
        self, items: Sequence[tuple[Sequence[Message], Sequence[str]]], label: str, *, chunk: int = CHUNK
    ) -> list[NextTokenLogprobs]:
        """Log-probabilities of short continuations, kept chunk by chunk; a resumed call scores whole chunks only.

        Engines may round differently in other batches, so equal chunks are what makes resumed scores identical.

        Args:
            items: Chats with their continuations.
            label: Names what is asked, unique in the folder: the same label with other items is refused.
            chunk: Chats that are scored and kept together, >= 1.

        Raises:
            ConfigError: The subject cannot compare continuations.
            StorageError: The label is taken by other items or another subject.
        """
        subject = self.subject
        if not isinstance(subject, NextTokenScorer):
            raise ConfigError(
                f"{subject.describe().uri} cannot tell how likely an answer symbol is, which '{label}' needs; "
                "use a local model or an endpoint that gives log-probabilities, or ask for texts"
            )
        asked = [[[message.model_dump() for message in chat], list(texts)] for chat, texts in items]
        facts = {"next_token": content_hash(asked), "subject": subject.describe().fingerprint(), "chunk": chunk}
        found: list[NextTokenLogprobs] = []
        with Run.create_or_open(self.folder / label, facts) as stored, open_meter(self._progress) as meter:
            kept = stored.artifacts()
            starts = range(0, len(items), chunk)
            names = [f"next_token-{number:06d}.json" for number in range(len(starts))]
            meter.start(
                len(items), sum(len(items[s : s + chunk]) for s, n in zip(starts, names, strict=True) if n in kept)
            )
            for start, name in zip(starts, names, strict=True):
                part = items[start : start + chunk]
                if name not in kept:
                    rows = [
                        [[_finite(nats) for nats in one.logprobs_nats], one.status, one.error]
                        for one in subject.next_token_logprobs(part)
                    ]
                    kept[name] = stored.put_artifact(name, canonical_json(rows).encode("utf-8", "surrogatepass"))
                    meter.advance(len(part), 0)
                found.extend(_read_next_tokens(stored.get_artifact(kept[name])))
        return found

    def close(self) -> None:
        """Free what was opened here; a later question opens it again."""
        if self._opened is not None and self._opened is not self._given:
            self._opened.close()
        self._opened = None


class _KnownAs:
    """A subject under another URI; all else is its own."""

    def __init__(self, subject: Subject, uri: str) -> None:
        self._subject, self._uri = subject, uri

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)

    def describe(self) -> SubjectInfo:
        """The subject's facts, but for the URI."""
        return self._subject.describe().model_copy(update={"uri": self._uri})

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """See `Subject`."""
        return self._subject.generate(requests, decoding)

    def close(self) -> None:
        """See `Subject`."""
        self._subject.close()


def _read_scores(data: bytes) -> list[TokenLogprobs]:
    return [
        TokenLogprobs(tuple(tokens), tuple(math.nan if value is None else value for value in values))
        for tokens, values in json.loads(data.decode("utf-8", "surrogatepass"))
    ]


def _read_next_tokens(data: bytes) -> list[NextTokenLogprobs]:
    return [
        NextTokenLogprobs(tuple(math.nan if v is None else v for v in values), SampleStatus(status), error)
        for values, status, error in json.loads(data.decode("utf-8", "surrogatepass"))
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
