"""The looks of one try at the gate: fresh questions until every monitor is sure or its budget is spent.

Each monitor's differences are recorded before they count, and the gate is rebuilt from what was recorded, so a look that was
acknowledged is never taken again and never counted twice.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from moorings.errors import StorageError
from moorings.monitors.monitor import Differences, joined
from moorings.monitors.unknowns import LookTable, Unknown, UnknownMonitor, propose_unknowns
from moorings.records import Decision
from moorings.sampling.plan import derive_seed
from moorings.supervise.benches import LookAnswers, RoundGathering
from moorings.supervise.faults import FAULTS, fault_of
from moorings.supervise.gate import Gate, Stream
from moorings.supervise.lineage import Lineage
from moorings.supervise.plan import RunPlan, Watched
from moorings.supervise.round import RoundTry
from moorings.supervise.wishes import GATE

__all__ = ["GateKeeper"]

_MOST_AT_ONCE = 3
"""Discovered changes that are taken up after a round's first look, and again after its last."""
_FIRST = "first look"
_MOST_IN_ALL = 24
"""Discovered changes that are watched in a run."""


class GateKeeper:
    """The gate of a run with the monitors that feed it, as far as the lineage goes.

    Args:
        plan: Of the run.
        lineage: Of the run.

    Raises:
        StorageError: The recorded looks lead to other decisions than the recorded ones.
    """

    def __init__(self, plan: RunPlan, lineage: Lineage) -> None:
        self.plan, self.lineage = plan, lineage
        self.gate = Gate(plan.section.gate, [w.stream for w in plan.watched], plan.section.rounds)
        self.watched: dict[str, Watched] = {w.name: w for w in plan.watched}
        self._n_asked: dict[str, int] = {}
        self._n_general = plan.section.gate.spent
        self._n_now: dict[str, int] = {}
        """Units that each monitor was asked for in this try of the round."""
        self._tables = LookTable()
        self._at: tuple[int, int] = (0, 0)
        self._rolled_back = False
        self._waiting: list[Unknown] = []
        for event in lineage.events():
            self._replay(event.kind, event.data)

    def look_at(self, attempt: RoundTry) -> None:
        """Take looks until no monitor wants another; those that are recorded are not taken again."""
        self._enter(attempt.round, attempt.attempt)
        look, answers = 0, list[LookAnswers]()
        while True:
            opened = self.lineage.get(f"{attempt.key} look{look}")
            wanting = opened["monitors"] if opened else self._wanting(look)
            if not wanting:
                break
            with nullcontext() if self._taken(attempt, look, wanting) else attempt.phase(f"look {look + 1}"):
                answers.append(self._look(attempt, look, wanting))
                if look == 0:
                    self._discover(attempt, _FIRST, answers)
            look += 1
        if len(answers) > 1:
            self._discover(attempt, "all looks", answers)

    def _wanting(self, look: int) -> list[str]:
        """Monitors that get the next look; none once the round cannot be promoted, or for what would only be noted."""
        names = [name for name in self.watched if self._wants(name)]
        listed = {one.name for one in self.plan.watched}
        lost = look > 0 and any(self.gate.status(name) == "harm" for name in listed)
        only_noted = self.plan.section.gate.unlisted == "note" and look > 0 and listed.isdisjoint(names)
        return [] if lost or only_noted else names

    def _taken(self, attempt: RoundTry, look: int, wanting: list[str]) -> bool:
        """Whether all of a look is recorded."""
        recorded = [f"{attempt.key} look{look} {name}" for name in wanting]
        if look == 0 and self.plan.section.gate.discover and self._n_found() < _MOST_IN_ALL:
            recorded.append(f"{attempt.key} discovered on {_FIRST}")
        return all(self.lineage.get(key) is not None for key in recorded)

    def _n_found(self) -> int:
        """Discovered changes that are watched, or will be from the next try on."""
        return len(self.watched) - len(self.plan.watched) + len(self._waiting)

    def _wants(self, name: str) -> bool:
        """Whether a monitor gets another look; one that finds few units in a look, or none, has no more looks than others."""
        return self.gate.wants(name) and self._n_now.get(name, 0) < self.plan.section.gate.budget

    def _look(self, attempt: RoundTry, look: int, wanting: list[str]) -> LookAnswers:
        key = f"{attempt.key} look{look}"
        place = {"round": attempt.round, "attempt": attempt.attempt, "look": look}
        opened = self.lineage.get(key)
        if opened is None:
            opened = self.lineage.add(key, "opened", {**place, "monitors": wanting, "start": self._n_general})
            self._replay("opened", opened)
        n, section = self.plan.section.gate.look, self.plan.section
        answers = LookAnswers(
            self.plan.questions.take(opened["start"], n),
            look,
            section.gate.decoding,
            anchor=attempt.anchor,
            candidate=attempt.candidate,
            previous=attempt.previous,
        )
        for done, name in enumerate(wanting):
            if self.lineage.get(f"{key} {name}") is None:
                gathering = RoundGathering(
                    monitor=name,
                    anchor=attempt.anchor,
                    candidate=attempt.candidate,
                    round=attempt.round,
                    look=look,
                    n=n,
                    start=self._n_asked.get(name, section.gate.spent),
                    seed=section.seed,
                    rows=attempt.trained_rows(),
                    general=answers,
                    embed=attempt.embed,
                )
                seen = _measured(self.watched[name], gathering, self.lineage.folder)
                data = self.lineage.add(f"{key} {name}", "looked", {**place, "name": name, "n": n, **seen})
                self._replay("looked", data)
            attempt.observer.progress(done + 1, len(wanting), "monitors")
        for evidence in self.gate.evidence(attempt.round):
            attempt.observer.evidence(evidence)
        return answers

    def _discover(self, attempt: RoundTry, where: str, answers: list[LookAnswers]) -> None:
        """Propose changes that nobody listed; the answers that proposed them never count as evidence for them."""
        key = f"{attempt.key} discovered on {where}"
        n_found = self._n_found()
        gate = self.plan.section.gate
        if not gate.discover or n_found >= _MOST_IN_ALL or self.lineage.get(key) is not None:
            return
        asked = joined([one.asked for one in answers])
        embeddings = attempt.embed([answer.response for answer in (*asked.anchor, *asked.candidate)])
        found = propose_unknowns(
            asked,
            embeddings,
            n_most=min(_MOST_AT_ONCE, _MOST_IN_ALL - n_found),
            known={*self.watched, *(one.name for one in self._waiting)},
            seed=derive_seed(self.plan.section.seed, "discover") % 2**31,
        )
        data = {
            "round": attempt.round,
            "attempt": attempt.attempt,
            "watched": "now" if len(answers) == 1 else "next",
            "found": [one.model_dump(mode="json") for one in found],
        }
        self._replay("discovered", self.lineage.add(key, "discovered", data))

    def _enter(self, round: int, attempt: int) -> None:
        if (round, attempt) == self._at:
            return
        if round == self._at[0] and not self._rolled_back:
            self.gate.begin_again(round)
        else:
            if self._rolled_back:
                self.gate.begin_attempt()
            self.gate.begin_round(round)
        self._at, self._rolled_back, self._n_now = (round, attempt), False, {}
        for unknown in self._waiting:
            self._watch(unknown)
        self._waiting = []

    def decide(self, round: int, attempt: int) -> Decision:
        """What becomes of a round; asked again, the same."""
        self._enter(round, attempt)
        decision = self.gate.decide(round, attempt)
        self._rolled_back = decision.action == "rollback"
        return decision

    def _replay(self, kind: str, data: dict[str, Any]) -> None:
        """Bring the gate to where it was after an event."""
        match kind:
            case "opened":
                self._enter(data["round"], data["attempt"])
                self._n_general = data["start"] + self.plan.section.gate.look
            case "looked":
                self._enter(data["round"], data["attempt"])
                name, n = data["name"], data["n"]
                self._n_asked[name] = self._n_asked.get(name, self.plan.section.gate.spent) + n
                self._n_now[name] = self._n_now.get(name, 0) + n
                if data["broken"]:
                    self.gate.fail(data["round"], data["name"], data["broken"])
                    return
                self.gate.look(
                    data["round"],
                    data["name"],
                    np.asarray(data["d"], dtype=np.float64),
                    n_missing=data["n_missing"],
                    anchor=data["anchor"],
                    candidate=data["candidate"],
                    seen=data["seen"],
                    details=data["details"],
                    units=data["units"],
                )
            case "discovered":
                found = [Unknown.model_validate(one) for one in data["found"]]
                if data["watched"] == "now":
                    for one in found:
                        self._watch(one)
                else:
                    # The answers of this round are used up, so only the next candidate can be tested.
                    self._waiting += found
            case "decided" if data["by"] == GATE:
                self._decide_again(data)
            case "decided":
                self.gate.approve(data["round"], data["by"])
            case "taken_back":
                self.gate.take_back(data["to"])
            case _:
                return

    def _decide_again(self, data: dict[str, Any]) -> None:
        """The recorded looks must lead to the recorded decision, or everything after it would stand on another one."""
        decision = self.decide(data["round"], data["attempt"])
        if (decision.action, decision.back_to) != (data["action"], data["back_to"]):
            raise StorageError(
                f"round {data['round']}.{data['attempt']} of run {self.lineage.folder} was decided as {data['action']!a}, its "
                f"recorded looks now lead to {decision.action!a}; take the run up with the version of Moorings that began it, "
                "or fork it"
            )

    def _watch(self, unknown: Unknown) -> None:
        tolerance = self.plan.section.gate.unknown_tolerance
        self.watched[unknown.name] = Watched(unknown.name, UnknownMonitor(unknown, self._tables), tolerance)
        self.gate.add_stream(Stream(unknown.name, unknown.statement, tolerance, unknown.side))


def _measured(watched: Watched, gathering: RoundGathering, folder: Path) -> dict[str, Any]:
    """What a look of a monitor gave, as plain data; one that breaks says why, and its round is held."""
    try:
        return {**_plain(watched.monitor.measure(gathering)), "broken": ""}
    except FAULTS as error:
        return {"broken": f"it could not be measured: {fault_of(error, folder)}"}


def _plain(found: Differences) -> dict[str, Any]:
    """Differences as they are recorded.

    Raises:
        ValueError: They are no numbers in a row, or one is infinite.
    """
    d = np.asarray(found.d, dtype=np.float64)
    known = ~np.isnan(d)
    if d.ndim != 1 or np.isinf(d).any():
        raise ValueError(f"its differences have shape {d.shape} and {int(np.isinf(d).sum())} infinite values")
    return {
        "d": [round(float(value), 6) for value in d[known]],
        "n_missing": int(found.n_missing + (~known).sum()),
        "anchor": _or_none(found.anchor),
        "candidate": _or_none(found.candidate),
        "seen": str(found.seen),
        "details": {name: round(float(v), 6) for name, v in found.details.items() if np.isfinite(v)},
        "units": [str(unit) for unit in found.units],
    }


def _or_none(value: float | None) -> float | None:
    return round(float(value), 6) if value is not None and np.isfinite(value) else None
