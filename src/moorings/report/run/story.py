"""What a run report holds: frozen records that are built from a run's journal.

A story may be of a run that is still going on: what has not happened yet is None or empty, and is shown as missing.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from moorings.records import Decision, Evidence, Finding, IntentVerdict, Interval, Record, Verdict, content_hash
from moorings.report.wording import change, interval_text

__all__ = [
    "AttemptStory",
    "ChangeStory",
    "DataStory",
    "MonitorStory",
    "RoundStory",
    "RunStatus",
    "RunStory",
    "TrainingStory",
    "change_story",
]

RunStatus = Literal["running", "finished", "held", "stopped", "rolled back", "failed"]
"""Rolled back: the last round was undone and no try is left."""

_RELATIVE = re.compile(r"(?:[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+")


class DataStory(Record):
    """What a round was trained on, and where it came from."""

    n_rows: int
    origins: dict[str, int] = Field(default_factory=dict)
    """Rows by who wrote the response: `human`, `self`, `other model`, `template`."""
    methods: dict[str, int] = Field(default_factory=dict)
    """Rows by the data method that made or last changed them."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows that were left out, by reason."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Named numbers of the data methods."""
    flagged: dict[str, int] = Field(default_factory=dict)
    """Rows that the audit before training spoke of, by reason."""


class TrainingStory(Record):
    """What training did."""

    trainer: str | None = None
    n_steps: int | None = None
    n_tokens: int | None = None
    loss_start: float | None = None
    """Mean loss in nats a token at the start."""
    loss_end: float | None = None
    duration_s: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    """What the trainer and the defences logged."""


class ChangeStory(Record):
    """One change that discovery confirmed in a round."""

    statement: str
    """May quote untrusted text."""
    kind: str
    verdict: Verdict
    effect: str
    """The effect in words, such as `+12 points (+4 to +20 points)`."""
    intent: IntentVerdict = "not judged"
    key: str = ""
    """What makes it the same change in another round; the statement where empty."""
    estimate: float | None = None
    """The effect as a number, for the drawing of how it grew."""
    interval: Interval | None = None
    watched_as: str | None = None
    """Name of the monitor that watches it from then on."""

    @property
    def identity(self) -> str:
        """The key, or the statement."""
        return self.key or self.statement


class AttemptStory(Record):
    """One try of a round."""

    attempt: int = Field(default=0, ge=0)
    """Tries of this round before it."""
    subject: str | None = None
    """URI of the trained subject; None before there is one."""
    fingerprint: str | None = None
    phase: str | None = None
    """What is being done, while it goes on."""
    data: DataStory | None = None
    training: TrainingStory | None = None
    evidence: tuple[Evidence, ...] = ()
    decision: Decision | None = None
    """What holds now; None while the round goes on or after it failed."""
    earlier: tuple[Decision, ...] = ()
    """Decisions that the last one replaced, such as the hold before an approval."""
    findings: tuple[ChangeStory, ...] = ()
    discovered: bool = False
    """Whether the search for unlisted changes has ended; without it no finding means not searched."""
    diff_report: str | None = None
    """Path of the comparison's report.html, relative to the folder of this report."""
    duration_s: dict[str, float] = Field(default_factory=dict)
    """By phase, in the order of the phases."""
    error: str | None = None
    """Why the try failed, in a sentence."""

    @field_validator("diff_report")
    @classmethod
    def _is_relative(cls, value: str | None) -> str | None:
        if value is not None and not _RELATIVE.fullmatch(value):
            raise ValueError(
                f"{value!a:.200} is not a relative path of plain names; "
                "use letters, digits, '.', '_' and '-' between single slashes"
            )
        return value


class RoundStory(Record):
    """One round with all its tries, the first one first."""

    round: int = Field(ge=1)
    attempts: tuple[AttemptStory, ...] = ()


class MonitorStory(Record):
    """One thing that is watched."""

    name: str
    statement: str
    """What would be wrong, as a sentence. May quote untrusted text."""
    side: Literal["more", "less", "either"]
    tolerance: float
    since: int | None = None
    """Round that discovered it; None where the charter names it."""


class RunStory(Record):
    """A run of self-improvement, as far as it has come."""

    title: str
    purpose: str = ""
    run: str
    """Name or folder of the run, as `moorings verify` takes it."""
    status: RunStatus
    promoted_round: int | None = None
    """Round whose subject is promoted now; 0 is the anchor, None is not known."""
    n_rounds: int | None = None
    """Rounds that the charter plans."""
    anchor: str | None = None
    """URI of the model of round 0."""
    rounds: tuple[RoundStory, ...] = ()
    monitors: tuple[MonitorStory, ...] = ()
    lineage: str | None = None
    """Hash of the journal's last entry."""
    n_entries: int | None = None
    """Entries of the journal."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Seeds, sampler and other facts that are shown line by line."""
    charter: dict[str, Any] | None = None
    """The charter as given."""
    versions: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What a reader must know before the rest."""
    note: str = ""
    """How and when this report was made."""


def change_story(finding: Finding, watched_as: str | None = None) -> ChangeStory:
    """A confirmed finding as the story tells it; the same predicate and scope is the same change in every round."""
    effect = finding.effect
    return ChangeStory(
        statement=finding.statement,
        kind=finding.kind,
        verdict=finding.verdict,
        effect=f"{change(effect.estimate, effect.unit)} ({interval_text(effect.interval, effect.unit)})",
        intent=finding.intent.verdict,
        key=content_hash([finding.predicate, finding.scope]),
        estimate=effect.estimate,
        interval=effect.interval,
        watched_as=watched_as,
    )
