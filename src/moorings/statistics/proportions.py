"""Shares and counts: intervals that hold at small n, and the exact test of paired yes-or-no outcomes.

At small n the normal approximation is wrong (Bowyer et al. 2025, arXiv:2503.01747). Arguments may be
numbers or arrays; results have the broadcast shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from moorings.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["beta_binomial", "clopper_pearson", "mcnemar_exact", "wilson", "zero_of_n_upper"]


def _check(k: ArrayLike, n: ArrayLike, level: float) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Counts as float arrays of one shape."""
    if not 0 < level < 1:
        raise ConfigError(f"confidence level {level} is not allowed; give a number between 0 and 1, such as 0.95")
    hits, total = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if ((hits < 0) | (hits > total)).any():
        raise InputError("a count is negative or larger than its total; give 0 <= k <= n")
    return hits, total


def wilson(
    k: ArrayLike, n: ArrayLike, level: float = 0.95
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Give the Wilson score interval of a share.

    Args:
        k: Hits, 0 to n.
        n: Trials; 0 gives the whole range.
        level: Two-sided confidence, in (0, 1).

    Returns:
        Lower and upper ends in [0, 1].

    Raises:
        ConfigError: level outside (0, 1).
        InputError: Counts outside 0 <= k <= n.

    Source: Wilson 1927.

    >>> [round(float(end), 3) for end in wilson(0, 10)]
    [0.0, 0.278]
    """
    hits, total = _check(k, n, level)
    z2 = float(special.ndtri(0.5 + level / 2.0)) ** 2
    safe = np.maximum(total, 1.0)
    share = hits / safe
    centre = (share + z2 / (2.0 * safe)) / (1.0 + z2 / safe)
    half = np.sqrt(z2 * (share * (1.0 - share) / safe + z2 / (4.0 * safe**2))) / (1.0 + z2 / safe)
    low = np.where((total > 0) & (hits > 0), centre - half, 0.0)
    high = np.where((total > 0) & (hits < total), centre + half, 1.0)
    return low, high


def clopper_pearson(
    k: ArrayLike, n: ArrayLike, level: float = 0.95
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Give the exact interval of a share: never below its level, often above.

    Args:
        k: Hits, 0 to n.
        n: Trials; 0 gives the whole range.
        level: Two-sided confidence, in (0, 1).

    Returns:
        Lower and upper ends in [0, 1].

    Raises:
        ConfigError: level outside (0, 1).
        InputError: Counts outside 0 <= k <= n.

    Source: Clopper and Pearson 1934.
    """
    hits, total = _check(k, n, level)
    tail = (1.0 - level) / 2.0
    low = special.betaincinv(np.maximum(hits, 1e-300), total - hits + 1.0, tail)
    high = special.betaincinv(hits + 1.0, np.maximum(total - hits, 1e-300), 1.0 - tail)
    return np.where(hits > 0, low, 0.0), np.where(hits < total, high, 1.0)


def beta_binomial(
    k: ArrayLike, n: ArrayLike, level: float = 0.95, *, a: float = 1.0, b: float = 1.0
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Give the credible interval of a share under a Beta(a, b) prior; for small n.

    Args:
        k: Hits, 0 to n.
        n: Trials.
        level: Equal-tailed probability, in (0, 1).
        a: Prior hits, > 0; 1 is the uniform prior of the source.
        b: Prior misses, > 0.

    Returns:
        Lower and upper ends in [0, 1].

    Raises:
        ConfigError: level outside (0, 1).
        InputError: Counts outside 0 <= k <= n.

    Source: Bowyer et al. 2025 (arXiv:2503.01747).

    >>> [round(float(end), 3) for end in beta_binomial(0, 10)]
    [0.002, 0.285]
    """
    hits, total = _check(k, n, level)
    tail = (1.0 - level) / 2.0
    low = special.betaincinv(hits + a, total - hits + b, tail)
    return np.asarray(low), np.asarray(special.betaincinv(hits + a, total - hits + b, 1.0 - tail))


def zero_of_n_upper(n: ArrayLike, level: float = 0.95) -> Float[np.ndarray, "*shape"]:
    """Largest share that is still plausible when none of n trials showed the behaviour.

    One-sided and exact: 1 - (1 - level)^(1/n), about 3/n at 95 % (the rule of three).

    Raises:
        ConfigError: level outside (0, 1).
        InputError: A negative n.

    Source: Clopper and Pearson 1934; Hanley and Lippman-Hand 1983.

    >>> round(float(zero_of_n_upper(100)), 4)
    0.0295
    """
    total = _check(0, n, level)[1]
    return np.where(total > 0, -np.expm1(np.log1p(-level) / np.maximum(total, 1.0)), 1.0)


def mcnemar_exact(b: ArrayLike, c: ArrayLike) -> Float[np.ndarray, "*shape"]:
    """Test paired yes-or-no outcomes by the pairs that disagree, exactly.

    Args:
        b: Prompts on which only the precursor shows the behaviour.
        c: Prompts on which only the candidate does.

    Returns:
        Two-sided p-values of Binomial(b + c, 1/2), in (0, 1].

    Raises:
        InputError: A negative count.

    Source: McNemar 1947, exact binomial form.

    >>> float(mcnemar_exact(0, 6))
    0.03125
    """
    first, second = np.broadcast_arrays(np.asarray(b, dtype=np.float64), np.asarray(c, dtype=np.float64))
    if ((first < 0) | (second < 0)).any():
        raise InputError("a count of disagreeing pairs is negative; give counts")
    tail = special.bdtr(np.minimum(first, second), (first + second).astype(np.int64), 0.5)
    return np.asarray(np.minimum(2.0 * tail, 1.0))
