"""Small corpora for tests of the comparison."""

from __future__ import annotations

import numpy as np

from moorings.compare.corpus import Corpus
from moorings.records import SampleStatus

WORDS = [
    "river",
    "stone",
    "morning",
    "letter",
    "garden",
    "music",
    "window",
    "paper",
    "bridge",
    "winter",
    "market",
    "answer",
    "question",
    "travel",
    "kitchen",
    "light",
    "history",
    "number",
    "island",
    "teacher",
    "machine",
    "weather",
    "village",
    "simple",
    "careful",
    "bright",
    "quiet",
    "early",
    "common",
]


def sentence(rng: np.random.Generator, n: int = 12) -> str:
    """Random words that mean nothing."""
    return " ".join(rng.choice(WORDS, size=n)).capitalize() + "."


def make_corpus(
    n_prompts: int = 60, n_samples: int = 2, *, seed: int = 0, groups: int = 0, status: SampleStatus | None = None
) -> Corpus:
    """Two arms whose responses are drawn alike."""
    rng = np.random.default_rng(seed)
    per_arm = n_prompts * n_samples
    return Corpus(
        arm_names=("before", "after"),
        prompt_ids=tuple(f"p{i}" for i in range(n_prompts)),
        prompts=tuple(f"What about {WORDS[i % len(WORDS)]} number {i}?" for i in range(n_prompts)),
        families=np.arange(n_prompts),
        groups=tuple(f"g{i % groups}" if groups else None for i in range(n_prompts)),
        texts=[sentence(rng) for _ in range(2 * per_arm)],
        arm=np.repeat([0, 1], per_arm),
        prompt=np.tile(np.repeat(np.arange(n_prompts), n_samples), 2),
        status=[status or SampleStatus.COMPLETED] * (2 * per_arm),
    )
