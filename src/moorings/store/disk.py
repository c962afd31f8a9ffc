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

__all__ = ["Disk", "inside", "storage_error", "write_atomic"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Disk:
    """Thin wrapper of `os`; replaced in tests by one that fails on the n-th call."""

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        """See os.open; a link is never followed, so that a foreign folder cannot lead a write elsewhere."""
        return os.open(path, flags | os.O_NOFOLLOW, mode)

    def open_folder(self, folder: Path) -> int:
        """See os.open; for syncing a folder's names."""
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def mkdir(self, folder: Path) -> None:
        """See os.mkdir."""
        os.mkdir(folder)

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

    def make_folder(self, folder: Path) -> None:
        """Create a folder and those above it, each durable in the one that holds it."""
        missing = [folder, *folder.parents]
        for path in reversed(missing[: next((i for i, p in enumerate(missing) if p.is_dir()), len(missing))]):
            with contextlib.suppress(FileExistsError):
                self.mkdir(path)
            self.fsync_folder(path.parent)

    def fsync_folder(self, folder: Path) -> None:
        """Make a rename in a folder durable."""
        fd = self.open_folder(folder)
        try:
            self.fsync(fd)
        finally:
            self.close(fd)


def inside(root: Path, name: str) -> Path:
    """The path of a run's file, refused where links or dots lead out of the run's folder.

    Raises:
        StorageError: The name leads out.
    """
    path = root / name
    try:
        home, goal = root.resolve(), path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(f"cannot follow '{name}' in {root}: {error}") from error
    if goal != home / name:
        raise StorageError(
            f"'{name}' leads out of run {root} or through a link ({goal}); it was refused. "
            "Copy the file into the run, or do not trust this run"
        )
    return path


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
        disk.make_folder(path.parent)
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
