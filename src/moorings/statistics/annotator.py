"""Rates under an imperfect annotator: corrected estimates with intervals that know of the annotator's errors.

`rogan_gladen` needs texts whose truth is known, to estimate sensitivity and specificity.
`prediction_powered_mean` needs true labels on a part of the same texts and assumes nothing of the
annotator. Calibrate per arm: a specificity that differs by 5 points between arms fakes 5 points of effect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from moorings.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Calibration", "Estimate", "difference", "prediction_powered_mean", "rogan_gladen"]


class Estimate(NamedTuple):
    """A mean with its standard error and normal interval."""

    value: float
    se: float
    low: float
    high: float


class Calibration(NamedTuple):
    """How an annotator did on texts whose truth is known, for one arm."""

    true_positives: int
    positives: int
    """Texts that truly show the behaviour."""
    true_negatives: int
    negatives: int


def _estimate(value: float, se: float, level: float) -> Estimate:
    """Add the normal interval."""
    if not 0 < level < 1:
        raise ConfigError(f"confidence level {level} is not allowed; give a number between 0 and 1, such as 0.95")
    half = float(special.ndtri(0.5 + level / 2.0)) * se
    return Estimate(value, se, value - half, value + half)


def rogan_gladen(flagged: int, n: int, calibration: Calibration, level: float = 0.95) -> Estimate:
    """Estimate the true share of texts with a behaviour from the share that an annotator flagged.

    p = (q + Sp - 1) / (Se + Sp - 1), with the sampling errors of q, Se and Sp. Their variances use
    (hits + 1) / (n + 2), so that a perfect calibration on few texts is not taken as certain. The
    estimate is not cut to [0, 1]: cutting would bias differences between arms.

    Args:
        flagged: Texts that the annotator flagged.
        n: Texts annotated, >= 1.
        calibration: The annotator on known texts of the same arm.
        level: Two-sided confidence, in (0, 1).

    Returns:
        The corrected share and its interval.

    Raises:
        InputError: Counts out of range, or Se + Sp <= 1: the annotator does no better than guessing.

    Source: Rogan and Gladen 1978; variance with both errors as in Lang and Reiczigel 2014 and arXiv:2511.21140.

    >>> round(rogan_gladen(31, 100, Calibration(80, 100, 90, 100)).value, 3)
    0.3
    """
    tp, positives, tn, negatives = calibration
    if not (0 <= flagged <= n and n >= 1 and 0 <= tp <= positives and 0 <= tn <= negatives and positives and negatives):
        raise InputError(f"counts {flagged} of {n} and {calibration} are out of range; give hits within totals >= 1")
    se, sp, q = tp / positives, tn / negatives, flagged / n
    gain = se + sp - 1.0
    if gain <= 0:
        raise InputError(
            f"sensitivity {se:.2f} and specificity {sp:.2f} are no better than guessing; use another annotator"
        )
    p = (q + sp - 1.0) / gain
    parts = _spread(flagged, n) + p**2 * _spread(tp, positives) + (1.0 - p) ** 2 * _spread(tn, negatives)
    return _estimate(p, math.sqrt(parts) / gain, level)


def _spread(hits: int, n: int) -> float:
    """Variance of a share, shrunk so that it is never zero."""
    share = (hits + 1.0) / (n + 2.0)
    return share * (1.0 - share) / n


def prediction_powered_mean(
    truth: Float[np.ndarray, " n"],
    predicted: Float[np.ndarray, " n"],
    predicted_rest: Float[np.ndarray, " N"],
    level: float = 0.95,
) -> Estimate:
    """Estimate a mean from few true labels and many predictions, never wider than the labels alone by much.

    mean(truth) + w (mean(predicted_rest) - mean(predicted)), with the weight w that minimises the
    variance, cut to [0, 1]. Rows must be independent; give one row a prompt family otherwise.

    Args:
        truth: True values of the labelled texts, n >= 2.
        predicted: The annotator's values of the same texts.
        predicted_rest: The annotator's values of the other texts, N >= 2.
        level: Two-sided confidence, in (0, 1).

    Returns:
        The mean and its interval.

    Raises:
        InputError: Fewer than two rows, or labelled columns of different length.

    Source: Angelopoulos et al. 2023, PPI++ (arXiv:2311.01453), for the mean.
    """
    n, rest = len(truth), len(predicted_rest)
    if n != len(predicted) or min(n, rest) < 2:
        raise InputError(
            f"{n} labels, {len(predicted)} and {rest} predictions do not fit; give 2 or more matching rows"
        )
    covariance = np.cov(truth, predicted)
    pooled = float(np.var(np.concatenate([predicted, predicted_rest]), ddof=1))
    weight = min(max(float(covariance[0, 1]) / ((1.0 + n / rest) * pooled), 0.0), 1.0) if pooled > 0 else 0.0
    value = float(np.mean(truth)) + weight * (float(np.mean(predicted_rest)) - float(np.mean(predicted)))
    rectified = float(np.var(truth - weight * predicted, ddof=1))
    variance = rectified / n + weight**2 * float(np.var(predicted_rest, ddof=1)) / rest
    return _estimate(value, math.sqrt(variance), level)


def difference(candidate: Estimate, precursor: Estimate, level: float = 0.95) -> Estimate:
    """Subtract two independently estimated rates: candidate less precursor.

    Raises:
        ConfigError: level outside (0, 1).
    """
    return _estimate(candidate.value - precursor.value, math.hypot(candidate.se, precursor.se), level)
