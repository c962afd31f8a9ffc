"""Immutable Parquet parts: how interactions become columns and back.

A part is named by the hash of its bytes and counts only once its journal entry is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from moorings.errors import InputError, StorageError
from moorings.records import Interaction, canonical_json

__all__ = ["SCHEMA", "part_bytes", "plain_rows", "read_part", "sha256_hex", "to_interactions", "to_table"]

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
_MISFITS = (ValueError, TypeError, OverflowError, RecursionError, KeyError, AttributeError, pa.ArrowException)


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def plain_rows(rows: Sequence[Interaction]) -> tuple[list[dict[str, Any]], str]:
    """Interactions as JSON-able data and the JSON text of their list.

    The data is read back from the text, so what a journal line gives later is the same to the last bit.

    Raises:
        InputError: A value has no place in JSON or in a column; the sample is named. Nothing was stored.
    """
    try:
        text = f"[{','.join(_row_json(row) for row in rows)}]"
        plain: list[dict[str, Any]] = json.loads(text)
        to_table(plain)
        return plain, text
    except _MISFITS as error:
        if len(rows) > 1:
            for row in rows:
                plain_rows([row])
            raise
        row = rows[0]
        raise InputError(
            f"sample {row.key[:16]} (prompt '{row.prompt_id}', index {row.index}) cannot be stored: {error}; "
            "use finite numbers below 2**63, text without lone surrogates, and JSON in its metadata"
        ) from error


def to_table(plain: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Plain rows as columns of `SCHEMA`.

    Raises:
        ValueError: A value does not fit its column; also TypeError, OverflowError and KeyError.
    """
    return pa.Table.from_pylist([{**row, "metadata": _metadata(row["metadata"])} for row in plain], schema=SCHEMA)


def to_interactions(batches: Iterable[pa.RecordBatch]) -> Iterator[Interaction]:
    """Columns back to the records they came from.

    Raises:
        StorageError: They are not columns of interactions.
    """
    for batch in batches:
        for columns in batch.to_pylist():
            try:
                columns["metadata"] = json.loads(columns["metadata"])
                yield Interaction.model_validate(columns)
            except (*_MISFITS, ValidationError) as error:
                raise StorageError(f"a stored row is no interaction ({error}); do not trust this run") from error


def part_bytes(plain: Iterable[Mapping[str, Any]]) -> bytes:
    """A whole Parquet file in memory: zstd, page checksums; equal rows give equal bytes.

    Raises:
        StorageError: The rows do not fit the columns; they come from a journal that Moorings did not write.
    """
    try:
        table = to_table(plain)
    except _MISFITS as error:
        raise StorageError(f"journaled rows cannot be sealed ({error}); do not trust this run") from error
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def read_part(data: bytes, name: str, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Rows of a Parquet file in memory.

    Raises:
        StorageError: It is no part of a run.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise StorageError(f"{name} has other columns than a part of a run; do not trust this run")
            yield from file.iter_batches(batch_size=1024, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{name} is no Parquet file ({error}); do not trust this run") from error


def _row_json(row: Interaction) -> str:
    columns = {**row.model_dump(), "status": row.status.value}
    return json.dumps(columns, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _metadata(value: Any) -> str:
    text = canonical_json(value) if value else "{}"
    return text.encode("utf-8", "backslashreplace").decode()
