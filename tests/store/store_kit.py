"""Rows, workloads and disks for the tests of the store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from moorings.errors import MooringsError
from moorings.records import Interaction, canonical_json, content_hash
from moorings.store import BatchNote, Run, verify
from moorings.store.disk import Disk

CONFIG: dict[str, Any] = {"kind": "sample", "subject": {"name": "made", "engine": "scripted"}, "seed": 3}
BATCH = BatchNote("b" * 16, "sampled", "2026-01-01T00:00:00.000+00:00", 0.5, 7, 1, "host:1")


def make_row(i: int, text: str | None = None, **changes: Any) -> Interaction:
    """Sample number i; its content follows from the number."""
    answer = f"answer {i} " + "ä" * (i % 5) if text is None else text
    facts: dict[str, Any] = {
        "key": content_hash(["row", i]),
        "subject": "5" * 64,
        "prompt_id": f"p{i}",
        "group": f"g{i % 3}" if i % 4 else None,
        "index": i % 2,
        "seed": i * 1000003,
        "messages": [{"role": "user", "content": f"question {i}"}, {"role": "assistant", "content": answer}],
        "response": answer,
        "status": "completed",
        "finish_reason": "stop",
        "n_output_tokens": i,
        "logprobs_nats": [-0.1 * i, -1e-17] if i % 2 else None,
        "metadata": {"z": [1, {"k": i}], "a": 0.1 * i},
    }
    return Interaction.model_validate({**facts, **changes})


def make_rows(start: int, stop: int) -> list[Interaction]:
    """Samples start … stop - 1."""
    return [make_row(i) for i in range(start, stop)]


def stored(url: str | Path) -> dict[str, str]:
    """Every stored sample's JSON by key; a key stored twice is an error."""
    with Run.open(url) as run:
        rows = list(run.interactions())
    found = expected(rows)
    assert len(found) == len(rows), "a key is stored twice"
    return found


def expected(rows: list[Interaction]) -> dict[str, str]:
    """What `stored` gives for these rows."""
    return {row.key: canonical_json(row.model_dump(mode="json")) for row in rows}


def part_files(root: Path) -> dict[str, bytes]:
    """Sealed parts by name."""
    return {path.name: path.read_bytes() for path in sorted((root / "parts").glob("*.parquet"))}


def assert_sound(root: Path) -> None:
    """The run passes its own check."""
    report = verify(root)
    assert report.ok, report.problems


class QuickDisk(Disk):
    """Leaves the syncing out, which tests of logic need not wait for."""

    def fsync(self, fd: int) -> None:
        """Do nothing."""


STEPS: list[tuple[str, list[Interaction]]] = [
    ("batch", make_rows(0, 3)),
    ("batch", make_rows(3, 6)),
    ("part", make_rows(100, 106)),
    ("batch", make_rows(6, 9)),
    ("batch", make_rows(9, 12)),
    ("batch", make_rows(12, 14)),
]
"""A small workload; with 8 rows a part it seals while it runs and at the end."""
ALL_ROWS = [row for _, rows in STEPS for row in rows]


def work(root: Path, disk: Disk, acknowledged: list[Interaction]) -> None:
    """Do what is left of the workload; rows are listed as soon as they are acknowledged."""
    with Run.create_or_open(root, CONFIG, disk=disk) as run:
        for kind, rows in STEPS:
            (run.add_interactions if kind == "batch" else run.add_part)(rows, BATCH)
            acknowledged.extend(rows)
        run.put_artifact("prompts.jsonl", b'{"prompt_id":"p1"}\n')
        run.finish()


def work_until_error(root: Path, disk: Disk) -> tuple[list[Interaction], MooringsError | None]:
    """Do the workload up to its first named error; any other error passes through."""
    acknowledged: list[Interaction] = []
    try:
        work(root, disk, acknowledged)
    except MooringsError as error:
        return acknowledged, error
    return acknowledged, None


def child(code: str, *arguments: str, prefix: tuple[str, ...] = (), **settings: Any) -> subprocess.Popen[str]:
    """Start Python code in a process of its own, which can import this module."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **settings.pop("env", {})}
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **settings,
    )
