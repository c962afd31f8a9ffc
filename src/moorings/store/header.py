"""run.json: what a run was started with."""

from __future__ import annotations

import json
from typing import Any

from moorings import __version__
from moorings.errors import InputError, StorageError
from moorings.records import canonical_json
from moorings.store.files import Files
from moorings.store.migrate import FORMAT, SCHEMA_VERSION, migrate_header

__all__ = ["RUN_JSON", "first_difference", "new_header", "read_header"]

RUN_JSON = "run.json"


def new_header(config: dict[str, Any]) -> dict[str, Any]:
    """The header of a run that starts now, as it will be read back.

    Raises:
        InputError: The configuration is no JSON.
    """
    header = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "created_by": f"moorings {__version__}",
        "config": config,
    }
    try:
        found: dict[str, Any] = json.loads(canonical_json(header))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"a run's configuration must be JSON: {error}; convert paths and numbers first") from error
    return found


def read_header(files: Files) -> tuple[dict[str, Any], dict[str, Any]]:
    """run.json as it is stored, and brought to the present schema version.

    Raises:
        StorageError: There is none, it is damaged, or of a foreign version.
    """
    url = files.url
    if not files.exists(RUN_JSON):
        raise StorageError(
            f"no run at {url}: there is no run.json; `moorings runs list FOLDER` shows the runs below a folder"
        )
    try:
        stored = json.loads(files.read(RUN_JSON))
    except (ValueError, RecursionError) as error:
        raise StorageError(
            f"{url}/run.json is damaged ({type(error).__name__}); `moorings runs verify {url} --repair` restores it "
            "from journal entry 0"
        ) from error
    if not isinstance(stored, dict):
        raise StorageError(f"{url} is not a Moorings run: run.json is no object")
    return stored, migrate_header(stored, url)


def first_difference(stored: Any, given: Any, where: str = "") -> str | None:
    """Name the first setting in which two configurations differ."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in sorted({*stored, *given}):
            if key not in stored or key not in given or stored[key] != given[key]:
                name = f"{where}.{key}" if where else str(key)
                return first_difference(stored.get(key), given.get(key), name) or f"{name} was added or removed"
        return None
    return None if stored == given else f"{where} was {_short(stored)}, now {_short(given)}"


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 80 else text[:77] + "..."
