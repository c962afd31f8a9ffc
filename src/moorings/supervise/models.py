"""Models of a run: their URIs, which stay right when the run's folder is moved, and the hashes of their files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from moorings.charter_run import RunSection
from moorings.errors import StorageError
from moorings.subjects.spec import SubjectSpec

__all__ = ["changed_files", "file_hashes", "in_run", "movable", "spec_of"]

_HERE = "{run}"


def movable(uri: str, folder: Path) -> str:
    """A text, such as a URI, with a mark where the run's folder stands.

    >>> movable("bundled:m+/tmp/r/rounds/1.0/model", Path("/tmp/r"))
    'bundled:m+{run}/rounds/1.0/model'
    """
    # Another folder's name may begin as this one's does.
    return uri.replace(f"{folder}/", f"{_HERE}/")


def in_run(uri: str, folder: Path) -> str:
    """The URI for a run that lies in a folder."""
    return uri.replace(_HERE, str(folder))


def spec_of(section: RunSection, uri: str, folder: Path, **changes: object) -> SubjectSpec:
    """How a model of the run is opened.

    Args:
        section: Of the charter.
        uri: Perhaps with the mark.
        folder: Of the run.
        changes: Settings that replace the charter's.
    """
    return SubjectSpec.model_validate({**section.sampler, **changes, "uri": in_run(uri, folder)})


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder, by relative name.

    Raises:
        StorageError: A file cannot be read, or is a link.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise StorageError(f"{path} is a link; a run holds plain files only, copy the file into the run")
        if path.is_file():
            try:
                with path.open("rb") as file:
                    found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return found


def changed_files(folder: Path, recorded: dict[str, str]) -> list[str]:
    """Names that are missing, new or altered since they were recorded."""
    present = file_hashes(folder) if folder.is_dir() else {}
    return sorted(name for name in present.keys() | recorded.keys() if present.get(name) != recorded.get(name))
