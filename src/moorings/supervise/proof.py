"""Proof that a supervised run is whole: journal, lineage, data, answers and models are what was recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from moorings.errors import MooringsError, StorageError
from moorings.records import canonical_json
from moorings.store import Run
from moorings.store.verify import verify
from moorings.supervise.lineage import Event, Lineage
from moorings.supervise.models import changed_files

__all__ = ["Proof", "nested_runs", "seal_of", "verify_run"]


class Proof(NamedTuple):
    """What a check of a supervised run found."""

    ok: bool
    problems: tuple[str, ...]
    """One line each; empty if nothing was altered or lost."""
    notes: tuple[str, ...]
    """What is worth knowing but no damage."""
    n_events: int
    n_runs: int
    """Runs of recorded answers that were checked."""
    n_models: int
    lineage: str
    """Hash that stands for all phases, data, models and decisions."""
    head: str
    """Hash of the journal's last line."""


def nested_runs(folder: Path) -> list[Path]:
    """Folders of recorded answers below a round's folder, sorted."""
    return sorted(path.parent for path in folder.rglob("run.json"))


def seal_of(run: Path) -> str:
    """Hash of all answers and kept files of a run; it does not depend on when or in which order they came."""
    with Run.open(run) as stored:
        rows = sorted(canonical_json(row.model_dump(mode="json")) for row in stored.interactions())
        kept = sorted(stored.artifacts().items())
    digest = hashlib.sha256()
    for part in (*rows, *(f"{name} {sha256}" for name, sha256 in kept)):
        digest.update(part.encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def verify_run(folder: Path | str) -> Proof:
    """Check a supervised run, down to each answer and each file of each model.

    Raises:
        StorageError: There is no run.
    """
    root = Path(folder)
    report = verify(root)
    problems, notes = list(report.problems), list(report.notes)
    if not report.ok:
        return Proof(False, tuple(problems), tuple(notes), 0, 0, 0, "", report.head)
    with Run.open(root) as run:
        try:
            lineage = Lineage(run)
        except (StorageError, TypeError, KeyError) as error:
            return Proof(False, (f"the lineage does not verify: {error}",), tuple(notes), 0, 0, 0, "", report.head)
        events = list(lineage.events())
    n_models = sum(_check_model(root, event, problems) for event in events if event.kind == "trained")
    sealed = {name: seal for event in events if event.kind == "sealed" for name, seal in event.data["runs"].items()}
    found = {path.relative_to(root).as_posix() for path in nested_runs(root / "rounds")}
    for name in sorted(found | sealed.keys()):
        _check_answers(root, name, sealed.get(name), problems, notes)
    return Proof(
        not problems,
        tuple(problems),
        tuple(notes),
        len(events),
        len(found | sealed.keys()),
        n_models,
        lineage.hash,
        report.head,
    )


def _check_model(root: Path, event: Event, problems: list[str]) -> bool:
    name = f"rounds/{event.data['round']}.{event.data['attempt']}/model"
    try:
        changed = changed_files(root / name, event.data["files"])
    except StorageError as error:
        changed = [str(error)]
    if changed:
        problems.append(f"{name}: {len(changed)} files are missing or altered, first {changed[0]}")
    return True


def _check_answers(root: Path, name: str, seal: str | None, problems: list[str], notes: list[str]) -> None:
    try:
        report = verify(root / name)
        problems += [f"{name}: {problem}" for problem in report.problems]
        notes += [f"{name}: {note}" for note in report.notes]
        if report.ok and seal is not None and seal_of(root / name) != seal:
            problems.append(f"{name}: its answers are not those that the lineage sealed")
    except MooringsError as error:
        problems.append(f"{name}: {error}")
    if seal is None:
        notes.append(f"{name}: not sealed yet, its round is under way")
