"""The append-only journal: the record of truth of a run, here in one file on a local disk.

One writer holds it through `flock`, which dies with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import socket
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from moorings.errors import RunLockedError, StorageError
from moorings.store.disk import Disk, inside, storage_error, write_atomic
from moorings.store.frames import Chain, Entry

__all__ = ["Journal", "LocalJournal", "owner_here"]


def owner_here() -> dict[str, Any]:
    """Who is writing: shown to the next one who wants to."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = f"uid {os.getuid()}"
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "user": user,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class Journal(Protocol):
    """Entries in order, each acknowledged only when it is durable."""

    def entries(self) -> Iterator[Entry]:
        """Verified entries from the first to the last; a torn end is left out."""
        ...

    def follow(self) -> Iterator[Entry]:
        """Verified entries that came since the last call, those of this writer's `append` left out.

        A writer's first call also sets a torn end aside; it has to be exhausted before the first `append`.
        """
        ...

    def append(self, kind: str, data_json: str) -> Entry:
        """Store one entry durably and return it."""
        ...

    def torn_end(self) -> bytes:
        """The bytes of a last entry that does not verify; empty if there is none."""
        ...

    def cut_damage(self) -> str:
        """Set everything after damage before the end aside and say where; empty if there is none."""
        ...

    @property
    def head(self) -> str:
        """Hash of the last entry seen, which stands for the whole history."""
        ...

    def close(self) -> None:
        """Release the writer's lock."""
        ...


class LocalJournal:
    """A journal in one local file.

    Args:
        path: The file.
        write: Take the writer's lock and allow `append`; a torn end is cut and kept in `quarantine/`.
        create: Make the file if it is missing.
        disk: The system calls to use.

    Raises:
        RunLockedError: Another process writes this run.
        StorageError: The file is missing or cannot be opened.
    """

    def __init__(self, path: Path, *, write: bool, create: bool, disk: Disk) -> None:
        self.path, self._disk, self._fd = path, disk, -1
        self._chain, self._ready, self._broken = Chain(), False, False
        if path.exists() and not path.is_file():
            raise StorageError(f"{path} is not a plain file; this folder is no run")
        if write:
            try:
                self._fd = disk.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0))
            except FileNotFoundError as error:
                raise _missing(path) from error
            except OSError as error:
                raise storage_error(error, path, 0) from error
            try:
                self._lock()
            except BaseException:
                self.close()
                raise
            _WRITERS.add(self)

    def entries(self) -> Iterator[Entry]:
        """Verified entries from the first to the last; a torn end is left out."""
        return Chain().follow(self._lines(0), str(self.path))

    def follow(self) -> Iterator[Entry]:
        """Verified entries that came since the last call."""
        if self._ready:
            return
        yield from self._chain.follow(self._lines(self._chain.good_bytes), str(self.path))
        if self._fd >= 0:
            self._ready = True
            if self._chain.torn:
                yield from self._cut_torn_end()

    @property
    def head(self) -> str:
        """Hash of the last entry seen."""
        return self._chain.head

    def append(self, kind: str, data_json: str) -> Entry:
        """Store one entry durably; after a failure the journal takes no more.

        Raises:
            StorageFullError: No room; nothing of the entry counts as written.
            StorageError: Not opened for writing, an earlier write failed, or this one did.
        """
        if self._fd < 0 or self._broken or not self._ready:
            raise StorageError(f"{self.path} takes no entries: it is not open for writing or an earlier write failed")
        line, entry = self._chain.frame(kind, data_json)
        try:
            self._disk.write_all(self._fd, line)
            self._disk.fsync(self._fd)
        except BaseException as error:
            # An interrupt leaves half a line just as a failed call does: nothing may follow it.
            self._broken = True
            self._take_back()
            if isinstance(error, OSError):
                raise storage_error(error, self.path, len(line)) from error
            raise
        self._chain.advance(entry, len(line))
        return entry

    def torn_end(self) -> bytes:
        """The bytes of a last line that does not verify; empty if there is none."""
        chain = Chain()
        for _ in chain.follow(self._lines(0), str(self.path)):
            pass
        return chain.torn

    def cut_damage(self) -> str:
        """Cut after the verified prefix and keep the rest in `quarantine/`; for the writer, before its first `follow`."""
        chain = Chain()
        try:
            for _ in chain.follow(self._lines(0), str(self.path)):
                pass
        except StorageError:
            return self._set_aside(chain.good_bytes)
        return ""

    def close(self) -> None:
        """Release the lock; calling twice is allowed."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            # All that was acknowledged is synced, so a failing close loses nothing.
            with contextlib.suppress(OSError):
                self._disk.close(fd)

    def _lines(self, start: int) -> Iterator[bytes]:
        """Lines up to the file's present end, so that a line being written is met once, not in two halves."""
        try:
            with self.path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size - start
                if left < 0:
                    raise StorageError(f"{self.path} was cut while it was read; open the run again")
                file.seek(start)
                while left > 0 and (line := file.readline(left)):
                    left -= len(line)
                    yield line
        except FileNotFoundError as error:
            raise _missing(self.path) from error
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror or error}") from error

    def _take_back(self) -> None:
        """Cut an unacknowledged line; if that fails too, the next opening cuts it."""
        with contextlib.suppress(OSError):
            self._disk.truncate(self._fd, self._chain.good_bytes)

    def _lock(self) -> None:
        note = self.path.with_name("lock.json")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLockedError(
                f"run {self.path.parent} is being written by {_holder(note)}; wait for it, stop it, or use another folder"
            ) from None
        except OSError as error:
            raise StorageError(
                f"cannot lock {self.path}: {error.strerror}; put the run on a file system that supports flock"
            ) from error
        write_atomic(note, json.dumps(owner_here()).encode(), self._disk)

    def _cut_torn_end(self) -> Iterator[Entry]:
        n_bytes = len(self._chain.torn)
        aside = self._set_aside(self._chain.good_bytes)
        self._chain.torn = b""
        if self._chain.next_seq:  # Entry 0 is reserved for the run's header.
            yield self.append("torn_end_cut", json.dumps({"cut_bytes": n_bytes, "kept_as": aside}))

    def _set_aside(self, good_bytes: int) -> str:
        """Keep a copy of everything after a position, then cut it."""
        rest = b"".join(self._lines(good_bytes))
        name = f"quarantine/journal-at-{good_bytes}-{hashlib.sha256(rest).hexdigest()[:8]}.bytes"
        write_atomic(inside(self.path.parent, name), rest, self._disk)
        try:
            self._disk.truncate(self._fd, good_bytes)
            self._disk.fsync(self._fd)
        except OSError as error:
            raise storage_error(error, self.path, 0) from error
        return name


def _missing(path: Path) -> StorageError:
    return StorageError(f"{path} is missing, so the run's record is lost; restore it from a copy or use a new folder")


def _holder(note: Path) -> str:
    try:
        owner = json.loads(note.read_bytes() if note.is_file() else b"")
        return f"process {owner['pid']} of {owner['user']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


_WRITERS: weakref.WeakSet[LocalJournal] = weakref.WeakSet()
"""Open for writing in this process; a forked child must let go of them."""


def _release_in_child() -> None:
    """Close inherited descriptors: a worker that outlives its parent would go on holding the parent's lock."""
    for journal in list(_WRITERS):
        journal.close()


os.register_at_fork(after_in_child=_release_in_child)
