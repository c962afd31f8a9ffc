"""Whether a gate's sample budget can reach its error rates, and what a round will cost: asked before anything runs.

The best case is arithmetic: a plan whose budget could not show harm if every unit showed the largest harm, or could not show
a round harmless if no unit showed any, is refused with the units that would do. What a usual round costs depends on the
variance of the differences, which nobody knows beforehand: figures are given for an assumed one and for the worst of paired
yes/no answers, 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri

from moorings.charter_run import GatePlan
from moorings.errors import ConfigError
from moorings.statistics.betting import stakes
from moorings.statistics.sequential import SIGNS, start_share
from moorings.supervise.gate import Stream, threshold

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["TYPICAL_VARIANCE", "WORST_VARIANCE", "Cost", "check_plan", "units_to_promote", "units_to_stop"]

TYPICAL_VARIANCE = 0.2
"""Of paired yes/no answers that show the behaviour at a rate of 0.11, one a prompt and arm."""
WORST_VARIANCE = 0.5
"""Of paired yes/no answers at a rate of 1/2."""
_MOST = 10_000_000


class Cost(NamedTuple):
    """Units that one stream needs; None where ten million would not do."""

    name: str
    threshold: float
    """E-value at which harm counts as shown."""
    stop_at_best: int
    """To show harm in one round when every unit shows the largest harm, 1."""
    promote_at_best: int
    """To show a round harmless when no unit shows any."""
    promote_usually: int | None
    """To show a harmless round harmless in half of the cases, at the assumed variance."""
    promote_nearly_always: int | None
    """So many that a harmless round is promoted in 90 % of the cases, all streams together."""
    promote_at_worst: int | None
    """As `promote_usually`, at variance 1/2."""
    stop_usually: int | None
    """To show in half of the cases a harm of twice the tolerance, of all rounds since it began."""


def check_plan(
    plan: GatePlan, streams: Sequence[Stream], n_rounds: int | None, *, variance: float = TYPICAL_VARIANCE
) -> tuple[Cost, ...]:
    """What each stream will cost, if the plan can work at all.

    Args:
        plan: Error rates and budget.
        streams: What is watched from the start.
        n_rounds: Rounds of the run; None where nobody knows.
        variance: Assumed variance of a harmless round's differences, in (0, 1].

    Raises:
        ConfigError: A look is larger than the budget, a tolerance is outside (0, 1), or the budget cannot reach an error rate
            even in the best case; with the units that would do.
    """
    if plan.look > plan.budget:
        raise ConfigError(
            f"gate: look {plan.look} is more than budget {plan.budget}; lower look or raise budget to {plan.look}"
        )
    if not 0 < variance <= 1:
        raise ConfigError(f"variance {variance} is not allowed; differences in -1 to 1 have one in (0, 1]")
    return tuple(_cost(plan, stream, len(streams), n_rounds, variance) for stream in streams)


def _cost(plan: GatePlan, stream: Stream, n_streams: int, n_rounds: int | None, variance: float) -> Cost:
    tau, alpha = stream.tolerance, plan.promote_alpha
    if not 0 < tau < 1:
        raise ConfigError(
            f"{stream.name!a}: tolerance {tau} is not allowed; give a share between 0 and 1, such as 0.05"
        )
    bar = threshold(plan, n_streams)
    sides = len(SIGNS[stream.side])
    every = 0.9 ** (1.0 / (n_streams * sides))
    cost = Cost(
        stream.name,
        bar,
        stop_at_best=_always(units_to_stop(bar, tau, 1.0, 0.0, n_rounds, sides=sides)),
        promote_at_best=_always(units_to_promote(alpha, tau, 0.0)),
        promote_usually=units_to_promote(alpha, tau, variance),
        promote_nearly_always=units_to_promote(alpha, tau, variance, share=every),
        promote_at_worst=units_to_promote(alpha, tau, WORST_VARIANCE),
        stop_usually=units_to_stop(bar, tau, min(2 * tau, 1.0), variance, n_rounds, sides=sides),
    )
    _check_reach(plan, stream, cost, variance)
    return cost


def _check_reach(plan: GatePlan, stream: Stream, cost: Cost, variance: float) -> None:
    if cost.stop_at_best > plan.budget:
        raise ConfigError(
            f"gate: alpha {plan.alpha} cannot be reached for {stream.name!a}: even if all of the {plan.budget} units of a round "
            f"showed the largest harm, that would not be enough; give a budget of at least {cost.stop_at_best}, or raise alpha"
        )
    if cost.promote_at_best > plan.budget:
        raise ConfigError(
            f"gate: no round could be promoted for {stream.name!a}: even {plan.budget} units without any harm do not show a mean "
            f"below tolerance {stream.tolerance:g} at promote_alpha {plan.promote_alpha}; give a budget of at least "
            f"{cost.promote_at_best} (usual variance, {variance:g}: about {_said(cost.promote_usually)}; the worst, "
            f"{WORST_VARIANCE:g}: {_said(cost.promote_at_worst)}), or raise the tolerance"
        )


def _said(n: int | None) -> str:
    return f"more than {_MOST:,}" if n is None else f"{n:,}"


def _always(n: int | None) -> int:
    return _MOST if n is None else n


def units_to_promote(alpha: float, tolerance: float, variance: float, *, share: float = 0.5) -> int | None:
    """Units after which a round of mean 0 is shown to lie within the tolerance on one side.

    The differences are taken as -1, 0, 1 with the given variance; the sum's spread by the normal approximation.

    Args:
        alpha: Chance that the bound is wrong.
        tolerance: In (0, 1).
        variance: Of the differences, in [0, 1].
        share: Share of the cases in which so many units are enough.

    Returns:
        The units, or None if ten million would not do.

    >>> units_to_promote(0.05, 0.05, 0.0)
    88
    """
    grid = stakes(-tolerance)
    values, weights = np.array([-1.0, 0.0, 1.0]), np.array([variance / 2, 1 - variance, variance / 2])
    growth = np.log1p(grid[:, None] * (tolerance - values))
    return _least(_bet(growth, weights, share), -math.log(alpha))


def units_to_stop(
    bar: float,
    tolerance: float,
    harm: float,
    variance: float,
    n_rounds: int | None,
    *,
    share: float = 0.5,
    sides: int = 1,
) -> int | None:
    """Units after which a harm that began with the first round is shown, if wealth stayed on the stakes.

    Args:
        bar: E-value that shows it.
        tolerance: In (0, 1).
        harm: Mean of the differences, in (0, 1].
        variance: Of the differences at mean 0; what -1, 0, 1 allow at this mean if that is less.
        n_rounds: Rounds of the run.
        share: Share of the cases in which so many units are enough.
        sides: Signs that count as harm, 1 or 2.

    Returns:
        The units, or None if ten million would not do.
    """
    second = min(max(variance + harm**2, harm), 1.0)
    values, weights = (
        np.array([-1.0, 0.0, 1.0]),
        np.array([(second - harm) / 2, 1 - second, (second + harm) / 2]),
    )
    growth = np.log1p(stakes(tolerance)[:, None] * (values - tolerance))
    put = start_share(1, n_rounds)
    return _least(_bet(growth, weights, share), math.log(max(bar - (1 - put), 1e-12) * sides / put))


def _bet(
    growth: Float[np.ndarray, "stakes 3"], weights: Float[np.ndarray, " 3"], share: float
) -> Callable[[int], float]:
    """Log wealth after n units that is exceeded in the given share of the cases.

    All stakes gain and lose together, so each is taken at the same quantile.
    """
    mean = growth @ weights
    spread = np.sqrt(np.maximum(growth**2 @ weights - mean**2, 0.0))
    below = float(ndtri(1.0 - share))

    def after(n: int) -> float:
        return float(logsumexp(n * mean + below * math.sqrt(n) * spread)) - math.log(len(mean))

    return after


def _least(after: Callable[[int], float], bar: float) -> int | None:
    """First n, by doubling and halving, at which the wealth is over the bar and stays there."""
    high = 1
    while after(high) < bar:
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if after(middle) >= bar else (middle, high)
    return high
