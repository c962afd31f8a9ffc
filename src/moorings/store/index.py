"""What a journal adds up to, kept in memory while it is read: small, whatever the number of samples."""

from __future__ import annotations

import re
from typing import Any

from moorings.errors import StorageError
from moorings.store.frames import Entry
from moorings.store.notes import PartNote

__all__ = ["Index", "artifact_path", "part_path", "sample_rows"]

_DIGEST = re.compile(r"[0-9a-f]{64}")


def part_path(digest: str) -> str:
    """Where a part with this content lies."""
    return f"parts/samples-{digest[:24]}.parquet"


def artifact_path(digest: str) -> str:
    """Where an artifact with this content lies.

    Raises:
        StorageError: That is no content hash.
    """
    if not _DIGEST.fullmatch(digest):
        raise StorageError(f"'{digest[:80]}' is not a content hash of 64 hex digits; no file is named by it")
    return f"artifacts/{digest[:2]}/{digest}"


def sample_rows(entry: Entry) -> list[dict[str, Any]]:
    """The rows of a `samples` entry as plain data."""
    rows = _data(entry).get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _malformed(entry, "rows")
    return rows


class Index:
    """Entries that are not samples, the samples that are in no part yet, and the parts."""

    def __init__(self) -> None:
        self.created: dict[str, Any] | None = None
        """The header that entry 0 holds."""
        self.parts: dict[str, PartNote] = {}
        """Valid parts by path, in the order they were sealed."""
        self.lost: dict[str, PartNote] = {}
        """Parts that were lost and whose rows the journal still holds."""
        self.held: dict[int, Entry] = {}
        """Entries whose rows are in no part yet; those of lost parts are not among them."""
        self.artifacts: dict[str, str] = {}
        self.notes: list[Entry] = []
        """All entries but those of samples."""
        self.complete = False
        self.n_entries = 0

    def add(self, entry: Entry) -> None:
        """Take in the next entry.

        Raises:
            StorageError: It is no entry that Moorings writes; nothing outside the run can be named.
        """
        self.n_entries += 1
        if entry.type == "samples":
            self.held[entry.seq], self.complete = entry, False
            return
        self.notes.append(entry)
        if entry.type == "created" and entry.seq == 0:
            self.created = _data(entry)
        elif entry.type == "complete":
            self.complete = True
        elif entry.type == "artifact":
            self._artifact(entry)
        elif entry.type == "part":
            self._part(entry)
        elif entry.type == "part_lost":
            self._part_lost(entry)

    def _artifact(self, entry: Entry) -> None:
        data = _data(entry)
        name, digest = data.get("name"), data.get("sha256")
        if not isinstance(name, str) or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise _malformed(entry, "name or sha256")
        if not is_plain_name(name):
            raise _malformed(entry, "name")
        self.artifacts[name] = digest

    def _part(self, entry: Entry) -> None:
        part = _part_note(entry)
        self.parts[part.path] = part
        if part.covers is None:
            self.complete = False
            return
        first, last = part.covers
        self.held = {seq: held for seq, held in self.held.items() if not first <= seq <= last}
        self.lost = {p: n for p, n in self.lost.items() if not (n.covers and first <= n.covers[0] <= last)}

    def _part_lost(self, entry: Entry) -> None:
        part = self.parts.pop(str(_data(entry).get("path")), None)
        if part is None:
            return
        if part.covers:
            self.lost[part.path] = part
        else:
            self.complete = False


def is_plain_name(name: str) -> bool:
    """Whether a name stays where it is put: relative, no dots that climb, nothing unprintable."""
    return bool(name) and name.isprintable() and not name.startswith("/") and "\\" not in name and _steps(name)


def _steps(name: str) -> bool:
    return all(step not in ("", ".", "..") for step in name.split("/"))


def _data(entry: Entry) -> dict[str, Any]:
    data = entry.data()
    if not isinstance(data, dict):
        raise _malformed(entry, "data")
    return data


def _part_note(entry: Entry) -> PartNote:
    data = _data(entry)
    digest, rows, size_bytes, covers = (data.get(name) for name in ("sha256", "rows", "size_bytes", "covers"))
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or data.get("path") != part_path(digest):
        raise _malformed(entry, "path or sha256")
    if not isinstance(rows, int) or not isinstance(size_bytes, int) or rows < 0 or size_bytes < 0:
        raise _malformed(entry, "rows or size_bytes")
    if covers is None:
        return PartNote(part_path(digest), digest, rows, size_bytes, None)
    if not isinstance(covers, list) or len(covers) != 2 or not all(isinstance(seq, int) for seq in covers):
        raise _malformed(entry, "covers")
    if not 0 < covers[0] <= covers[1] < entry.seq:
        raise _malformed(entry, "covers")
    return PartNote(part_path(digest), digest, rows, size_bytes, (covers[0], covers[1]))


def _malformed(entry: Entry, what: str) -> StorageError:
    return StorageError(
        f"journal entry {entry.seq} ({entry.type}) has a {what} that Moorings does not write; "
        "nothing was read or changed through it. Do not trust this run"
    )
