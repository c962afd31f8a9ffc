"""Ability and difficulty on one scale: a two-parameter model with a fixed guessing floor and effects of clusters.

Source: the design of the probes; Bock and Aitkin 1981 for the model, Bradlow, Wainer and Wang 1999 for testlets.
`P(right) = c_i + (1 - c_i) sigmoid(a_i (theta_m - b_i) + g_{m,cluster})` with c_i fixed at chance, theta ~ N(0, 1),
log a ~ N(0, 0.3), b ~ N(0, 1.5), g ~ N(0, s^2), where the second number is a standard deviation. Maximum a posteriori by
L-BFGS; widths by Laplace with the expected information, which is exact block by block: g is eliminated first, then the
items of each cluster, which leaves one matrix over respondents.

Left out: estimating c and s; sampling from the posterior. A joint maximum takes the other parameters' shape as normal:
with 40 respondents and 200 items in clusters of 4, intervals of 95 % for theta hold 92 %.
Must show: simulated abilities recovered with r >= 0.95. With fewer than about 15 respondents the items' parameters are
those of the prior: see `IrtFit.warning` and the widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field
from scipy import optimize, special

from moorings.errors import InputError
from moorings.method import MethodConfig

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["MIN_RESPONDENTS", "Abilities", "IrtFit", "IrtPriors", "abilities", "fit_irt", "item_analysis"]

MIN_RESPONDENTS = 15
"""Fewer than this leave the items' parameters to the prior."""


class IrtPriors(MethodConfig):
    """Standard deviations of the priors; all inferred by the design of the probes."""

    theta: float = Field(default=1.0, gt=0)
    """Of abilities, around 0; this sets the scale."""
    log_a: float = Field(default=0.3, gt=0)
    """Of log discriminations, around 0."""
    b: float = Field(default=1.5, gt=0)
    """Of difficulties, around 0."""
    testlet: float = Field(default=0.5, ge=0)
    """Of the effect of a cluster on a respondent; 0 leaves the effects out. A few right-or-wrong answers a cluster say too
    little of it to estimate it."""


@dataclass(frozen=True)
class IrtFit:
    """Estimates with standard deviations of their posterior."""

    theta: Float[np.ndarray, " m"]
    theta_sd: Float[np.ndarray, " m"]
    a: Float[np.ndarray, " n"]
    log_a_sd: Float[np.ndarray, " n"]
    b: Float[np.ndarray, " n"]
    b_sd: Float[np.ndarray, " n"]
    c: Float[np.ndarray, " n"]
    n_answers: Int[np.ndarray, " n"]
    """Respondents that answered each item."""
    converged: bool
    warning: str = ""
    """What limits the fit, in one sentence; empty if nothing does. Print it wherever the estimates are."""


class Abilities(NamedTuple):
    """Abilities under known items."""

    theta: Float[np.ndarray, " m"]
    sd: Float[np.ndarray, " m"]


class _Problem(NamedTuple):
    right: Float[np.ndarray, "m n"]
    """NaN filled with 0."""
    seen: Bool[np.ndarray, "m n"]
    c: Float[np.ndarray, " n"]
    clusters: Int[np.ndarray, " n"]
    """Numbered over clusters of two or more items; -1 for single items, which have no effect of their own."""
    k: int
    priors: IrtPriors


class _Point(NamedTuple):
    theta: Float[np.ndarray, " m"]
    log_a: Float[np.ndarray, " n"]
    b: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "m k"]


def fit_irt(
    right: Float[np.ndarray, "m n"],
    chance: Float[np.ndarray, " n"],
    clusters: Int[np.ndarray, " n"],
    *,
    priors: IrtPriors | None = None,
    max_iterations: int = 500,
) -> IrtFit:
    """Fit abilities of m respondents and parameters of n items together.

    Args:
        right: What each respondent scored on each item, in [0, 1]; NaN where it did not answer.
        chance: Guessing floor of each item, in [0, 1).
        clusters: Cluster of each item.
        priors: Widths of the priors.
        max_iterations: Steps of L-BFGS at most.

    Raises:
        InputError: Shapes that do not fit, or scores or floors out of range.
    """
    problem = _problem(right, chance, clusters, priors or IrtPriors())
    m, n = right.shape
    point = _Point(np.zeros(m), np.zeros(n), np.zeros(n), np.zeros((m, problem.k)))
    point, converged = _maximise(problem, point, max_iterations)
    theta_sd, log_a_sd, b_sd = _widths(problem, point)
    warning = ""
    if m < MIN_RESPONDENTS:
        warning = f"{m} respondents are fewer than {MIN_RESPONDENTS}: item parameters are mostly those of the prior."
    elif not converged:
        warning = f"The fit had not converged after {max_iterations} steps."
    return IrtFit(
        theta=point.theta,
        theta_sd=theta_sd,
        a=np.exp(point.log_a),
        log_a_sd=log_a_sd,
        b=point.b,
        b_sd=b_sd,
        c=problem.c,
        n_answers=problem.seen.sum(axis=0),
        converged=converged,
        warning=warning,
    )


def abilities(
    right: Float[np.ndarray, "m n"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    c: Float[np.ndarray, " n"],
    *,
    prior_sd: float = 1.0,
) -> Abilities:
    """Abilities under items whose parameters are known, such as anchors; effects of clusters are not modelled.

    Fisher scoring to the maximum a posteriori. Widths take items as independent: use a cluster bootstrap beside them.

    Raises:
        InputError: Shapes that do not fit, or scores out of range.
    """
    _check(right, c, len(a), len(b))
    seen = ~np.isnan(right)
    y = np.where(seen, right, 0.0)
    theta = np.zeros(len(right))
    info = np.ones(len(right))
    for _ in range(100):
        slope, info = scores(theta, y, seen, a, b, c)
        gradient = slope.sum(axis=1) - theta / prior_sd**2
        info = info.sum(axis=1) + 1.0 / prior_sd**2
        step = np.clip(gradient / info, -1.0, 1.0)
        theta = theta + step
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    return Abilities(theta, 1.0 / np.sqrt(info))


def scores(
    theta: Float[np.ndarray, " m"],
    y: Float[np.ndarray, "m n"],
    seen: Bool[np.ndarray, "m n"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    c: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "m n"]]:
    """Derivative of each answer's log-likelihood in theta, and its expected information; 0 where not seen."""
    slope, weight = _derivatives(a * (theta[:, None] - b), y, c)
    return np.where(seen, slope * a, 0.0), np.where(seen, weight * a**2, 0.0)


def item_analysis(
    right: Float[np.ndarray, "m n"], fit: IrtFit
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Which items to look at: those that the better respondents get wrong, or that tell respondents hardly apart.

    Returns:
        Point-biserial correlation of each item with the mean of the others (NaN where one of them is constant), and
        whether the item should be put aside: correlation below 0 or discrimination below 0.2.
    """
    seen = ~np.isnan(right)
    total, n = np.nansum(right, axis=1, keepdims=True), seen.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (total - np.where(seen, right, 0.0)) / (n - 1)
        x = np.where(seen, right, np.nan)
        rest = np.where(seen, rest, np.nan)
        count = np.maximum(seen.sum(axis=0), 1)
        dx = x - np.nansum(x, axis=0) / count
        dr = rest - np.nansum(rest, axis=0) / count
        scale = np.sqrt(np.nansum(dx**2, axis=0) * np.nansum(dr**2, axis=0))
        r = np.where(scale > 1e-12, np.nansum(dx * dr, axis=0) / scale, np.nan)
    return r, np.asarray((r < 0) | (fit.a < 0.2))


def _check(right: Float[np.ndarray, "m n"], chance: Float[np.ndarray, " n"], *sizes: int) -> None:
    if right.ndim != 2 or any(size != right.shape[1] for size in (len(chance), *sizes)):
        raise InputError(f"answers {right.shape} do not fit {len(chance)} items; give one column an item")
    known = right[~np.isnan(right)]
    if ((known < 0) | (known > 1)).any() or not ((chance >= 0) & (chance < 1)).all():
        raise InputError("scores lie outside 0 to 1, or a guessing floor outside 0 to below 1; give shares")


def _problem(
    right: Float[np.ndarray, "m n"], chance: Float[np.ndarray, " n"], clusters: Int[np.ndarray, " n"], priors: IrtPriors
) -> _Problem:
    _check(right, chance, len(clusters))
    seen = ~np.isnan(right)
    _, index, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    several = sizes >= 2
    numbers = np.where(several, np.cumsum(several) - 1, -1)
    k = int(several.sum()) if priors.testlet != 0 else 0
    return _Problem(
        np.where(seen, right, 0.0), seen, chance, numbers[index] if k else np.full(len(index), -1), k, priors
    )


def _derivatives(
    eta: Float[np.ndarray, "m n"], y: Float[np.ndarray, "m n"], c: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "m n"]]:
    """Derivative of the log-likelihood in eta, and the expected information about eta."""
    s = special.expit(eta)
    p = c + (1.0 - c) * s
    lift = (1.0 - c) * s / np.maximum(p, 1e-300)
    return y * lift * (1.0 - s) - (1.0 - y) * s, lift * s * (1.0 - s)


def _eta(problem: _Problem, at: _Point) -> Float[np.ndarray, "m n"]:
    eta = np.exp(at.log_a) * (at.theta[:, None] - at.b)
    grouped = problem.clusters >= 0
    eta[:, grouped] += at.g[:, problem.clusters[grouped]]
    return np.asarray(eta)


def _maximise(problem: _Problem, start: _Point, max_iterations: int) -> tuple[_Point, bool]:
    m, n = problem.right.shape
    k, c, priors = problem.k, problem.c, problem.priors
    precision = np.concatenate(
        [
            np.full(m, priors.theta**-2),
            np.full(n, priors.log_a**-2),
            np.full(n, priors.b**-2),
            np.full(m * k, priors.testlet**-2 if k else 0.0),
        ]
    )
    grouped = np.flatnonzero(problem.clusters >= 0)
    order = grouped[np.argsort(problem.clusters[grouped], kind="stable")]
    starts = np.searchsorted(problem.clusters[order], np.arange(k))

    def unpack(x: Float[np.ndarray, " d"]) -> _Point:
        theta, log_a, b, g = np.split(x, [m, m + n, m + 2 * n])
        return _Point(theta, log_a, b, g.reshape(m, k))

    def loss(x: Float[np.ndarray, " d"]) -> tuple[float, Float[np.ndarray, " d"]]:
        at = unpack(x)
        eta, a = _eta(problem, at), np.exp(at.log_a)
        # log(1 - P) = log(1 - c) + log(1 - s), which does not cancel for able respondents
        log_p = np.log(c + (1.0 - c) * special.expit(eta))
        log_q = np.log1p(-c) + special.log_expit(-eta)
        fit = problem.right * log_p + (1.0 - problem.right) * log_q
        slope = np.where(problem.seen, _derivatives(eta, problem.right, c)[0], 0.0)
        by_cluster = np.add.reduceat(slope[:, order], starts, axis=1) if k else np.zeros((m, 0))
        gradient = np.concatenate(
            [
                (slope * a).sum(axis=1),
                (slope * a * (at.theta[:, None] - at.b)).sum(axis=0),
                -(slope * a).sum(axis=0),
                by_cluster.ravel(),
            ]
        )
        value = 0.5 * float(precision @ x**2) - float(fit[problem.seen].sum())
        return value, precision * x - gradient

    first = np.concatenate([start.theta, start.log_a, start.b, start.g.ravel()])
    found = optimize.minimize(
        loss, first, jac=True, method="L-BFGS-B", options={"maxiter": max_iterations, "maxfun": 2 * max_iterations}
    )
    return unpack(found.x), bool(found.success)


def _weights(problem: _Problem, at: _Point) -> Float[np.ndarray, "m n"]:
    return np.where(problem.seen, _derivatives(_eta(problem, at), problem.right, problem.c)[1], 0.0)


def _widths(
    problem: _Problem, at: _Point
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Posterior standard deviations of theta, log a and b, from the inverse of the whole information matrix."""
    weights, priors = _weights(problem, at), problem.priors
    m, n = weights.shape
    a = np.exp(at.log_a)
    over_theta = np.full(m, priors.theta**-2)
    schur = np.zeros((m, m))
    kept = []
    single = np.where(problem.clusters < 0, -1 - np.arange(n), problem.clusters)
    by_cluster = np.argsort(single, kind="stable")
    cuts = np.flatnonzero(np.diff(single[by_cluster])) + 1
    for items in np.split(by_cluster, cuts):
        w = weights[:, items]
        # Eliminating the cluster's effect leaves diag(w) - w w' / (sum w + 1 / s^2) for each respondent.
        left = np.einsum("mi,ij->mij", w, np.eye(len(items)))
        if problem.clusters[items[0]] >= 0:
            left -= np.einsum("mi,mj->mij", w, w) / (w.sum(axis=1) + priors.testlet**-2)[:, None, None]
        # Derivatives of eta in log a and b of each item, stacked: [m, 2 items, items]
        slopes = np.zeros((m, 2 * len(items), len(items)))
        at_item = np.arange(len(items))
        slopes[:, at_item, at_item] = a[items] * (at.theta[:, None] - at.b[items])
        slopes[:, len(items) + at_item, at_item] = -a[items]
        half = np.einsum("mpi,mij->mpj", slopes, left)
        block = np.einsum("mpj,mqj->pq", half, slopes)
        block += np.diag(np.repeat([priors.log_a**-2, priors.b**-2], len(items)))
        cross = half @ a[items]
        over_theta += np.einsum("i,mij,j->m", a[items], left, a[items])
        inverse = np.linalg.inv(block)
        schur += cross @ inverse @ cross.T
        kept.append((items, inverse, cross))
    covariance = np.linalg.inv(np.diag(over_theta) - schur)
    log_a_var, b_var = np.zeros(n), np.zeros(n)
    for items, inverse, cross in kept:
        reach = inverse @ cross.T
        variance = np.diag(inverse) + np.einsum("pm,mk,pk->p", reach, covariance, reach)
        log_a_var[items], b_var[items] = np.split(variance, 2)
    return np.sqrt(np.diag(covariance)), np.sqrt(log_a_var), np.sqrt(b_var)
