"""Error control over many hypotheses: BH, BY, Holm, e-BH, and intervals after selection.

A missing p-value (NaN) stays missing and does not count among the hypotheses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["adjust_bh", "adjust_by", "adjust_holm", "e_bh", "fcr_level"]


def _step_up(p: Float[np.ndarray, " n"], factor: float) -> Float[np.ndarray, " n"]:
    """Adjust valid p-values by the step-up rule p_(i) * factor * K / i."""
    order = np.argsort(p)
    scaled = p[order] * factor * len(p) / np.arange(1, len(p) + 1)
    out = np.empty_like(scaled)
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def _valid(p: Float[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
    """Which p-values are known; all of them must lie in [0, 1]."""
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise InputError("p-values lie outside 0 to 1; pass probabilities, not statistics")
    return np.asarray(known)


def adjust_bh(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Adjust p-values for the false discovery rate under independence or positive dependence.

    Rejecting where the result is <= q keeps the expected share of false findings at most q.

    Raises:
        InputError: A p-value outside [0, 1].

    Source: Benjamini and Hochberg 1995.

    >>> adjust_bh(np.array([0.01, 0.5, np.nan, 0.02]))
    array([0.03, 0.5 ,  nan, 0.03])
    """
    p = np.asarray(p, dtype=np.float64)
    known, out = _valid(p), np.full_like(p, np.nan)
    out[known] = _step_up(p[known], 1.0)
    return out


def adjust_by(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Adjust p-values for the false discovery rate under any dependence: BH times sum(1/i).

    Raises:
        InputError: A p-value outside [0, 1].

    Source: Benjamini and Yekutieli 2001.
    """
    p = np.asarray(p, dtype=np.float64)
    known, out = _valid(p), np.full_like(p, np.nan)
    out[known] = _step_up(p[known], float((1.0 / np.arange(1, known.sum() + 1)).sum()))
    return out


def adjust_holm(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Adjust p-values for the chance of any false finding, under any dependence.

    Raises:
        InputError: A p-value outside [0, 1].

    Source: Holm 1979.

    >>> adjust_holm(np.array([0.01, 0.5, 0.02]))
    array([0.03, 0.5 , 0.04])
    """
    p = np.asarray(p, dtype=np.float64)
    known, out = _valid(p), np.full_like(p, np.nan)
    valid = p[known]
    order = np.argsort(valid)
    scaled = valid[order] * np.arange(len(valid), 0, -1)
    stepped = np.empty_like(scaled)
    stepped[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    out[known] = stepped
    return out


def e_bh(e: Float[np.ndarray, " k"], q: float) -> Bool[np.ndarray, " k"]:
    """Select hypotheses by their e-values; the false discovery rate is at most q under any dependence.

    Rejects the k* largest, k* = max{k : e_(k) >= K / (q k)}.

    Args:
        e: E-values, >= 0: non-negative with mean at most 1 under their null. NaN is not tested.
        q: False discovery rate, in (0, 1).

    Raises:
        ConfigError: q outside (0, 1).
        InputError: A negative e-value.

    Source: Wang and Ramdas 2022, arXiv:2009.02824.

    >>> e_bh(np.array([40.0, 1.0, 15.0, 0.2]), 0.1)
    array([ True, False, False, False])
    """
    if not 0 < q < 1:
        raise ConfigError(f"false discovery rate {q} is not allowed; give a number between 0 and 1")
    e = np.asarray(e, dtype=np.float64)
    if (e < 0).any():
        raise InputError("an e-value is negative; e-values are at least 0")
    known = ~np.isnan(e)
    ranked = np.sort(e[known])[::-1]
    passing = np.flatnonzero(ranked * np.arange(1, len(ranked) + 1) >= len(ranked) / q)
    if not len(passing):
        return np.zeros(len(e), dtype=bool)
    return np.asarray(known & (np.where(known, e, -1.0) >= ranked[passing[-1]]))


def fcr_level(q: float, n_selected: int, n_tested: int) -> float:
    """Confidence level at which intervals of selected findings have false coverage rate at most q.

    Args:
        q: Tolerated share of selected intervals that miss, in (0, 1).
        n_selected: Findings selected, 0 to `n_tested`; none counts as one.
        n_tested: Hypotheses tested, >= 1.

    Returns:
        1 - q * n_selected / n_tested.

    Raises:
        ConfigError: q or the counts are outside their ranges.

    Source: Benjamini and Yekutieli 2005, false coverage-statement rate.

    >>> round(fcr_level(0.1, 5, 100), 3)
    0.995
    """
    if not 0 < q < 1:
        raise ConfigError(f"false coverage rate {q} is not allowed; give a number between 0 and 1")
    if not 0 <= n_selected <= n_tested or n_tested < 1:
        raise ConfigError(f"{n_selected} selected of {n_tested} tested is not allowed; select 0 to all of 1 or more")
    return 1.0 - q * max(n_selected, 1) / n_tested
