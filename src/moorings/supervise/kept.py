"""What a run keeps of its charter, and how it is told from a run of another charter."""

from __future__ import annotations

import tempfile
from pathlib import Path

from moorings import __version__
from moorings.charter import Charter, load_charter
from moorings.errors import ConfigError, StorageError
from moorings.store import Run
from moorings.store.disk import Disk, write_atomic
from moorings.store.header import RUN_JSON, first_difference
from moorings.supervise.plan import RunPlan, make_plan

__all__ = ["CHARTER", "SUPERVISED", "WATCHED", "kept_charter", "open_plan", "start_run"]

CHARTER = "charter.yaml"
_FOLDER = "charter-folder.txt"
SUPERVISED = "supervised run"
"""Kind of a run that makes its models itself."""
WATCHED = "watched training"
"""Kind of a run that judges another program's models."""


def start_run(folder: Path | str, path: Path, plan: RunPlan, kind: str) -> Run:
    """Begin a run, or take up one of the same charter, open for writing.

    Args:
        folder: Of the run; made if missing.
        path: The charter's file, which is kept with the run.
        plan: Of the charter.
        kind: `SUPERVISED` or `WATCHED`.

    Raises:
        ConfigError: The folder cannot hold a run.
        StorageError: The run there has another charter, whose first difference is named, or the folder cannot be written.
        RunLockedError: Another process writes the run.
    """
    text = str(folder)
    if "://" in text or "+" in str(Path(folder).resolve()):
        raise ConfigError(
            f"{text!a} cannot hold a supervised run: name a local folder without '+' in its path, which URIs use for adapters"
        )
    charter = path.read_bytes()
    config = _config(plan, kind)
    begun = (Path(folder) / RUN_JSON).exists()
    run = Run.open(folder, write=True) if begun else Run.create(folder, config)
    try:
        if begun:
            _check_same(run, plan, config)
        run.put_artifact(CHARTER, charter)
        run.put_artifact(_FOLDER, str(path.parent.resolve()).encode())
        write_atomic(Path(folder) / CHARTER, charter, Disk())
    except BaseException:
        run.close()
        raise
    return run


def _check_same(run: Run, plan: RunPlan, config: dict[str, object]) -> None:
    """Refuse another charter by the first key that differs: hashes would tell a person nothing."""
    if run.config.get("kind") != config["kind"]:
        raise StorageError(
            f"{run.files.url} holds a run of another kind ({run.config.get('kind')!a}); name a new folder"
        )
    before: dict[str, object] = {"charter": run.config.get("charter"), "inputs": run.config.get("inputs", {})}
    now: dict[str, object] = {name: config[name] for name in before}
    if CHARTER in run.artifacts():
        before["charter"], now["charter"] = (one.model_dump(mode="json") for one in (kept_charter(run), plan.charter))
    if difference := first_difference(before, now):
        raise StorageError(
            f"run {run.files.url} was started with other settings: {difference}; go on with the old ones "
            "(`moorings resume`), or name a new folder"
        )


def open_plan(run: Run) -> RunPlan:
    """The plan of a run that was started, from the charter kept in it.

    Raises:
        InputError: A file that the charter names is gone.
        StorageError: The run keeps no charter, or a prompt file was changed since it began.
    """
    charter = kept_charter(run)
    folder = Path(run.get_artifact(run.artifacts()[_FOLDER]).decode())
    plan = make_plan(charter, folder, trains=False)
    for name, sha256 in run.config.get("inputs", {}).items():
        if plan.inputs.get(name) != sha256:
            raise StorageError(
                f"the file that run.{name} names in {folder} was changed since run {run.files.url} began; restore it from a "
                "copy, or start a new run"
            )
    return plan


def kept_charter(run: Run) -> Charter:
    """The charter kept with a run.

    Raises:
        StorageError: It keeps none, or it is damaged.
    """
    kept = run.artifacts()
    if CHARTER not in kept or _FOLDER not in kept:
        raise StorageError(
            f"{run.files.url} is no supervised run: it keeps no charter; name a folder made by `moorings run`"
        )
    # Not beside the run: one that is only read may lie where nothing can be written.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CHARTER
        path.write_bytes(run.get_artifact(kept[CHARTER]))
        return load_charter(path)


def _config(plan: RunPlan, kind: str) -> dict[str, object]:
    """What makes two starts the same run."""
    return {
        "kind": kind,
        "title": plan.charter.title,
        "subject": {"uri": plan.section.subject},
        "rounds": plan.section.rounds,
        "charter": plan.charter.fingerprint(),
        "inputs": plan.inputs,
        "moorings": __version__,
    }
