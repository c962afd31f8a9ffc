"""A gathering over real benches of scripted subjects, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from moorings.improve.data import DataRow
from moorings.monitors.monitor import Asked
from moorings.records import Decoding, Generation, Message, Prompt, Request
from moorings.sampling.bench import Bench
from moorings.subjects.protocol import Subject, TokenLogprobs
from moorings.subjects.scripted import ScriptedSubject

Script = Callable[[Sequence[Message], int], str]


class Hostile:
    """Fails, empties or garbles three of four answers, whatever was asked."""

    def __init__(self, script: Script, *, version: str) -> None:
        self.inner = ScriptedSubject(script, version=version)

    def describe(self):
        return self.inner.describe()

    def close(self) -> None:
        self.inner.close()

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        for number, answer in enumerate(self.inner.generate(requests, decoding)):
            if number % 4 == 0:
                yield answer.model_copy(update={"text": "", "finish_reason": "error", "error": "scripted"})
            elif number % 4 == 1:
                yield answer.model_copy(update={"text": " \n"})
            elif number % 4 == 2:
                yield answer.model_copy(update={"text": "\x00\u202e<b>\x1b[31m \U0001f469\u200d e\u0301 " * 3})
            else:
                yield answer


class ScoringSubject(ScriptedSubject):
    """Also tells how likely a continuation is: `nats(chat, text)`."""

    def __init__(self, nats: Callable[[Sequence[Message], str], float], script: Script, *, version: str = "1") -> None:
        super().__init__(script, name="scoring", version=version)
        self.nats = nats

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        return [TokenLogprobs((text,), (self.nats(chat, text),)) for chat, text in items]


def draw(*parts: object) -> float:
    """A number in [0, 1) fixed by its arguments."""
    digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def embed_words(texts: Sequence[str]) -> np.ndarray:
    """Hashed bags of words as unit rows."""
    rows = np.zeros((len(texts), 64))
    for i, text in enumerate(texts):
        for word in text.lower().split() or ["(nothing)"]:
            rows[i, int(draw(word) * 64)] += 1.0
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass
class FakeGathering:
    """Asks real benches; see `moorings.monitors.monitor.Gathering`."""

    anchor: Bench
    candidate: Bench
    n: int = 64
    round: int = 1
    look: int = 0
    start: int = 0
    seed: int = 0
    rows: Sequence[DataRow] = ()
    previous: Bench | None = None
    general_prompts: Sequence[Prompt] = ()
    embed: Callable[[Sequence[str]], np.ndarray] = field(default=embed_words)

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.start])

    @cached_property
    def general(self) -> Asked:
        prompts = self.general_prompts or [
            Prompt(
                prompt_id=f"g{self.round}-{self.look}-{i}",
                messages=(Message(role="user", content=f"Question {self.round}.{self.look}.{i}?"),),
                group=f"group{i % 2}",
            )
            for i in range(self.n)
        ]

        def ask(bench: Bench) -> tuple:
            return tuple(rows[0] for rows in bench.ask(prompts, self.label("general")))

        previous = None if self.previous is None else ask(self.previous)
        return Asked(tuple(prompts), ask(self.anchor), ask(self.candidate), previous)

    def label(self, what: str) -> str:
        return f"m-{self.round}-{self.look}-{what}"


def bench(subject: Subject | Script, folder: Path, *, seed: int = 0, version: str = "1") -> Bench:
    """A bench on a subject, or on a script that becomes one."""
    opened = ScriptedSubject(subject, version=version) if callable(subject) else subject
    return Bench(opened, folder, seed=seed)


def gather(anchor: Subject | Script, candidate: Subject | Script, folder: Path, **settings: object) -> FakeGathering:
    """A gathering with fresh benches in folders of their own."""
    previous = settings.pop("previous", None)
    sides = {
        "anchor": bench(anchor, folder / "anchor", version="a"),
        "candidate": bench(candidate, folder / "candidate", version="c"),
        "previous": None if previous is None else bench(previous, folder / "previous", version="p"),
    }
    return FakeGathering(**sides, **settings)
