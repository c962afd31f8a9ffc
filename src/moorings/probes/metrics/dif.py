"""Items that are harder for one group than for another of the same ability (differential item functioning).

Source: Swaminathan and Rogers 1990, logistic regression; Benjamini and Hochberg 1995 over the items. Equation:
`logit P = k0 + k1 theta + k2 group + k3 theta group`; likelihood ratio of both group terms against none, two degrees of
freedom. Groups are of respondents (trained, untrained) or of variants (self, other): a row is one answer, a unit is what
may function differently.

The ratio is scaled by 1 - 6/n for n answers to a unit, a Bartlett factor that was measured on nulls: without it 7.9 % of
p-values lie below 0.05 with 40 respondents and 6.0 % with 120, with it 5.5 % and 5.2 %.

All units are fitted at once by Fisher scoring with a slight ridge (separated data have no finite optimum otherwise).
Left out: purification of the matching score. Must show: a planted item is found and absent ones are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from moorings.errors import InputError
from moorings.statistics.multiplicity import adjust_bh

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["Dif", "dif"]

_RIDGE = 1e-4
_STEPS = 60
_MIN_ROWS = 8
_BARTLETT = 6.0


class Dif(NamedTuple):
    """One entry a unit, NaN where it has fewer than 8 answers of a group, or only right or only wrong ones."""

    units: tuple[str, ...]
    p: Float[np.ndarray, " u"]
    p_adjusted: Float[np.ndarray, " u"]
    """Benjamini-Hochberg over the units with a p-value."""
    group: Float[np.ndarray, " u"]
    """k2 in logits at mean ability: above 0, the unit is easier for group 1 than its ability says."""
    slope: Float[np.ndarray, " u"]
    """k3: above 0, the unit tells abilities apart better in group 1."""
    flagged: Bool[np.ndarray, " u"]
    """Adjusted p-value at most q."""


def dif(
    right: Float[np.ndarray, " n"],
    theta: Float[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
    units: Sequence[str],
    *,
    chance: float = 0.0,
    q: float = 0.05,
) -> Dif:
    """Test each unit for differential functioning.

    Args:
        right: Score of each answer in [0, 1]; NaN is left out.
        theta: Ability of the one who answered.
        group: 0 or 1.
        units: What each answer is to: an item, or a cluster if the groups are variants.
        chance: Guessing floor; 0 is the equation above, else `P = chance + (1 - chance) sigmoid(...)`.
        q: False discovery rate.

    Raises:
        InputError: Columns differ in length, or a group is neither 0 nor 1.
    """
    if not len(right) == len(theta) == len(group) == len(units):
        raise InputError("right, theta, group and units differ in length; give one of each an answer")
    if not np.isin(group, (0, 1)).all():
        raise InputError("group holds numbers other than 0 and 1; compare two groups at a time")
    names, unit = np.unique(np.asarray(units, dtype=object).astype(str), return_inverse=True)
    seen = ~np.isnan(right)
    y, g, unit = right[seen], group[seen].astype(np.float64), unit[seen]
    ability = theta[seen] - (theta[seen].mean() if seen.any() else 0.0)
    u = len(names)
    x = np.stack([np.ones(len(y)), ability, g, ability * g], axis=1)
    sizes = [np.bincount(unit, weights=side, minlength=u) for side in (g, 1.0 - g)]
    hits = np.bincount(unit, weights=y, minlength=u)
    testable = (np.minimum(*sizes) >= _MIN_ROWS) & (hits > 0) & (hits < sum(sizes))
    full, beta = _fit(x, y, unit, u, chance)
    none, _ = _fit(x[:, :2], y, unit, u, chance)
    ratio = 2.0 * np.maximum(full - none, 0.0) * (1.0 - _BARTLETT / np.maximum(sum(sizes), 2 * _MIN_ROWS))
    p = np.where(testable, special.chdtrc(2, ratio), np.nan)
    adjusted = adjust_bh(p)
    effects = np.where(testable[:, None], beta, np.nan)
    return Dif(tuple(names), p, adjusted, effects[:, 2], effects[:, 3], np.nan_to_num(adjusted, nan=1.0) <= q)


def _fit(
    x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"], unit: Int[np.ndarray, " n"], u: int, chance: float
) -> tuple[Float[np.ndarray, " u"], Float[np.ndarray, "u k"]]:
    """Log-likelihood and coefficients of each unit's own logistic regression."""
    k = x.shape[1]
    beta = np.zeros((u, k))
    penalty = _RIDGE * np.eye(k)
    for _ in range(_STEPS):
        eta = np.clip((x * beta[unit]).sum(axis=1), -30.0, 30.0)
        s = special.expit(eta)
        lift = (1.0 - chance) * s / (chance + (1.0 - chance) * s)
        slope = y * lift * (1.0 - s) - (1.0 - y) * s
        weight = lift * s * (1.0 - s)
        gradient = _by(unit, x * slope[:, None], u) - _RIDGE * beta
        info = _by(unit, (x[:, :, None] * x[:, None, :] * weight[:, None, None]).reshape(len(y), -1), u)
        step = np.linalg.solve(info.reshape(u, k, k) + penalty, gradient[:, :, None])[:, :, 0]
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max(initial=0.0) < 1e-8:
            break
    eta = np.clip((x * beta[unit]).sum(axis=1), -30.0, 30.0)
    p = chance + (1.0 - chance) * special.expit(eta)
    fit = y * np.log(p) + (1.0 - y) * (np.log1p(-chance) + special.log_expit(-eta))
    return np.bincount(unit, weights=fit, minlength=u), beta


def _by(unit: Int[np.ndarray, " n"], columns: Float[np.ndarray, "n k"], u: int) -> Float[np.ndarray, "u k"]:
    return np.stack([np.bincount(unit, weights=column, minlength=u) for column in columns.T], axis=1)
