"""What the journal says about batches and parts."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from moorings.records import content_hash

__all__ = ["BatchNote", "PartNote", "batch_note"]


class BatchNote(NamedTuple):
    """How one batch came about; kept apart from its rows, which must not depend on it."""

    batch_id: str
    source: str
    """`sampled`, `cache` or `recorded`."""
    started_at: str
    duration_s: float
    n_output_tokens: int
    attempts: int = 1
    worker: str = ""


def batch_note(
    keys: Iterable[str], source: str, *, duration_s: float = 0.0, n_output_tokens: int = 0, attempts: int = 1
) -> BatchNote:
    """A note on a batch of samples made now by this process."""
    return BatchNote(
        content_hash(list(keys))[:16],
        source,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        duration_s,
        n_output_tokens,
        attempts,
        f"{socket.gethostname()}:{os.getpid()}",
    )


class PartNote(NamedTuple):
    """A sealed part as its journal entry names it."""

    path: str
    sha256: str
    rows: int
    size_bytes: int
    covers: tuple[int, int] | None
    """First and last journal entry whose rows it holds; None for a bulk part."""
