"""A new run that begins where a round of another one ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from moorings.charter import load_charter
from moorings.errors import ConfigError, StorageError
from moorings.store import Run
from moorings.store.disk import storage_error
from moorings.supervise.kept import CHARTER, open_plan
from moorings.supervise.lineage import Lineage
from moorings.supervise.models import changed_files, in_run
from moorings.supervise.plan import RunPlan
from moorings.supervise.state import Candidate

__all__ = ["fork"]

_FILES = ("file", "gate_prompts", "path", "prompts")
"""Keys of a charter under which files are named."""


def fork(folder: Path | str, new: Path | str, *, round: int, charter: Path | None = None) -> Path:
    """Make a folder with a model of a run and a charter that begins with it.

    Args:
        folder: The old run.
        new: The new folder, made here; it holds `charter.yaml` to look at and to run. Its gate passes over the prompts that
            the old run has spent.
        round: Round whose model becomes the new anchor, whether it was promoted or not.
        charter: The new run's charter; by default the old one. Its `subject` is replaced.

    Returns:
        The new charter.

    Raises:
        ConfigError: That round made no model, the new folder is there already, or the charter has no section `run`.
        InputError: The charter cannot be read.
        StorageError: The model was altered since it was recorded, or the folder cannot be written.
    """
    target, root = Path(new).resolve(), Path(folder).resolve()
    if target.exists():
        raise ConfigError(f"{new} is there already; name a new folder for the fork")
    given = load_charter(charter) if charter else None
    with Run.open(root) as run:
        lineage, plan = Lineage(run), open_plan(run)
        made = _made(lineage, round)
        read = given or plan.charter
        text = charter.read_bytes() if charter else run.get_artifact(run.artifacts()[CHARTER])
    if read.run is None:
        raise ConfigError(f"charter {charter} has no section 'run'; write run: with data, train and gate")
    source = root / "rounds" / f"{made.round}.{made.attempt}" / "model"
    recorded = lineage.get(f"{made.round}.{made.attempt} trained") or {}
    if changed := changed_files(source, recorded["files"]):
        raise StorageError(f"{source} was altered since it was recorded (first {changed[0]}); restore it from a copy")
    values = yaml.safe_load(text)
    uri = in_run(made.uri, root).replace(str(source), str(target / "start"))
    base = plan.folder if charter is None else charter.parent.resolve()
    section = _absolute(values["run"], base)
    gate = {**(section.get("gate") or {}), "spent": _n_spent(lineage, plan)}
    # The same seed deals the same prompts in the same order, so that those spent are the first ones.
    values["run"] = {**section, "subject": uri, "seed": plan.section.seed, "gate": gate}
    head = (
        f"# Begins with the model of round {round} of a run whose lineage is {lineage.hash}.\n"
        "# gate.spent passes over the prompts that chose that model: it would look better on them than it is.\n"
    )
    _write(source, target, head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return target / CHARTER


def _absolute(value: Any, base: Path) -> Any:
    """A charter's values with the files that they name in full, as the new charter lies elsewhere."""
    if isinstance(value, list):
        return [_absolute(one, base) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: str((base / one).resolve())
        if key in _FILES and isinstance(one, str) and (base / one).exists()
        else _absolute(one, base)
        for key, one in value.items()
    }


def _n_spent(lineage: Lineage, plan: RunPlan) -> int:
    """Gate prompts that the old run has spent, and those before it; no monitor was asked for more units than these."""
    gate = plan.section.gate
    opened = [event.data["start"] for event in lineage.events() if event.kind == "opened"]
    return max(opened, default=gate.spent - gate.look) + gate.look


def _write(source: Path, target: Path, charter: str) -> None:
    """The new folder, whole or not there."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary / "start")
        (temporary / CHARTER).write_text(charter, encoding="utf-8")
        temporary.rename(target)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise storage_error(error, target, 0) from error


def _made(lineage: Lineage, round: int) -> Candidate:
    """The last model that a round made."""
    found = [e.data for e in lineage.events() if e.kind == "trained" and e.data["round"] == round]
    if not found:
        rounds = sorted({e.data["round"] for e in lineage.events() if e.kind == "trained"})
        raise ConfigError(
            f"round {round} has made no model; there are models of rounds {', '.join(map(str, rounds)) or '(none)'}"
        )
    last = found[-1]
    return Candidate(last["round"], last["attempt"], last["uri"], last["rows"])
