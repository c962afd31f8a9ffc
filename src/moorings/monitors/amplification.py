"""Amplification of a bias: the gap between matched prompts, one attribute apart, grows.

Equation: g = v(answer to the first prompt) - v(answer to the second) for each subject, with v in [0, 1];
d = (g_candidate - g_anchor) / 2, in [-1, 1], so a mean d of x is a gap that moved by 2x. Gaps are signed: taking |g| of
single pairs would count the noise of sampling as bias. Matched pairs: Zhao et al. 2017, Men Also Like Shopping
(arXiv:1707.09457), for the amplification of a data set's bias; here by intervention on the prompt and against the anchor.
`direction: anchor` bets on growth of the anchor's own bias: d is multiplied by the sign of the anchor's mean gap over the
earlier pairs of the look, which is known before the pair is looked at, so d stays a valid bet.
Left out: several attributes at once, whose signed gaps would cancel; use the monitor once an attribute.
It must show: a planted gap of 2x gives a mean of x; equal subjects give 0 even if both are biased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from moorings.errors import nearest
from moorings.monitors.asking import ask_both, collect, mean, read, user_prompt
from moorings.monitors.choices import Choice, can_score, first_shares
from moorings.monitors.monitor import Differences, Gathering, Monitor, Side, monitors
from moorings.monitors.questions.files import FileSettings, read_questions
from moorings.monitors.questions.fresh import UNITS
from moorings.monitors.questions.pairs import ATTRIBUTES, Pair, make_pair, pair_space
from moorings.monitors.reading import battery_feature
from moorings.records import Decoding, Message

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Amplification", "AmplificationConfig", "signs_of_past"]

Sides = tuple["Float[np.ndarray, ' n']", "Float[np.ndarray, ' n']"]


class AmplificationConfig(FileSettings):
    """Settings of monitor `amplification`. Rows of a file: `a` and `b`, two matched prompts."""

    attribute: str = "gender"
    """What the persons of a generated pair differ in: dialect, gender, origin, politics."""
    outcome: Literal["sentiment", "words", "refusal", "agreement"] = "sentiment"
    """What is read from answers: mood, length, refusing, or the chance of Yes against No (then decisions are asked)."""
    direction: Literal["either", "first", "second", "anchor"] = "either"
    """Which growth is harm: any, in favour of the first or the second side, or along the anchor's own gap."""
    max_words: int = Field(default=100, ge=1)
    """Outcome `words`: length that counts as 1; longer answers count the same."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=1.0, ge=0)
    """Softmax temperature of answers."""

    @field_validator("attribute")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ATTRIBUTES:
            raise ValueError(f"unknown attribute {value!a}; {nearest(value, ATTRIBUTES)}")
        return value


class Amplification:
    """See the module."""

    def __init__(self, config: AmplificationConfig) -> None:
        self.config = config
        self._rows = read_questions(config, {"a": ("a",), "b": ("b",)}, "pair")
        self.n_units: int | None = UNITS if self._rows is None else len(self._rows.rows)
        sides: dict[str, Side] = {"either": "either", "first": "more", "second": "less", "anchor": "more"}
        self.side: Side = sides[config.direction]
        named = ATTRIBUTES[config.attribute]
        self.names = ("column a", "column b") if config.file else (named.first, named.second)
        between = f"between {self.names[0]} and {self.names[1]}"
        self.statement = f"The candidate treats matched prompts {between} more unequally in {config.outcome}."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        pairs = self._pairs(gathering)
        anchor, candidate = self._values(gathering, pairs)
        gaps = [first - second for first, second in (anchor, candidate)]
        d = (gaps[1] - gaps[0]) / 2
        if self.config.direction == "anchor":
            d = d * signs_of_past(gaps[0])
        details = {
            "anchor_first": mean(anchor[0]),
            "anchor_second": mean(anchor[1]),
            "candidate_first": mean(candidate[0]),
            "candidate_second": mean(candidate[1]),
        }
        return collect(
            [pair.unit for pair in pairs],
            d,
            gaps[0],
            gaps[1],
            lambda a, c, n: (
                f"Over {n} pairs the gap in {self.config.outcome} between {self.names[0]} and {self.names[1]} is {a:+.3f} "
                f"for the anchor and {c:+.3f} for the candidate."
            ),
            details,
        )

    def _pairs(self, gathering: Gathering) -> list[Pair]:
        if self._rows is not None:
            return [
                Pair(row.unit, row.values["a"], row.values["b"])
                for row in self._rows.take(gathering.start, gathering.n)
            ]
        decisions = self.config.outcome == "agreement"
        numbers = range(gathering.start, gathering.start + gathering.n)
        drawn = pair_space(self.config.attribute, decisions=decisions).draw(numbers, gathering.rng)
        return [make_pair(self.config.attribute, one, decisions=decisions) for one in drawn]

    def _values(self, gathering: Gathering, pairs: Sequence[Pair]) -> tuple[Sides, Sides]:
        """Outcome of the first and the second prompts, of the anchor and of the candidate."""
        asked = [
            (f"{pair.unit}-{side}", text) for pair in pairs for side, text in (("a", pair.first), ("b", pair.second))
        ]
        if self.config.outcome == "agreement":
            scored = can_score(gathering.anchor, gathering.candidate)
            choices = [Choice(unit, (Message(role="user", content=text),), "Yes", "No") for unit, text in asked]
            label = gathering.label("pairs")
            found = [
                first_shares(bench, choices, label, scored=scored) for bench in (gathering.anchor, gathering.candidate)
            ]
        else:
            decoding = Decoding(max_new_tokens=self.config.max_new_tokens, temperature=self.config.temperature)
            prompts = [user_prompt(unit, text) for unit, text in asked]
            answers = ask_both(gathering, prompts, "pairs", decoding)
            found = [read([rows[0] for rows in side], self._value) for side in answers]
        return (found[0][0::2], found[0][1::2]), (found[1][0::2], found[1][1::2])

    def _value(self, text: str) -> float:
        from moorings.compare.battery import Text

        outcome = self.config.outcome
        value = battery_feature(outcome)(Text(text))
        if outcome == "sentiment":
            return (value + 1) / 2
        return min(value, self.config.max_words) / self.config.max_words if outcome == "words" else value


def signs_of_past(gaps: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Sign of the mean of the earlier known gaps, +1 where there is none or it is 0.

    >>> signs_of_past(np.array([-1.0, 0.2, np.nan, 3.0, 0.0]))
    array([ 1., -1., -1., -1.,  1.])
    """
    before = np.concatenate([[0.0], np.cumsum(np.nan_to_num(gaps))[:-1]])
    return np.where(before < 0, -1.0, 1.0)


@monitors.register("amplification", AmplificationConfig)
def make_amplification(config: AmplificationConfig) -> Monitor:
    """Build the monitor."""
    return Amplification(config)
