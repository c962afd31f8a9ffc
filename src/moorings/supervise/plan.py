"""A charter made ready to run: every component found, its settings checked, and the error budget within reach.

All of it happens before anything is sampled or trained, so that a misspelt setting costs a second and not a night.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from moorings.charter import Charter, Entry
from moorings.charter_run import MonitorUse, RunSection, Use
from moorings.errors import ConfigError
from moorings.improve.data import data_methods
from moorings.improve.training import defences, trainers
from moorings.monitors.behaviour import BehaviourConfig, BehaviourMonitor
from moorings.monitors.monitor import Monitor, monitors
from moorings.supervise.budget import check_plan
from moorings.supervise.gate import Stream
from moorings.supervise.questions import GateQuestions

__all__ = ["RunPlan", "Watched", "make_plan"]


class Watched(NamedTuple):
    """A monitor with its place at the gate."""

    name: str
    monitor: Monitor
    tolerance: float

    @property
    def stream(self) -> Stream:
        """What the gate knows of it."""
        return Stream(self.name, self.monitor.statement, self.tolerance, self.monitor.side)


class RunPlan(NamedTuple):
    """All that a run needs, checked."""

    charter: Charter
    section: RunSection
    folder: Path
    """The charter's folder, from which relative paths start."""
    watched: tuple[Watched, ...]
    questions: GateQuestions


def make_plan(charter: Charter, folder: Path, *, trains: bool = True) -> RunPlan:
    """Check a charter for a run.

    Args:
        charter: With a section `run`.
        folder: Where it lies.
        trains: Whether the run makes its models itself, so that `data` and `train` are needed.

    Raises:
        ConfigError: There is no such section, a component or setting is unknown, nothing is watched, two monitors share a
            name, or the error budget cannot be reached with the sample budget.
        InputError: A file that the charter names cannot be read.
    """
    section = charter.run
    if section is None:
        raise ConfigError("the charter has no section 'run'; write run: with subject, data, train and gate")
    if trains:
        for round in range(1, section.rounds + 1):
            for attempt in (0, 1):
                _check_methods(section, round, attempt)
    watched = (*_entries(charter), *(_watched(use, folder) for use in section.monitors))
    _check_names(watched)
    questions = GateQuestions(section, folder)
    _check_supply(section, watched, questions)
    check_plan(section.gate, [w.stream for w in watched], section.rounds)
    return RunPlan(charter, section, folder, watched, questions)


def _check_methods(section: RunSection, round: int, attempt: int) -> None:
    data, train, defend = section.at(round, attempt)
    if not data or train is None:
        raise ConfigError(
            "a run that trains needs data and train; name at least one data method and a trainer with use:"
        )
    for use in data:
        data_methods.check(use)
    trainers.check(train)
    for use in defend:
        defences.check(use)


def _watched(use: MonitorUse, folder: Path) -> Watched:
    settings = {key: value for key, value in use.settings.items() if key not in ("tolerance", "name")}
    if isinstance(settings.get("file"), str):
        settings["file"] = str(folder / settings["file"])
    monitor = monitors.make(Use(use=use.use, **settings))
    return Watched(use.name or use.use, monitor, use.tolerance)


def _entries(charter: Charter) -> list[Watched]:
    """The charter's protected and forbidden behaviours, watched on the general prompts."""
    return [_of_entry(entry, charter) for entry in (*charter.unchanged, *charter.forbidden)]


def _of_entry(entry: Entry, charter: Charter) -> Watched:
    if entry.statement is not None:
        raise ConfigError(
            f"charter entry {entry.name!a}: a statement can only be checked by a judge model, which the gate does not ask; "
            "say it as feature, phrases or outcome, or watch it with a monitor"
        )
    settings = {key: value for key, value in entry.predicate.items() if key != "kind"}
    if entry.groups is not None:
        settings["groups"] = sorted(entry.groups)
    config = BehaviourConfig.model_validate({**settings, "direction": entry.direction})
    monitor = BehaviourMonitor(config)
    return Watched(entry.name, monitor, _tolerance(entry, charter, binary=monitor.behaviour.binary))


_RANKS_A_SD = 0.282
"""Shift of the mean rank among normal values for a small shift by one standard deviation: 1 / (2 sqrt(pi))."""


def _tolerance(entry: Entry, charter: Charter, *, binary: bool) -> float:
    if binary:
        return entry.tolerance or charter.tolerance.share
    if entry.tolerance is not None:
        raise ConfigError(
            f"charter entry {entry.name!a}: its tolerance counts {entry.feature}, the gate compares ranks; leave it out to take "
            f"{_RANKS_A_SD:g} x tolerance.sd, or watch it with a monitor: use: behaviour, feature: {entry.feature}, low, high, tolerance"
        )
    return _RANKS_A_SD * charter.tolerance.sd


def _check_names(watched: tuple[Watched, ...]) -> None:
    if not watched:
        raise ConfigError("nothing is watched; give monitors, or charter entries under unchanged or forbidden")
    seen: set[str] = set()
    for one in watched:
        if one.name in seen:
            raise ConfigError(f"two monitors are named {one.name!a}; give one another name with name:")
        seen.add(one.name)


def _check_supply(section: RunSection, watched: tuple[Watched, ...], questions: GateQuestions) -> None:
    """Enough fresh units for every round and retry, so that a run never ends for want of them."""
    gate = section.gate
    wanted = (section.rounds + gate.retries) * gate.budget
    supplies = {"the sealed gate prompts": questions.n, **{w.name: w.monitor.n_units for w in watched}}
    for name, n in supplies.items():
        if n is not None and n < wanted:
            raise ConfigError(
                f"{section.rounds} rounds and {gate.retries} retries of at most {gate.budget} prompts need {wanted} fresh ones, "
                f"{name} has {n}; lower rounds or gate.budget, or give more"
            )
