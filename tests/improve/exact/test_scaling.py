"""Scaling laws: recovery of known numbers, and coverage of intervals over repeats."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.errors import ConfigError
from moorings.improve.exact.scaling import fit_law, fit_law_to_repeats, mean_interval

KL = np.linspace(0, 4, 12)


def _gain(alpha: float, beta: float, law: str) -> np.ndarray:
    d = np.sqrt(KL)
    other = d if law == "best_of_n" else np.log(np.maximum(d, 1e-300))
    return d * (alpha - beta * other)


@pytest.mark.parametrize("law", ["best_of_n", "policy_gradient"])
def test_known_curves_are_recovered(law: str) -> None:
    fit = fit_law(KL, _gain(0.9, 0.4, law), law)
    assert (fit.alpha, fit.beta, fit.r_squared) == pytest.approx((0.9, 0.4, 1.0))
    fine = np.linspace(1e-3, fit.peak_kl * 2, 200_001)
    d = np.sqrt(fine)
    curve = d * (0.9 - 0.4 * (d if law == "best_of_n" else np.log(d)))
    assert fine[curve.argmax()] == pytest.approx(fit.peak_kl, abs=1e-3)


def test_a_curve_that_never_falls_has_no_peak() -> None:
    assert fit_law(KL, _gain(0.9, -0.1, "best_of_n"), "best_of_n").peak_kl == np.inf
    assert fit_law(KL, np.zeros(12), "best_of_n").r_squared == 1.0


def test_intervals_over_repeats_cover() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        alphas, betas = rng.normal(0.9, 0.1, 6), rng.normal(0.3, 0.05, 6)
        gains = np.stack([_gain(a, b, "best_of_n") for a, b in zip(alphas, betas, strict=True)])
        found = fit_law_to_repeats(np.tile(KL, (6, 1)), gains, "best_of_n").beta_interval
        hits += found.low <= 0.3 <= found.high
    assert abs(hits / 300 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)


def test_too_little_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 3"):
        fit_law(np.array([0.0, 1.0, 2.0]), np.zeros(3), "best_of_n")
    with pytest.raises(ConfigError, match="at least 2"):
        mean_interval(np.array([1.0]))
