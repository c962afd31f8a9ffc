"""A cache of samples across runs: the same subject, prompt, decoding and seed is never sampled twice.

One SQLite file in the user's cache folder. It only saves time: losing it loses nothing.
"""

from __future__ import annotations

import sqlite3
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from moorings.records import Interaction

__all__ = ["SampleCache"]

_CHUNK = 500
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""Result codes of a file that is no database, a broken one, or one with other columns."""


class SampleCache:
    """Samples by key. A damaged file is set aside and begun anew; one that cannot be used is done without.

    Args:
        path: The SQLite file; its folder is created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _connect(path)
        except (sqlite3.DatabaseError, OSError) as error:
            self._recover(error)

    def get(self, keys: Sequence[str]) -> dict[str, Interaction]:
        """Stored samples among `keys`; a row that cannot be verified counts as missing."""
        found: dict[str, Interaction] = {}
        try:
            for key, check, blob in self._select(keys):
                row = _unpack(key, check, blob)
                if row:
                    found[row.key] = row
        except sqlite3.DatabaseError as error:
            self._recover(error)
            return {}
        return found

    def put(self, rows: Iterable[Interaction]) -> None:
        """Store samples; those already there stay as they are. A failing cache is reported, never fatal."""
        if self._db is None:
            return
        packed = [(bytes.fromhex(row.key), *_pack(row)) for row in rows]
        try:
            with self._db:
                self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", packed)
        except sqlite3.DatabaseError as error:
            self._recover(error)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def __len__(self) -> int:
        if self._db is None:
            return 0
        with closing(self._db.execute("SELECT count(*) FROM samples")) as rows:
            return int(rows.fetchone()[0])

    def _recover(self, error: Exception) -> None:
        """Begin a damaged file anew; do without one that is locked, full, read-only or otherwise out of reach."""
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorcode & 0xFF in _DAMAGE:
            try:
                aside = _set_aside(self.path)
                self._db = _connect(self.path)
            except (sqlite3.DatabaseError, OSError) as again:
                error = again
            else:
                warnings.warn(
                    f"sample cache {self.path} was damaged ({error}); it is kept as {aside.name} and a new one is begun",
                    stacklevel=3,
                )
                return
        warnings.warn(
            f"sample cache {self.path} cannot be used ({error}); this run goes on without it and loses nothing",
            stacklevel=3,
        )

    def _select(self, keys: Sequence[str]) -> Iterator[tuple[bytes, int, bytes]]:
        for start in range(0, len(keys) if self._db else 0, _CHUNK):
            part = [bytes.fromhex(key) for key in keys[start : start + _CHUNK]]
            marks = ",".join("?" * len(part))
            assert self._db is not None
            yield from self._db.execute(f"SELECT key, crc, row FROM samples WHERE key IN ({marks})", part)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("CREATE TABLE IF NOT EXISTS samples (key BLOB PRIMARY KEY, crc INTEGER, row BLOB) WITHOUT ROWID")
        db.execute("SELECT key, crc, row FROM samples LIMIT 1").fetchall()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _set_aside(path: Path) -> Path:
    """Rename a damaged file, with the journal beside it that would otherwise be replayed into the new one."""
    aside = path.with_suffix(".damaged")
    path.replace(aside)
    for ending in ("-journal", "-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    return aside


def _pack(row: Interaction) -> tuple[int, bytes]:
    blob = zlib.compress(row.model_dump_json().encode(), 1)
    return zlib.crc32(blob), blob


def _unpack(key: object, check: object, blob: object) -> Interaction | None:
    if not isinstance(key, bytes) or not isinstance(blob, bytes) or zlib.crc32(blob) != check:
        return None
    try:
        row = Interaction.model_validate_json(zlib.decompress(blob))
    except (zlib.error, ValidationError):
        return None
    return row if row.key == key.hex() else None
