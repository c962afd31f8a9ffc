"""Where a run's files lie: a local folder or any fsspec URL, with the same few operations."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import fsspec
import pyarrow.fs as pafs

from moorings.errors import StorageError
from moorings.store.disk import Disk, inside, storage_error, write_atomic
from moorings.store.journal import Journal, LocalJournal
from moorings.store.object_journal import ObjectJournal

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

    def journal(self, *, write: bool, create: bool = False) -> Journal:
        """Open the run's journal; `create` starts one if there is none."""
        ...

    def arrow(self, name: str) -> tuple[str, pafs.FileSystem]:
        """Path and file system for pyarrow."""
        ...


class LocalFiles:
    """A run in a local folder. Names that lead out of it, also through links, are refused."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root, self.disk, self.url = root, disk or Disk(), str(root)

    def read(self, name: str) -> bytes:
        """Whole content of a file."""
        path = inside(self.root, name)
        try:
            if not path.is_file():
                raise StorageError(f"cannot read {path}: there is no such file")
            return path.read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a file, wholly or not at all."""
        write_atomic(inside(self.root, name), data, self.disk)

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        try:
            return inside(self.root, name).is_file()
        except OSError as error:
            raise StorageError(f"cannot look into {self.root}: {error.strerror}") from error

    def list(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without unfinished ones."""
        base = inside(self.root, folder)
        try:
            if not base.is_dir():
                return []
            found = [e.name for e in os.scandir(base) if e.is_file(follow_symlinks=False)]
        except OSError as error:
            raise StorageError(f"cannot look into {base}: {error.strerror}") from error
        return sorted(f"{folder}/{name}" for name in found if not name.startswith("."))

    def move(self, name: str, target: str) -> None:
        """Rename a file within the run."""
        source, goal = inside(self.root, name), inside(self.root, target)
        try:
            self.disk.make_folder(goal.parent)
            self.disk.replace(source, goal)
            self.disk.fsync_folder(goal.parent)
        except OSError as error:
            raise storage_error(error, goal, 0) from error

    def journal(self, *, write: bool, create: bool = False) -> Journal:
        """Open the run's journal; `create` starts one, and the folder, if there is none."""
        if create:
            try:
                self.disk.make_folder(self.root)
            except OSError as error:
                raise storage_error(error, self.root, 0) from error
        return LocalJournal(self.root / "journal.log", write=write, create=create, disk=self.disk)

    def arrow(self, name: str) -> tuple[str, pafs.FileSystem]:
        """Path and file system for pyarrow."""
        return str(inside(self.root, name)), pafs.LocalFileSystem()


class RemoteFiles:
    """A run on an object store or any other fsspec file system."""

    def __init__(self, url: str) -> None:
        self.fs, root = fsspec.core.url_to_fs(url)
        self.root, self.url = str(root).rstrip("/"), url

    def read(self, name: str) -> bytes:
        """Whole content of a file."""
        with self._named(name, 0):
            return bytes(self.fs.cat_file(f"{self.root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        """Create or replace an object; stores do this atomically."""
        path = f"{self.root}/{name}"
        with self._named(name, len(data)):
            self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self.fs.pipe_file(path, data)

    def exists(self, name: str) -> bool:
        """Whether the object is there."""
        with self._named(name, 0):
            self.fs.invalidate_cache()
            return bool(self.fs.isfile(f"{self.root}/{name}"))

    def list(self, folder: str) -> list[str]:
        """Names of the objects in a folder, sorted."""
        path = f"{self.root}/{folder}"
        with self._named(folder, 0):
            self.fs.invalidate_cache()
            if not self.fs.isdir(path):
                return []
            found = self.fs.ls(path, detail=True)
        return sorted(f"{folder}/{e['name'].rsplit('/', 1)[-1]}" for e in found if e["type"] == "file")

    def move(self, name: str, target: str) -> None:
        """Rename an object within the run."""
        with self._named(target, 0):
            self.fs.makedirs(f"{self.root}/{target}".rsplit("/", 1)[0], exist_ok=True)
            self.fs.mv(f"{self.root}/{name}", f"{self.root}/{target}")

    def journal(self, *, write: bool, create: bool = False) -> Journal:
        """Open the run's journal."""
        if create:
            with self._named("journal", 0):
                self.fs.makedirs(f"{self.root}/journal", exist_ok=True)
        return ObjectJournal(self.fs, self.root, write=write)

    def arrow(self, name: str) -> tuple[str, pafs.FileSystem]:
        """Path and file system for pyarrow."""
        return f"{self.root}/{name}", pafs.PyFileSystem(pafs.FSSpecHandler(self.fs))

    @contextlib.contextmanager
    def _named(self, name: str, size_bytes: int) -> Iterator[None]:
        """Turn the store's failures into ours."""
        try:
            yield
        except (OSError, NotImplementedError) as error:
            failure = error if isinstance(error, OSError) else OSError(str(error) or type(error).__name__)
            raise storage_error(failure, f"{self.url}/{name}", size_bytes) from error


def open_files(url: str | Path, disk: Disk | None = None) -> Files:
    """Local folder for a plain path, `file://` or `local://`, fsspec for any other URL."""
    text = str(url)
    if "://" not in text:
        return LocalFiles(Path(text), disk)
    for local in ("file://", "local://"):
        if text.startswith(local):
            return LocalFiles(Path(text.removeprefix(local)), disk)
    try:
        return RemoteFiles(text)
    except (ValueError, ImportError) as error:
        raise StorageError(
            f"cannot open '{text}': {error}; give a folder or an fsspec URL such as s3://bucket/run"
        ) from error
