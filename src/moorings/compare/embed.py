"""Embeddings of responses, each computed once for all comparisons."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moorings.subjects.embedders import Embedder

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["embed_responses", "shortened"]

_OPENING, _END = 240, 80
_CHUNK = 512


def shortened(text: str) -> str:
    """Opening and end of a long response: what is embedded of it. The battery and the phrases see all of it."""
    if len(text) <= _OPENING + _END + 20:
        return text
    return f"{text[:_OPENING]} … {text[-_END:]}"


def embed_responses(
    texts: Sequence[str],
    embedder: Embedder,
    *,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Float[np.ndarray, "n d"]:
    """Unit rows in half precision's values, the same whether computed now or kept from before.

    Args:
        texts: Responses.
        embedder: Turns texts into vectors.
        cache: SQLite file of vectors by embedder and text; created if missing. None keeps nothing.
        progress: Called with the number of different texts done so far.
    """
    short = [shortened(text) for text in texts]
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in short]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    found: dict[bytes, bytes] = {}
    with closing(sqlite3.connect(cache or ":memory:", timeout=30)) as store:
        store.execute(
            "CREATE TABLE IF NOT EXISTS vectors (embedder TEXT, text BLOB, vector BLOB, PRIMARY KEY (embedder, text))"
        )
        name = embedder.describe().fingerprint()
        for some in _chunks(list(first)):
            marks = ",".join("?" * len(some))
            rows = store.execute(
                f"SELECT text, vector FROM vectors WHERE embedder = ? AND text IN ({marks})", [name, *some]
            )
            found.update(rows.fetchall())
        missing = [key for key in first if key not in found]
        # Ties by key: rounding depends on a text's company, which must not depend on the order of rows.
        for some in _chunks(sorted(missing, key=lambda key: (len(short[first[key]]), key))):
            vectors = embedder.embed_texts([short[first[key]] for key in some]).astype(np.float16)
            fresh = {key: vector.tobytes() for key, vector in zip(some, vectors, strict=True)}
            found.update(fresh)
            with store:
                store.executemany(
                    "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", [(name, k, v) for k, v in fresh.items()]
                )
            if progress:
                progress(len(found))
    d = embedder.describe().d
    out = np.empty((len(texts), d), dtype=np.float32)
    for i, key in enumerate(keys):
        out[i] = np.frombuffer(found[key], dtype=np.float16)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    return out


def _chunks(items: list[bytes]) -> Iterator[list[bytes]]:
    queue = iter(items)
    while some := list(islice(queue, _CHUNK)):
        yield some
