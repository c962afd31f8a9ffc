"""What data methods and monitors of one round are given: models to ask, prompts, rows, randomness of their own.

A model's weights are loaded when it is first asked. Anchor and candidate stay loaded through the looks of a round, as monitors ask
them in turn; the last promoted model is freed as soon as it has answered, so no more than two are held at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moorings.improve.data import DataRow
from moorings.monitors.monitor import Asked
from moorings.records import Decoding, Interaction, Prompt, content_hash
from moorings.sampling.bench import Bench
from moorings.sampling.plan import derive_seed
from moorings.subjects.embedders import Embedder, open_embedder

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LookAnswers", "RoundGathering", "RoundWorkbench", "SharedEmbedder"]

_PLAIN = re.compile(r"[a-z0-9_-]{1,40}")


class SharedEmbedder:
    """The bundled embedder, opened at the first use."""

    @cached_property
    def _embedder(self) -> Embedder:
        return open_embedder()

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit rows."""
        return self._embedder.embed_texts(list(texts))

    def fingerprint(self) -> str:
        """Of the embedder."""
        return self._embedder.describe().fingerprint()


class RoundWorkbench:
    """What the data methods of one try of a round may use; see `improve.data.Workbench`."""

    def __init__(
        self,
        *,
        subject: Bench,
        anchor: Bench,
        prompts: Sequence[Prompt],
        round: int,
        history: Sequence[Sequence[DataRow]],
        folder: Path,
        kept: Path,
        seed: int,
        embed: SharedEmbedder,
    ) -> None:
        self.subject, self.anchor, self.prompts, self.round = subject, anchor, prompts, round
        self.history, self.folder, self.kept, self._seed, self._embed = history, folder, kept, seed, embed
        self.rng = np.random.default_rng(derive_seed(self._seed, "data"))

    def label(self, what: str) -> str:
        """The label itself: methods of a round are told apart by the pipeline."""
        return what

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit rows."""
        return self._embed(texts)


class RoundGathering:
    """What one monitor may use in one look; see `monitors.monitor.Gathering`."""

    def __init__(
        self,
        *,
        monitor: str,
        anchor: Bench,
        candidate: Bench,
        round: int,
        look: int,
        n: int,
        start: int,
        seed: int,
        rows: Sequence[DataRow],
        general: LookAnswers,
        embed: SharedEmbedder,
    ) -> None:
        self.anchor, self.candidate, self.round, self.look, self.n, self.start = (
            anchor,
            candidate,
            round,
            look,
            n,
            start,
        )
        self.rows, self._general, self._embed = rows, general, embed
        self._monitor = monitor
        self.rng = np.random.default_rng(derive_seed(seed, "monitor", monitor, start))

    @property
    def general(self) -> Asked:
        """Answers to this look's general prompts."""
        return self._general.asked

    def label(self, what: str) -> str:
        """A label of this monitor and look; it names a folder, so a monitor's name must not lead anywhere."""
        name = self._monitor if _PLAIN.fullmatch(self._monitor) else content_hash(self._monitor)[:16]
        return f"look{self.look}-{name}-{what}"

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "m d"]:
        """Unit rows."""
        return self._embed(texts)


class LookAnswers:
    """The general prompts of one look and everybody's answers, sampled when first asked for."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        look: int,
        decoding: Decoding,
        *,
        anchor: Bench,
        candidate: Bench,
        previous: Bench | None,
    ) -> None:
        self.prompts, self.label = tuple(prompts), f"look{look}"
        self._decoding, self._anchor, self._candidate, self._previous = decoding, anchor, candidate, previous

    @cached_property
    def asked(self) -> Asked:
        """Prompts and answers in the same order."""
        previous = None
        if self._previous is not None:
            previous = self._answers(self._previous)
            self._previous.close()
        return Asked(self.prompts, self._answers(self._anchor), self._answers(self._candidate), previous)

    def _answers(self, bench: Bench) -> tuple[Interaction, ...]:
        return tuple(rows[0] for rows in bench.ask(self.prompts, self.label, decoding=self._decoding))
