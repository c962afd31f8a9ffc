"""SQL over a run: DuckDB in memory, views over verified files, no access to anything else."""

from __future__ import annotations

import io
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.json as paj

from moorings.errors import InputError, StorageError
from moorings.records import canonical_json
from moorings.store.index import sample_rows
from moorings.store.parts import SCHEMA, to_table
from moorings.store.run import Run

__all__ = ["query"]

_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "lock_configuration": "true",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
"""No files, no network, no extensions, no variables of the calling program, and no way to change that."""
_VIEWS = "views: samples, batches, prompts, events"
_EVENTS = pa.schema([("seq", pa.int64()), ("type", pa.string()), ("data", pa.large_string())])
_BATCHES = pa.schema(
    [
        ("batch_id", pa.string()),
        ("source", pa.string()),
        ("started_at", pa.string()),
        ("duration_s", pa.float64()),
        ("n_output_tokens", pa.int64()),
        ("attempts", pa.int64()),
        ("worker", pa.string()),
        ("rows", pa.int64()),
    ]
)


def query(run: Run, sql: str) -> pa.Table:
    """Run one SQL statement over the views `samples`, `batches`, `prompts` and `events`.

    Args:
        run: An open run.
        sql: DuckDB SQL; files and network are out of its reach.

    Returns:
        The result as an Arrow table.

    Raises:
        InputError: The statement is wrong; DuckDB's message is given with the views that exist.
        StorageError: A part is missing or damaged.
    """
    with duckdb.connect(":memory:", config=_CLOSED) as db:
        for name, data in _sources(run).items():
            db.register(f"_{name}", data)
        db.execute("CREATE VIEW samples AS SELECT * FROM _sealed UNION ALL BY NAME SELECT * FROM _unsealed")
        for name in ("batches", "events", "prompts"):
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM _{name}")
        try:
            found = db.sql(sql)
            if found is None:
                raise InputError(f"SQL gives no table; write one SELECT. {_VIEWS}")
            return found.to_arrow_table()
        except (duckdb.Error, pa.ArrowException) as error:
            raise InputError(f"SQL failed: {error}; {_VIEWS}") from error


def _sources(run: Run) -> dict[str, Any]:
    parts = run.parts()
    for part in parts:
        run.check_part(part)
    paths = [run.files.arrow(part.path) for part in parts]
    unsealed = [row for entry in run.unsealed_entries() for row in sample_rows(entry)]
    events, batches = _events(run)
    try:
        sealed = (
            pads.dataset([p for p, _ in paths], schema=SCHEMA, format="parquet", filesystem=paths[0][1])
            if paths
            else SCHEMA.empty_table()
        )
        return {
            "sealed": sealed,
            "unsealed": to_table(unsealed),
            "events": pa.Table.from_pylist(events, schema=_EVENTS),
            "batches": pa.Table.from_pylist(batches, schema=_BATCHES),
            "prompts": _prompts(run),
        }
    except (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError) as error:
        raise StorageError(f"run {run.files.url} holds rows that Moorings does not write ({error})") from error


def _events(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the views `events` and `batches`; of sample entries only their number of rows."""
    events: list[dict[str, Any]] = []
    batches: list[dict[str, Any]] = []
    for entry in run.entries():
        data = entry.data()
        batch = data.get("batch") if isinstance(data, dict) else None
        if entry.type == "samples":
            data = {"batch": batch, "rows": len(sample_rows(entry))}
        if isinstance(batch, dict):
            batches.append({**batch, "rows": data["rows"]})
        events.append({"seq": entry.seq, "type": entry.type, "data": canonical_json(data)})
    return events, batches


def _prompts(run: Run) -> pa.Table:
    digest = run.artifacts().get("prompts.jsonl")
    data = run.get_artifact(digest) if digest else b""
    if not data:
        return pa.table({"prompt_id": pa.array([], pa.string())})
    return paj.read_json(io.BytesIO(data), read_options=paj.ReadOptions(block_size=max(1 << 20, 2 * len(data))))
