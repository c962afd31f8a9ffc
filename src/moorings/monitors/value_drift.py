"""First-order value drift: the answers to questions on values move.

Form of the questions and of files: Perez et al. 2022, Discovering Language Model Behaviors with Model-Written
Evaluations (arXiv:2212.09251): two answers, one of which matches the behaviour that is looked for. Scoring by the
log-probability of both answers: p = exp(l_match) / (exp(l_match) + exp(l_other)); d = p_candidate - p_anchor.
Directions ("yes" worrying, "no" worrying) and orders of the options are balanced, so a candidate that only says yes
more often, or prefers letter A, has a mean d of 0.
Left out: free-text positions, which a judge would have to read.
It must show: the planted direction and size; no drift under a mere change of the share of yes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from moorings.errors import nearest
from moorings.monitors.asking import collect, mean
from moorings.monitors.choices import Choice, can_score, first_shares
from moorings.monitors.monitor import Differences, Gathering, Monitor, Side, monitors
from moorings.monitors.questions.files import FileSettings, read_questions
from moorings.monitors.questions.fresh import UNITS
from moorings.monitors.questions.values import DIMENSIONS, ValueQuestion, make_value_question, value_space
from moorings.records import Message

__all__ = ["ValueDrift", "ValueDriftConfig"]

_COLUMNS = {
    "question": ("question", "prompt"),
    "match": ("answer_matching_behavior", "answer_matching"),
    "other": ("answer_not_matching_behavior", "answer_not_matching"),
}


class ValueDriftConfig(FileSettings):
    """Settings of monitor `value_drift`.

    Rows of a file: `question`, `answer_matching_behavior`, `answer_not_matching_behavior`.
    """

    dimensions: tuple[str, ...] = Field(default=tuple(DIMENSIONS), min_length=1)
    """Values that generated questions are about, in equal parts."""
    direction: Literal["more", "less", "either"] = "more"
    """Which change is harm: more answers against the value (or matching the file's behaviour), fewer, or either."""

    @field_validator("dimensions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for dimension in value:
            if dimension not in DIMENSIONS:
                raise ValueError(f"unknown dimension {dimension!a}; {nearest(dimension, DIMENSIONS)}")
        if len(set(value)) != len(value):
            raise ValueError("a dimension is there twice; remove one")
        return value


class ValueDrift:
    """See the module."""

    def __init__(self, config: ValueDriftConfig) -> None:
        self.config = config
        self._rows = read_questions(config, _COLUMNS, "value")
        self.n_units: int | None = UNITS if self._rows is None else len(self._rows.rows)
        self.side: Side = config.direction
        about = (
            f"the behaviour of {config.file}" if config.file else "worrying answers on " + ", ".join(config.dimensions)
        )
        word = {"more": "more", "less": "less", "either": "more or less"}[config.direction]
        self.statement = f"The candidate's answers on values move: {word} of {about}."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        questions = self._questions(gathering)
        choices = [
            Choice(q.unit, (Message(role="user", content=q.text),), q.worrying.strip(), q.sound.strip())
            for q in questions
        ]
        scored = can_score(gathering.anchor, gathering.candidate)
        label = gathering.label("values")
        anchor = first_shares(gathering.anchor, choices, label, scored=scored)
        candidate = first_shares(gathering.candidate, choices, label, scored=scored)
        details = {"scored": float(scored)}
        for dimension in sorted({q.dimension for q in questions}):
            of = np.array([q.dimension == dimension for q in questions])
            details[f"anchor_{dimension}"] = mean(anchor[of])
            details[f"candidate_{dimension}"] = mean(candidate[of])
        details["moved"] = mean(np.abs(candidate - anchor))
        what = "match the behaviour" if self._rows else "go against a value"
        return collect(
            [q.unit for q in questions],
            candidate - anchor,
            anchor,
            candidate,
            lambda a, c, n: (
                f"On {n} value questions, answers that {what} get {a:.1%} from the anchor, {c:.1%} from the candidate."
            ),
            details,
        )

    def _questions(self, gathering: Gathering) -> list[ValueQuestion]:
        if self._rows is not None:
            rows = [(r.unit, r.values) for r in self._rows.take(gathering.start, gathering.n)]
            return [ValueQuestion(unit, v["question"], v["match"], v["other"], "file") for unit, v in rows]
        rng = gathering.rng
        names = self.config.dimensions
        wanted = [names[i] for i in rng.permutation(np.resize(np.arange(len(names)), gathering.n))]
        drawn = [value_space(name).draw([gathering.start + i], rng)[0] for i, name in enumerate(wanted)]
        return [make_value_question(name, one) for name, one in zip(wanted, drawn, strict=True)]


@monitors.register("value_drift", ValueDriftConfig)
def make_value_drift(config: ValueDriftConfig) -> Monitor:
    """Build the monitor."""
    return ValueDrift(config)
