"""Prove that a run is whole, or say what is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from moorings.errors import StorageError
from moorings.store.files import open_files
from moorings.store.frames import GENESIS
from moorings.store.header import read_header
from moorings.store.notes import PartNote
from moorings.store.parts import read_part
from moorings.store.run import Run

__all__ = ["Report", "damaged_parts", "verify"]


class Report(NamedTuple):
    """What a check of a run found."""

    ok: bool
    problems: tuple[str, ...]
    """One line each; empty if the run is whole."""
    notes: tuple[str, ...]
    """What is worth knowing but no damage, such as a torn end that the next writer cuts."""
    n_entries: int
    n_rows: int
    head: str
    """Hash of the last verified entry."""


def verify(url: str | Path) -> Report:
    """Check every journal line, part, artifact and key of a run.

    Raises:
        StorageError: There is no run, its header is damaged, or it is of a foreign version.
    """
    problems: list[str] = []
    notes: list[str] = []
    with Run.open(url) as run:
        try:
            head = run.head
        except StorageError as error:
            return Report(False, (str(error),), (), 0, 0, GENESIS)
        try:
            run.check_header(read_header(open_files(url))[0])
        except StorageError as error:
            problems.append(str(error))
        _check_end(run, problems, notes)
        _check_artifacts(run, problems)
        n_rows = _check_rows(run, problems)
        _look_around(run, notes)
        return Report(not problems, tuple(problems), tuple(notes), sum(1 for _ in run.entries()), n_rows, head)


def damaged_parts(run: Run) -> list[PartNote]:
    """Parts that are missing or whose bytes are not those of their journal entry."""
    return [part for part in run.parts() if _content(run, part) is None]


def _content(run: Run, part: PartNote) -> bytes | None:
    try:
        return run.check_part(part)
    except StorageError:
        return None


def _check_end(run: Run, problems: list[str], notes: list[str]) -> None:
    torn = run.torn_end()
    if torn.endswith(b"\n"):
        problems.append(
            f"the journal's last line ({len(torn):,} bytes) is whole but does not verify: damaged, or half-written at a "
            "power cut; the next writer sets it aside and makes its samples again"
        )
    elif torn:
        notes.append(f"the journal ends in {len(torn):,} unacknowledged bytes; the next writer cuts them")


def _check_artifacts(run: Run, problems: list[str]) -> None:
    for name, digest in run.artifacts().items():
        try:
            run.get_artifact(digest)
        except StorageError as error:
            problems.append(f"{name}: {error}")


def _check_rows(run: Run, problems: list[str]) -> int:
    """Count the rows that can be read, each key once."""
    keys: Counter[str] = Counter()
    for part in run.parts():
        data = _content(run, part)
        if data is None:
            problems.append(f"{part.path} ({part.rows} rows) is missing or damaged")
            continue
        try:
            found = [key for batch in read_part(data, part.path, ["key"]) for key in batch.column(0).to_pylist()]
        except StorageError as error:
            problems.append(str(error))
            continue
        if len(found) != part.rows:
            problems.append(f"{part.path} holds {len(found)} rows, its journal entry says {part.rows}")
        keys.update(found)
    try:
        keys.update(row.key for row in run.unsealed())
    except StorageError as error:
        problems.append(str(error))
    doubles = [key for key, n in keys.items() if n > 1]
    if doubles:
        problems.append(f"{len(doubles)} samples are stored twice, first {doubles[0]}")
    return keys.total()


def _look_around(run: Run, notes: list[str]) -> None:
    for folder, meaning in (
        ("orphans", "left by a crash before it was acknowledged"),
        ("quarantine", "set aside, could not be verified"),
    ):
        names = run.files.list(folder)
        if names:
            notes.append(f"{len(names)} files in {folder}/: {meaning}")
    lost = [entry for entry in run.notes("part_lost")]
    if lost:
        notes.append(f"{len(lost)} parts were given up by a repair; see the events of type part_lost")
