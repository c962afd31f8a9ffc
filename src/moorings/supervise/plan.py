"""A charter made ready to run: every component found, its settings checked, and the error budget within reach.

All of it happens before anything is sampled or trained, so that a misspelt setting costs a second and not a night.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from moorings.charter import Charter, Entry
from moorings.charter_run import GatePlan, MonitorUse, Otherwise, RunSection, Use
from moorings.errors import ConfigError, nearest
from moorings.improve.data import data_methods
from moorings.improve.training import defences, trainers
from moorings.monitors.behaviour import BehaviourConfig, BehaviourMonitor
from moorings.monitors.monitor import Monitor, monitors
from moorings.sampling.prompts import load_prompts
from moorings.subjects.spec import SubjectSpec, parse_uri, subject_backends
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
    inputs: dict[str, str]
    """SHA-256 of the prompt files that the charter names, by its key."""


def make_plan(charter: Charter, folder: Path, *, trains: bool = True) -> RunPlan:
    """Check a charter for a run.

    Args:
        charter: With a section `run`.
        folder: Where it lies.
        trains: Whether the run makes its models itself, so that `data` and `train` are needed.

    Raises:
        ConfigError: There is no such section, a component or setting is unknown, nothing is watched, two monitors share a
            name, a tolerance can never be left, or the error budget cannot be reached with the sample budget.
        InputError: A file that the charter names cannot be read.
    """
    section = charter.run
    if section is None:
        raise ConfigError("the charter has no section 'run'; write run: with subject, data, train and gate")
    _check_subject(section)
    if trains:
        for change in (None, *section.changes, section.retry):
            _check_methods(section, change)
    watched = (*_entries(charter), *(_watched(use, folder) for use in section.monitors))
    _check_names(watched)
    questions = GateQuestions(section, folder)
    _check_supply(section, watched, questions)
    check_plan(section.gate, [w.stream for w in watched], section.rounds)
    for one in watched:
        _check_behaviour(section.gate, one, len(watched), section.rounds, questions)
    return RunPlan(charter, section, folder, watched, questions, _inputs(section, folder, questions))


def _check_subject(section: RunSection) -> None:
    """The subject's scheme and the sampler's settings, without opening anything."""
    scheme, _ = parse_uri(section.subject)
    if scheme not in subject_backends.names():
        raise ConfigError(f"unknown subject scheme {scheme!a}; {nearest(scheme, subject_backends.names())}")
    allowed = [name for name in SubjectSpec.model_fields if name != "uri"]
    for name in section.sampler:
        if name not in allowed:
            raise ConfigError(f"run.sampler: unknown setting {name!a}; {nearest(name, allowed)}")
    try:
        SubjectSpec.model_validate({**section.sampler, "uri": section.subject})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ConfigError(f"run.sampler: {place} is {fault['input']!a:.60}: {fault['msg']}") from None


def _check_methods(section: RunSection, change: Otherwise | None) -> None:
    data, train, defend = section.changed(change)
    if not data or train is None:
        raise ConfigError(
            "a run that trains needs data and train; name at least one data method and a trainer with use:"
        )
    for use in data:
        data_methods.make(use)
    trainers.make(train)
    for use in defend:
        defences.make(use)


def _inputs(section: RunSection, folder: Path, questions: GateQuestions) -> dict[str, str]:
    found = {} if questions.sha256 is None else {"gate_prompts": questions.sha256}
    if section.prompts is not None:
        found["prompts"] = load_prompts(folder / section.prompts).sha256
    return found


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


_MOST_RANKS = 0.5
"""Largest mean difference of ranks: every answer of the candidate above every one of the anchor."""
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
    if gate.budget % gate.look and gate.budget > gate.look:
        below = gate.budget - gate.budget % gate.look
        raise ConfigError(
            f"gate: budget {gate.budget} is no multiple of look {gate.look}; write {below} or {below + gate.look}"
        )
    n_tries = section.rounds + gate.retries
    # What a first look discovers has its budget from the second look on.
    general = gate.budget + (gate.look if gate.discover else 0)
    supplies = [("the sealed gate prompts", questions.n, general)]
    supplies += [(repr(w.name), w.monitor.n_units, gate.budget) for w in watched if w.monitor.n_units is not None]
    for name, n, a_try in supplies:
        wanted = gate.spent + n_tries * a_try
        if n < wanted:
            raise ConfigError(
                f"{section.rounds} rounds and {gate.retries} retries of at most {a_try} prompts"
                f"{f' after {gate.spent} that are spent' if gate.spent else ''} need {wanted} fresh ones, "
                f"{name} has {n}; lower rounds or gate.budget, or give more"
            )


def _check_behaviour(gate: GatePlan, one: Watched, n_watched: int, n_rounds: int, questions: GateQuestions) -> None:
    """What only a monitor of the general prompts can be asked: whether its tolerance can be left, and its groups suffice."""
    if not isinstance(one.monitor, BehaviourMonitor):
        return
    config = one.monitor.config
    if not one.monitor.behaviour.binary and config.low is None and one.tolerance >= _MOST_RANKS:
        raise ConfigError(
            f"{one.name!a}: tolerance {one.tolerance:g} can never be left, as ranks differ by at most {_MOST_RANKS:g}; lower it "
            "(charter entries: tolerance.sd), or give low and high to a monitor: use: behaviour"
        )
    if config.groups is None:
        return
    if unknown := sorted(set(config.groups) - questions.groups):
        raise ConfigError(
            f"{one.name!a}: no gate prompt is of group {unknown[0]!a}; {nearest(unknown[0], questions.groups)}"
        )
    share = questions.share_of(config.groups)
    try:
        n_units = int(gate.budget * share)
        fitting = gate.model_copy(update={"budget": n_units, "look": min(gate.look, n_units)})
        check_plan(fitting, [one.stream] * n_watched, n_rounds)
    except ConfigError as error:
        raise ConfigError(
            f"{one.name!a}: {share:.0%} of the gate prompts are of its groups, {n_units} of a round's {gate.budget}. {error}"
        ) from None
