"""Small corpora for tests of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from moorings.compare.battery.feature import Feature
from moorings.compare.battery.measure import BatteryTable
from moorings.compare.corpus import Corpus
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.records import SampleStatus
from moorings.subjects.embedders import EmbedderInfo

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


SMALL = Settings(n_draws=1000, n_latents=0, n_clusters=4, n_phrases=10, n_phrase_sets=3, n_scoped=4)
"""A comparison that costs little."""
D = 24
"""Length of the stub's vectors."""

_SHARE = ("share of responses", True)
_STUB: dict[str, tuple[str, bool, bool, Callable[[str], float]]] = {
    "words": ("words", False, True, lambda t: float(len(t.split()))),
    "sentences": ("sentences", False, True, lambda t: float(t.count("."))),
    "exclamation": (*_SHARE, True, lambda t: float("!" in t)),
    "question": (*_SHARE, True, lambda t: float("?" in t)),
    "capital": (*_SHARE, True, lambda t: float(t[:1].isupper())),
    "long_words": ("long words", False, True, lambda t: float(sum(len(w) > 6 for w in t.split()))),
    "river": (*_SHARE, False, lambda t: float("river" in t.lower())),
    "digits": ("digits", False, False, lambda t: float(sum(c.isdigit() for c in t))),
    "mean_word": (
        "letters",
        False,
        True,
        lambda t: float(np.mean([len(w) for w in t.split()])) if t.split() else np.nan,
    ),
}


def stub_battery(texts: Sequence[str]) -> BatteryTable:
    """Nine cheap features."""
    features = tuple(
        Feature(name, f"More {name}", f"Less {name}", unit, binary, style, "A stub.")
        for name, (unit, binary, style, _) in _STUB.items()
    )
    rows = [[measure(text) for *_, measure in _STUB.values()] for text in texts]
    return BatteryTable(features, np.array(rows, dtype=np.float32).reshape(len(texts), len(features)))


class HashEmbedder:
    """Stands for an embedder: sums of a random vector a word, the same for equal texts."""

    def __init__(self, d: int = D, name: str = "hash") -> None:
        self.d, self.name, self.n_embedded = d, name, 0

    def describe(self) -> EmbedderInfo:
        """Facts that make up the fingerprint."""
        return EmbedderInfo("stub:", self.name, "1", "fp32", "0" * 64, "sum", self.d, 512)

    def embed_texts(self, texts: Sequence[str], *, progress: object = None) -> np.ndarray:
        """One unit row a text."""
        self.n_embedded += len(texts)
        out = np.zeros((len(texts), self.d), dtype=np.float32)
        for i, text in enumerate(texts):
            for word in (text.lower().split() or [""])[:200]:
                out[i] += self._vector(word)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)

    def _vector(self, word: str) -> np.ndarray:
        return _word_vector(word, self.d)


@cache
def _word_vector(word: str, d: int) -> np.ndarray:
    rng = np.random.default_rng(list(word.encode("utf-8", "surrogatepass")) or [0])
    return rng.standard_normal(d)


def make_table(corpus: Corpus) -> Table:
    """A corpus with stub battery and stub embeddings."""
    return Table(corpus, stub_battery(corpus.texts), HashEmbedder().embed_texts(corpus.texts))


def plant(corpus: Corpus, text: str, share: float, *, arm: int = 1, seed: int = 1) -> Corpus:
    """Append a text to a share of one arm's responses."""
    rng = np.random.default_rng(seed)
    chosen = (corpus.arm == arm) & (rng.random(len(corpus.texts)) < share)
    return replace(corpus, texts=[f"{t} {text}" if c else t for t, c in zip(corpus.texts, chosen, strict=True)])


def keep_rows(corpus: Corpus, rows: np.ndarray) -> Corpus:
    """Some responses only; every prompt must keep one of each arm."""
    at = np.flatnonzero(rows) if rows.dtype == bool else rows
    return replace(
        corpus,
        texts=[corpus.texts[i] for i in at],
        arm=corpus.arm[at],
        prompt=corpus.prompt[at],
        status=[corpus.status[i] for i in at],
    )
