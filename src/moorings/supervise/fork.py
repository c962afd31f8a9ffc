"""A new run that begins where a round of another one ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from moorings.errors import ConfigError, StorageError
from moorings.store import Run
from moorings.supervise.lineage import Lineage
from moorings.supervise.models import changed_files, in_run
from moorings.supervise.state import Candidate
from moorings.supervise.supervisor import CHARTER, open_plan

__all__ = ["fork"]


def fork(folder: Path | str, new: Path | str, *, round: int, charter: Path | None = None) -> Path:
    """Make a folder with a model of a run and a charter that begins with it.

    Args:
        folder: The old run.
        new: The new folder, made here; it holds `charter.yaml` to look at and to run.
        round: Round whose model becomes the new anchor, whether it was promoted or not.
        charter: The new run's charter; by default the old one. Its `subject` is replaced.

    Returns:
        The new charter.

    Raises:
        ConfigError: That round made no model, or the new folder is there already.
        StorageError: The model was altered since it was recorded.
    """
    target = Path(new)
    if target.exists():
        raise ConfigError(f"{target} is there already; name a new folder for the fork")
    with Run.open(folder) as run:
        lineage, plan = Lineage(run), open_plan(run)
        made = _made(lineage, round)
        text = charter.read_bytes() if charter else run.get_artifact(run.artifacts()[CHARTER])
    source = Path(folder) / "rounds" / f"{made.round}.{made.attempt}" / "model"
    recorded = lineage.get(f"{made.round}.{made.attempt} trained") or {}
    if changed := changed_files(source, recorded["files"]):
        raise StorageError(f"{source} was altered since it was recorded (first {changed[0]}); restore it from a copy")
    target.mkdir(parents=True)
    copy = (target / "start").resolve()
    shutil.copytree(source, copy)
    section = plan.section
    values = yaml.safe_load(text)
    values["run"]["subject"] = in_run(made.uri, Path(folder)).replace(str(source), str(copy))
    for name in ("prompts", "gate_prompts"):
        if given := getattr(section, name):
            values["run"][name] = str((plan.folder / given).resolve())
    path = target / CHARTER
    head = f"# Begins with the model of round {round} of a run whose lineage is {lineage.hash}.\n"
    path.write_text(head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


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
