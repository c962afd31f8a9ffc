"""A look of a monitor over real benches, and scripted subjects that can also score."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from moorings.improve.data import DataRow, make_row
from moorings.monitors.monitor import Asked
from moorings.records import Decoding, Generation, Message, Prompt, Request, SubjectInfo, content_hash
from moorings.sampling.bench import Bench
from moorings.subjects.protocol import TokenLogprobs
from moorings.subjects.scripted import Script, ScriptedSubject
from moorings.subjects.spec import SubjectSpec

AWKWARD = ("\ud800", "\x00\x07", " \n", "\udfff\udc00", "\x1b", "\u202e\u200b")
"""Answers without anything to read: lone surrogates, control and format characters, white space."""


class ScoringSubject:
    """A script, with log-probabilities from a bag of words: words of the chat are likely, others are not.

    Args:
        script: Answer to a chat under a seed.
        name: For the fingerprint.
        knows: Word to the words that a text about it is likely to hold.
        fail_every: One request in so many fails; 0 for none.
    """

    def __init__(
        self,
        script: Script,
        *,
        name: str,
        knows: Mapping[str, Sequence[str]] | None = None,
        fail_every: int = 0,
    ) -> None:
        self._inner = ScriptedSubject(script, name=name, version=content_hash([name, fail_every]))
        self._knows = dict(knows or {})
        self._fail_every = fail_every
        self.n_scored = 0

    def describe(self) -> SubjectInfo:
        return self._inner.describe()

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        for request in requests:
            if self._fail_every and request.seed % self._fail_every == 0:
                yield Generation(request_id=request.request_id, text="", finish_reason="error", error="scripted")
            else:
                yield from self._inner.generate([request], decoding)

    def close(self) -> None:
        self._inner.close()

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        self.n_scored += len(items)
        return [self._one(chat, text) for chat, text in items]

    def _one(self, chat: Sequence[Message], text: str) -> TokenLogprobs:
        text.encode("utf-8")
        said = {word for message in chat for word in _words(message.content)}
        said |= {word for key in said & self._knows.keys() for word in self._knows[key]}
        tokens = tuple(_words(text))
        assert tokens, "an empty continuation cannot be scored"
        return TokenLogprobs(tokens, tuple(math.log(0.2) if token in said else math.log(0.01) for token in tokens))


def _words(text: str) -> list[str]:
    return ["".join(c for c in word if c.isalnum()) or word for word in text.lower().split()]


@dataclass
class FakeGathering:
    """One look; the attributes are those of `Gathering`."""

    anchor: Bench
    candidate: Bench
    n: int = 32
    round: int = 1
    look: int = 0
    rows: Sequence[DataRow] = ()
    prompts: tuple[Prompt, ...] = ()
    start: int = 0
    attempt: int = 0
    decoding: Decoding = field(default_factory=lambda: Decoding(max_new_tokens=64))

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([self.anchor.seed, self.round, self.look, self.attempt])

    @cached_property
    def general(self) -> Asked:
        prompts = self.prompts or general_prompts(self.n, f"r{self.round}l{self.look}")
        both = [
            tuple(rows[0] for rows in bench.ask(prompts, self.label("general"), decoding=self.decoding))
            for bench in (self.anchor, self.candidate)
        ]
        return Asked(prompts, *both)

    def label(self, what: str) -> str:
        return f"r{self.round}-a{self.attempt}-l{self.look}-{what}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Hashed bags of words."""
        rows = np.zeros((len(texts), 256))
        for row, text in zip(rows, texts, strict=True):
            for word in [*_words(text), "text"]:
                row[hashlib.sha256(word.encode("utf-8", "replace")).digest()[0]] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def general_prompts(n: int, name: str) -> tuple[Prompt, ...]:
    things = ["kite", "compass", "beehive", "violin", "dam", "stamp", "cactus", "mirror", "ladder", "candle"]
    return tuple(
        Prompt(
            prompt_id=f"{name}-{at}",
            messages=(Message(role="user", content=f"Tell me about the {things[at % 10]} of house {at}."),),
        )
        for at in range(n)
    )


def look(
    folder: Path,
    anchor: SubjectSpec | ScoringSubject,
    candidate: SubjectSpec | ScoringSubject,
    *,
    seed: int = 0,
    **settings: object,
) -> FakeGathering:
    """A look over two benches in a folder."""
    benches = (Bench(anchor, folder / "anchor", seed=seed), Bench(candidate, folder / "candidate", seed=seed))
    return FakeGathering(*benches, **settings)  # type: ignore[arg-type]


def scripted(answer: Callable[[str, int], str], name: str, **settings: object) -> ScoringSubject:
    """A subject whose answer depends on the last message and the seed."""
    return ScoringSubject(lambda messages, seed: answer(messages[-1].content, seed), name=name, **settings)  # type: ignore[arg-type]


def unreadable(_: str, seed: int) -> str:
    return AWKWARD[seed % len(AWKWARD)]


def row(prompt: str, response: str, number: int = 1, origin: str = "self") -> DataRow:
    return make_row((Message(role="user", content=prompt),), response, origin=origin, method="test", round=number)  # type: ignore[arg-type]
