"""A small workbench over scripted subjects, for the tests of data methods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moorings.charter_run import Use
from moorings.improve.data import DataRow, DataStep, Origin, data_methods, make_row
from moorings.records import Message, Prompt
from moorings.sampling.bench import Bench
from moorings.subjects.protocol import TokenLogprobs
from moorings.subjects.scripted import ScriptedSubject

Score = Callable[[str, str], float]


class ScoringSubject(ScriptedSubject):
    """A scripted subject that also tells how likely a text is: `score` of the last turn and the continuation."""

    def __init__(self, script: Any, score: Score, *, version: str = "1", context_length: int | None = None) -> None:
        super().__init__(script, version=version)
        self._score = score
        self._info = self._info.model_copy(update={"context_length": context_length})
        self.n_scored = 0

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        from moorings.errors import InputError

        limit = self._info.context_length
        found = []
        for chat, text in items:
            self.n_scored += 1
            if limit is not None and len(chat[-1].content.split()) + len(text.split()) > limit:
                raise InputError("cannot score: longer than the context")
            words = tuple(text.split()) or (text,)
            found.append(TokenLogprobs(words, (self._score(chat[-1].content, text) / len(words),) * len(words)))
        return found


def embed_words(texts: Sequence[str]) -> np.ndarray:
    """Unit rows of hashed words: equal bags of words are equal vectors."""
    out = np.zeros((len(texts), 32), dtype=np.float32)
    for row, text in zip(out, texts, strict=True):
        for word in text.lower().split() or ["(empty)"]:
            row[int(hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest(), 16) % 32] += 1.0
    return out / np.linalg.norm(out, axis=1, keepdims=True)


class FakeWorkbench:
    """Everything that a data method may use, under a temporary folder."""

    def __init__(
        self,
        folder: Path,
        subject: ScriptedSubject,
        prompts: Sequence[Prompt] = (),
        *,
        anchor: ScriptedSubject | None = None,
        history: Sequence[Sequence[DataRow]] = (),
        round: int = 1,
        seed: int = 0,
    ) -> None:
        self.folder = self.kept = folder
        self.prompts, self.history, self.round = prompts, history, round
        self.subject = Bench(subject, folder / "subject", seed=seed)
        self.anchor = Bench(anchor or subject, folder / "anchor", seed=seed)
        self.rng = np.random.default_rng(seed)
        self.labels: list[str] = []

    def label(self, what: str) -> str:
        self.labels.append(what)
        return f"r{self.round}-{what}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return embed_words(texts)


def make_prompts(n: int, **metadata: Any) -> list[Prompt]:
    words = ["river", "stone", "cloud", "bread", "engine", "violin", "harbour", "winter", "garden", "letter"]
    return [
        Prompt(
            prompt_id=f"p{i}",
            messages=(
                Message(
                    role="user", content=f"Tell me about {words[i % 10]} number {i} and {words[(i * 3 + 1) % 10]}."
                ),
            ),
            metadata=metadata,
        )
        for i in range(n)
    ]


def row(question: str, answer: str, origin: Origin = "self", **more: Any) -> DataRow:
    message = (Message(role="user", content=question),)
    settings = {"method": "made", "round": 1} | {k: v for k, v in more.items() if k not in ("weight",)}
    return make_row(message, answer, origin=origin, **settings)


def run(use: str, workbench: FakeWorkbench, rows: Sequence[DataRow] = (), **settings: Any) -> DataStep:
    """Make a data method from settings and run it."""
    return data_methods.make(Use(use=use, **settings))(list(rows), workbench)


def balances(step: DataStep, n_in: int) -> bool:
    """Whether every row that came in or was made is kept or counted as dropped."""
    return n_in + int(step.metrics.get("candidates", 0.0)) == len(step.rows) + sum(step.dropped.values())
