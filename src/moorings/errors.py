"""Named errors, one class for each boundary that can fail.

Every message says what was given, what is allowed and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BackendError",
    "ConfigError",
    "EndpointError",
    "InputError",
    "MissingExtraError",
    "ModelFileError",
    "MooringsError",
    "RunLockedError",
    "StorageError",
    "StorageFullError",
    "UnsafeFileError",
    "nearest",
]


class MooringsError(Exception):
    """Root of all errors that Moorings raises on purpose."""


class ConfigError(MooringsError):
    """A setting, URI or option is not allowed."""


class InputError(MooringsError):
    """A file given as input cannot be read as what it should be."""


class MissingExtraError(MooringsError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the optional packages of extra '{extra}'; install them with: pip install 'moorings[{extra}]'"
        )


class ModelFileError(MooringsError):
    """A model's files are missing, damaged or of an unsupported kind."""


class UnsafeFileError(ModelFileError):
    """A file could run code when loaded, so it was refused."""


class BackendError(MooringsError):
    """An inference engine failed."""


class EndpointError(BackendError):
    """A remote endpoint did not answer usefully within the allowed retries."""


class StorageError(MooringsError):
    """A run directory is damaged, foreign or cannot be written."""


class StorageFullError(StorageError):
    """The disk, quota or file-size limit was reached."""


class RunLockedError(StorageError):
    """Another writer holds the run."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Say which names are allowed and which one was probably meant.

    >>> nearest("bundeld", ["bundled", "hf"])
    "did you mean 'bundled'? allowed: bundled, hf"
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"
