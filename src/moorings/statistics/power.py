"""How small an effect a comparison can find, and how many prompts and samples that takes.

The difference of one prompt varies with the true effect across prompts (sd omega) and with sampling:
omega^2 + (s_A^2 + s_B^2) / m for m samples a prompt and arm. For shares s^2 = rate (1 - rate). Normal
quantiles; for few families use `mde_from_se`, which uses t.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from moorings.errors import ConfigError

__all__ = ["best_m", "design_effect", "mde", "mde_from_se", "n_prompts_needed"]


def _quantiles(alpha: float, power: float) -> float:
    """z_{1-alpha/2} + z_power."""
    if not 0 < alpha < 1 or not 0 < power < 1:
        raise ConfigError(f"alpha {alpha}, power {power} are not allowed; give numbers between 0 and 1")
    return float(special.ndtri(1.0 - alpha / 2.0) + special.ndtri(power))


def _variance(base_rate: float, omega: float, m: int) -> float:
    """Variance of one prompt's difference when both arms have the base rate."""
    if not 0 <= base_rate <= 1 or omega < 0 or m < 1:
        raise ConfigError(
            f"base rate {base_rate}, omega {omega}, m {m} are not allowed; use a rate in 0 to 1, omega >= 0, m >= 1"
        )
    return omega**2 + 2.0 * base_rate * (1.0 - base_rate) / m


def design_effect(mean_family_size: float, correlation: float) -> float:
    """Factor by which families inflate the variance: 1 + (n_bar - 1) rho.

    Source: Kish 1965.
    """
    return 1.0 + (mean_family_size - 1.0) * correlation


def mde(
    *,
    n_prompts: int,
    m: int,
    base_rate: float = 0.2,
    omega: float = 0.1,
    alpha: float = 0.05,
    power: float = 0.8,
    deff: float = 1.0,
) -> float:
    """Least true mean difference that is found with the stated power.

    Args:
        n_prompts: Prompts tested on, >= 1.
        m: Samples a prompt and arm, >= 1.
        base_rate: Share of responses that show the behaviour, in [0, 1].
        omega: Standard deviation of the true effect across prompts, as a share.
        alpha: Two-sided error rate; for many hypotheses the working level after adjustment.
        power: Chance of finding it, in (0, 1).
        deff: Design effect of families, >= 1 as a rule.

    Returns:
        The effect, as a share of responses.

    Raises:
        ConfigError: An argument outside its range.

    Source: Miller 2024 (arXiv:2411.00640).

    >>> round(mde(n_prompts=200, m=4, alpha=0.05 / 20), 3)
    0.082
    """
    if n_prompts < 1:
        raise ConfigError(f"{n_prompts} prompts are not allowed; give 1 or more")
    return _quantiles(alpha, power) * math.sqrt(deff * _variance(base_rate, omega, m) / n_prompts)


def n_prompts_needed(
    effect: float,
    *,
    m: int,
    base_rate: float = 0.2,
    omega: float = 0.1,
    alpha: float = 0.05,
    power: float = 0.8,
    deff: float = 1.0,
) -> int:
    """Fewest prompts with which `effect` is found with the stated power; arguments as in `mde`.

    Raises:
        ConfigError: An effect of zero, or an argument outside its range.

    >>> n_prompts_needed(0.1, m=4)
    71
    """
    if effect == 0:
        raise ConfigError("an effect of 0 needs endless prompts; give the least effect that matters")
    return max(1, math.ceil(deff * _variance(base_rate, omega, m) * (_quantiles(alpha, power) / effect) ** 2))


def best_m(*, base_rate: float = 0.2, omega: float = 0.1, prompt_cost: float, sample_cost: float) -> int:
    """Samples a prompt and arm that give the smallest MDE for a budget.

    Minimises (omega^2 + 2 s^2 / m)(prompt_cost + 2 m sample_cost), whose optimum over the reals is
    sqrt(2 s^2 prompt_cost / (2 sample_cost omega^2)); the better whole neighbour is returned.

    Args:
        base_rate: Share of responses that show the behaviour, in [0, 1].
        omega: Standard deviation of the true effect across prompts, > 0.
        prompt_cost: Cost of one more prompt, >= 0, in any unit.
        sample_cost: Cost of one response, > 0, in the same unit.

    Returns:
        m >= 1.

    Raises:
        ConfigError: omega or sample_cost not positive.
    """
    if omega <= 0 or sample_cost <= 0 or prompt_cost < 0:
        raise ConfigError(
            f"omega {omega}, costs {prompt_cost} and {sample_cost} are not allowed; omega and sample cost must be > 0"
        )
    ideal = math.sqrt(2.0 * base_rate * (1.0 - base_rate) * prompt_cost / (2.0 * sample_cost * omega**2))
    choices = {max(1, math.floor(ideal)), max(1, math.ceil(ideal))}
    return min(choices, key=lambda m: (_variance(base_rate, omega, m) * (prompt_cost + 2 * m * sample_cost), m))


def mde_from_se(se: ArrayLike, df: ArrayLike, alpha: ArrayLike, power: float = 0.8) -> np.ndarray:
    """Least true effect that a finished test would have found: (t_{1-alpha/2} + t_{power}) se.

    Args:
        se: Standard error that was observed, >= 0, in the effect's unit; NaN gives NaN.
        df: Degrees of freedom, > 0.
        alpha: Two-sided working level, in (0, 1).
        power: Chance of finding it, in (0, 1).

    Returns:
        The effect, in the unit of `se`.

    Raises:
        ConfigError: power outside (0, 1).

    Source: Bloom 1995, Minimum detectable effects.
    """
    if not 0 < power < 1:
        raise ConfigError(f"power {power} is not allowed; give a number between 0 and 1")
    freedom = np.asarray(df, dtype=np.float64)
    factor = special.stdtrit(freedom, 1.0 - np.asarray(alpha) / 2.0) + special.stdtrit(freedom, power)
    return np.asarray(factor * np.asarray(se, dtype=np.float64))
