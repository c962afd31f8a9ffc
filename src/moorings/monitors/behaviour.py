"""One behaviour of the charter, watched on the general gate prompts.

A behaviour that an answer has or has not (a phrase, an outcome, a binary feature) gives d = candidate - anchor in
{-1, 0, 1}. A counted one (words, sentiment) is first mapped to [0, 1]:
- with `low` and `high`: share of that range, clipped;
- by default: rank among the anchor's answers to *earlier* prompts of the look, ties counting half. The mapping is fixed
  before the prompt's own answers are looked at, so given the past d is a fixed bounded function of them, which is what
  betting on d needs (Waudby-Smith and Ramdas 2024, arXiv:2010.09686); ranks of pooled answers would not be. The first
  prompt of a look is ranked against its own anchor answer: d = 1/2 sign(candidate - anchor).
  The mean of d is P(candidate above an anchor's answer) - 1/2, of the common-language effect size
  (McGraw and Wong 1992), so it lies in [-1/2, 1/2].
Left out: statements that need a judge, which the comparison report checks.
It must show: no change gives a mean of 0; a share that rises by x gives x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from moorings.errors import ConfigError
from moorings.monitors.asking import collect, mean
from moorings.monitors.monitor import Asked, Differences, Gathering, Monitor, MonitorConfig, Side, monitors
from moorings.monitors.reading import Behaviour, make_behaviour, read_behaviour

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["BehaviourConfig", "BehaviourMonitor", "ranks_of_past"]

_SIDES: dict[str, Side] = {"more": "more", "less": "less", "either": "either", "any": "either"}


class BehaviourConfig(MonitorConfig):
    """Settings of monitor `behaviour`; exactly one of feature, phrases, outcome says what is watched."""

    feature: str | None = None
    """A feature of the battery, such as `words`."""
    phrases: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Words or phrases of which an answer holds at least `min_hits` different ones."""
    min_hits: int = Field(default=1, ge=1)
    """Only with phrases."""
    outcome: Literal["refused", "empty", "truncated", "failed"] | None = None
    """How an answer ended."""
    statement: str | None = None
    """Refused: only a judge model can check it."""
    groups: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Prompt groups that count; None is all."""
    direction: Literal["more", "less", "either", "any"] = "either"
    """Which change is harm; `any` is another word for `either`."""
    low: float | None = None
    """Counted features: value that maps to 0; with `high`. None of both takes ranks among the anchor's answers."""
    high: float | None = None
    """Counted features: value that maps to 1."""


class BehaviourMonitor:
    """See the module."""

    n_units: int | None = None

    def __init__(self, config: BehaviourConfig) -> None:
        self.config = config
        self.behaviour: Behaviour = make_behaviour(
            feature=config.feature,
            phrases=config.phrases,
            min_hits=config.min_hits,
            outcome=config.outcome,
            statement=config.statement,
        )
        _check_range(config, self.behaviour)
        self.side: Side = _SIDES[config.direction]
        word = {"more": "more", "less": "less", "either": "more or less"}[self.side]
        self.statement = f"The candidate shows {word} of this than the anchor: {self.behaviour.words}."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        asked = _of_groups(gathering.general, self.config.groups)
        sides = [asked.anchor, asked.candidate, *([asked.previous] if asked.previous is not None else [])]
        values = [read_behaviour(self.behaviour, asked.prompts, side) for side in sides]
        anchor, candidate = values[0], values[1]
        details = {"anchor": mean(anchor), "candidate": mean(candidate)}
        d_previous = None
        if len(values) > 2:
            d_previous = self._differences(values[2], candidate)
            details["previous"] = mean(values[2])
        unit = self.behaviour.unit
        return collect(
            [prompt.prompt_id for prompt in asked.prompts],
            self._differences(anchor, candidate),
            anchor,
            candidate,
            lambda a, c, n: (
                f"{self.behaviour.words}: {a:.3g} in the anchor's answers and {c:.3g} in the candidate's ({unit}, {n} prompts)."
            ),
            details,
            d_previous,
        )

    def _differences(self, base: Float[np.ndarray, " n"], new: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        if self.behaviour.binary:
            return np.asarray(new - base)
        low, high = self.config.low, self.config.high
        if low is None or high is None:
            return ranks_of_past(base, new)
        return np.asarray(np.clip((new - low) / (high - low), 0, 1) - np.clip((base - low) / (high - low), 0, 1))


def ranks_of_past(base: Float[np.ndarray, " n"], new: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Rank of each new value minus rank of its base value among the base values before it; NaN where either is NaN.

    >>> ranks_of_past(np.array([1.0, 3.0, 2.0]), np.array([2.0, 3.0, 9.0]))
    array([0.5, 0. , 0.5])
    """
    d = np.full(len(base), np.nan)
    past: list[float] = []
    for i, (before, after) in enumerate(zip(base.tolist(), new.tolist(), strict=True)):
        if not np.isnan(before) and not np.isnan(after):
            seen = np.array(past or [before])
            d[i] = 0.5 * float(np.mean(np.sign(after - seen) - np.sign(before - seen)))
        if not np.isnan(before):
            past.append(before)
    return d


def _of_groups(asked: Asked, groups: tuple[str, ...] | None) -> Asked:
    if groups is None:
        return asked
    kept = [i for i, prompt in enumerate(asked.prompts) if prompt.group in groups]
    return Asked(
        tuple(asked.prompts[i] for i in kept),
        tuple(asked.anchor[i] for i in kept),
        tuple(asked.candidate[i] for i in kept),
        None if asked.previous is None else tuple(asked.previous[i] for i in kept),
    )


def _check_range(config: BehaviourConfig, behaviour: Behaviour) -> None:
    if config.low is None and config.high is None:
        return
    if behaviour.binary:
        raise ConfigError(
            f"monitor 'behaviour': {behaviour.words} is a share of answers and takes no low or high; remove them"
        )
    if config.low is None or config.high is None or not config.low < config.high:
        raise ConfigError(
            f"monitor 'behaviour': low is {config.low} and high is {config.high}; give both, low below high, or neither"
        )


@monitors.register("behaviour", BehaviourConfig)
def make_monitor(config: BehaviourConfig) -> Monitor:
    """Build the monitor."""
    return BehaviourMonitor(config)
