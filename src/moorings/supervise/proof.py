"""Proof that a supervised run is whole: journal, lineage, data, answers and models are what was recorded.

What a chain of hashes cannot show is that its end was cut off together with all that came of it, or that somebody wrote
all of it anew. Against both helps a lineage hash that was noted elsewhere while the run went on: it must still be part of the
history.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

from moorings.errors import MooringsError, StorageError
from moorings.records import canonical_json
from moorings.store import Run
from moorings.store.frames import Chain
from moorings.store.verify import verify
from moorings.supervise.kept import CHARTER
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


def verify_run(folder: Path | str, *, noted: str | None = None) -> Proof:
    """Check a supervised run, down to each answer and each file of each model.

    Args:
        folder: Of the run.
        noted: Lineage hash of the run at any earlier time, which must be part of its history.

    Raises:
        StorageError: There is no run.
    """
    root = Path(folder)
    report = verify(root)
    problems, notes = list(report.problems), list(report.notes)
    if report.ok and _end_altered(root):
        problems.append("the journal's last byte was altered: its last line is whole but for that")
    if problems:
        return Proof(False, tuple(problems), tuple(notes), 0, 0, 0, "", report.head)
    with Run.open(root) as run:
        try:
            lineage = Lineage(run)
        except StorageError as error:
            return Proof(False, (f"the lineage does not verify: {error}",), tuple(notes), 0, 0, 0, "", report.head)
        events = list(lineage.events())
        _check_charter(run, root, problems)
    if noted is not None and noted not in {event.hash for event in events}:
        problems.append(
            f"lineage {noted} is no part of this history: it was cut off, written anew, or belongs to another run"
        )
    n_models = _check_models(root, events, problems, notes)
    n_runs = _check_rounds(root, events, problems, notes)
    return Proof(not problems, tuple(problems), tuple(notes), len(events), n_runs, n_models, lineage.hash, report.head)


def _end_altered(root: Path) -> bool:
    """Whether the torn line at the journal's end is a whole one with another last byte, which no crash leaves."""
    with Run.open(root) as run:
        torn = run.torn_end()
    if not torn or torn.endswith(b"\n"):
        return False
    lines = (root / "journal.log").read_bytes()[:-1] + b"\n"
    chain = Chain()
    for _ in chain.follow(io.BytesIO(lines), str(root)):
        pass
    return not chain.torn


def _check_charter(run: Run, root: Path, problems: list[str]) -> None:
    """The copy that people read must be the charter that the run obeys."""
    digest, path = run.artifacts().get(CHARTER), root / CHARTER
    if digest is None:
        problems.append("it keeps no charter; it is no supervised run, or its beginning was lost")
    elif path.exists() and (not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest):
        problems.append(f"{CHARTER}: is not the one that the run was started with")


def _check_models(root: Path, events: list[Event], problems: list[str], notes: list[str]) -> int:
    trained = {
        f"rounds/{e.data['round']}.{e.data['attempt']}/model": e.data["files"] for e in events if e.kind == "trained"
    }
    for name, files in trained.items():
        try:
            changed = changed_files(root / name, files)
        except StorageError as error:
            changed = [str(error)]
        if changed:
            problems.append(f"{name}: {len(changed)} files are missing or altered, first {changed[0]}")
    for path in sorted((root / "rounds").glob("*/model")):
        name = path.relative_to(root).as_posix()
        if name not in trained:
            notes.append(f"{name}: not recorded; a crash left it, or the end of the journal was cut off")
    return len(trained)


def _check_rounds(root: Path, events: list[Event], problems: list[str], notes: list[str]) -> int:
    """Answers of all rounds; nothing may be added to a round that was sealed."""
    seals = [event for event in events if event.kind == "sealed"]
    sealed = {name: seal for event in seals for name, seal in event.data["runs"].items()}
    ended = tuple(f"rounds/{event.data['round']}.{event.data['attempt']}/" for event in seals)
    found = {path.relative_to(root).as_posix() for path in nested_runs(root / "rounds")}
    for name in sorted(found | sealed.keys()):
        _check_answers(root, name, sealed.get(name), problems, notes)
        if name in sealed:
            continue
        if name.startswith(ended):
            problems.append(f"{name}: was added after its round had ended")
        else:
            notes.append(f"{name}: not sealed, as its round has not ended")
    return len(found | sealed.keys())


def _check_answers(root: Path, name: str, seal: str | None, problems: list[str], notes: list[str]) -> None:
    try:
        report = verify(root / name)
        problems += [f"{name}: {problem}" for problem in report.problems]
        notes += [f"{name}: {note}" for note in report.notes]
        if report.ok and seal is not None:
            if seal_of(root / name) != seal:
                problems.append(f"{name}: its answers are not those that the lineage sealed")
            with Run.open(root / name) as run:
                if run.torn_end():
                    problems.append(f"{name}: its journal's end was altered after its round had ended")
    except (MooringsError, ValueError) as error:
        problems.append(f"{name}: {' '.join(str(error).split())[:500]}")
