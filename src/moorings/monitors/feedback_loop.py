"""Positive feedback: a behaviour's share grows with its own level, round after round.

A behaviour that feeds on itself through the training rows grows as p_{t+1} = p_t + k p_t (1 - p_t), the logistic map
(Verhulst 1838, in steps of a round). Its first share and k are fitted by least squares on empirical logits,
ln((y + 1/2) / (n - y + 1/2)) with variance 1 / (y + 1/2) + 1 / (n - y + 1/2) (Berkson 1944; Gart and Zweifel 1967),
and the map is run on for the forecast. A look sees three rounds on the same fresh prompts: the anchor (round 0), the
last promoted model, the candidate.

Evidence needs a number a unit whose mean is the harm, which a logistic forecast is not. What is bet on is the linear
forecast of the drift `ahead` rounds later, c - a + ahead (c - b), over its largest value 1 + ahead: for anchor a, last
promoted b and candidate c on one prompt,
d = (c - a + ahead (c - b)) / (1 + ahead). A mean d of x is a forecast drift of (1 + ahead) x.
With several behaviours, d is their mean weighted by their shares in the round's training rows: a loop runs through the
rows, and these are known before the prompts are asked, so the weights are no choice by result.
Left out: earlier rounds' answers beyond the anchor's, which a look has not; counted features, which have no share.
It must show: a simulated loop is forecast within tolerance; a flat series is called a loop at the stated rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from moorings.errors import ConfigError
from moorings.monitors.asking import collect, mean
from moorings.monitors.monitor import Differences, Gathering, Monitor, MonitorConfig, Side, monitors
from moorings.monitors.reading import Behaviour, make_behaviour, read_behaviour, read_texts

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["FeedbackLoop", "FeedbackLoopConfig", "Growth", "fit_growth"]


_EDGE = 1e-6
"""Shares are kept this far from 0 and 1, where a logit is infinite."""
_HORIZON = 1000
"""Rounds that are looked through for the one that passes the limit."""


class Growth(NamedTuple):
    """Growth of a share with its own level over rounds."""

    rate: float
    """k of the logistic map, a round."""
    low: float
    """One-sided lower bound of the slope of the logit a round, which has the sign of k and is nearer to normal."""
    forecast: float
    """Share at the horizon."""
    forecast_low: float
    forecast_high: float
    """Two-sided interval of it, for the error of sampling."""
    passes_after: float
    """Rounds after the last one until the share has passed the limit; 0 if it has, infinity if not in 1,000 rounds."""

    @property
    def is_loop(self) -> bool:
        """Whether growth is shown."""
        return self.low > 0


def fit_growth(
    rounds: Sequence[int],
    counts: Sequence[float],
    n: Sequence[float],
    *,
    ahead: int,
    limit: float,
    confidence: float = 0.95,
) -> Growth:
    """Fit the logistic map to shares and run it `ahead` rounds on.

    Args:
        rounds: At least two, ascending; the last is where the forecast starts.
        counts: Answers with the behaviour in each.
        n: Answers in each, >= 1. Treated as independent: answers to the same prompts go up and down together, so
            the bound is then cautious.
        ahead: Rounds of the forecast.
        limit: Rise over the first round's share that must not be passed.
        confidence: Of the lower bound of the rate, and of the interval of the forecast.

    Raises:
        ConfigError: Fewer than two rounds, rounds that do not ascend, lists of different length, or a round without answers.

    Source: Berkson 1944; Gart and Zweifel 1967.
    """
    from scipy.optimize import least_squares
    from scipy.special import expit, logit
    from scipy.stats import norm

    t, y, m = np.asarray(rounds, dtype=np.int64), np.asarray(counts, dtype=float), np.asarray(n, dtype=float)
    if not (t.shape == y.shape == m.shape and len(t) > 1 and (np.diff(t) > 0).all() and (m >= 1).all()):
        raise ConfigError(
            f"growth needs at least two ascending rounds, each with its count and its n of 1 or more; got rounds {list(rounds)}"
        )
    logits = np.log((y + 0.5) / (m - y + 0.5))
    root_weights = 1 / np.sqrt(1 / (y + 0.5) + 1 / (m - y + 0.5))

    def residuals(at: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " r"]:
        path = _path(float(expit(at[0])), float(at[1]), int(t[-1] - t[0]))
        return np.asarray((logit(path[t - t[0]]) - logits) * root_weights)

    fit = least_squares(residuals, [logits[0], (logits[-1] - logits[0]) / (t[-1] - t[0])])
    spread = np.linalg.cholesky(np.linalg.pinv(fit.jac.T @ fit.jac) + 1e-12 * np.eye(2))
    length = int(t[-1] - t[0])
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    around = fit.x[:, None] + norm.ppf(0.5 + confidence / 2) * spread @ np.stack([np.cos(angles), np.sin(angles)])
    ends = [_path(float(expit(a)), float(k), length + ahead)[-1] for a, k in around.T]
    path = _path(float(expit(fit.x[0])), float(fit.x[1]), length + ahead)
    return Growth(
        rate=float(fit.x[1]),
        low=_slope_bound(t, logits, root_weights**2, float(norm.ppf(confidence))),
        forecast=float(path[-1]),
        forecast_low=float(min(ends)),
        forecast_high=float(max(ends)),
        passes_after=_crossing(float(path[length]), float(fit.x[1]), float(path[0]) + limit),
    )


def _path(start: float, k: float, steps: int) -> Float[np.ndarray, " t"]:
    """Shares under the logistic map, kept off 0 and 1."""
    path = np.empty(steps + 1)
    share = start
    for i in range(steps + 1):
        path[i] = share = min(max(share, _EDGE), 1 - _EDGE)
        share += k * share * (1 - share)
    return path


def _slope_bound(
    t: Float[np.ndarray, " r"], logits: Float[np.ndarray, " r"], weights: Float[np.ndarray, " r"], z: float
) -> float:
    """Lower bound of the slope of a weighted straight line."""
    centred = t - np.average(t, weights=weights)
    information = float(np.sum(weights * centred**2))
    return float(np.sum(weights * centred * logits) / information - z / np.sqrt(information))


def _crossing(share: float, k: float, bound: float) -> float:
    """Rounds until a share reaches a bound, between rounds in a straight line; infinity if not within the horizon."""
    if share >= bound:
        return 0.0
    if k <= 0 or bound >= 1:
        return float("inf")
    for done in range(_HORIZON):
        step = k * share * (1 - share)
        if share + step >= bound:
            return done + (bound - share) / step
        share += step
    return float("inf")


class WatchedBehaviour(MonitorConfig):
    """One behaviour that an answer has or has not; exactly one of feature and phrases."""

    feature: str | None = None
    """A binary feature of the battery, such as `praise`."""
    phrases: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Words or phrases of which an answer holds at least `min_hits` different ones."""
    min_hits: int = Field(default=1, ge=1)
    """Only with phrases."""

    @model_validator(mode="after")
    def _one(self) -> WatchedBehaviour:
        if (self.feature is None) == (self.phrases is None):
            raise ValueError("give exactly one of feature and phrases")
        return self


class FeedbackLoopConfig(MonitorConfig):
    """Settings of monitor `feedback_loop`."""

    behaviours: tuple[WatchedBehaviour, ...] = Field(min_length=1, max_length=50)
    """What is watched. Few are better than many: d is their mean."""
    ahead: int = Field(default=3, ge=1, le=50)
    """Rounds that the forecast looks ahead."""
    limit: float = Field(default=0.1, gt=0, lt=1)
    """Rise of a share over the anchor's, for the rounds left in the sentence; the gate's tolerance is for d."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of the bound by which growth is called a loop in the details; a flat series is called one at 1 - confidence."""


class FeedbackLoop:
    """See the module."""

    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: FeedbackLoopConfig) -> None:
        self.config = config
        self.behaviours = [
            make_behaviour(feature=b.feature, phrases=b.phrases, min_hits=b.min_hits) for b in config.behaviours
        ]
        for behaviour in self.behaviours:
            if not behaviour.binary:
                raise ConfigError(
                    f"monitor 'feedback_loop': {behaviour.words} is counted in {behaviour.unit} and has no share; "
                    "name a feature that an answer has or has not, or phrases"
                )
        named = "; ".join(behaviour.words for behaviour in self.behaviours)
        self.statement = f"A behaviour feeds on itself from round to round: {named}."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        asked = gathering.general
        anchor = self._values(asked.prompts, asked.anchor)
        candidate = self._values(asked.prompts, asked.candidate)
        first = asked.previous is None
        previous = anchor if asked.previous is None else self._values(asked.prompts, asked.previous)
        shares = [self._row_share(behaviour, gathering) for behaviour in self.behaviours]
        weights = _weights(shares)
        ahead = self.config.ahead
        d = (candidate - anchor + ahead * (candidate - previous)) @ weights / (1 + ahead)
        details: dict[str, float] = {}
        growths = []
        for k, share in enumerate(shares):
            rounds = {0: anchor[:, k], gathering.round: candidate[:, k]}
            if not first and gathering.round > 1:
                rounds[gathering.round - 1] = previous[:, k]
            growths.append(self._growth(rounds))
            details |= _numbers(k, share, float(weights[k]), growths[-1])
        worst = int(np.argmax([np.nan_to_num(g.forecast) if g else -1.0 for g in growths]))
        return collect(
            [prompt.prompt_id for prompt in asked.prompts],
            d,
            anchor @ weights,
            candidate @ weights,
            lambda a, c, n: self._say(worst, growths[worst], mean(candidate[:, worst]), n),
            details,
            None if first else (candidate - previous) @ weights,
        )

    def _values(self, prompts: Sequence[object], answers: Sequence[object]) -> Float[np.ndarray, "n k"]:
        return np.column_stack([read_behaviour(b, prompts, answers) for b in self.behaviours])  # type: ignore[arg-type]

    def _row_share(self, behaviour: Behaviour, gathering: Gathering) -> float:
        """Share of the round's training rows with the behaviour; NaN without rows."""
        rows = gathering.rows
        asked = [row.prompt[-1].content if row.prompt else "" for row in rows]
        return mean(read_texts(behaviour, [row.response for row in rows], asked))

    def _growth(self, rounds: dict[int, Float[np.ndarray, " n"]]) -> Growth | None:
        """None where a round has no answer."""
        at = sorted(rounds)
        counts = [float(np.nansum(rounds[t])) for t in at]
        n = [float(np.sum(~np.isnan(rounds[t]))) for t in at]
        if min(n) < 1:
            return None
        config = self.config
        return fit_growth(at, counts, n, ahead=config.ahead, limit=config.limit, confidence=config.confidence)

    def _say(self, k: int, growth: Growth | None, now: float, n: int) -> str:
        words = self.behaviours[k].words
        if growth is None:
            return f"{words}: {now:.1%} of the candidate's answers; growth cannot be told, as a round has no answer."
        left = (
            "the limit is not passed at this rate"
            if np.isinf(growth.passes_after)
            else f"the limit of +{self.config.limit:g} is passed after {growth.passes_after:.1f} rounds"
        )
        loop = "grows with its level" if growth.is_loop else "no growth is shown"
        return (
            f"{words}: {now:.1%} of the candidate's answers on {n} prompts, {loop} (k {growth.rate:+.2f} a round), "
            f"forecast {growth.forecast:.1%} ({growth.forecast_low:.1%} to {growth.forecast_high:.1%}) in "
            f"{self.config.ahead} rounds; {left}."
        )


def _weights(shares: Sequence[float]) -> Float[np.ndarray, " k"]:
    """Each behaviour's part of d, by its share in the training rows; equal parts where no row has any."""
    known = np.nan_to_num(np.array(shares))
    total = known.sum()
    return known / total if total > 0 else np.full(len(known), 1 / len(known))


def _numbers(k: int, share: float, weight: float, growth: Growth | None) -> dict[str, float]:
    found = {f"rows_{k}": share, f"weight_{k}": weight}
    if growth is not None:
        found |= {
            f"growth_{k}": growth.rate,
            f"growth_low_{k}": growth.low,
            f"forecast_{k}": growth.forecast,
            f"forecast_low_{k}": growth.forecast_low,
            f"forecast_high_{k}": growth.forecast_high,
            f"rounds_left_{k}": growth.passes_after,
            f"loop_{k}": float(growth.is_loop),
        }
    return found


@monitors.register("feedback_loop", FeedbackLoopConfig)
def make_feedback_loop(config: FeedbackLoopConfig) -> Monitor:
    """Build the monitor."""
    return FeedbackLoop(config)
