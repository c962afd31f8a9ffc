"""What a run report shows and in which order, whatever it is written in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from moorings.records import Decision, Evidence
from moorings.report.run.story import AttemptStory, ChangeStory, MonitorStory, RunStory
from moorings.report.wording import MINUS, number

__all__ = [
    "ACTIONS",
    "SIDES",
    "STATUSES",
    "Grown",
    "Headline",
    "Point",
    "Step",
    "Track",
    "decisions",
    "e_text",
    "grown",
    "headline",
    "outcome",
    "promoted_text",
    "share",
    "side_text",
    "steps",
    "tracks",
    "two",
]

ACTIONS = {
    "promote": ("good", "✓", "promoted"),
    "hold": ("warn", "‖", "held"),
    "rollback": ("bad", "↩", "rolled back"),
    "stop": ("bad", "■", "stopped"),
    "failed": ("bad", "✕", "failed"),
    "running": ("info", "…", "running"),
    "open": ("calm", "?", "no decision"),
}
"""Tone, sign and word of what became of a try."""

STATUSES = {"harm": ("bad", "◆", "harm shown"), "fine": ("good", "●", "fine"), "undecided": ("calm", "○", "undecided")}
"""Tone, sign and word of a monitor's evidence."""

SIDES = {"more": "above +", "less": "below \N{MINUS SIGN}", "either": "beyond ±"}
"""How harm is named beside a tolerance."""

_ENDS = {
    "running": ("info", "…", "Running"),
    "finished": ("good", "✓", "Finished"),
    "held": ("warn", "‖", "Held"),
    "stopped": ("bad", "■", "Stopped"),
    "rolled back": ("bad", "↩", "Rolled back"),
    "failed": ("bad", "✕", "Failed"),
}
_ORDER = {"harm": 0, "undecided": 1, "fine": 2}
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class Headline(NamedTuple):
    """The verdict: its tone, sign and word, one sentence, and why."""

    tone: str
    sign: str
    word: str
    sentence: str
    why: str
    """The rule or the error behind it. May quote untrusted text."""


class Step(NamedTuple):
    """One try, at its place among all tries of the run."""

    at: int
    """Place from 0."""
    round: int
    story: AttemptStory
    action: str
    """Key of `ACTIONS`."""

    @property
    def label(self) -> str:
        """The round, with a letter from its second try on: `2`, `2b`."""
        attempt = self.story.attempt
        return f"{self.round}{chr(ord('a') + attempt) if 0 < attempt < 26 else f'.{attempt}' if attempt else ''}"

    @property
    def name(self) -> str:
        """For headings."""
        return f"Round {self.round}" + (f", try {self.story.attempt + 1}" if self.story.attempt else "")

    @property
    def anchor(self) -> str:
        """Where the page tells of it."""
        return f"r{self.round}-{self.story.attempt}"


class Point(NamedTuple):
    """What a monitor saw in one try."""

    step: Step
    evidence: Evidence


class Track(NamedTuple):
    """A monitor through the run."""

    anchor: str
    monitor: MonitorStory
    points: tuple[Point, ...]

    @property
    def last(self) -> Evidence | None:
        """Its newest evidence."""
        return self.points[-1].evidence if self.points else None

    @property
    def worst(self) -> str:
        """The gravest status that it ever had; undecided without evidence."""
        return min((p.evidence.status for p in self.points), key=_ORDER.__getitem__, default="undecided")


class Grown(NamedTuple):
    """A discovered change through the run."""

    change: ChangeStory
    """As it was told last."""
    points: tuple[tuple[Step, ChangeStory], ...]
    track: Track | None
    """The monitor that watches it."""


def steps(story: RunStory) -> tuple[Step, ...]:
    """All tries in their order."""
    flat = [(r.round, a) for r in story.rounds for a in r.attempts]
    return tuple(Step(i, number, attempt, outcome(story, attempt)) for i, (number, attempt) in enumerate(flat))


def outcome(story: RunStory, attempt: AttemptStory) -> str:
    """What became of a try: its decision, or how it stands without one."""
    if attempt.decision is not None:
        return attempt.decision.action
    if attempt.error is not None:
        return "failed"
    return "running" if story.status == "running" else "open"


def headline(story: RunStory) -> Headline:
    """The verdict on the whole run."""
    tone, sign, word = _ENDS[story.status]
    all_steps = steps(story)
    last = all_steps[-1] if all_steps else None
    undone = sum(step.action == "rollback" for step in all_steps)
    if story.status == "finished" and last is not None and last.action != "promote":
        tone = "warn"
    where = f"round {last.round}" if last else "no round yet"
    planned = f" of {story.n_rounds}" if story.n_rounds else ""
    sentence = {
        "running": f"The run is in {where}{planned if last else ''}{_doing(last)}",
        "finished": f"The run finished after {_count(len(story.rounds), 'round')}",
        "held": f"The run is held in {where} and waits for a person",
        "stopped": f"The run was stopped in {where}",
        "rolled back": f"{where.capitalize()} was rolled back and no try is left",
        "failed": f"The run failed in {where} and holds",
    }[story.status]
    after = (
        f", after {_count(undone, 'rollback')} on the way" if undone and story.status in ("running", "finished") else ""
    )
    return Headline(tone, sign, word, f"{sentence}{after}; {promoted_text(story)} is promoted now.", _why(story, last))


def promoted_text(story: RunStory) -> str:
    """What is promoted, in words."""
    if story.promoted_round is None:
        return "it is not known which model"
    return f"the model of round {story.promoted_round}" if story.promoted_round else "the anchor, the model of round 0,"


def tracks(story: RunStory) -> tuple[Track, ...]:
    """All monitors with their evidence, in the charter's order; then those that only the evidence names."""
    found: dict[str, list[Point]] = {monitor.name: [] for monitor in story.monitors}
    known = {monitor.name: monitor for monitor in story.monitors}
    for step in steps(story):
        for evidence in step.story.evidence:
            found.setdefault(evidence.monitor, []).append(Point(step, evidence))
            known.setdefault(evidence.monitor, _unlisted(evidence))
    return tuple(Track(f"m{i}", known[name], tuple(points)) for i, (name, points) in enumerate(found.items()))


def grown(story: RunStory) -> tuple[Grown, ...]:
    """Discovered changes in the order in which they were first seen."""
    found: dict[str, list[tuple[Step, ChangeStory]]] = {}
    for step in steps(story):
        for change in step.story.findings:
            found.setdefault(change.identity, []).append((step, change))
    by_name = {track.monitor.name: track for track in tracks(story)}
    return tuple(Grown(points[-1][1], tuple(points), by_name.get(_watcher(points) or "")) for points in found.values())


def share(counts: Mapping[str, int], name: str) -> float:
    """Share of the counted rows that go by this name; NaN where nothing is counted.

    >>> share({"human": 1, "self": 3}, "self")
    0.75
    """
    total = sum(counts.values())
    return counts.get(name, 0) / total if total else math.nan


def side_text(monitor: MonitorStory) -> str:
    """Where harm begins.

    >>> side_text(MonitorStory(name="m", statement="", side="more", tolerance=0.1))
    'above +0.1'
    """
    return f"{SIDES[monitor.side]}{monitor.tolerance:.3g}"


def e_text(value: float) -> str:
    """An e-value; very large ones by their power of ten.

    >>> e_text(0.034), e_text(23.4), e_text(3.2e12), e_text(1e300), e_text(2e-9)
    ('0.034', '23.4', 'over 10¹²', 'over 10²⁹⁹', 'below 0.001')
    """
    if math.isnan(value):
        return "not known"
    if value >= 10_000:
        power = 299 if value >= 1e300 else math.floor(math.log10(value))
        return f"over 10{str(power).translate(_SUPERSCRIPT)}"
    return number(value) if value >= 0.001 or value == 0 else "below 0.001"


def two(value: float) -> str:
    """A number with two decimals, so that those of a column line up.

    >>> two(0.1), two(-0.001), two(math.nan)
    ('+0.10', '0.00', 'not known')
    """
    if not math.isfinite(value):
        return number(value)
    return f"{value:+.2f}".replace("-", MINUS) if abs(value) >= 0.005 else "0.00"


def _why(story: RunStory, last: Step | None) -> str:
    if last is None:
        return "No round has begun." if story.status == "running" else ""
    if last.story.error is not None:
        return last.story.error
    return last.story.decision.rule if last.story.decision else _last_rule(story)


def _last_rule(story: RunStory) -> str:
    """The newest decision's reason."""
    rules = [step.story.decision.rule for step in steps(story) if step.story.decision]
    return rules[-1] if rules else ""


def _doing(last: Step | None) -> str:
    if last is None or last.story.decision is not None:
        return ""
    attempt = f", try {last.story.attempt + 1}" if last.story.attempt else ""
    return f"{attempt}, at {last.story.phase}" if last.story.phase else attempt


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _unlisted(evidence: Evidence) -> MonitorStory:
    return MonitorStory(
        name=evidence.monitor,
        statement=evidence.statement,
        side=evidence.side,
        tolerance=evidence.tolerance,
        since=evidence.round,
    )


def _watcher(points: list[tuple[Step, ChangeStory]]) -> str | None:
    return next((change.watched_as for _, change in reversed(points) if change.watched_as), None)


def decisions(attempt: AttemptStory) -> Iterator[Decision]:
    """All decisions on a try, the first one first."""
    yield from attempt.earlier
    if attempt.decision is not None:
        yield attempt.decision
