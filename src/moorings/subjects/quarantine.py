"""The file that bad rows are set aside in, byte for byte."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from moorings.errors import StorageError, StorageFullError

__all__ = ["Quarantine"]


class Quarantine:
    """Take bad rows; the file is made, or emptied, when the first one comes, and synced at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._line_open = False

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
        except OSError as failure:
            raise self._storage_error(failure) from failure

    def write(self, source: bytes, *, continues: bool = False) -> None:
        """Add a row as its own line, or a further piece of the row before.

        Raises:
            StorageError: The file cannot be written.
        """
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("wb")
            if self._line_open and not continues:
                self._file.write(b"\n")
            self._file.write(source)
        except OSError as failure:
            raise self._storage_error(failure) from failure
        self._line_open = not source.endswith(b"\n")

    def _storage_error(self, failure: OSError) -> StorageError:
        full = failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "free space and read again" if full else "name a writable file (quarantine=…)"
        kind = StorageFullError if full else StorageError
        return kind(f"cannot write bad rows to {self.path} ({failure.strerror or failure}); {advice}")
