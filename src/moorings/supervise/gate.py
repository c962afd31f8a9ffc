"""The gate: turns what monitors saw into promote, hold, rollback or stop, by a rule that was written beforehand.

A monitor gives, look by look, differences of fresh units in [-1, 1]. Two things are computed from them. Evidence over the
run, an e-process of `statistics.sequential.RunEvidence`, says whether a tolerance was ever left; bounds of this round's mean
say whether it lies within its tolerance now. Harm on a listed monitor: roll back or stop. All within: promote. Anything else
holds the round for a person: the gate never opens by accident.

Guarantees, for fresh units and any way of stopping (spec c5; Ville's inequality; `docs/gate.md`):

* A run of which no round leaves a tolerance is rolled back or stopped with probability at most `alpha`. Listed monitors share
  (1 - unknown_share) alpha equally; the j-th discovered one has 6 / (pi^2 j^2) of unknown_share alpha; each is divided among
  retries + 1 tries, since evidence starts afresh after a rollback.
* A round beyond a tolerance is promoted with probability at most `promote_alpha`. All monitors must agree to promote, so the
  one that is beyond its tolerance would have to be wrong: no division among monitors is needed.

The gate does no input or output and draws nothing: the same calls give the same decisions, so a run is resumed by replaying
its recorded looks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from moorings.charter_run import GatePlan
from moorings.errors import ConfigError, InputError
from moorings.records import Decision, Evidence, Interval
from moorings.statistics.sequential import SIGNS, RoundMean, RunEvidence, Side, Tally, checked, tally

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Gate", "Status", "Stream", "threshold"]

Status = Literal["harm", "fine", "undecided"]


class Stream(NamedTuple):
    """One thing that is watched, as the gate knows it."""

    name: str
    statement: str
    """What would be wrong, as a sentence. May quote untrusted text."""
    tolerance: float
    """Largest harm that does not matter, in (0, 1)."""
    side: Side
    """Which deviation of the mean difference is harm."""


def threshold(plan: GatePlan, n_listed: int, discovered: int | None = None) -> float:
    """E-value at which harm counts as shown.

    Args:
        plan: Error rates.
        n_listed: Streams that are known from the start.
        discovered: Number of a discovered stream, 1 for the first; None for a listed one.

    >>> round(threshold(GatePlan(alpha=0.05, retries=1, discover=False), 30))
    1200
    """
    if discovered is None:
        share = (1.0 - plan.unknown_share if plan.discover else 1.0) / n_listed
    else:
        share = plan.unknown_share * 6.0 / (math.pi**2 * discovered**2)
    tries = plan.retries + 1 if plan.on_stop == "rollback" else 1
    return tries / (plan.alpha * share)


@dataclass
class _Watch:
    """A stream with what was seen of it."""

    stream: Stream
    threshold: float
    discovered: bool
    evidence: RunEvidence
    mean: RoundMean
    shown: float = 0.0
    """Evidence with which harm was first shown in this try; 0 while it was not."""
    accepted: bool = False
    """A person approved a round in which this discovered change was shown."""
    looks: list[tuple[int, float | None, float | None]] = field(default_factory=list)
    """Units and both levels of each look of this round."""
    n: int = 0
    n_missing: int = 0
    total: float = 0.0
    faulty: bool = False
    seen: str = ""
    details: dict[str, float] = field(default_factory=dict)

    @property
    def harm(self) -> bool:
        return self.shown > 0

    @property
    def e_value(self) -> float:
        return max(self.evidence.value, self.shown)

    @property
    def status(self) -> Status:
        if self.harm:
            return "harm"
        return "fine" if self.n and self.mean.within else "undecided"

    @property
    def harm_mean(self) -> float:
        """This round's mean as harm, in tolerances."""
        return max(sign * self.total / self.n for sign in SIGNS[self.stream.side]) / self.stream.tolerance

    def begin(self, round: int, promote_alpha: float) -> None:
        self.evidence.begin_round(round)
        self.mean = RoundMean(promote_alpha, self.stream.tolerance, self.stream.side)
        self.looks, self.n, self.n_missing, self.total = [], 0, 0, 0.0
        self.faulty, self.seen, self.details = False, "", {}

    def afresh(self, n_rounds: int | None) -> None:
        self.evidence = RunEvidence(self.stream.tolerance, self.stream.side, n_rounds)
        self.shown = 0.0

    def level(self, which: Literal[1, 2]) -> float | None:
        """The anchor's (1) or candidate's (2) level over the round's looks."""
        known = [(look[0], value) for look in self.looks if (value := look[which]) is not None]
        n = sum(weight for weight, _ in known)
        return sum(weight * value for weight, value in known) / n if n else None


class Gate:
    """Judges the rounds of one run.

    Order of calls: `begin_round`, then `look` while `wants`, `fail` where a monitor broke, then `decide`; after a rollback
    `begin_attempt`; after a hold `approve` if a person says so. Evidence that is broken, late or contradictory raises nothing:
    it holds the round and is named in its rule.

    Args:
        plan: Error rates, budget and actions.
        streams: What is watched from the start, at least one.
        n_rounds: Rounds of the run; None where nobody knows, which makes late drifts slower to be shown.

    Raises:
        ConfigError: No streams, a name is there twice, or a tolerance is outside (0, 1).
    """

    def __init__(self, plan: GatePlan, streams: Sequence[Stream], n_rounds: int | None) -> None:
        if not streams:
            raise ConfigError("the gate has nothing to watch; give it at least one stream")
        self.plan, self.n_rounds = plan, n_rounds
        self.round = 0
        """The round that is open, or was decided last; 0 before the first."""
        self.tries_used = 0
        """Rollbacks so far."""
        self._n_listed = len(streams)
        self._watches: dict[str, _Watch] = {}
        self._open = False
        self._faults: list[tuple[str, str]] = []
        self._decision: Decision | None = None
        self._good = [0]
        self._units: set[tuple[str, str]] = set()
        for stream in streams:
            self._add(stream, None)

    def add_stream(self, stream: Stream) -> None:
        """Watch a discovered change from now on. Added in an open round, it takes part in that round.

        Raises:
            ConfigError: The name is taken, the tolerance is outside (0, 1), or the plan does not discover.
        """
        if not self.plan.discover:
            raise ConfigError(f"stream {stream.name!a} was discovered, but gate.discover is off; switch it on")
        self._add(stream, 1 + sum(watch.discovered for watch in self._watches.values()))

    def _add(self, stream: Stream, discovered: int | None) -> None:
        if stream.name in self._watches:
            raise ConfigError(f"two streams are named {stream.name!a}; give each its own name")
        evidence = RunEvidence(stream.tolerance, stream.side, self.n_rounds)
        mean = RoundMean(self.plan.promote_alpha, stream.tolerance, stream.side)
        bar = threshold(self.plan, self._n_listed, discovered)
        self._watches[stream.name] = watch = _Watch(stream, bar, discovered is not None, evidence, mean)
        if self._open:
            watch.begin(self.round, self.plan.promote_alpha)

    def begin_round(self, round: int) -> None:
        """Open a round; its candidate stands on the last promoted one before it.

        Raises:
            ConfigError: Another round is open, the number is out of range, or the last round stopped the run, was rolled back
                without `begin_attempt` since, or is held.
        """
        if self._open:
            raise ConfigError(f"round {self.round} is not decided yet; decide it before round {round} begins")
        if round < 1 or (self.n_rounds is not None and round > self.n_rounds):
            raise ConfigError(
                f"round {round} is not allowed; this run has rounds 1 to {self.n_rounds or 'as many as it likes'}"
            )
        self._check_order(round)
        self.round, self._open, self._decision = round, True, None
        self._good = [good for good in self._good if good < round]
        for watch in self._watches.values():
            watch.begin(round, self.plan.promote_alpha)

    def _check_order(self, round: int) -> None:
        before = self._decision.action if self._decision else None
        if before == "stop":
            raise ConfigError(f"round {self.round} ended the run; fork it to go on")
        if before == "rollback":
            raise ConfigError(f"round {self.round} was rolled back; begin another try before round {round}")
        if before == "hold" and round > self.round:
            raise ConfigError(f"round {self.round} is held; approve it before round {round} begins")

    def begin_attempt(self) -> None:
        """Start afresh after a rollback: no evidence, and the next part of the error budget.

        Raises:
            ConfigError: The last decision was no rollback.
        """
        if self._decision is None or self._decision.action != "rollback":
            raise ConfigError("another try begins only after a rollback; go on with the next round instead")
        if self.tries_used >= self.plan.retries:
            raise ConfigError(
                f"no tries are left: {self.plan.retries} are allowed in a run; end it, or raise gate.retries"
            )
        self.tries_used += 1
        self._decision = None
        for watch in self._watches.values():
            watch.afresh(self.n_rounds)

    def begin_again(self, round: int) -> None:
        """Open a round anew for another candidate, after one broke: its means start afresh, the run's evidence goes on.

        Raises:
            ConfigError: As `begin_round`.
        """
        self._open, self._faults = False, []
        self.begin_round(round)

    def take_back(self, to: int) -> None:
        """A person refuses the round that is open or held, or takes an earlier model again; 0 is the anchor.

        Later rounds are no places to roll back to any more. Unlisted changes that held the round are watched afresh: they
        lead to no stop, so that costs nothing of the error budget.
        """
        self._good = [good for good in self._good if good <= to]
        if self._open or (self._decision is not None and self._decision.action == "hold"):
            self._open, self._decision, self._faults = False, None, []
        for watch in self._watches.values():
            if watch.discovered and watch.harm and self.plan.unlisted != "stop":
                watch.afresh(self.n_rounds)

    def look(
        self,
        round: int,
        name: str,
        d: Float[np.ndarray, " n"] | Tally,
        n_missing: int = 0,
        *,
        anchor: float | None = None,
        candidate: float | None = None,
        seen: str = "",
        details: Mapping[str, float] | None = None,
        units: Sequence[str] = (),
    ) -> Status:
        """Take one look of a monitor into account.

        Args:
            round: The round that it belongs to.
            name: The stream.
            d: Differences in [-1, 1], in any order within the look, or how often each value came.
            n_missing: Units without a value: no harm where evidence of harm is counted, the worst case where a round is promoted.
            anchor: The anchor's level, for people.
            candidate: The candidate's level, for people.
            seen: What was seen, in one plain sentence.
            details: Further numbers for people; those that are not finite are left out.
            units: Names of the units, to be told if one comes twice in a run.

        Returns:
            The stream's status now; `undecided` for a look that could not be used, which holds the round.
        """
        watch = self._watches.get(name)
        if watch is None or not self._open or round != self.round:
            return self._misplaced(round, name, watch is not None)
        try:
            counted = checked(d) if isinstance(d, Tally) else tally(d)
        except (InputError, TypeError, ValueError) as error:
            return self._broken(watch, f"its differences cannot be used: {error}")
        if isinstance(n_missing, bool) or not isinstance(n_missing, int | np.integer) or n_missing < 0:
            return self._broken(watch, f"its number of missing units is {n_missing!a}")
        fresh = {(name, unit) for unit in units}
        if len(fresh) < len(units) or not self._units.isdisjoint(fresh):
            return self._broken(watch, "a unit came twice, so it is not fresh")
        self._units |= fresh
        n = self._count(watch, counted, int(n_missing))
        watch.looks.append((n, _finite(anchor), _finite(candidate)))
        watch.seen = seen or watch.seen
        if details is not None:
            watch.details = {key: value for key, value in details.items() if math.isfinite(value)}
        return watch.status

    def _count(self, watch: _Watch, seen: Tally, n_missing: int) -> int:
        n = seen.n
        watch.n += n
        watch.n_missing += n_missing
        watch.total += seen.total
        watch.mean.add(seen, n_missing)
        watch.evidence.add(seen)
        if n_missing:
            watch.evidence.add(Tally(np.zeros(1), np.array([n_missing])))
        value = watch.evidence.value
        if not watch.harm and value >= watch.threshold:
            watch.shown = value
        return n

    def _misplaced(self, round: int, name: str, known: bool) -> Status:
        now = f"round {self.round} is {'open' if self._open else 'decided'}"
        self._faults.append(
            (name, f"evidence of round {round} came while {now}" if known else "nobody knows this monitor")
        )
        return "undecided"

    def _broken(self, watch: _Watch, cause: str) -> Status:
        watch.faulty = True
        self._faults.append((watch.stream.name, cause))
        return "undecided"

    def fail(self, round: int, name: str, cause: str) -> None:
        """Note that a monitor broke: the round will be held, naming the cause."""
        watch = self._watches.get(name)
        if watch is None or not self._open or round != self.round:
            self._misplaced(round, name, watch is not None)
        self._faults.append((name, cause))
        if watch is not None:
            watch.faulty = True

    def wants(self, name: str) -> bool:
        """Whether a stream still wants units in this round: one look at least, then while undecided and within the budget.

        Raises:
            ConfigError: No such stream.
        """
        watch = self._watch(name)
        spent = watch.n + watch.n_missing
        unsettled = watch.status == "undecided" and spent < self.plan.budget
        return self._open and not watch.faulty and (spent == 0 or unsettled)

    def left(self, name: str) -> int:
        """Units of this round's budget that a stream has not spent."""
        watch = self._watch(name)
        return max(self.plan.budget - watch.n - watch.n_missing, 0)

    def status(self, name: str) -> Status:
        """A stream's status in this round."""
        return self._watch(name).status

    def _watch(self, name: str) -> _Watch:
        if name not in self._watches:
            raise ConfigError(f"no stream is named {name!a}; add it first")
        return self._watches[name]

    def evidence(self, round: int) -> list[Evidence]:
        """What was accumulated up to now, of each stream with units in this round.

        Raises:
            ConfigError: It is not the round that is open or was decided last.
        """
        if round != self.round:
            raise ConfigError(
                f"evidence of round {round} is no longer here; keep it when it is made, now is {self.round}"
            )
        return [_evidence(watch, round) for watch in self._watches.values() if watch.n]

    def decide(self, round: int, attempt: int = 0) -> Decision:
        """What becomes of the round; asked again, the same.

        Raises:
            ConfigError: It is not the round that is open or was decided last.
        """
        if round != self.round or (self._decision is None and not self._open):
            raise ConfigError(f"round {round} is not open; begin it first")
        if self._decision is None:
            action, rule, causes = self._judge()
            back_to = self._good[-1] if action == "rollback" else None
            if back_to is not None:
                rule = f"Rolled back to {f'round {back_to}' if back_to else 'the anchor'}. {rule}"
            self._decision = Decision(
                round=round, attempt=attempt, action=action, rule=rule, causes=tuple(causes), back_to=back_to
            )
            self._open, self._faults = False, []
            if action == "promote":
                self._good.append(round)
        return self._decision

    def _judge(self) -> tuple[Literal["promote", "hold", "rollback", "stop"], str, list[str]]:
        watches = self._watches.values()
        harmful = [watch for watch in watches if watch.harm and not watch.faulty]
        listed = [watch for watch in harmful if not watch.discovered]
        unlisted = [watch for watch in harmful if self._blocks(watch) and watch.discovered]
        if listed:
            said = " ".join(_harm(watch) for watch in listed[:3])
            if self.plan.on_stop == "rollback":
                return "rollback", said, _names(listed)
            return "stop", f"Stopped. {said}", _names(listed)
        if unlisted and self.plan.unlisted == "stop":
            return "stop", "Stopped by an unlisted change. " + _harm(unlisted[0]), _names(unlisted)
        if self._faults:
            said = "; ".join(f"{name}: {cause}" for name, cause in self._faults[:3])
            return "hold", f"Held, because evidence is broken. {said}.", list(dict.fromkeys(f[0] for f in self._faults))
        without = [watch for watch in watches if not watch.n and self._blocks(watch)]
        if without:
            return "hold", f"Held: no evidence of {_list(without)} in this round.", _names(without)
        if unlisted:
            return "hold", "Held by an unlisted change. " + _harm(unlisted[0]), _names(unlisted)
        open_ = [watch for watch in watches if watch.status == "undecided" and self._blocks(watch)]
        if open_:
            return "hold", f"Held: {_list(open_)} could not be settled. {_open(_worst(open_))}", _names(open_)
        return "promote", self._promoted(), []

    def _blocks(self, watch: _Watch) -> bool:
        """Whether a stream must be fine before a round is promoted."""
        return not watch.discovered or (self.plan.unlisted != "note" and not watch.accepted)

    def _promoted(self) -> str:
        said = "Promoted: every mean lies within its tolerance. "
        said += "Nearest to it: " + _place(_worst([watch for watch in self._watches.values() if self._blocks(watch)]))
        noted = [watch for watch in self._watches.values() if watch.harm]
        return said + (f" Noted unlisted changes: {_list(noted)}." if noted else "")

    def approve(self, round: int, who: str, reason: str = "") -> Decision:
        """Turn a hold into a promotion by a person. Unlisted changes that were shown in it count as accepted from then on.

        An approved round is no place to roll back to: nothing showed that it lies within its tolerances.

        Raises:
            ConfigError: The round is not held.
        """
        held = self._decision
        if held is None or held.round != round or held.action != "hold":
            raise ConfigError(
                f"round {round} is not held, so there is nothing to approve; the last one was {self.round}"
            )
        rule = f"Approved by {who}{f': {reason}' if reason else ''}. {held.rule}"
        self._decision = held.model_copy(update={"action": "promote", "by": who, "rule": rule})
        for watch in self._watches.values():
            watch.accepted = watch.accepted or (watch.discovered and watch.harm)
        return self._decision


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _evidence(watch: _Watch, round: int) -> Evidence:
    low, high = watch.mean.ends()
    return Evidence(
        monitor=watch.stream.name,
        statement=watch.stream.statement,
        round=round,
        side=watch.stream.side,
        tolerance=watch.stream.tolerance,
        n_units=watch.n,
        n_missing=watch.n_missing,
        mean=watch.total / watch.n,
        interval=Interval(low=low, high=high, level=1.0 - 2.0 * watch.mean.alpha),
        e_value=watch.e_value,
        threshold=watch.threshold,
        status=watch.status,
        anchor=watch.level(1),
        candidate=watch.level(2),
        seen=watch.seen,
        details=watch.details,
    )


def _names(watches: Sequence[_Watch]) -> list[str]:
    return [watch.stream.name for watch in watches]


def _list(watches: Sequence[_Watch]) -> str:
    named = ", ".join(f"'{name}'" for name in _names(watches)[:5])
    return named + (f" and {len(watches) - 5} more" if len(watches) > 5 else "")


def _worst(watches: Sequence[_Watch]) -> _Watch:
    """The stream whose mean is nearest to its tolerance or furthest beyond."""
    return max(watches, key=lambda watch: watch.harm_mean)


def _place(watch: _Watch) -> str:
    """Where a stream's mean lies in this round."""
    if not watch.n:
        return f"'{watch.stream.name}' has no units in this round."
    low, high = watch.mean.ends()
    sign = {"more": "", "less": "-", "either": "+-"}[watch.stream.side]
    return (
        f"'{watch.stream.name}', mean {watch.total / watch.n:.3f} between {low:.3f} and {high:.3f} over {watch.n} units, "
        f"tolerance {sign}{watch.stream.tolerance:g}."
    )


def _harm(watch: _Watch) -> str:
    return (
        f"Evidence over the run that '{watch.stream.name}' left its tolerance is {watch.e_value:,.3g}, "
        f"harm counts as shown from {watch.threshold:,.0f}. In this round: {_place(watch)}"
    )


def _open(watch: _Watch) -> str:
    return f"Furthest out: {_place(watch)}"
