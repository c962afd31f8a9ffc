"""Prove that a run is whole, say what is not, and mend what can be mended."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from moorings.errors import StorageError
from moorings.records import Interaction, canonical_json
from moorings.store.disk import Disk
from moorings.store.files import LocalFiles, open_files
from moorings.store.frames import GENESIS, Scan, parse_frame, scan_lines
from moorings.store.parts import part_bytes, sha256_hex
from moorings.store.run import PartNote, Run

__all__ = ["Report", "repair", "verify"]


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
        StorageError: There is no run, or it is of a foreign version.
    """
    with Run.open(url) as run:
        problems: list[str] = []
        notes: list[str] = []
        try:
            entries = list(run.entries())
        except StorageError as error:
            return Report(False, (str(error),), (), 0, 0, GENESIS)
        if not entries or entries[0].data() != {"config": run.config}:
            problems.append("run.json differs from the configuration in journal entry 0")
        _check_artifacts(run, problems)
        keys = _check_rows(run, problems)
        doubles = [key for key, n in keys.items() if n > 1]
        if doubles:
            problems.append(f"{len(doubles)} samples are stored twice, first {doubles[0]}")
        _look_around(run, notes)
        return Report(not problems, tuple(problems), tuple(notes), len(entries), sum(keys.values()), run.head)


def repair(url: str | Path, *, disk: Disk | None = None) -> Report:
    """Set damaged bytes aside, rebuild what the journal still holds, and check again.

    A journal that is damaged before its end is cut there, the rest is kept in `quarantine/`. A damaged part is
    rebuilt from its journal lines; one that came from a bulk import is dropped, so that the import run again fills the gap.
    """
    files = open_files(url, disk)
    if isinstance(files, LocalFiles):
        _cut_damaged_journal(files)
    with Run.open(url, disk=disk) as run:
        damaged = [part for part in run.parts() if not _is_sound(run, part)]
        rows = {part.path: _journal_rows(run, part) for part in damaged}
    if damaged:
        _replace_parts(files, damaged, rows)
    Run.open(url, write=True, disk=disk).close()
    return verify(url)


def _replace_parts(files: LocalFiles | object, damaged: list[PartNote], rows: dict[str, list[Interaction]]) -> None:
    store = open_files(files.url) if not isinstance(files, LocalFiles) else files  # type: ignore[attr-defined]
    journal = store.journal(write=True)
    try:
        for part in damaged:
            if store.exists(part.path):
                store.move(part.path, part.path.replace("parts/", "quarantine/", 1))
            journal.append(
                "part_lost", canonical_json({"path": part.path, "rows": part.rows, "rebuilt": bool(rows[part.path])})
            )
            if rows[part.path]:
                data = part_bytes(rows[part.path])
                digest = sha256_hex(data)
                new = PartNote(f"parts/samples-{digest[:24]}.parquet", digest, part.rows, len(data), part.covers)
                store.write(new.path, data)
                journal.append("part", canonical_json({**new._asdict(), "batch": None}))
    finally:
        journal.close()


def _cut_damaged_journal(files: LocalFiles) -> None:
    path = files.root / "journal.log"
    try:
        with path.open("rb") as lines:
            if any(isinstance(item, Scan) for item in scan_lines(lines, str(path))):
                return
    except StorageError:
        data = path.read_bytes()
    good, seq, previous = 0, 0, GENESIS
    for line in data.splitlines(keepends=True):
        entry = parse_frame(line, seq, previous)
        if entry is None:
            break
        good, seq, previous = good + len(line), seq + 1, entry.hash
    files.write(f"quarantine/journal-from-{good}.bytes", data[good:])
    files.write("journal.log", data[:good])


def _is_sound(run: Run, part: PartNote) -> bool:
    try:
        run.check_part(part)
    except StorageError:
        return False
    return True


def _journal_rows(run: Run, part: PartNote) -> list[Interaction]:
    if part.covers is None:
        return []
    first, last = part.covers
    lines = [e for e in run.entries() if e.type == "samples" and first <= e.seq <= last]
    return [Interaction.model_validate(row) for entry in lines for row in entry.data()["rows"]]


def _check_artifacts(run: Run, problems: list[str]) -> None:
    for name, digest in run.artifacts().items():
        try:
            run.get_artifact(digest)
        except StorageError as error:
            problems.append(f"{name}: {error}")


def _check_rows(run: Run, problems: list[str]) -> Counter[str]:
    keys: Counter[str] = Counter()
    for part in run.parts():
        if not _is_sound(run, part):
            problems.append(f"{part.path} ({part.rows} rows) is missing or damaged")
            keys.update({f"lost:{part.path}:{i}": 1 for i in range(part.rows)})
    if not problems:
        for batch in run.part_tables(columns=["key"]):
            keys.update(batch.column(0).to_pylist())
    keys.update(row.key for row in run.unsealed())
    return keys


def _look_around(run: Run, notes: list[str]) -> None:
    for folder, meaning in (
        ("orphans", "left by a crash before it was acknowledged"),
        ("quarantine", "set aside, could not be verified"),
    ):
        names = run.files.list(folder)
        if names:
            notes.append(f"{len(names)} files in {folder}/: {meaning}")
    if isinstance(run.files, LocalFiles):
        with (run.files.root / "journal.log").open("rb") as lines:
            end = [item for item in scan_lines(lines, "journal.log") if isinstance(item, Scan)]
        if end[0].torn:
            notes.append(f"the journal ends in {len(end[0].torn)} unacknowledged bytes; the next writer cuts them")
