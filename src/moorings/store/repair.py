"""Mend what can be mended: set damaged bytes aside and rebuild what the journal still holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moorings.errors import StorageError
from moorings.store.disk import Disk
from moorings.store.files import Files, open_files
from moorings.store.header import RUN_JSON, read_header
from moorings.store.journal import Journal
from moorings.store.migrate import migrate_header
from moorings.store.run import Run
from moorings.store.verify import Report, damaged_parts, verify

__all__ = ["repair"]


def repair(url: str | Path, *, disk: Disk | None = None) -> Report:
    """Set damaged bytes aside, rebuild what the journal still holds, and check again.

    A journal that is damaged before its end is cut there, the rest is kept in `quarantine/`. A damaged run.json is
    rebuilt from the journal's first entry. A damaged part is rebuilt from its journal lines; one that came from a
    bulk import is dropped, so that the import run again fills the gap. A crash during a repair is cured by the next.

    Raises:
        StorageError: There is no run, it is of a foreign version, or it cannot be written.
        RunLockedError: Another process writes the run.
    """
    files = open_files(url, disk)
    stored = _stored_header(files)
    journal = files.journal(write=True)
    try:
        cut = journal.cut_damage()
        header = _first_entry(journal) or stored
        if header is None:
            raise StorageError(f"{url} has neither a run.json nor a first journal entry to rebuild it from; use a copy")
        run = Run(files, migrate_header(header, str(url)), journal, writable=True)
        if stored != header and files.exists(RUN_JSON):
            files.write("quarantine/run.json", files.read(RUN_JSON))
        run.begin(header)
        if cut:
            run.note("journal_cut", {"kept_as": cut})
        for part in damaged_parts(run):
            if files.exists(part.path):
                files.move(part.path, part.path.replace("parts/", "quarantine/", 1))
            run.note_lost(part)
    finally:
        journal.close()
    Run.open(url, write=True, disk=disk).close()
    return verify(url)


def _stored_header(files: Files) -> dict[str, Any] | None:
    """run.json, or None if it is missing or no JSON; a foreign one is refused."""
    if not files.exists(RUN_JSON):
        return None
    try:
        json.loads(files.read(RUN_JSON))
    except (ValueError, RecursionError):
        return None
    return read_header(files)[0]


def _first_entry(journal: Journal) -> dict[str, Any] | None:
    for entry in journal.entries():
        data = entry.data()
        return data if entry.type == "created" and isinstance(data, dict) else None
    return None
