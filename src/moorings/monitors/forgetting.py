"""Forgetting: what the anchor could answer and the candidate no longer can.

Source: the measure of forgetting of continual learning, the fall of the score on earlier tasks (Chaudhry et al. 2018,
arXiv:1801.10112), here per question against round 0. Equation: d = correct(anchor) - correct(candidate), each 0 or 1.
Left out: the maximum over earlier rounds, because picking the best round would favour harm by chance.
It must show: a candidate that lost a share x of what the anchor knew has a mean d of x times the anchor's level.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from moorings.errors import nearest
from moorings.monitors.asking import ask_both, collect, mean, read, user_prompt
from moorings.monitors.monitor import Differences, Gathering, Monitor, Side, monitors
from moorings.monitors.questions.files import FileSettings, read_questions
from moorings.monitors.questions.fresh import UNITS
from moorings.monitors.questions.knowledge import KINDS, Known, is_correct, make_known, space
from moorings.records import Decoding

__all__ = ["Forgetting", "ForgettingConfig"]


class ForgettingConfig(FileSettings):
    """Settings of monitor `forgetting`. Rows of a file: `prompt` and `answer`."""

    kinds: tuple[str, ...] = Field(default=tuple(KINDS), min_length=1)
    """Kinds of generated question, asked in equal parts."""
    scoring: Literal["containment", "exact"] = "containment"
    """Whether an answer must hold the right words or be them, apart from case, accents and punctuation."""
    max_new_tokens: int = Field(default=24, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=0.0, ge=0)
    """0 asks for the likeliest answer, which measures knowledge with the least noise."""

    @field_validator("kinds")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for kind in value:
            if kind not in KINDS:
                raise ValueError(f"unknown kind {kind!a}; {nearest(kind, KINDS)}")
        if len(set(value)) != len(value):
            raise ValueError("a kind is there twice; remove one")
        return value


class Forgetting:
    """See the module."""

    statement = "The candidate no longer answers what the anchor could answer."
    side: Side = "more"

    def __init__(self, config: ForgettingConfig) -> None:
        self.config = config
        self._rows = read_questions(
            config, {"prompt": ("prompt", "question"), "answer": ("answer", "target")}, "forgetting"
        )
        self.n_units: int | None = UNITS if self._rows is None else len(self._rows.rows)

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        kinds, questions = self._questions(gathering)
        prompts = [user_prompt(known.unit, known.text, system=known.who) for known in questions]
        decoding = Decoding(max_new_tokens=self.config.max_new_tokens, temperature=self.config.temperature)
        answers = ask_both(gathering, prompts, "known", decoding)
        exact = self.config.scoring == "exact"
        scores = []
        for rows in answers:
            score = np.full(len(questions), np.nan)
            for i, (known, row) in enumerate(zip(questions, rows, strict=True)):
                score[i] = read(row, lambda text, known=known: is_correct(text, known, exact=exact))[0]  # type: ignore[misc]
            scores.append(score)
        anchor, candidate = scores
        details = {"lost": mean(np.where(anchor == 1, 1 - candidate, np.nan))}
        details["gained"] = mean(np.where(anchor == 0, candidate, np.nan))
        for kind in sorted(set(kinds)):
            of_kind = np.array([one == kind for one in kinds])
            details[f"anchor_{kind}"] = mean(anchor[of_kind])
            details[f"candidate_{kind}"] = mean(candidate[of_kind])
        return collect(
            [known.unit for known in questions],
            anchor - candidate,
            anchor,
            candidate,
            lambda a, c, n: (
                f"Of {n} questions with known answers the anchor answers {a:.1%} rightly, the candidate {c:.1%}."
            ),
            details,
        )

    def _questions(self, gathering: Gathering) -> tuple[list[str], list[Known]]:
        if self._rows is not None:
            rows = self._rows.take(gathering.start, gathering.n)
            known = [Known(row.unit, "", row.values["prompt"], (row.values["answer"],)) for row in rows]
            return ["file"] * len(known), known
        rng = gathering.rng
        names = self.config.kinds
        kinds = [names[i] for i in rng.permutation(np.resize(np.arange(len(names)), gathering.n))]
        drawn = [space(kind).draw([gathering.start + i], rng)[0] for i, kind in enumerate(kinds)]
        return kinds, [make_known(kind, one) for kind, one in zip(kinds, drawn, strict=True)]


@monitors.register("forgetting", ForgettingConfig)
def make_forgetting(config: ForgettingConfig) -> Monitor:
    """Build the monitor."""
    return Forgetting(config)
