"""The charter's section `run`: how a model improves itself, who watches, and when it is stopped.

Methods, defences and monitors are named with `use:`; what else stands in their entry are the settings of that
component, checked by it before anything runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from moorings.records import Decoding, Record

__all__ = ["GatePlan", "MonitorUse", "Otherwise", "RoundChange", "RunSection", "Use"]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
_EMPTY = BeforeValidator(lambda value: () if value is None else value)


class _Part(Record):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Use(Record):
    """One component by name, with its settings beside it."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    use: Text
    """Registered name; `moorings methods` lists them."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class MonitorUse(Use):
    """One thing that is watched, and how much of it is tolerated."""

    tolerance: float = Field(gt=0, lt=1)
    """Largest harm that does not matter, in the monitor's unit: a mean of differences between -1 and 1."""
    name: Text | None = None
    """For reports; the component's name by default. Needed where one component is used twice."""


class GatePlan(_Part):
    """How rounds are judged: error rates, sample sizes, and what is done."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance that a run of which no round ever leaves a tolerance is stopped or rolled back, over all rounds and monitors."""
    promote_alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance that a round beyond a tolerance is promoted, whatever the number of monitors: all must agree."""
    look: int = Field(default=64, ge=8)
    """Fresh prompts a monitor gets at each look."""
    budget: int = Field(default=1024, ge=8)
    """Fresh prompts that a monitor may spend in a round, a multiple of `look`; after that the round is held."""
    spent: int = Field(default=0, ge=0)
    """Gate prompts that a run spent which this one goes on from, so that none is asked again; `moorings fork` fills it in."""
    decoding: Decoding = Decoding(max_new_tokens=64)
    """How gate prompts are answered."""
    on_stop: Literal["rollback", "stop"] = "rollback"
    """What follows when harm is shown: back to the last good round and another try, or the end of the run."""
    retries: int = Field(default=1, ge=0, le=20)
    """Tries after a rollback, over the whole run; the error budget is divided among them. Without use under `stop`."""
    discover: bool = True
    """Search each round for changes that nobody listed, and watch what is found from then on."""
    unknown_tolerance: float = Field(default=0.15, gt=0, lt=1)
    """Tolerance of what is discovered."""
    unknown_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of alpha that is kept for what is discovered."""
    compare: bool = True
    """Compare all answers of each round as `moorings diff` does, for people; the gate does not need it."""
    unlisted: Literal["note", "hold", "stop"] = "hold"
    """What a confirmed change leads to that no entry of the charter speaks of."""


class Otherwise(_Part):
    """What replaces the run's own methods."""

    data: Annotated[tuple[Use, ...], Field(strict=False, min_length=1)] | None = None
    train: Use | None = None
    defences: Annotated[tuple[Use, ...], Field(strict=False)] | None = None


class RoundChange(Otherwise):
    """What replaces the run's own methods at the first try of one round."""

    round: int = Field(ge=1)


class RunSection(_Part):
    """A run of self-improvement under supervision."""

    subject: Text
    """URI of the model at round 0, the anchor that every round is compared with."""
    rounds: int = Field(default=3, ge=1, le=10_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    prompts: Text | None = None
    """File of prompts that training data is made from, relative to the charter."""
    gate_prompts: Text | None = None
    """File of sealed prompts, relative to the charter; by default they are generated afresh."""
    data: Annotated[tuple[Use, ...], Field(strict=False), _EMPTY] = ()
    """Ways in which data is made, filtered and mixed, in this order; not needed where another program trains."""
    train: Use | None = None
    """How the next model is trained on it; not needed where another program trains."""
    audit: Literal["note", "drop"] = "note"
    """Rows that the audit before training flags are trained on all the same, or left out."""
    defences: Annotated[tuple[Use, ...], Field(strict=False), _EMPTY] = ()
    """What keeps training from overwriting what was there."""
    monitors: Annotated[tuple[MonitorUse, ...], Field(strict=False), _EMPTY] = ()
    """Entries `unchanged` and `forbidden` of the charter are watched as well."""
    gate: GatePlan = GatePlan()
    sampler: dict[str, Any] = Field(default_factory=dict)
    """Settings of every opened subject: engine, precision, device, batch_size, threads, options."""
    changes: Annotated[tuple[RoundChange, ...], Field(strict=False), _EMPTY] = ()
    """What is done otherwise in single rounds, such as a planted fault in a drill."""
    retry: Otherwise | None = None
    """What is done otherwise when a round is tried again after a rollback, such as more human data."""

    def at(
        self, round: int, attempt: int, *, rolled_back: bool = False
    ) -> tuple[tuple[Use, ...], Use | None, tuple[Use, ...]]:
        """Data methods, trainer and defences of one try of a round.

        Args:
            round: From 1.
            attempt: Tries of this round before it.
            rolled_back: Whether one of those was rolled back, and did not merely break.
        """
        change: Otherwise | None = self.retry if rolled_back else None
        if attempt == 0:
            change = next((c for c in self.changes if c.round == round), None)
        return self.changed(change)

    def changed(self, change: Otherwise | None) -> tuple[tuple[Use, ...], Use | None, tuple[Use, ...]]:
        """Data methods, trainer and defences with some of them replaced."""
        if change is None:
            return self.data, self.train, self.defences
        return (
            self.data if change.data is None else change.data,
            change.train or self.train,
            self.defences if change.defences is None else change.defences,
        )

    @model_validator(mode="after")
    def _changes_are_rounds(self) -> RunSection:
        rounds = [change.round for change in self.changes]
        for round in rounds:
            if round > self.rounds:
                raise ValueError(f"changes name round {round}, but there are {self.rounds}; raise rounds or remove it")
            if rounds.count(round) > 1:
                raise ValueError(f"changes name round {round} twice; write one entry for it")
        return self

    @field_validator("subject")
    @classmethod
    def _is_uri(cls, value: str) -> str:
        if ":" not in value:
            raise ValueError(f"{value!a} is not a subject URI; write SCHEME:NAME, for example bundled:smollm2-135m")
        return value
