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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from moorings import __version__
from moorings.errors import InputError, StorageError
from moorings.records import Interaction, canonical_json
from moorings.store.disk import Disk
from moorings.store.files import Files, open_files
from moorings.store.frames import Entry, check_kind
from moorings.store.header import RUN_JSON, first_difference, new_header, read_header
from moorings.store.index import Index, artifact_path, is_plain_name, part_path, sample_rows
from moorings.store.journal import Journal, owner_here
from moorings.store.notes import BatchNote, PartNote
from moorings.store.parts import part_bytes, plain_rows, read_part, sha256_hex, to_interactions

__all__ = ["SEAL_ROWS", "Run"]

SEAL_ROWS = 4096
"""Live rows that are sealed into one part."""
_OWN_KINDS = {"artifact", "complete", "created", "part", "part_lost", "samples", "session", "torn_end_cut"}


class Run:
    """An open run. Use `Run.create`, `Run.open` or `Run.create_or_open`; close it or use it in a `with` block.

    A writer reads the journal once, when it opens; a reader reads what is new each time it is asked.
    """

    def __init__(self, files: Files, header: dict[str, Any], journal: Journal, *, writable: bool) -> None:
        self.files, self.config, self._journal, self.writable = files, header["config"], journal, writable
        self._index = Index()
        self._keys: set[bytes] = set()
        self._n_held = 0
        self._failed = False
        self._refused: StorageError | None = None
        self.on_point: Callable[[str], None] = lambda point: None
        """Called at named points of a write; crash tests kill the process there."""

    @classmethod
    def create(cls, url: str | Path, config: dict[str, Any], *, disk: Disk | None = None) -> Run:
        """Start a run in a new or empty place.

        Raises:
            StorageError: There is a run already, or the place cannot be written.
            RunLockedError: Another process is starting one there.
        """
        files = open_files(url, disk)
        header = new_header(config)
        journal = files.journal(write=True, create=True)
        try:
            if files.exists(RUN_JSON):
                raise StorageError(f"{url} holds a run already; resume it or name another folder")
            run = cls(files, header, journal, writable=True)
            run.begin(header)
            run._take_over()
            return run
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
        stored, header = read_header(files)
        journal = files.journal(write=write)
        try:
            run = cls(files, header, journal, writable=write)
            if write:
                run._catch_up()
                run.check_header(stored)
                run._take_over()
            return run
        except BaseException:
            journal.close()
            raise

    @classmethod
    def create_or_open(cls, url: str | Path, config: dict[str, Any], *, disk: Disk | None = None) -> Run:
        """Start a run, or take up one that was started with the same configuration.

        Raises:
            StorageError: The run there has another configuration; the first difference is named.
        """
        if not open_files(url, disk).exists(RUN_JSON):
            return cls.create(url, config, disk=disk)
        run = cls.open(url, write=True, disk=disk)
        difference = first_difference(run.config, new_header(config)["config"])
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
        self._catch_up()
        return self._journal.head

    def entries(self) -> Iterator[Entry]:
        """All verified journal entries in order, read anew."""
        return self._journal.entries()

    def notes(self, kind: str) -> list[Entry]:
        """Entries of one kind, `samples` excepted, without reading the journal again."""
        return [entry for entry in self._catch_up().notes if entry.type == kind]

    def torn_end(self) -> bytes:
        """Bytes at the journal's end that do not verify and that the next writer sets aside."""
        return self._journal.torn_end()

    def has(self, key: str) -> bool:
        """Whether a sample is stored; for writers."""
        return _short_key(key) in self._keys

    @property
    def n_stored(self) -> int:
        """Samples stored; for writers."""
        return len(self._keys)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event of the caller's own kind.

        Raises:
            StorageError: The kind is one of the store's own, or the run cannot be written.
        """
        check_kind(kind)
        if kind in _OWN_KINDS:
            raise StorageError(f"entries of kind '{kind}' are written by the store itself; choose another name")
        self._append(kind, canonical_json(data))

    def add_interactions(self, rows: Sequence[Interaction], batch: BatchNote) -> int:
        """Acknowledge a batch, wholly or not at all; rows stored before are passed over.

        Returns:
            The number of rows that were new.

        Raises:
            InputError: A row has a value that cannot be stored; nothing of the batch was.
            StorageError: The run cannot be written; nothing of the batch counts as stored.
        """
        fresh = self._fresh(rows)
        if not fresh:
            return 0
        _, text = plain_rows(list(fresh.values()))
        self.on_point("before_ack")
        self._append("samples", f'{{"batch":{canonical_json(batch._asdict())},"rows":{text}}}')
        self._keys.update(fresh)
        self._n_held += len(fresh)
        self.on_point("after_ack")
        if self._n_held >= SEAL_ROWS:
            self._seal(SEAL_ROWS)
        return len(fresh)

    def add_part(self, rows: Sequence[Interaction], batch: BatchNote) -> int:
        """Store many rows as one part, without a copy in the journal; for bulk imports.

        Returns:
            The number of rows that were new.

        Raises:
            InputError: A row has a value that cannot be stored; nothing of the part was.
            StorageError: The run cannot be written; nothing of the part counts as stored.
        """
        fresh = self._fresh(rows)
        if fresh:
            plain, _ = plain_rows(list(fresh.values()))
            self._write_part(plain, None, batch, lambda: self._keys.update(fresh))
        return len(fresh)

    def finish(self) -> None:
        """Seal what is open and note that the run is complete."""
        if self._n_held:
            self._seal(1)
        if self.status() != "complete":
            self._append("complete", canonical_json({"rows": self.n_stored}))

    def status(self) -> str:
        """`complete` if no sample was added or lost since the last completion, else `open`."""
        return "complete" if self._catch_up().complete else "open"

    def put_artifact(self, name: str, data: bytes) -> str:
        """Keep a file under its content hash and note its name; returns the hash.

        Raises:
            InputError: The name is absolute or climbs.
            StorageError: The run cannot be written.
        """
        if not is_plain_name(name):
            raise InputError(f"'{name}' cannot name an artifact; use a relative name such as prompts.jsonl")
        digest = sha256_hex(data)
        path = artifact_path(digest)
        kept = self.artifacts()
        # A file without an entry may stem from a crash before its folder was synced, so it is written again.
        if digest not in kept.values() or not self.files.exists(path) or sha256_hex(self.files.read(path)) != digest:
            with self._writing():
                self.files.write(path, data)
        if kept.get(name) != digest:
            self._append("artifact", canonical_json({"name": name, "sha256": digest, "size_bytes": len(data)}))
        return digest

    def artifacts(self) -> dict[str, str]:
        """Names of the kept files and their hashes; the latest of a name counts."""
        return dict(self._catch_up().artifacts)

    def get_artifact(self, digest: str) -> bytes:
        """Content of a kept file.

        Raises:
            StorageError: It is missing or damaged.
        """
        data = self.files.read(artifact_path(digest))
        if sha256_hex(data) != digest:
            raise StorageError(f"artifact {digest} of run {self.files.url} is damaged; restore it from a copy")
        return data

    def parts(self) -> list[PartNote]:
        """Valid parts in the order they were sealed."""
        return list(self._catch_up().parts.values())

    def part_tables(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of all parts as Arrow batches, each file's hash checked first.

        Raises:
            StorageError: A part is missing or damaged.
        """
        for part in self.parts():
            yield from read_part(self.check_part(part), part.path, columns)

    def check_part(self, part: PartNote) -> bytes:
        """Read a part whose bytes are those its journal entry names.

        Raises:
            StorageError: It is missing or damaged.
        """
        data = self.files.read(part.path) if self.files.exists(part.path) else b""
        if sha256_hex(data) != part.sha256:
            raise StorageError(
                f"part {part.path} of run {self.files.url} is missing or damaged; "
                f"`moorings runs verify {self.files.url} --repair` rebuilds it"
            )
        return data

    def unsealed(self) -> list[Interaction]:
        """Acknowledged rows that are in no part yet."""
        return [_interaction(row, entry) for entry in self.unsealed_entries() for row in sample_rows(entry)]

    def unsealed_entries(self) -> list[Entry]:
        """Journal entries whose rows are in no part yet, or in one that was lost."""
        index = self._catch_up()
        found = dict(index.held)
        for part in index.lost.values():
            found.update({entry.seq: entry for entry in self._covered(part)})
        return [found[seq] for seq in sorted(found)]

    def interactions(self) -> Iterator[Interaction]:
        """All stored samples, sealed ones first, in the order of their acknowledgement."""
        yield from to_interactions(self.part_tables())
        yield from self.unsealed()

    def note_lost(self, part: PartNote) -> None:
        """Give up a part. What the journal holds of it is sealed anew by the next writer; the rest can be added again."""
        self._append("part_lost", canonical_json({"path": part.path, "rows": part.rows}))

    def begin(self, header: dict[str, Any]) -> None:
        """Write entry 0, then run.json; a start that a crash cut short between the two is taken up.

        Raises:
            StorageError: The journal there began with another configuration.
        """
        if self._catch_up().n_entries == 0:
            self._append("created", canonical_json(header))
        created = self._index.created or {}
        difference = first_difference(created.get("config"), header["config"])
        if difference:
            raise StorageError(
                f"{self.files.url} holds the journal of another run without its run.json ({difference}); "
                "restore that file, or name another folder"
            )
        with self._writing():
            self.files.write(RUN_JSON, json.dumps(created, indent=2, sort_keys=True).encode())

    def check_header(self, stored: dict[str, Any]) -> None:
        """Compare run.json with the journal's first entry.

        Raises:
            StorageError: They differ, or there is no first entry.
        """
        created = self._catch_up().created
        if created is None:
            raise StorageError(
                f"the journal of run {self.files.url} holds no verified first entry; "
                f"`moorings runs verify {self.files.url} --repair` sets it aside and begins it anew"
            )
        if created != stored:
            raise StorageError(
                f"{self.files.url}/run.json was changed after the run began: {first_difference(created, stored)}; "
                f"`moorings runs verify {self.files.url} --repair` restores it from journal entry 0"
            )

    def _catch_up(self) -> Index:
        if self._refused:
            raise self._refused
        for entry in self._journal.follow():
            try:
                self._index.add(entry)
            except StorageError as error:
                # The journal has moved past this entry; asking again must not pass over it in silence.
                self._refused = error
                raise
        return self._index

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """After a failed write nothing more is written: what was lost with it is not known."""
        if self._failed or not self.writable:
            raise StorageError(
                f"run {self.files.url} takes no more: it is not open for writing or an earlier write failed; open it again"
            )
        try:
            yield
        except StorageError:
            self._failed = True
            raise

    def _append(self, kind: str, data_json: str) -> None:
        with self._writing():
            self._index.add(self._journal.append(kind, data_json))

    def _take_over(self) -> None:
        """Start a writer's session: learn what is stored and tidy up after a crash."""
        self._append("session", canonical_json({**owner_here(), "moorings": __version__}))
        for name in self.files.list("parts"):
            if name not in self._index.parts:
                self.files.move(name, name.replace("parts/", "orphans/", 1))
        for part in list(self._index.lost.values()):
            self._write_part(_all_rows(self._covered(part)), part.covers, None)
        for batch in self.part_tables(columns=["key"]):
            self._keys.update(_short_key(key) for key in batch.column(0).to_pylist())
        held = _all_rows(self._index.held.values())
        self._keys.update(_short_key(row.get("key")) for row in held)
        self._n_held = len(held)
        if self._n_held >= SEAL_ROWS:
            self._seal(SEAL_ROWS)

    def _covered(self, part: PartNote) -> list[Entry]:
        """Sample entries that a lost part held and no living part holds."""
        first, last = part.covers or (1, 0)
        living = [p.covers for p in self._index.parts.values() if p.covers and p.path != part.path]
        return [
            entry
            for entry in self._journal.entries()
            if entry.type == "samples"
            and first <= entry.seq <= last
            and not any(low <= entry.seq <= high for low, high in living)
        ]

    def _fresh(self, rows: Sequence[Interaction]) -> dict[bytes, Interaction]:
        fresh: dict[bytes, Interaction] = {}
        for row in rows:
            short = _short_key(row.key)
            if short not in self._keys:
                fresh.setdefault(short, row)
        return fresh

    def _seal(self, n_rows: int) -> None:
        """Seal held entries in order, at least `n_rows` rows a part; a resumed run cuts the same parts."""
        group: list[Entry] = []
        rows: list[dict[str, Any]] = []
        for entry in [self._index.held[seq] for seq in sorted(self._index.held)]:
            group.append(entry)
            rows.extend(sample_rows(entry))
            if len(rows) >= SEAL_ROWS:
                self._seal_group(group, rows)
                group, rows = [], []
        if len(rows) >= n_rows:
            self._seal_group(group, rows)

    def _seal_group(self, group: Sequence[Entry], rows: Sequence[dict[str, Any]]) -> None:
        self._write_part(rows, (group[0].seq, group[-1].seq), None)
        self._n_held -= len(rows)

    def _write_part(
        self,
        rows: Sequence[dict[str, Any]],
        covers: tuple[int, int] | None,
        batch: BatchNote | None,
        acknowledged: Callable[[], None] = lambda: None,
    ) -> None:
        data = part_bytes(rows)
        digest = sha256_hex(data)
        self.on_point("before_part")
        with self._writing():
            self.files.write(part_path(digest), data)
        self.on_point("after_part")
        note = PartNote(part_path(digest), digest, len(rows), len(data), covers)._asdict()
        self._append("part", canonical_json({**note, "batch": batch._asdict() if batch else None}))
        acknowledged()
        self.on_point("after_part_line")


def _all_rows(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    return [row for entry in entries for row in sample_rows(entry)]


def _short_key(key: Any) -> bytes:
    """Half a key's bits: enough to tell samples apart, half the memory."""
    try:
        return bytes.fromhex(key)[:16]
    except (ValueError, TypeError) as error:
        raise InputError(f"'{str(key)[:80]}' is no sample key; a key is a content hash in hex digits") from error


def _interaction(row: dict[str, Any], entry: Entry) -> Interaction:
    try:
        return Interaction.model_validate(row)
    except ValidationError as error:
        raise StorageError(
            f"journal entry {entry.seq} holds a row that is no interaction; do not trust this run"
        ) from error
