"""What can be done with stored runs; the functions behind `moorings runs` and `moorings query`."""

from __future__ import annotations

import builtins
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from moorings.errors import ConfigError, StorageError, nearest
from moorings.store import Report, Run
from moorings.store import query as _query
from moorings.store import repair as _repair
from moorings.store import verify as _verify

__all__ = ["EXPORT_FORMATS", "RunInfo", "export", "list", "query", "show", "verify"]

EXPORT_FORMATS = ("jsonl", "csv", "parquet")


class RunInfo(NamedTuple):
    """One line about a run."""

    run: str
    kind: str
    subject: str
    engine: str
    status: str
    """`complete`, `open`, or `damaged`."""
    n_samples: int
    created: str


def list(folder: str | Path = "runs") -> builtins.list[RunInfo]:
    """Runs directly in a folder, oldest first; a damaged one is listed as such.

    Raises:
        StorageError: There is no such folder.
    """
    base = Path(folder)
    if not base.is_dir():
        raise StorageError(f"no folder '{folder}'; name one that holds runs, or make a run with `moorings sample`")
    homes = [base] if (base / "run.json").is_file() else sorted(p.parent for p in base.glob("*/run.json"))
    return sorted((_info(home) for home in homes), key=lambda info: info.created)


def show(run: str | Path) -> dict[str, Any]:
    """Everything that one page about a run needs, as JSON-able data.

    Raises:
        StorageError: There is no run, or it is damaged.
    """
    with Run.open(run) as store:
        rows = _query(
            store,
            "SELECT status, count(*) AS n, coalesce(sum(n_output_tokens), 0)::BIGINT AS n_output_tokens, "
            "round(avg(length(response)), 1) AS mean_chars FROM samples GROUP BY 1 ORDER BY 2 DESC",
        ).to_pylist()
        batches = _query(
            store,
            "SELECT source, count(*) AS n_batches, sum(rows)::BIGINT AS rows, sum(duration_s) AS duration_s, "
            "sum(n_output_tokens)::BIGINT AS n_output_tokens FROM batches GROUP BY 1 ORDER BY 1",
        ).to_pylist()
        return {
            "run": str(run),
            "status": store.status(),
            "head": store.head,
            "config": store.config,
            "samples": rows,
            "batches": batches,
            "parts": [part._asdict() for part in store.parts()],
            "artifacts": store.artifacts(),
        }


def query(run: str | Path, sql: str) -> pa.Table:
    """Run SQL over the views `samples`, `batches`, `prompts` and `events` of a run.

    Raises:
        InputError: The statement is wrong.
        StorageError: There is no run, or it is damaged.
    """
    with Run.open(run) as store:
        return _query(store, sql)


def export(run: str | Path, path: str | Path, *, format: str | None = None) -> int:
    """Write all samples to one file, ordered by key, so that equal runs give equal files.

    Args:
        run: Folder or URL of the run.
        path: File to write; replaced only when the new one is whole.
        format: `jsonl`, `csv` or `parquet`; taken from the file's ending if not given.

    Returns:
        The number of samples written.

    Raises:
        ConfigError: Unknown format.
        StorageError: There is no run, or it is damaged.
    """
    goal = Path(path)
    kind = format or goal.suffix.lstrip(".").lower()
    if kind not in EXPORT_FORMATS:
        raise ConfigError(f"unknown export format '{kind}'; {nearest(kind, EXPORT_FORMATS)}")
    table = query(run, "SELECT * FROM samples ORDER BY key")
    temporary = goal.with_name(f".{goal.name}.tmp")
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        if kind == "parquet":
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        else:
            _write_text(table, temporary, kind)
        os.replace(temporary, goal)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {goal}: {error.strerror or error}; name another file or free space"
        ) from error
    return int(table.num_rows)


def verify(run: str | Path, *, repair: bool = False) -> Report:
    """Check every journal line, part, artifact and key of a run, and mend what can be mended if asked.

    Raises:
        StorageError: There is no run, or it is of a foreign version.
        RunLockedError: `repair` is set and another process writes the run.
    """
    return _repair(run) if repair else _verify(run)


def _write_text(table: pa.Table, path: Path, kind: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in _plain_rows(table))
        else:
            writer = csv.DictWriter(file, table.column_names)
            writer.writeheader()
            for row in _plain_rows(table):
                nested = {k: json.dumps(row[k], ensure_ascii=False) for k in ("messages", "logprobs_nats", "metadata")}
                writer.writerow({**row, **nested})


def _plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1024):
        for row in batch.to_pylist():
            yield {**row, "metadata": json.loads(row["metadata"])}


def _info(home: Path) -> RunInfo:
    try:
        with Run.open(home) as store:
            sessions = store.notes("session")
            subject = store.config.get("subject", {})
            n_rows = sum(part.rows for part in store.parts())
            n_rows += sum(len(entry.data()["rows"]) for entry in store.unsealed_entries())
            kind = str(store.config.get("kind", ""))
            created = str(sessions[0].data().get("since", "")) if sessions else ""
            return RunInfo(
                str(home),
                kind,
                subject.get("name", ""),
                subject.get("engine", ""),
                store.status(),
                n_rows,
                created,
            )
    except StorageError:
        return RunInfo(str(home), "", "", "", "damaged", 0, "")
