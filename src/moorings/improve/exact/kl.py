"""Estimators of the KL divergence from samples, and a weight of it that follows a target.

Estimators after Schulman 2020 ("Approximating KL divergence"): with draws from pi and l = ln pi / pi0,
k1 = l is unbiased and noisy, k2 = l^2 / 2 is biased and has little variance, k3 = exp(-l) - 1 + l is unbiased and
never negative. The controller is that of Ziegler et al. 2019 (arXiv:1909.08593), section 2.2:
e = clip((KL - target) / target, -0.2, 0.2); beta <- beta (1 + gain e).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["AdaptiveKl", "KlEstimator", "estimate_kl"]

KlEstimator = Literal["k1", "k2", "k3"]


def estimate_kl(log_ratio: Float[np.ndarray, ...], estimator: KlEstimator) -> Float[np.ndarray, ...]:
    """One estimate in nats a draw from pi; their mean estimates KL(pi || pi0).

    Args:
        log_ratio: ln pi / pi0 of each draw.
        estimator: Which one.

    >>> [round(float(estimate_kl(np.array(0.5), k)), 4) for k in ("k1", "k2", "k3")]
    [0.5, 0.125, 0.1065]
    """
    if estimator == "k1":
        return np.asarray(log_ratio)
    if estimator == "k2":
        return np.asarray(0.5 * np.square(log_ratio))
    return np.asarray(np.expm1(-np.asarray(log_ratio)) + log_ratio)


@dataclass(frozen=True)
class AdaptiveKl:
    """A KL weight that rises while the KL is above its target and falls below it."""

    weight: float
    """beta in front of the KL."""
    target_nats: float
    """KL that is wanted, > 0; the paper used 6 to 10 for 60-token answers."""
    gain: float = 0.1
    """How fast the weight follows; the paper's value. 0 holds it."""

    def after(self, kl_nats: float) -> AdaptiveKl:
        """The controller after it saw a KL.

        >>> round(AdaptiveKl(0.1, target_nats=6.0).after(12.0).weight, 4)
        0.102
        """
        error = float(np.clip((kl_nats - self.target_nats) / self.target_nats, -0.2, 0.2))
        return replace(self, weight=self.weight * (1 + self.gain * error))
