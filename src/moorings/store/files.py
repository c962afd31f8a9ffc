"""Where a run's files lie: a local folder or any fsspec URL, with the same few operations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import fsspec
import pyarrow.fs as pafs

from moorings.errors import StorageError
from moorings.store.disk import Disk, storage_error, write_atomic
from moorings.store.journal import Journal, LocalJournal, ObjectJournal

__all__ = ["Files", "LocalFiles", "RemoteFiles", "open_files"]


class Files(Protocol):
    """The files of one run, named by relative POSIX paths."""

    url: str

    def read(self, name: str) -> bytes:
        """Whole content of a file."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a file, wholly or not at all."""
        ...

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        ...

    def list(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; empty if there is no such folder."""
        ...

    def move(self, name: str, target: str) -> None:
        """Rename a file within the run."""
        ...

    def journal(self, *, write: bool) -> Journal:
        """Open the run's journal."""
        ...

    def arrow(self, name: str) -> tuple[str, pafs.FileSystem]:
        """Path and file system for pyarrow."""
        ...


class LocalFiles:
    """A run in a local folder."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root, self.disk, self.url = root, disk or Disk(), str(root)

    def read(self, name: str) -> bytes:
        """Whole content of a file."""
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {self.root / name}: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a file, wholly or not at all."""
        write_atomic(self.root / name, data, self.disk)

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.root / name).is_file()

    def list(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without unfinished ones."""
        base = self.root / folder
        if not base.is_dir():
            return []
        return sorted(f"{folder}/{e.name}" for e in os.scandir(base) if e.is_file() and not e.name.startswith("."))

    def move(self, name: str, target: str) -> None:
        """Rename a file within the run."""
        goal = self.root / target
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            self.disk.replace(self.root / name, goal)
            self.disk.fsync_folder(goal.parent)
        except OSError as error:
            raise storage_error(error, goal, 0) from error

    def journal(self, *, write: bool) -> Journal:
        """Open the run's journal; a writer creates the folder."""
        if write:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise storage_error(error, self.root, 0) from error
        return LocalJournal(self.root / "journal.log", write=write, disk=self.disk)

    def arrow(self, name: str) -> tuple[str, pafs.FileSystem]:
        """Path and file system for pyarrow."""
        return str(self.root / name), pafs.LocalFileSystem()


class RemoteFiles:
    """A run on an object store or any other fsspec file system."""

    def __init__(self, url: str) -> None:
        self.fs, root = fsspec.core.url_to_fs(url)
        self.root, self.url = str(root).rstrip("/"), url

    def read(self, name: str) -> bytes:
        """Whole content of a file."""
        try:
            return bytes(self.fs.cat_file(f"{self.root}/{name}"))
        except OSError as error:
            raise StorageError(f"cannot read {self.url}/{name}: {error}") from error

    def write(self, name: str, data: bytes) -> None:
        """Create or replace an object; stores do this atomically."""
        path = f"{self.root}/{name}"
        try:
            self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self.fs.pipe_file(path, data)
        except OSError as error:
            raise storage_error(error, f"{self.url}/{name}", len(data)) from error

    def exists(self, name: str) -> bool:
        """Whether the object is there."""
        return bool(self.fs.isfile(f"{self.root}/{name}"))

    def list(self, folder: str) -> list[str]:
        """Names of the objects in a folder, sorted."""
        path = f"{self.root}/{folder}"
        if not self.fs.isdir(path):
            return []
        return sorted(f"{folder}/{str(name).rsplit('/', 1)[1]}" for name in self.fs.ls(path, detail=False))

    def move(self, name: str, target: str) -> None:
        """Rename an object within the run."""
        self.fs.makedirs(f"{self.root}/{target}".rsplit("/", 1)[0], exist_ok=True)
        self.fs.mv(f"{self.root}/{name}", f"{self.root}/{target}")

    def journal(self, *, write: bool) -> Journal:
        """Open the run's journal."""
        folder = f"{self.root}/journal"
        if write:
            self.fs.makedirs(folder, exist_ok=True)
        return ObjectJournal(self.fs, folder, write=write)

    def arrow(self, name: str) -> tuple[str, pafs.FileSystem]:
        """Path and file system for pyarrow."""
        return f"{self.root}/{name}", pafs.PyFileSystem(pafs.FSSpecHandler(self.fs))


def open_files(url: str | Path, disk: Disk | None = None) -> Files:
    """Local folder for a plain path or `file://`, fsspec for any other URL."""
    text = str(url)
    if "://" not in text:
        return LocalFiles(Path(text), disk)
    if text.startswith("file://"):
        return LocalFiles(Path(text.removeprefix("file://")), disk)
    try:
        return RemoteFiles(text)
    except (ValueError, ImportError) as error:
        raise StorageError(
            f"cannot open '{text}': {error}; give a folder or an fsspec URL such as s3://bucket/run"
        ) from error
