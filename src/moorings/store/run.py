"""One run directory: created, written by one process, read by anyone.

    run.json      format, schema version, configuration
    journal.log   every event in order; the record of truth
    parts/        sealed samples as Parquet, named by content
    artifacts/    other files, named by content hash
    quarantine/   bytes that could not be verified, kept
    orphans/      parts that a crash left without a journal entry

Live samples are acknowledged in the journal and sealed into Parquet every `SEAL_ROWS` rows and at the end;
bulk imports go straight to parts. The view `samples` joins both.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from moorings import __version__
from moorings.errors import StorageError
from moorings.records import Interaction, canonical_json, content_hash
from moorings.store.disk import Disk
from moorings.store.files import Files, open_files
from moorings.store.frames import Entry
from moorings.store.journal import Journal, owner_here
from moorings.store.migrate import FORMAT, SCHEMA_VERSION, migrate_header
from moorings.store.parts import part_bytes, sha256_hex, to_interactions

__all__ = ["SEAL_ROWS", "BatchNote", "PartNote", "Run", "batch_note"]

SEAL_ROWS = 4096
"""Live rows that are sealed into one part."""


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


class Run:
    """An open run. Use `Run.create`, `Run.open` or `Run.create_or_open`; close it or use it in a `with` block."""

    def __init__(self, files: Files, header: dict[str, Any], journal: Journal, *, writable: bool) -> None:
        self.files, self.config, self._journal, self.writable = files, header["config"], journal, writable
        self._pending: list[Interaction] = []
        self._pending_from: int | None = None
        self._keys: set[bytes] = set()
        self._seen = {"samples": -1, "part": -1}
        self.on_point: Callable[[str], None] = lambda point: None
        """Called at named points of a write; crash tests kill the process there."""
        if writable:
            self._take_over()

    @classmethod
    def create(cls, url: str | Path, config: dict[str, Any], *, disk: Disk | None = None) -> Run:
        """Start a run in a new or empty place.

        Raises:
            StorageError: There is a run already, or the place cannot be written.
        """
        files = open_files(url, disk)
        header = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "created_by": f"moorings {__version__}",
            "config": config,
        }
        data = json.dumps(header, indent=2, sort_keys=True).encode()
        journal = files.journal(write=True)
        try:
            if files.exists("run.json"):
                raise StorageError(f"{url} holds a run already; resume it or name another folder")
            files.write("run.json", data)
            return cls(files, header, journal, writable=True)
        except BaseException:
            journal.close()
            raise

    @classmethod
    def open(cls, url: str | Path, *, write: bool = False, disk: Disk | None = None) -> Run:
        """Open a run; readers need no lock and see every acknowledged row.

        Raises:
            StorageError: No run there, a foreign version, or damage.
            RunLockedError: `write` is set and another process writes it.
        """
        files = open_files(url, disk)
        if not files.exists("run.json"):
            raise StorageError(
                f"no run at {url}: there is no run.json; `moorings runs list FOLDER` shows the runs below a folder"
            )
        try:
            header = json.loads(files.read("run.json"))
        except ValueError as error:
            raise StorageError(
                f"{url}/run.json is damaged ({error}); `moorings runs verify {url}` tells more"
            ) from error
        if not isinstance(header, dict):
            raise StorageError(f"{url} is not a Moorings run: run.json is no object")
        header = migrate_header(header, str(url))
        journal = files.journal(write=write)
        try:
            return cls(files, header, journal, writable=write)
        except BaseException:
            journal.close()
            raise

    @classmethod
    def create_or_open(cls, url: str | Path, config: dict[str, Any], *, disk: Disk | None = None) -> Run:
        """Start a run, or take up one that was started with the same configuration.

        Raises:
            StorageError: The run there has another configuration; the first difference is named.
        """
        if not open_files(url, disk).exists("run.json"):
            return cls.create(url, config, disk=disk)
        run = cls.open(url, write=True, disk=disk)
        difference = _first_difference(run.config, config)
        if difference:
            run.close()
            raise StorageError(
                f"run {url} was started with other settings: {difference}; resume with the old ones or name a new folder"
            )
        return run

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the writer's lock."""
        self._journal.close()

    @property
    def head(self) -> str:
        """Hash of the last journal entry: stands for the run's whole history."""
        return self._journal.head

    def entries(self) -> Iterator[Entry]:
        """Verified journal entries in order."""
        return self._journal.entries()

    def has(self, key: str) -> bool:
        """Whether a sample is stored; for writers."""
        return bytes.fromhex(key)[:16] in self._keys

    @property
    def n_stored(self) -> int:
        """Samples stored; for writers."""
        return len(self._keys)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event of the caller's own kind."""
        self._journal.append(kind, canonical_json(data))

    def add_interactions(self, rows: Sequence[Interaction], batch: BatchNote) -> int:
        """Acknowledge a batch, wholly or not at all; rows stored before are passed over.

        Returns:
            The number of rows that were new.
        """
        fresh = self._fresh(rows)
        if not fresh:
            return 0
        self.on_point("before_ack")
        texts = ",".join(row.model_dump_json() for row in fresh)
        seq = self._journal.append("samples", f'{{"batch":{canonical_json(batch._asdict())},"rows":[{texts}]}}')
        self.on_point("after_ack")
        if self._pending_from is None:
            self._pending_from = seq
        self._seen["samples"] = seq
        self._remember(fresh)
        self._pending.extend(fresh)
        if len(self._pending) >= SEAL_ROWS:
            self._seal()
        return len(fresh)

    def add_part(self, rows: Sequence[Interaction], batch: BatchNote) -> int:
        """Store many rows as one part, without a copy in the journal; for bulk imports.

        Returns:
            The number of rows that were new.
        """
        fresh = self._fresh(rows)
        if fresh:
            self._write_part(fresh, None, batch)
            self._remember(fresh)
        return len(fresh)

    def finish(self) -> None:
        """Seal what is open and note that the run is complete."""
        if self._pending:
            self._seal()
        if self.status() != "complete":
            self.note("complete", {"rows": self.n_stored})

    def status(self) -> str:
        """`complete` if nothing but sessions came after the last completion, else `open`."""
        state = "open"
        for entry in self.entries():
            if entry.type == "complete":
                state = "complete"
            elif entry.type in ("samples", "part"):
                state = "open"
        return state

    def put_artifact(self, name: str, data: bytes) -> str:
        """Keep a file under its content hash and note its name; returns the hash."""
        digest = sha256_hex(data)
        path = f"artifacts/{digest[:2]}/{digest}"
        if not self.files.exists(path):
            self.files.write(path, data)
        if self.artifacts().get(name) != digest:
            self.note("artifact", {"name": name, "sha256": digest, "size_bytes": len(data)})
        return digest

    def artifacts(self) -> dict[str, str]:
        """Names of the kept files and their hashes; the latest of a name counts."""
        return {e.data()["name"]: e.data()["sha256"] for e in self.entries() if e.type == "artifact"}

    def get_artifact(self, digest: str) -> bytes:
        """Content of a kept file.

        Raises:
            StorageError: It is missing or damaged.
        """
        data = self.files.read(f"artifacts/{digest[:2]}/{digest}")
        if sha256_hex(data) != digest:
            raise StorageError(f"artifact {digest} of run {self.files.url} is damaged; restore it from a copy")
        return data

    def parts(self) -> list[PartNote]:
        """Valid parts in the order they were sealed."""
        found: dict[str, PartNote] = {}
        for entry in self.entries():
            if entry.type == "part":
                data = entry.data()
                found[data["path"]] = _part_note(data)
            elif entry.type == "part_lost":
                found.pop(entry.data()["path"], None)
        return list(found.values())

    def part_tables(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of all parts as Arrow batches, each file's hash checked first.

        Raises:
            StorageError: A part is missing or damaged.
        """
        for part in self.parts():
            self.check_part(part)
            path, fs = self.files.arrow(part.path)
            with pq.ParquetFile(path, filesystem=fs) as file:
                yield from file.iter_batches(batch_size=1024, columns=columns)

    def check_part(self, part: PartNote) -> None:
        """Compare a part's bytes with its journal entry."""
        if not self.files.exists(part.path) or sha256_hex(self.files.read(part.path)) != part.sha256:
            raise StorageError(
                f"part {part.path} of run {self.files.url} is missing or damaged; `moorings runs verify {self.files.url} --repair` rebuilds it"
            )

    def unsealed(self) -> list[Interaction]:
        """Acknowledged rows that are in no part yet."""
        return [Interaction.model_validate(row) for entry in self.unsealed_entries() for row in entry.data()["rows"]]

    def unsealed_entries(self) -> list[Entry]:
        """Journal entries whose rows are in no part yet."""
        held: list[Entry] = []
        for entry in self.entries():
            if entry.type == "samples":
                held.append(entry)
            elif entry.type == "part" and (covers := entry.data()["covers"]):
                held = [e for e in held if not covers[0] <= e.seq <= covers[1]]
        return held

    def interactions(self) -> Iterator[Interaction]:
        """All stored samples, sealed ones first, in the order of their acknowledgement."""
        yield from to_interactions(self.part_tables())
        yield from self.unsealed()

    def _take_over(self) -> None:
        """Start a writer's session: learn what is stored and tidy up after a crash."""
        first = next(self.entries(), None)
        if first is None:
            self.note("created", {"config": self.config})
        elif first.data() != {"config": self.config}:
            raise StorageError(
                f"{self.files.url}/run.json was changed after the run began; restore the configuration of journal entry 0"
            )
        self.note("session", {**owner_here(), "moorings": __version__})
        listed = {part.path for part in self.parts()}
        for name in self.files.list("parts"):
            if name not in listed:
                self.files.move(name, name.replace("parts/", "orphans/", 1))
        for batch in self.part_tables(columns=["key"]):
            self._keys.update(bytes.fromhex(key)[:16] for key in batch.column(0).to_pylist())
        held = self.unsealed_entries()
        self._pending = [Interaction.model_validate(row) for entry in held for row in entry.data()["rows"]]
        self._pending_from = held[0].seq if held else None
        self._seen["samples"] = held[-1].seq if held else -1
        self._remember(self._pending)
        if len(self._pending) >= SEAL_ROWS:
            self._seal()

    def _fresh(self, rows: Sequence[Interaction]) -> list[Interaction]:
        fresh: dict[str, Interaction] = {}
        for row in rows:
            if not self.has(row.key):
                fresh.setdefault(row.key, row)
        return list(fresh.values())

    def _remember(self, rows: Sequence[Interaction]) -> None:
        self._keys.update(bytes.fromhex(row.key)[:16] for row in rows)

    def _seal(self) -> None:
        assert self._pending_from is not None
        self._write_part(self._pending, (self._pending_from, self._seen["samples"]), None)
        self._pending, self._pending_from = [], None

    def _write_part(self, rows: Sequence[Interaction], covers: tuple[int, int] | None, batch: BatchNote | None) -> None:
        data = part_bytes(rows)
        digest = sha256_hex(data)
        path = f"parts/samples-{digest[:24]}.parquet"
        self.on_point("before_part")
        self.files.write(path, data)
        self.on_point("after_part")
        entry = PartNote(path, digest, len(rows), len(data), covers)._asdict()
        self.note("part", {**entry, "batch": batch._asdict() if batch else None})
        self.on_point("after_part_line")


def _part_note(data: dict[str, Any]) -> PartNote:
    covers = tuple(data["covers"]) if data["covers"] else None
    return PartNote(data["path"], data["sha256"], data["rows"], data["size_bytes"], covers)


def _first_difference(stored: Any, given: Any, where: str = "") -> str | None:
    """Name the first setting in which two configurations differ."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in sorted({*stored, *given}):
            found = _first_difference(stored.get(key), given.get(key), f"{where}.{key}" if where else key)
            if found:
                return found
        return None
    return None if stored == given else f"{where} was {_short(stored)}, now {_short(given)}"


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 80 else text[:77] + "..."
