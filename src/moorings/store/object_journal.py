"""The journal on an object store, where nothing can be appended: one object an entry, created exclusively."""

from __future__ import annotations

import re
from collections.abc import Iterator

import fsspec

from moorings.errors import RunLockedError, StorageError
from moorings.store.disk import storage_error
from moorings.store.frames import Chain, Entry

__all__ = ["ObjectJournal"]

_NAME = re.compile(r"\d{12}\.json")


class ObjectJournal:
    """A journal of one object an entry, for any fsspec URL.

    Opening a run for writing appends a `session` entry first, so an older writer collides at its next entry and
    stops: the last one to open is the writer. Exclusive creation is used where the store has it and an existence
    check where it has not.

    Args:
        fs: The file system.
        root: Path of the run on it.
        write: Allow `append`.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str, *, write: bool) -> None:
        self._fs, self._root, self._folder, self._write = fs, root, f"{root}/journal", write
        self._chain, self._ready = Chain(), False

    def entries(self) -> Iterator[Entry]:
        """Verified entries from the first to the last."""
        return Chain().follow(self._lines(0), self._folder)

    def follow(self) -> Iterator[Entry]:
        """Verified entries that came since the last call."""
        if self._ready:
            return
        yield from self._chain.follow(self._lines(self._chain.next_seq), self._folder)
        if self._write:
            self._ready = True
            if self._chain.torn:
                aside = self._set_aside(self._chain.next_seq)
                self._chain.torn = b""
                if self._chain.next_seq:  # Entry 0 is reserved for the run's header.
                    yield self.append("torn_end_cut", f'{{"kept_as":"{aside}"}}')

    @property
    def head(self) -> str:
        """Hash of the last entry seen."""
        return self._chain.head

    def append(self, kind: str, data_json: str) -> Entry:
        """Create the next entry's object.

        Raises:
            RunLockedError: Another writer has created it.
            StorageError: Not opened for writing, or the store failed.
        """
        if not self._write or not self._ready:
            raise StorageError(
                f"{self._folder} takes no entries: it is not open for writing or an earlier write failed"
            )
        line, entry = self._chain.frame(kind, data_json)
        name = f"{self._folder}/{entry.seq:012d}.json"
        self._write = False
        try:
            self._fs.invalidate_cache()
            if self._fs.exists(name):
                raise FileExistsError(name)
            self._fs.pipe_file(name, line, mode="create")
        except FileExistsError:
            raise RunLockedError(
                f"run {self._root} has another writer; this one stops at entry {entry.seq}. What it acknowledged is kept"
            ) from None
        except OSError as error:
            raise storage_error(error, name, len(line)) from error
        self._write = True
        self._chain.advance(entry, len(line))
        return entry

    def torn_end(self) -> bytes:
        """Content of a last object that does not verify; empty if there is none."""
        chain = Chain()
        for _ in chain.follow(self._lines(0), self._folder):
            pass
        return chain.torn

    def cut_damage(self) -> str:
        """Move all objects after the verified ones to `quarantine/`; for the writer, before its first `follow`."""
        chain = Chain()
        try:
            for _ in chain.follow(self._lines(0), self._folder):
                pass
        except StorageError:
            return self._set_aside(chain.next_seq)
        return ""

    def close(self) -> None:
        """Stop writing."""
        self._write = False

    def _names(self) -> list[str]:
        self._fs.invalidate_cache()
        if not self._fs.exists(self._folder):
            return []
        return sorted(n for n in self._fs.ls(self._folder, detail=False) if _NAME.fullmatch(str(n).rsplit("/", 1)[-1]))

    def _lines(self, start: int) -> Iterator[bytes]:
        first = f"{start:012d}.json"
        try:
            for name in self._names():
                if str(name).rsplit("/", 1)[-1] >= first:
                    # An object cut to nothing still is an entry that does not verify.
                    yield bytes(self._fs.cat_file(name)) or b"?"
        except OSError as error:
            raise StorageError(f"cannot read {self._folder}: {error}") from error

    def _set_aside(self, seq: int) -> str:
        folder = f"quarantine/journal-from-{seq}"
        try:
            self._fs.makedirs(f"{self._root}/{folder}", exist_ok=True)
            for name in self._names():
                short = str(name).rsplit("/", 1)[-1]
                if short >= f"{seq:012d}.json":
                    self._fs.mv(name, f"{self._root}/{folder}/{short}")
        except OSError as error:
            raise storage_error(error, f"{self._root}/{folder}", 0) from error
        return folder
