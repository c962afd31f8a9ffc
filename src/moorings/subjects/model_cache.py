"""Folders of model files in the user's cache: built once, complete or absent, and checked when opened.

A folder is built beside its place, written through to the disk and renamed, so that a crash leaves
either the old folder, the new one or none. Its `manifest.json` lists size and SHA-256 of every file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from moorings.errors import ModelFileError

__all__ = [
    "MANIFEST",
    "build_folder",
    "cache_dir",
    "file_sha256",
    "folder_problem",
    "locked",
    "read_manifest",
    "touch_folder",
    "trim_folders",
]

MANIFEST = "manifest.json"
_BLOCK_BYTES = 1 << 20


def cache_dir() -> Path:
    """Where model files are kept: MOORINGS_CACHE_DIR, else `moorings` in the XDG cache home."""
    given = os.environ.get("MOORINGS_CACHE_DIR")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "moorings"


def file_sha256(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an operating-system lock named after a cache entry; waits for another holder to finish.

    The lock ends with the process, so a killed builder blocks nobody.

    Raises:
        ModelFileError: The cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise _cannot_write(path.parent, error) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_folder(target: Path, build: Callable[[Path], None], **facts: Any) -> None:
    """Build a folder in a temporary place and put it at `target` with its manifest, all or nothing.

    Call it under `locked(target)`. A folder already there is replaced.

    Args:
        target: Final place.
        build: Fills the empty folder it is given.
        facts: JSON-able values kept in the manifest.

    Raises:
        ModelFileError: The disk is full or the cache cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target.parent, error) from error
    try:
        content = work / "content"
        content.mkdir()
        build(content)
        _write_manifest(content, facts)
        _fsync_tree(content)
        if target.exists():
            os.replace(target, work / "old")
        os.replace(content, target)
        _fsync(target.parent)
    except OSError as error:
        raise _cannot_write(target.parent, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a built folder; None if it is missing or unreadable."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def folder_problem(folder: Path, *, full: bool = False) -> str | None:
    """Say what is wrong with a built folder; None if it is sound.

    Sizes and modification times are compared; where a time differs from the manifest's, or with
    `full`, the file is hashed. Files that the manifest does not know count as damage too, since a
    loader might pick them up. Times that changed over sound bytes, as after a copy, are noted in the
    manifest, so that the next check is quick again.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return "no readable manifest" if folder.exists() else "not there"
    files: dict[str, dict[str, Any]] = manifest["files"]
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()} - {MANIFEST}
    if present != set(files):
        return f"files missing or added: {', '.join(sorted(present ^ set(files)))}"
    moved = False
    for name, known in files.items():
        path = folder / name
        status = path.lstat()
        if path.is_symlink() or status.st_size != known["size"]:
            return f"{name} has another size than when it was built"
        if (full or status.st_mtime_ns != known["mtime_ns"]) and file_sha256(path) != known["sha256"]:
            return f"{name} has other bytes than when it was built"
        moved = moved or status.st_mtime_ns != known["mtime_ns"]
        known["mtime_ns"] = status.st_mtime_ns
    if moved:
        _replace_manifest(folder, manifest)
    return None


def trim_folders(parent: Path, *, most_bytes: int, idle_s: float = 3600.0) -> list[Path]:
    """Remove the built folders of a cache that were used longest ago, until those left fit a size.

    A folder was used when it was built or touched with `touch_folder`. One that was used in the last `idle_s` stays,
    since somebody may be loading it.

    Returns:
        The removed folders.
    """
    found = []
    for folder in parent.iterdir() if parent.is_dir() else ():
        manifest = None if folder.name.startswith(".") else read_manifest(folder)
        if manifest is not None:
            size = sum(int(known["size"]) for known in manifest["files"].values())
            found.append((folder.stat().st_mtime, folder, size))
    total, removed = sum(size for _, _, size in found), []
    for used, folder, size in sorted(found):
        if total <= most_bytes or time.time() - used < idle_s:
            break
        with locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
        total -= size
        removed.append(folder)
    return removed


def touch_folder(folder: Path) -> None:
    """Note that a built folder is in use."""
    # Only the order of removal is lost if the cache is read-only.
    with contextlib.suppress(OSError):
        os.utime(folder)


def _write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    files = {
        str(path.relative_to(folder)): {
            "sha256": file_sha256(path),
            "size": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1, sort_keys=True), "utf-8")


def _replace_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    # Only the speed of later checks is lost if the cache is read-only or full.
    with contextlib.suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{folder.name}.new-manifest-", dir=folder.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=1, sort_keys=True)
        os.replace(temporary, folder / MANIFEST)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _fsync(path)
    _fsync(folder)


def _remove_leftovers(target: Path) -> None:
    """Clear what a killed builder left; the caller's lock makes sure that none is at work."""
    for leftover in target.parent.glob(f".{target.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError) -> ModelFileError:
    return ModelFileError(
        f"cannot write model files under {folder}: {error.strerror or error}; "
        "free some space, or set MOORINGS_CACHE_DIR to a writable folder"
    )
