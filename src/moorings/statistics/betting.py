"""Anytime-valid tests of bounded paired differences: look after every prompt, stop whenever.

A bettor with wealth 1 stakes a share lambda on each difference d in [-1, 1] being above tau. If the
mean is not above tau, wealth is a non-negative supermartingale, so it ever reaches 1/alpha with
probability at most alpha (Ville). Staking on a grid of lambdas at once needs no tuning.

Sources: Waudby-Smith and Ramdas 2024, Estimating means of bounded random variables by betting
(arXiv:2010.09686); Shin, Ramdas and Rinaldo 2024, E-detectors (arXiv:2203.03532).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import logsumexp

from moorings.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["confidence_sequence", "e_detector", "e_process", "first_alarm", "stakes"]

Alternative = Literal["greater", "less", "two-sided"]


def stakes(tau: float, n_stakes: int = 12) -> Float[np.ndarray, " n_stakes"]:
    """Grid of stakes, evenly spaced from 4 % to 96 % of the largest that cannot lose all, 1 / (1 + tau)."""
    if not -1 < tau < 1:
        raise ConfigError(f"tau {tau} is not allowed; differences lie in -1 to 1, give a tolerance inside")
    return np.linspace(0.04, 0.96, n_stakes) / (1.0 + tau)


def _log_wealth(d: Float[np.ndarray, "*shape t"], tau: float, n_stakes: int) -> Float[np.ndarray, "n_stakes *shape t"]:
    """Log growth factors of each stake on d above tau."""
    grid = stakes(tau, n_stakes).reshape((n_stakes,) + (1,) * d.ndim)
    return np.asarray(np.log1p(grid * (d - tau)))


def _check(d: Float[np.ndarray, "*shape t"]) -> Float[np.ndarray, "*shape t"]:
    """Differences as floats, all of them known and within their bounds."""
    d = np.asarray(d, dtype=np.float64)
    if not (np.abs(d) <= 1.0).all():
        raise InputError(
            "a difference is missing or outside -1 to 1; leave missing ones out and scale counts to shares"
        )
    return d


def e_process(
    d: Float[np.ndarray, "*shape t"], tau: float = 0.0, alternative: Alternative = "two-sided", n_stakes: int = 12
) -> Float[np.ndarray, "*shape t"]:
    """Accumulate evidence, prompt by prompt, that the mean difference exceeds a tolerance.

    "greater" tests mean <= tau, "less" tests mean >= -tau, "two-sided" the mean within +-tau, by the
    average of both. Reject when the value reaches 1/alpha, at any time.

    Args:
        d: Differences in order of arrival, in [-1, 1]; leading axes are separate streams.
        tau: Tolerance, in (-1, 1); 0 or more for "two-sided".
        alternative: Which side counts as harm.
        n_stakes: Stakes in the mixture of each side.

    Returns:
        The e-process after each difference, >= 0.

    Raises:
        InputError: A difference is NaN or outside [-1, 1].
        ConfigError: tau outside its range.

    Source: Waudby-Smith and Ramdas 2024 (arXiv:2010.09686), with a fixed mixture.
    """
    d = _check(d)
    if alternative == "two-sided":
        if tau < 0:
            raise ConfigError(f"tau {tau} is not allowed for a two-sided test; give 0 or more")
        both = e_process(d, tau, "greater", n_stakes) + e_process(d, tau, "less", n_stakes)
        return np.asarray(0.5 * both)
    signed = d if alternative == "greater" else -d
    logs = np.cumsum(_log_wealth(signed, tau, n_stakes), axis=-1)
    return np.asarray(np.exp(np.minimum(logs, 700.0)).mean(axis=0))


def first_alarm(evidence: Float[np.ndarray, "*shape t"], alpha: float) -> Float[np.ndarray, "*shape"]:
    """Number of differences after which evidence first reaches 1/alpha; infinity if never.

    Raises:
        ConfigError: alpha outside (0, 1).

    >>> first_alarm(np.array([[1.0, 25.0, 3.0], [1.0, 2.0, 4.0]]), 0.05)
    array([ 2., inf])
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha {alpha} is not allowed; give a number between 0 and 1")
    reached: Bool[np.ndarray, "*shape t"] = evidence >= 1.0 / alpha
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1.0, np.inf)


def confidence_sequence(
    d: Float[np.ndarray, " t"], alpha: float = 0.05, n_stakes: int = 12, precision: float = 1e-3
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Bound the mean difference after each prompt, valid at all times together.

    Each end inverts a one-sided e-process at alpha/2 on a grid of means; wealth falls as the tested
    mean rises, so the rejected means are an interval. Ends only tighten. O(t / precision) time.

    Args:
        d: Differences in order of arrival, in [-1, 1].
        alpha: Chance that the mean is ever outside, in (0, 1).
        n_stakes: Stakes in the mixture of each side.
        precision: Step of the grid; ends are rounded outwards.

    Returns:
        Lower and upper ends, in [-1, 1].

    Raises:
        InputError: A difference is NaN or outside [-1, 1].
        ConfigError: alpha outside (0, 1).

    Source: Waudby-Smith and Ramdas 2024 (arXiv:2010.09686).
    """
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha {alpha} is not allowed; give a number between 0 and 1")
    d = _check(d)
    low = _lower_ends(d, alpha / 2.0, n_stakes, precision)
    return low, -_lower_ends(-d, alpha / 2.0, n_stakes, precision)


def _lower_ends(d: Float[np.ndarray, " t"], alpha: float, n_stakes: int, precision: float) -> Float[np.ndarray, " t"]:
    """Largest tested mean that was rejected from below up to each time.

    A mean is rejected no earlier than any smaller one, so the first mean that is never rejected ends the search.
    """
    low = np.full(len(d), -1.0)
    shares = stakes(0.0, n_stakes)[:, None]
    for mean in np.arange(-1.0 + precision, 1.0, precision):
        logs = np.cumsum(np.log1p(shares * (d - mean) / (1.0 + mean)), axis=1)
        hit = logsumexp(logs, axis=0) >= np.log(n_stakes / alpha)
        if not hit.any():
            break
        low[int(hit.argmax()) :] = mean
    return low


def e_detector(
    d: Float[np.ndarray, "*shape t"],
    tau: float = 0.0,
    alternative: Literal["greater", "less"] = "greater",
    kind: Literal["sr", "cusum"] = "sr",
    n_stakes: int = 12,
) -> Float[np.ndarray, "*shape t"]:
    """Watch for a change that starts late: evidence that forgets the quiet time before it.

    SR_t = (SR_{t-1} + 1) e_t, CUSUM_t = max(CUSUM_{t-1}, 1) e_t for each stake, then averaged. An alarm
    at 1/alpha comes after at least 1/alpha differences on average if nothing changes; unlike
    `e_process` it does not bound the chance that an alarm ever comes.

    Args:
        d: Differences in order of arrival, in [-1, 1]; leading axes are separate streams.
        tau: Tolerance, in (-1, 1).
        alternative: "greater" watches for a mean above tau, "less" for one below -tau.
        kind: Shiryaev-Roberts or CUSUM.
        n_stakes: Stakes in the mixture.

    Returns:
        The detector after each difference, >= 0.

    Raises:
        InputError: A difference is NaN or outside [-1, 1].
        ConfigError: tau outside its range.

    Source: Shin, Ramdas and Rinaldo 2024 (arXiv:2203.03532), with a mixture over stakes.
    """
    d = _check(d)
    factors = np.exp(_log_wealth(d if alternative == "greater" else -d, tau, n_stakes))
    state = np.zeros(factors.shape[:-1])
    out = np.empty_like(d)
    for t in range(d.shape[-1]):
        before = state + 1.0 if kind == "sr" else np.maximum(state, 1.0)
        # Far beyond any alarm; held there so that long streams cannot overflow.
        state = np.minimum(before * factors[..., t], 1e300)
        out[..., t] = state.mean(axis=0)
    return out
