"""The system calls that storage makes, in one object, so that tests can make each of them fail.

Write protocol: temporary file, fsync, rename, fsync of the folder; then the journal line that
acknowledges it. A failed fsync is final: the pages may be marked clean although they are lost, so it is
never tried again.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from moorings.errors import StorageError, StorageFullError

__all__ = ["Disk", "storage_error", "write_atomic"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Disk:
    """Thin wrapper of `os`; replaced in tests by one that fails on the n-th call."""

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        """See os.open."""
        return os.open(path, flags, mode)

    def write(self, fd: int, data: memoryview) -> int:
        """See os.write; may write fewer bytes than given."""
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        """See os.fsync."""
        os.fsync(fd)

    def replace(self, source: Path, target: Path) -> None:
        """See os.replace."""
        os.replace(source, target)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """See os.ftruncate."""
        os.ftruncate(fd, size_bytes)

    def close(self, fd: int) -> None:
        """See os.close."""
        os.close(fd)

    def write_all(self, fd: int, data: bytes) -> None:
        """Write every byte, however the kernel splits it."""
        view = memoryview(data)
        while view:
            view = view[self.write(fd, view) :]

    def fsync_folder(self, folder: Path) -> None:
        """Make a rename in a folder durable."""
        fd = self.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.fsync(fd)
        finally:
            self.close(fd)


def storage_error(error: OSError, path: Path | str, size_bytes: int) -> StorageError:
    """Name the path, the bytes and the cure for a failed write."""
    if error.errno in _FULL:
        return StorageFullError(
            f"no room to write {size_bytes:,} bytes to {path} ({error.strerror}); free space and run the same "
            "command again: everything acknowledged so far is kept"
        )
    return StorageError(f"cannot write {path}: {error.strerror or error}; everything acknowledged so far is kept")


def write_atomic(path: Path, data: bytes, disk: Disk) -> None:
    """Replace a file by new content, wholly or not at all, and durably.

    Raises:
        StorageFullError: Disk, quota or file-size limit reached; the old file is unchanged.
        StorageError: Any other failed system call.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            disk.write_all(fd, data)
            disk.fsync(fd)
        finally:
            disk.close(fd)
        disk.replace(temporary, path)
        disk.fsync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise storage_error(error, path, len(data)) from error
