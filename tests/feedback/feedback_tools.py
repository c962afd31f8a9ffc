"""Tools of rewards over a fake embedder, for the tests of feedback."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moorings.feedback.preferences import Preference
from moorings.feedback.reward import Graded
from moorings.records import Message

D = 24


def embed_words(texts: Sequence[str]) -> np.ndarray:
    """Unit rows: equal bags of words are equal vectors, and words have random directions."""
    out = np.zeros((len(texts), D), dtype=np.float32)
    for row, text in zip(out, texts, strict=True):
        for word in text.lower().split() or ["(empty)"]:
            seed = int(hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16)
            row += np.random.default_rng(seed).standard_normal(D)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


class FakeTools:
    """What a reward may use, under a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.kept = folder
        self.n_embedded = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.n_embedded += len(texts)
        return embed_words(texts)


def graded(response: str, question: str = "the river", **metadata: Any) -> Graded:
    return Graded((Message(role="user", content=question),), response, metadata)


GOOD = ["kind", "clear", "helpful", "warm", "honest"]
BAD = ["rude", "vague", "useless", "cold", "false"]


def made_preferences(n: int, seed: int = 0) -> list[Preference]:
    """Pairs of which the chosen answer has good words and the rejected one bad words, among words that say nothing."""
    rng = np.random.default_rng(seed)
    plain = ["the", "a", "river", "stone", "cloud", "bread", "engine"]

    def text(words: list[str]) -> str:
        return " ".join([*rng.choice(words, 3), *rng.choice(plain, 5)])

    return [
        Preference(
            prompt=(Message(role="user", content=f"Question {at % 7}"),),
            chosen=text(GOOD),
            rejected=text(BAD),
            metadata={"row": at},
        )
        for at in range(n)
    ]
