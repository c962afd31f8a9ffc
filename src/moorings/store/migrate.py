"""Schema versions of a run directory, and the steps from old ones to the present."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moorings.errors import StorageError

__all__ = ["FORMAT", "MIGRATIONS", "SCHEMA_VERSION", "migrate_header"]

FORMAT = "moorings-run"
SCHEMA_VERSION = 1

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a version to the function that turns its header into the next version's."""


def migrate_header(header: dict[str, Any], url: str) -> dict[str, Any]:
    """Bring a run's header to the present version; journals and parts are never rewritten.

    Raises:
        StorageError: Not a run, made by a newer Moorings, or of a version that no step leads from.
    """
    version = header.get("schema_version")
    if header.get("format") != FORMAT or type(version) is not int or not isinstance(header.get("config"), dict):
        raise StorageError(
            f"{url} is not a Moorings run: run.json lacks format '{FORMAT}', a schema_version or a config; "
            "name a folder that `moorings sample` made"
        )
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"run {url} has schema version {version}, this Moorings reads up to {SCHEMA_VERSION}; upgrade Moorings to open it"
        )
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise StorageError(
                f"run {url} has schema version {version}, which this Moorings can no longer migrate; use an older one"
            )
        header = MIGRATIONS[version](header)
        version += 1
    return {**header, "schema_version": SCHEMA_VERSION}
