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


class SampleCache:
    """Samples by key. A damaged file is set aside and begun anew.

    Args:
        path: The SQLite file; its folder is created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError:
            self._begin_anew()

    def get(self, keys: Sequence[str]) -> dict[str, Interaction]:
        """Stored samples among `keys`; a row that cannot be verified counts as missing."""
        found: dict[str, Interaction] = {}
        try:
            for key, check, blob in self._select(keys):
                row = _unpack(key.hex(), check, blob)
                if row:
                    found[row.key] = row
        except sqlite3.DatabaseError:
            self._begin_anew()
            return {}
        return found

    def put(self, rows: Iterable[Interaction]) -> None:
        """Store samples; those already there stay as they are. A failing cache is reported, never fatal."""
        packed = [(bytes.fromhex(row.key), *_pack(row)) for row in rows]
        try:
            with self._db:
                self._db.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", packed)
        except sqlite3.DatabaseError as error:
            warnings.warn(
                f"sample cache {self.path} cannot be written ({error}); samples are stored in the run all the same",
                stacklevel=2,
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __len__(self) -> int:
        with closing(self._db.execute("SELECT count(*) FROM samples")) as rows:
            return int(rows.fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("CREATE TABLE IF NOT EXISTS samples (key BLOB PRIMARY KEY, crc INTEGER, row BLOB) WITHOUT ROWID")
        return db

    def _begin_anew(self) -> None:
        aside = self.path.with_suffix(".damaged")
        self.path.replace(aside)
        warnings.warn(
            f"sample cache {self.path} was damaged; it is kept as {aside.name} and a new one is begun", stacklevel=3
        )
        self._db = self._connect()

    def _select(self, keys: Sequence[str]) -> Iterator[tuple[bytes, int, bytes]]:
        for start in range(0, len(keys), _CHUNK):
            part = [bytes.fromhex(key) for key in keys[start : start + _CHUNK]]
            marks = ",".join("?" * len(part))
            yield from self._db.execute(f"SELECT key, crc, row FROM samples WHERE key IN ({marks})", part)


def _pack(row: Interaction) -> tuple[int, bytes]:
    blob = zlib.compress(row.model_dump_json().encode(), 1)
    return zlib.crc32(blob), blob


def _unpack(key: str, check: int, blob: bytes) -> Interaction | None:
    if zlib.crc32(blob) != check:
        return None
    try:
        row = Interaction.model_validate_json(zlib.decompress(blob))
    except (zlib.error, ValidationError):
        return None
    return row if row.key == key else None
