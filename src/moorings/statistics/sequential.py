"""Evidence over the rounds of a run, and bounds of one round's mean, from differences in [-1, 1].

**Over the run.** The null is that no round's mean ever leaves its tolerance tau. A bettor starts with 1 in cash. A stake
lambda multiplies its wealth by 1 + lambda (d - tau) at each difference d, which does not grow on average while the mean is at
most tau. At the start of each round, before its differences are seen, a share a_r of the cash is spread over a grid of
stakes, and a share b of what each stake holds goes back to cash. Cash plus stakes is then a non-negative supermartingale
under the null, so it ever reaches 1/alpha with probability at most alpha (Ville), whenever one looks or stops.

With b = 0 and a_r = 1 / (n - r + 1) for n rounds this is the average, over start rounds s = 1..n and over stakes, of the
wealth of a bet that starts at round s: quiet early rounds cannot drown a late drift, and the price of not knowing when it
starts is a factor n. Without a known n, a_r = 1 / (r + 1), which gives start s the weight 1 / (s (s + 1)). The share b makes
bets end, so that a drift which comes and goes leaves its winnings in cash and is bet on again (fixed share).

**Within a round.** Each end of the interval is the mean that a bettor on this round's units alone has ruled out at some look:
a confidence sequence, so it holds at all looks together.

Sources: Waudby-Smith and Ramdas 2024 (arXiv:2010.09686), section 4.2, capital processes and their mixture over a grid of
stakes; Shin, Ramdas and Rinaldo 2024, E-detectors (arXiv:2203.03532), mixtures over start times; Herbster and Warmuth 1998,
Tracking the best expert, Machine Learning 32, fixed share. Left out: plug-in stakes, which gain little over a grid here.
It must show: the figures of `benchmarks/monitoring.py`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from moorings.errors import ConfigError, InputError
from moorings.statistics.betting import stakes

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

__all__ = ["CAP", "SIGNS", "RoundMean", "RunEvidence", "Side", "Tally", "checked", "start_share", "tally"]

Side = Literal["more", "less", "either"]
SIGNS: dict[Side, tuple[int, ...]] = {"more": (1,), "less": (-1,), "either": (1, -1)}
"""Directions of d that are harm."""
CAP = 1e300
"""E-values are told up to here, far beyond any threshold."""
_LOG_CAP = math.log(CAP)


class Tally(NamedTuple):
    """Differences with equal ones counted: what they are worth does not depend on their order within a look."""

    values: Float[np.ndarray, " v"]
    """In [-1, 1]."""
    counts: Shaped[np.ndarray, " v"]
    """How often each came, >= 0."""

    @property
    def n(self) -> int:
        """Differences in all."""
        return int(self.counts.sum())

    @property
    def total(self) -> float:
        """Their sum."""
        return float(self.values @ self.counts)


def tally(d: Float[np.ndarray, " n"]) -> Tally:
    """Count equal differences.

    Raises:
        InputError: Not a vector, or a difference is NaN or outside [-1, 1].

    >>> tally(np.array([0.5, 0.0, 0.5]))
    Tally(values=array([0. , 0.5]), counts=array([1, 2]))
    """
    d = np.asarray(d, dtype=np.float64)
    if d.ndim != 1:
        raise InputError(f"differences of shape {d.shape}; give a vector")
    values, counts = np.unique(d, return_counts=True)
    return checked(Tally(values, counts))


def checked(given: Tally) -> Tally:
    """The same tally, if it can be used.

    Raises:
        InputError: A value is NaN or outside [-1, 1], or a count is negative.
    """
    values, counts = given
    if values.ndim != 1 or values.shape != counts.shape:
        raise InputError(f"values of shape {values.shape} and counts of shape {counts.shape}; give two equal vectors")
    if values.size and not _bounded(values.tobytes()):
        raise InputError(
            "a difference is NaN or outside -1 to 1; leave missing ones out and count them, and scale counts to shares"
        )
    if counts.size and counts.min() < 0:
        raise InputError("a count is negative; give how often each value came")
    return given


@lru_cache(maxsize=512)
def _bounded(values: bytes) -> bool:
    return bool((np.abs(np.frombuffer(values)) <= 1.0).all())


class RunEvidence:
    """E-process over all rounds of a run that some round's mean left its tolerance.

    Args:
        tolerance: Largest mean that does not matter, in (0, 1).
        side: Which sign of d is harm.
        n_rounds: Rounds of the run; None where nobody knows.
        n_stakes: Stakes on each side.
        leave: Share b of each stake's wealth that goes back to cash between rounds, in [0, 1).

    Raises:
        ConfigError: A setting outside its range.
    """

    def __init__(
        self, tolerance: float, side: Side, n_rounds: int | None, *, n_stakes: int = 12, leave: float = 0.1
    ) -> None:
        if not 0 < tolerance < 1 or not 0 <= leave < 1 or (n_rounds is not None and n_rounds < 1):
            raise ConfigError(
                f"tolerance {tolerance}, leave {leave}, n_rounds {n_rounds} are not allowed; "
                "use 0 < tolerance < 1, 0 <= leave < 1, n_rounds >= 1"
            )
        self.tolerance, self.side, self.n_rounds = tolerance, side, n_rounds
        self._n_stakes, self._leave = n_stakes, leave
        self._log_cash = 0.0
        self._log_wealth = np.full(n_stakes * len(SIGNS[side]), -np.inf)

    def begin_round(self, round: int) -> None:
        """Move wealth between cash and stakes, before anything of the round is seen."""
        share = start_share(round, self.n_rounds)
        put = self._log_cash + math.log(share / self._log_wealth.size)
        back = _log(self._leave) + np.logaddexp.reduce(self._log_wealth)
        self._log_cash = float(np.logaddexp(self._log_cash + _log(1.0 - share), back))
        self._log_wealth = np.logaddexp(self._log_wealth + _log(1.0 - self._leave), put)

    def add(self, seen: Tally) -> None:
        """Take one look's differences into account, in the order in which looks were made."""
        if seen.values.size:
            factors = _harm_factors(seen.values.tobytes(), self.tolerance, self.side, self._n_stakes)
            self._log_wealth += factors @ seen.counts

    @property
    def value(self) -> float:
        """The e-value now, in [0, 1e300]."""
        staked = float(np.logaddexp.reduce(self._log_wealth))
        if max(self._log_cash, staked) >= _LOG_CAP:
            return CAP
        return min(math.exp(self._log_cash) + math.exp(staked), CAP)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def start_share(round: int, n_rounds: int | None) -> float:
    """Share of the cash that is staked at the start of a round; see the module's text.

    >>> [round(start_share(r, 4), 2) for r in (1, 2, 3, 4)]
    [0.25, 0.33, 0.5, 1.0]
    """
    return 1.0 / (round + 1) if n_rounds is None else 1.0 / max(n_rounds - round + 1, 1)


@lru_cache(maxsize=512)
def _harm_factors(values: bytes, tolerance: float, side: Side, n_stakes: int) -> Float[np.ndarray, "bets v"]:
    """Log growth of each stake, on each harmful side, at each value."""
    d = np.frombuffer(values)
    grid = stakes(tolerance, n_stakes)[:, None]
    return np.concatenate([np.log1p(grid * (sign * d - tolerance)) for sign in SIGNS[side]])


@lru_cache(maxsize=512)
def _safe_factors(values: bytes, tolerance: float, side: Side, n_stakes: int) -> Float[np.ndarray, "bets v"]:
    """Log growth of each stake on the harm being below the tolerance; the last column is a missing unit, taken as harm 1."""
    d = np.frombuffer(values)
    grid = stakes(-tolerance, n_stakes)[:, None]
    return np.concatenate([np.log1p(grid * (tolerance - np.append(sign * d, 1.0))) for sign in SIGNS[side]])


class RoundMean:
    """Bounds of one round's mean that hold at every look, and whether they lie within the tolerance.

    A missing unit counts as the worst value for each bound.

    Args:
        alpha: Chance that one end is ever wrong, in (0, 1); each end alone has it.
        tolerance: Largest harm that does not matter, in (0, 1).
        side: Which sign of d is harm.
        n_stakes: Stakes of each end.

    Raises:
        ConfigError: A setting outside its range.
    """

    def __init__(self, alpha: float, tolerance: float, side: Side, *, n_stakes: int = 12) -> None:
        if not 0 < alpha < 1 or not 0 < tolerance < 1:
            raise ConfigError(f"alpha {alpha}, tolerance {tolerance} are not allowed; give numbers between 0 and 1")
        self.alpha, self.tolerance, self.side = alpha, tolerance, side
        self._n_stakes = n_stakes
        self._log_wealth = np.zeros(n_stakes * len(SIGNS[side]))
        self._bar = math.log(n_stakes / alpha)
        self._floor = -math.log(alpha)
        self._shown = np.zeros(len(SIGNS[side]), dtype=bool)
        self.within = False
        """Whether the mean was shown to be within the tolerance, on each side that is harm."""
        self._looks: list[tuple[Tally, int]] = []

    def add(self, seen: Tally, n_missing: int = 0) -> None:
        """Take one look's differences into account."""
        self._looks.append((seen, n_missing))
        factors = _safe_factors(seen.values.tobytes(), self.tolerance, self.side, self._n_stakes)
        self._log_wealth += factors[:, :-1] @ seen.counts
        if n_missing:
            self._log_wealth += n_missing * factors[:, -1]
        # Below this bound no sum over the stakes can reach the bar.
        if self._log_wealth.max() >= self._floor:
            self._shown |= np.logaddexp.reduce(self._log_wealth.reshape(len(self._shown), -1), axis=1) >= self._bar
            self.within = bool(self._shown.all())

    def ends(self, precision: float = 1e-4) -> tuple[float, float]:
        """Lower and upper end of the mean of d, rounded outwards; they only tighten from look to look.

        The upper end is below the tolerance exactly when that was shown, up to `precision`.
        """
        low = -self._outer(-1, precision)
        return low, self._outer(1, precision)

    def _outer(self, sign: int, precision: float) -> float:
        """Upper end of the mean of sign * d."""
        values, counts = _stack([(Tally(sign * seen.values, seen.counts), n) for seen, n in self._looks])
        open_end, ruled_out = -1.0, 1.0
        while ruled_out - open_end > precision:
            mean = 0.5 * (open_end + ruled_out)
            logs = counts @ np.log1p(stakes(-mean, self._n_stakes)[:, None] * (mean - values)).T
            if float(np.logaddexp.reduce(logs, axis=1).max(initial=-np.inf)) >= self._bar:
                ruled_out = mean
            else:
                open_end = mean
        return ruled_out


def _stack(looks: list[tuple[Tally, int]]) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "looks v"]]:
    """Values of all looks, 1 among them for what is missing, and how often each had come up to each look."""
    values = np.unique(np.concatenate([[1.0], *(seen.values for seen, _ in looks)]))
    counts = np.zeros((len(looks), values.size))
    for row, (seen, n_missing) in zip(counts, looks, strict=True):
        np.add.at(row, np.searchsorted(values, seen.values), seen.counts)
        row[-1] += n_missing
    return values, counts.cumsum(axis=0)
