"""Sentence embeddings: texts in, unit rows out.

`open_embedder` reads a sentence-transformers folder. The `reference` engine is sentence-transformers itself in fp32.
The `int8` engine runs BERT encoders with mean pooling about twice as fast; its vectors have a cosine of at least 0.995
to the reference's. Which one ran is part of the fingerprint: never compare vectors of two engines.

Equal texts are embedded once. The same set of texts gives the same bytes in any order. In the company of other texts a
row may change by rounding, as matrix products round differently in batches of another shape: by about 1e-6 in fp32, and
in int8 by up to 0.001 of cosine, where that rounding crosses a step.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from moorings.errors import ConfigError, nearest
from moorings.records import content_hash
from moorings.subjects.bundled import model_path
from moorings.subjects.embedder_bert import Int8Encoder, int8_problem
from moorings.subjects.embedder_folder import SentenceFolder, read_sentence_folder
from moorings.subjects.safe_files import content_sha256_of_weights

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = ["Embedder", "EmbedderInfo", "open_embedder"]

_WINDOW_TEXTS = 2048
_WINDOW_CHARACTERS = 1 << 23


@dataclass(frozen=True)
class EmbedderInfo:
    """What an embedder is, down to everything that can change its vectors."""

    uri: str
    """How it was opened; not part of the fingerprint."""
    engine: str
    engine_version: str
    precision: str
    weights: str
    """Content hash of weights, configuration and tokenizer."""
    pooling: str
    d: int
    """Length of a vector."""
    max_tokens: int
    """Longer texts are cut to this many tokens."""

    def fingerprint(self) -> str:
        """Content hash of all that can change a vector."""
        return content_hash({key: value for key, value in asdict(self).items() if key != "uri"})


class _Encoder(Protocol):
    engine: str
    engine_version: str
    precision: str

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Any]]:
        """Yield positions and their unit vectors, batch by batch."""
        ...


class Embedder:
    """Turns texts into unit vectors; made by `open_embedder`."""

    def __init__(self, info: EmbedderInfo, encoder: _Encoder) -> None:
        self._info, self._encoder = info, encoder

    def describe(self) -> EmbedderInfo:
        """Facts that make up the fingerprint."""
        return self._info

    def embed_texts(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> Float[np.ndarray, "n d"]:
        """Embed texts; memory beyond the result does not grow with them, apart from some bytes each for sorting.

        Args:
            texts: Any strings, the empty one included; lone surrogates count as '?'.
            progress: Called with the number of texts done so far, duplicates included.

        Returns:
            One unit row a text, float32, in the order given.
        """
        import numpy as np

        out = np.empty((len(texts), self._info.d), dtype=np.float32)
        n_done = 0
        for window in _windows(texts):
            clean = [texts[rows[0]].encode("utf-8", "replace").decode("utf-8") for rows in window]
            for positions, vectors in self._encoder.encode(clean):
                copies = [len(window[position]) for position in positions]
                out[[row for position in positions for row in window[position]]] = np.repeat(vectors, copies, axis=0)
                n_done += sum(copies)
                if progress is not None:
                    progress(n_done)
        return out


def open_embedder(uri: str = "bundled:minilm", *, engine: str = "auto", threads: int | None = None) -> Embedder:
    """Open a sentence-embedding model on the CPU.

    Args:
        uri: `bundled:minilm`, or `hf:PATH` with PATH a sentence-transformers folder in safetensors.
        engine: `reference` (sentence-transformers, fp32), `int8`, or `auto`: int8 for models that it can run.
        threads: CPU threads in all; None takes every core that this process may use. They do not change vectors.

    Raises:
        ConfigError: Unknown scheme or engine, or a model that the int8 engine cannot run.
        ModelFileError: The files are missing, damaged, or of a pooling that is not implemented.
        UnsafeFileError: The folder has only pickled weights, or settings that load code.
    """
    if engine not in _ENGINES:
        raise ConfigError(f"unknown embedding engine '{engine}'; {nearest(engine, _ENGINES)}")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}; allowed: 1 or more, or None for all cores")
    folder = read_sentence_folder(_model_folder(uri))
    problem = int8_problem(folder) if engine != "reference" else None
    if engine == "int8" and problem:
        raise ConfigError(f"engine 'int8' cannot run {uri}: {problem}; use engine 'reference' or 'auto'")
    n_threads = threads or len(os.sched_getaffinity(0))
    chosen = ReferenceEncoder if engine == "reference" or problem else Int8Encoder
    encoder: _Encoder = chosen(folder, n_threads)
    info = EmbedderInfo(
        uri=uri,
        engine=encoder.engine,
        engine_version=encoder.engine_version,
        precision=encoder.precision,
        weights=content_sha256_of_weights(folder.path),
        pooling=folder.pooling,
        d=folder.d,
        max_tokens=folder.max_tokens,
    )
    return Embedder(info, encoder)


class ReferenceEncoder:
    """sentence-transformers in fp32 with its default batch size."""

    engine = "reference"
    precision = "fp32"

    def __init__(self, folder: SentenceFolder, threads: int) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        versions = (f"{name} {importlib.metadata.version(name)}" for name in ("sentence-transformers", "torch"))
        self.engine_version = ", ".join(versions)
        self._threads = threads
        self._model = SentenceTransformer(
            str(folder.path),
            device="cpu",
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Any]]:
        """Yield positions and their unit vectors, a few batches at a time."""
        import torch

        before = torch.get_num_threads()
        step = 256
        try:
            torch.set_num_threads(self._threads)
            for start in range(0, len(texts), step):
                some = list(texts[start : start + step])
                vectors = self._model.encode(some, normalize_embeddings=True, show_progress_bar=False)
                yield list(range(start, start + len(some))), vectors
        finally:
            torch.set_num_threads(before)


_ENGINES = ("auto", "int8", "reference")


def _model_folder(uri: str) -> Path:
    scheme, _, rest = uri.partition(":")
    if scheme == "bundled" and rest == "minilm":
        return model_path(rest)
    if scheme == "hf" and rest:
        return Path(rest).expanduser()
    raise ConfigError(
        f"'{uri}' is not an embedding model; allowed: bundled:minilm, or hf:PATH with a sentence-transformers folder"
    )


def _windows(texts: Sequence[str]) -> Iterator[list[list[int]]]:
    """Rows of equal texts, in windows of similar length; the same for any order of the texts."""
    window: list[list[int]] = []
    n_characters = 0
    for text, rows in itertools.groupby(
        sorted(range(len(texts)), key=lambda row: _sort_key(texts[row])), texts.__getitem__
    ):
        if window and (len(window) == _WINDOW_TEXTS or n_characters + len(text) > _WINDOW_CHARACTERS):
            yield window
            window, n_characters = [], 0
        window.append(list(rows))
        n_characters += len(text)
    if window:
        yield window


def _sort_key(text: str) -> tuple[int, str]:
    return len(text), text
