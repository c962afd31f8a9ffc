"""The append-only journal: the record of truth of a run, on a local disk or an object store.

Locally one file, held by one writer through `flock` (which dies with its process). On an object store, where
nothing can be appended, each entry is one object created exclusively; a second writer collides and stops.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import fsspec

from moorings.errors import RunLockedError, StorageError
from moorings.store.disk import Disk, storage_error, write_atomic
from moorings.store.frames import Entry, Scan, frame, scan_lines

__all__ = ["Journal", "LocalJournal", "ObjectJournal", "owner_here"]


def owner_here() -> dict[str, Any]:
    """Who is writing: shown to the next one who wants to."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "user": getpass.getuser(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class Journal(Protocol):
    """Entries in order, each acknowledged only when it is durable."""

    def entries(self) -> Iterator[Entry]:
        """Verified entries from the first to the last; a torn end is left out."""
        ...

    def append(self, kind: str, data_json: str) -> int:
        """Store one entry durably and return its sequence number."""
        ...

    @property
    def head(self) -> str:
        """Hash of the last entry, which stands for the whole history."""
        ...

    def close(self) -> None:
        """Release the writer's lock."""
        ...


class LocalJournal:
    """A journal in one local file.

    Args:
        path: The file; created if it is missing and `write` is set.
        write: Take the writer's lock and allow `append`; a torn end is cut and kept in `quarantine/`.
        disk: The system calls to use.

    Raises:
        RunLockedError: Another process writes this run.
        StorageError: The journal is damaged before its end.
    """

    def __init__(self, path: Path, *, write: bool, disk: Disk) -> None:
        self.path, self._disk, self._broken = path, disk, False
        self._fd = -1
        self._scan: Scan | None = None
        if write:
            self._fd = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                self._lock()
                for _ in self.entries():
                    pass
                self._cut_torn_end()
            except BaseException:
                self.close()
                raise

    def entries(self) -> Iterator[Entry]:
        """Verified entries from the first to the last; a torn end is left out."""
        with self.path.open("rb") as lines:
            yield from self._watch(scan_lines(lines, str(self.path)))

    @property
    def head(self) -> str:
        """Hash of the last entry."""
        return self._state().last_hash

    def append(self, kind: str, data_json: str) -> int:
        """Store one entry durably; after a failure the journal takes no more.

        Raises:
            StorageFullError: No room; nothing of the entry counts as written.
            StorageError: Not opened for writing, an earlier write failed, or this one did.
        """
        if self._fd < 0 or self._broken:
            raise StorageError(f"{self.path} takes no entries: it is not open for writing or an earlier write failed")
        state = self._state()
        line, digest = frame(state.next_seq, kind, data_json, state.last_hash)
        try:
            self._disk.write_all(self._fd, line)
            self._disk.fsync(self._fd)
        except OSError as error:
            self._broken = True
            self._take_back(state.good_bytes)
            raise storage_error(error, self.path, len(line)) from error
        self._scan = Scan(state.next_seq + 1, digest, state.good_bytes + len(line), b"")
        return state.next_seq

    def close(self) -> None:
        """Release the lock; calling twice is allowed."""
        if self._fd >= 0:
            self._disk.close(self._fd)
            self._fd = -1

    def _watch(self, found: Iterable[Entry | Scan]) -> Iterator[Entry]:
        for item in found:
            if isinstance(item, Scan):
                self._scan = item
            else:
                yield item

    def _state(self) -> Scan:
        if self._scan is None:
            for _ in self.entries():
                pass
        assert self._scan is not None
        return self._scan

    def _take_back(self, size_bytes: int) -> None:
        """Cut an unacknowledged line; if that fails too, the next opening cuts it."""
        try:
            self._disk.truncate(self._fd, size_bytes)
        except OSError:
            return

    def _lock(self) -> None:
        note = self.path.with_name("lock.json")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLockedError(
                f"run {self.path.parent} is being written by {_holder(note)}; wait for it, stop it, or use another folder"
            ) from None
        write_atomic(note, json.dumps(owner_here()).encode(), self._disk)

    def _cut_torn_end(self) -> None:
        state = self._state()
        if not state.torn:
            return
        aside = self.path.parent / "quarantine" / f"journal-at-{state.good_bytes}.bytes"
        write_atomic(aside, state.torn, self._disk)
        try:
            self._disk.truncate(self._fd, state.good_bytes)
            self._disk.fsync(self._fd)
        except OSError as error:
            raise storage_error(error, self.path, 0) from error
        note = json.dumps({"cut_bytes": len(state.torn), "kept_as": f"quarantine/{aside.name}"})
        self._scan = state._replace(torn=b"")
        self.append("torn_end_cut", note)


def _holder(note: Path) -> str:
    try:
        owner = json.loads(note.read_bytes())
        return f"process {owner['pid']} of {owner['user']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


class ObjectJournal:
    """A journal of one object an entry, for any fsspec URL.

    Opening for writing appends a `session` entry first, so an older writer collides at its next entry and
    stops: the last one to open is the writer. Exclusive creation is used where the store has it and an existence
    check where it has not.

    Args:
        fs: The file system.
        folder: Path of the journal's folder on it.
        write: Allow `append`.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, folder: str, *, write: bool) -> None:
        self._fs, self._folder, self._write = fs, folder, write
        self._scan: Scan | None = None

    def entries(self) -> Iterator[Entry]:
        """Verified entries from the first to the last."""
        names = sorted(self._fs.ls(self._folder, detail=False)) if self._fs.exists(self._folder) else []
        for item in scan_lines((self._fs.cat_file(name) for name in names), self._folder):
            if isinstance(item, Scan):
                self._scan = item
            else:
                yield item

    @property
    def head(self) -> str:
        """Hash of the last entry."""
        return self._state().last_hash

    def append(self, kind: str, data_json: str) -> int:
        """Create the next entry's object.

        Raises:
            RunLockedError: Another writer has created it.
            StorageError: Not opened for writing, or the store failed.
        """
        if not self._write:
            raise StorageError(f"{self._folder} takes no entries: it is not open for writing")
        state = self._state()
        if state.torn:
            raise StorageError(f"{self._folder}: entry {state.next_seq} is damaged; `moorings runs verify` tells more")
        line, digest = frame(state.next_seq, kind, data_json, state.last_hash)
        name = f"{self._folder}/{state.next_seq:012d}.json"
        try:
            if self._fs.exists(name):
                raise FileExistsError(name)
            self._fs.pipe_file(name, line, mode="create")
        except FileExistsError:
            self._write = False
            raise RunLockedError(
                f"run {self._folder} has another writer; this one stops at entry {state.next_seq}"
            ) from None
        except OSError as error:
            self._write = False
            raise storage_error(error, name, len(line)) from error
        self._scan = Scan(state.next_seq + 1, digest, state.good_bytes + len(line), b"")
        return state.next_seq

    def close(self) -> None:
        """Stop writing."""
        self._write = False

    def _state(self) -> Scan:
        if self._scan is None:
            for _ in self.entries():
                pass
        assert self._scan is not None
        return self._scan
