"""Immutable Parquet parts: how interactions become columns and back.

A part is named by the hash of its bytes and counts only once its journal entry is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moorings.records import Interaction, canonical_json

__all__ = ["SCHEMA", "part_bytes", "sha256_hex", "to_interactions", "to_table"]

_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.large_string())])
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("subject", pa.string()),
        ("prompt_id", pa.string()),
        ("group", pa.string()),
        ("persona", pa.string()),
        ("index", pa.int64()),
        ("seed", pa.int64()),
        ("messages", pa.list_(_MESSAGE)),
        ("response", pa.large_string()),
        ("status", pa.string()),
        ("finish_reason", pa.string()),
        ("n_prompt_tokens", pa.int64()),
        ("n_output_tokens", pa.int64()),
        ("logprobs_nats", pa.list_(pa.float64())),
        ("error", pa.string()),
        ("metadata", pa.large_string()),
    ]
)
"""Columns of a part; `metadata` holds JSON."""


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def to_table(rows: Sequence[Interaction]) -> pa.Table:
    """Interactions as columns of `SCHEMA`."""
    plain: list[dict[str, Any]] = []
    for row in rows:
        columns = row.model_dump()
        columns["metadata"] = canonical_json(row.metadata)
        columns["status"] = row.status.value
        plain.append(columns)
    return pa.Table.from_pylist(plain, schema=SCHEMA)


def to_interactions(batches: Iterable[pa.RecordBatch]) -> Iterator[Interaction]:
    """Columns back to the records they came from."""
    for batch in batches:
        for columns in batch.to_pylist():
            columns["metadata"] = json.loads(columns["metadata"])
            yield Interaction.model_validate(columns)


def part_bytes(rows: Sequence[Interaction]) -> bytes:
    """A whole Parquet file in memory: zstd, page checksums; equal rows give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(to_table(rows), sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())
