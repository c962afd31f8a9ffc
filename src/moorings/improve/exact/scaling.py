"""Scaling laws of over-optimisation: how a gold reward rises and falls with the distance from the start policy.

Gao et al. 2022 (arXiv:2210.10760), with d = sqrt(KL): gold gained by best of n = d (alpha - beta d), by policy gradients
d (alpha - beta ln d). Both are linear in alpha and beta, so the fit is least squares. Points of one curve share their
answers and their proxy, so an interval from residuals would be far too narrow: intervals come from repeats of the whole
curve, as Student's t over repeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import stats

from moorings.errors import ConfigError
from moorings.records import Interval

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Law", "LawFit", "LawFits", "fit_law", "fit_law_to_repeats", "mean_interval"]

Law = Literal["best_of_n", "policy_gradient"]


class LawFit(NamedTuple):
    """One curve's fit."""

    alpha: float
    beta: float
    r_squared: float
    """Share of the squared gain that the law explains, of gains around 0, where the law starts."""
    peak_kl: float
    """KL in nats at which the law peaks; infinite if it does not."""


class LawFits(NamedTuple):
    """Fits of repeats."""

    alpha: float
    alpha_interval: Interval
    beta: float
    beta_interval: Interval
    r_squared: float
    """Mean over repeats."""


def fit_law(kl: Float[np.ndarray, " points"], gain: Float[np.ndarray, " points"], law: Law) -> LawFit:
    """Fit one curve.

    Args:
        kl: KL of each point in nats; points at 0 say nothing and are left out.
        gain: Gold reward less the start policy's.
        law: Which of the two.

    Raises:
        ConfigError: Fewer than three points beyond 0.

    >>> d = np.array([0.5, 1.0, 1.5, 2.0])
    >>> fit = fit_law(d**2, d * (2.0 - 0.5 * d), "best_of_n")
    >>> round(fit.alpha, 6), round(fit.beta, 6), round(fit.peak_kl, 6)
    (2.0, 0.5, 4.0)
    """
    kl, gain = np.asarray(kl, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    d, y = np.sqrt(kl[kl > 0]), gain[kl > 0]
    if len(d) < 3:
        raise ConfigError(f"{len(d)} points have a KL above 0; a scaling law of two numbers needs at least 3")
    other = d if law == "best_of_n" else np.log(d)
    (alpha, minus_beta), *_ = np.linalg.lstsq(np.stack([d, d * other], axis=1), y, rcond=None)
    alpha, beta = float(alpha), -float(minus_beta)
    left = y - d * (alpha - beta * other)
    total = float((y**2).sum())
    r_squared = 1 - float((left**2).sum()) / total if total else 1.0
    return LawFit(alpha, beta, r_squared, _peak(alpha, beta, law))


def fit_law_to_repeats(
    kl: Float[np.ndarray, "repeats points"], gain: Float[np.ndarray, "repeats points"], law: Law, level: float = 0.95
) -> LawFits:
    """Fit each repeat's curve; intervals over repeats, of which there must be at least 2."""
    fits = [fit_law(some_kl, some_gain, law) for some_kl, some_gain in zip(kl, gain, strict=True)]
    alphas, betas = np.array([fit.alpha for fit in fits]), np.array([fit.beta for fit in fits])
    return LawFits(
        alpha=float(alphas.mean()),
        alpha_interval=mean_interval(alphas, level),
        beta=float(betas.mean()),
        beta_interval=mean_interval(betas, level),
        r_squared=float(np.mean([fit.r_squared for fit in fits])),
    )


def mean_interval(values: Float[np.ndarray, " repeats"], level: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent repeats.

    Raises:
        ConfigError: Fewer than 2 repeats.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size < 2:
        raise ConfigError(f"{values.size} repeats given; an interval over repeats needs at least 2")
    half = float(stats.t.ppf((1 + level) / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    centre = float(values.mean())
    return Interval(low=centre - half, high=centre + half, level=level)


def _peak(alpha: float, beta: float, law: Law) -> float:
    if beta <= 0:
        return float("inf")
    return (alpha / (2 * beta)) ** 2 if law == "best_of_n" else float(np.exp(2 * (alpha / beta - 1)))
