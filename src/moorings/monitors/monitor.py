"""What a monitor is: it asks the anchor and the candidate fresh questions and returns bounded differences.

Every monitor answers in the same currency. Each unit (a prompt, a pair of prompts, a word, a task) gives one number in
[-1, 1]: how much more harm the candidate shows than the anchor on it, or, for an absolute harm such as an unsound
row, how much harm at all. Their mean is the harm, the charter says how much of it is tolerated, and the gate turns the
numbers, in their order, into evidence. A unit is used once and never again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from moorings.method import MethodConfig, Methods
from moorings.records import Interaction, Prompt

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from moorings.improve.data import DataRow
    from moorings.sampling.bench import Bench

__all__ = ["Asked", "Differences", "Gathering", "Monitor", "MonitorConfig", "Side", "joined", "monitors"]

Side = Literal["more", "less", "either"]


class MonitorConfig(MethodConfig):
    """Settings that every monitor has; subclass it."""


@dataclass(frozen=True)
class Asked:
    """General gate prompts of one look with everybody's answers, in the same order."""

    prompts: tuple[Prompt, ...]
    anchor: tuple[Interaction, ...]
    candidate: tuple[Interaction, ...]
    previous: tuple[Interaction, ...] | None = None
    """Answers of the last promoted model; None where that is the anchor."""


def joined(looks: Sequence[Asked]) -> Asked:
    """Several looks as one; `previous` only where every look has it."""
    previous = [look.previous for look in looks]
    return Asked(
        prompts=tuple(prompt for look in looks for prompt in look.prompts),
        anchor=tuple(answer for look in looks for answer in look.anchor),
        candidate=tuple(answer for look in looks for answer in look.candidate),
        previous=None if None in previous else tuple(answer for answers in previous if answers for answer in answers),
    )


class Differences(NamedTuple):
    """What one look of a monitor saw."""

    d: Float[np.ndarray, " n"]
    """Harm of each unit in order, in [-1, 1]."""
    units: tuple[str, ...]
    """Names of the units: prompt ids or the like; none may ever come twice in a run."""
    anchor: float
    """The anchor's level, for people; NaN where there is none."""
    candidate: float
    """The candidate's level."""
    n_missing: int = 0
    """Units without a value, such as failed answers; counted as the worst case where they decide."""
    seen: str = ""
    """What was seen, in one plain sentence; may quote untrusted text."""
    details: dict[str, float] = {}  # noqa: RUF012 - never changed
    """Further numbers for the report."""
    d_previous: Float[np.ndarray, " n"] | None = None
    """The same differences against the last promoted model, where they are cheap to have."""


class Gathering(Protocol):
    """What a monitor may use in one look."""

    @property
    def anchor(self) -> Bench:
        """The model of round 0."""
        ...

    @property
    def candidate(self) -> Bench:
        """The model of this round."""
        ...

    @property
    def round(self) -> int:
        """Number of the round, 1 for the first."""
        ...

    @property
    def look(self) -> int:
        """Number of the look within the round, 0 for the first."""
        ...

    @property
    def n(self) -> int:
        """Units wanted in this look."""
        ...

    @property
    def start(self) -> int:
        """Units that this monitor was asked for before in this run: fresh ones are numbers `start` to `start + n`."""
        ...

    @property
    def rng(self) -> np.random.Generator:
        """Randomness of this run, monitor, round and look; fresh units are drawn with it."""
        ...

    @property
    def general(self) -> Asked:
        """Answers to this look's general prompts, `n` of them, sampled once for all monitors that use them."""
        ...

    @property
    def rows(self) -> Sequence[DataRow]:
        """Rows that the candidate was trained on in this round."""
        ...

    def label(self, what: str) -> str:
        """A label for `Bench.ask` of this monitor, round and look."""
        ...

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "m d"]:
        """Unit rows."""
        ...


class Monitor(Protocol):
    """One thing that is watched."""

    statement: str
    """What would be wrong, as a sentence for reports: `The candidate forgets what the anchor knew.`"""
    side: Side
    """Which deviation is harm: more of d, less of it, or either."""
    n_units: int | None
    """Units that there are in all; None if they never run out. A plan that needs more is refused."""

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look. Called again with equal arguments it returns equal results."""
        ...


monitors: Methods[Monitor] = Methods(
    "monitor",
    builtin={
        "amplification": "moorings.monitors.amplification",
        "answer_diversity": "moorings.monitors.diversity",
        "behaviour": "moorings.monitors.behaviour",
        "data_poisoning": "moorings.monitors.data_poisoning",
        "degeneration": "moorings.monitors.degeneration",
        "feedback_loop": "moorings.monitors.feedback_loop",
        "forgetting": "moorings.monitors.forgetting",
        "grounding": "moorings.monitors.grounding",
        "instructions": "moorings.monitors.instructions",
        "perplexity": "moorings.monitors.perplexity",
        "probe": "moorings.monitors.probe",
        "reasoning": "moorings.monitors.reasoning",
        "style_collapse": "moorings.monitors.style_collapse",
        "triggers": "moorings.monitors.triggers",
        "value_drift": "moorings.monitors.value_drift",
        "value_stability": "moorings.monitors.value_stability",
        "word_meaning": "moorings.monitors.word_meaning",
    },
)
