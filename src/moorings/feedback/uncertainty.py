"""How far rewards can be trusted: disagreement, calibration, a bound that holds for any model, and when to escalate.

"Alignment uncertainty quantification" in the sense of Lu et al. 2025 (arXiv:2507.19672), which names the aim and leaves the
methods open; the choice is ours:
(i) variance of an ensemble's members; (ii) Brier score and expected calibration error (ECE) of preference probabilities
sigma(margin / temperature), with the temperature fitted on held-out pairs (Guo et al. 2017, arXiv:1706.04599);
(iii) the share of wrong labels, in `moorings.feedback.label_noise`; (iv) split conformal prediction: with calibration
scores s_1..s_n the ceil((n + 1)(1 - alpha))-th smallest is exceeded by a further exchangeable score with probability at
most alpha, whatever produced the scores, and at least alpha - 1 / (n + 1) without ties; (v) accept, reject, or escalate to
a stronger supervisor where the interval holds the gate.
Errors that all members share are seen by none of (i); exchangeability fails when a policy moves, so (iv) must be
calibrated again on answers of the policy as it is.

What it must show: coverage of (iv) within 2 % of nominal over 200 random splits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from moorings.errors import ConfigError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = [
    "Calibration",
    "Gate",
    "calibration",
    "conformal_bound",
    "disagreement",
    "fit_temperature",
    "gate",
    "preference_probabilities",
]

Gate = Literal["accept", "reject", "escalate"]


def disagreement(values: Float[np.ndarray, "members ..."]) -> Float[np.ndarray, ...]:
    """Population variance over members of each answer; members must be standardised."""
    return np.asarray(np.var(np.asarray(values, dtype=np.float64), axis=0))


def preference_probabilities(
    margins: Float[np.ndarray, "members ..."], temperature: float = 1.0
) -> Float[np.ndarray, ...]:
    """Mean over members of sigma(margin / temperature): disagreeing members are less sure together than alone."""
    return np.asarray(expit(np.asarray(margins, dtype=np.float64) / temperature).mean(axis=0))


def fit_temperature(margins: Float[np.ndarray, "members n"]) -> float:
    """The temperature of `preference_probabilities` that is likeliest for held-out margins chosen - rejected.

    Raises:
        ConfigError: No margins, or one that is not finite.
    """
    margins = np.asarray(margins, dtype=np.float64)
    if margins.size == 0 or not np.isfinite(margins).all():
        raise ConfigError(f"{margins.size} margins given; give at least one, all finite")
    scale = float(np.abs(margins).mean()) or 1.0

    def nll(log_temperature: float) -> float:
        p = preference_probabilities(margins, scale * math.exp(log_temperature))
        return -float(np.log(np.maximum(p, 1e-300)).mean())

    return scale * math.exp(float(minimize_scalar(nll, bounds=(-6.0, 6.0), method="bounded").x))


class Calibration(NamedTuple):
    """Of probabilities against what happened."""

    brier: float
    """Mean squared difference, 0 to 1; 0.25 for always saying one half."""
    ece: float
    """Mean over answers of |share - probability| of their bin, 0 to 1."""
    probability: Float[np.ndarray, " bins"]
    """Mean probability in each bin that holds any: abscissa of the reliability diagram."""
    share: Float[np.ndarray, " bins"]
    """Share that happened: its ordinate."""
    n: Float[np.ndarray, " bins"]
    """Answers in each."""


def calibration(
    probabilities: Float[np.ndarray, " n"],
    happened: Bool[np.ndarray, " n"],
    *,
    n_bins: int = 10,
    binning: Literal["width", "mass"] = "mass",
) -> Calibration:
    """Brier score, expected calibration error and reliability diagram.

    ECE is biased upwards in small bins, and a pair and its reverse are one datum: draw at random which answer of each
    pair comes first, or every label is 1.

    Args:
        probabilities: Of the event, 0 to 1.
        happened: Whether it did.
        n_bins: Bins; fewer where values are equal.
        binning: Of equal width, or of equally many answers.

    Raises:
        ConfigError: Nothing given, unequal lengths, no bins, or a probability outside 0 to 1.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape or p.size == 0 or n_bins < 1 or not ((p >= 0) & (p <= 1)).all():
        raise ConfigError(
            f"{p.shape} probabilities, {y.shape} outcomes, {n_bins} bins; "
            "give as many of each, at least one, probabilities from 0 to 1"
        )
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges = inner if binning == "width" else np.unique(np.quantile(p, inner))
    which = np.searchsorted(edges, p, side="right")
    n = np.bincount(which, minlength=len(edges) + 1).astype(np.float64)
    kept = n > 0
    mean_p = np.bincount(which, p, len(n))[kept] / n[kept]
    share = np.bincount(which, y, len(n))[kept] / n[kept]
    ece = float((n[kept] * np.abs(share - mean_p)).sum() / p.size)
    return Calibration(float(((p - y) ** 2).mean()), ece, mean_p, share, n[kept])


def conformal_bound(scores: Float[np.ndarray, " n"], alpha: float) -> float:
    """The bound that a further exchangeable score exceeds with probability at most `alpha`.

    For a gate that accepts above a threshold, give the scores of labelled violations: at most a share `alpha` of further
    violations is accepted.

    >>> conformal_bound(np.arange(1.0, 20.0), 0.1)
    18.0

    Returns:
        The ceil((n + 1)(1 - alpha))-th smallest score; infinity where n is too small for any other bound.

    Raises:
        ConfigError: `alpha` is not between 0 and 1, or a score is missing.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not 0 < alpha < 1 or np.isnan(scores).any():
        raise ConfigError(
            f"alpha is {alpha}, {int(np.isnan(scores).sum())} scores are missing; allowed: 0 < alpha < 1, none"
        )
    # Ten digits, or 19 x 0.9 would round up to one rank more than meant.
    rank = math.ceil(round((scores.size + 1) * (1 - alpha), 10))
    return float(np.sort(scores)[rank - 1]) if rank <= scores.size else math.inf


def gate(low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"], threshold: float) -> list[Gate]:
    """Accept what is surely at or above the threshold, reject what is surely below, escalate the rest.

    A missing end proves nothing.

    >>> gate(np.array([1.0, -1.0, -2.0]), np.array([2.0, 1.0, -1.0]), 0.0)
    ['accept', 'escalate', 'reject']
    """
    return [
        "accept" if one >= threshold else "reject" if other < threshold else "escalate"
        for one, other in zip(low, high, strict=True)
    ]
