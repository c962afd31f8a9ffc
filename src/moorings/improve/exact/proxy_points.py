"""Proxy points: the values of several rewards at which true quality peaks, jointly.

Source: Moskovitz et al. 2023 (arXiv:2310.04373), part A. (1) Optimise each reward alone and log all rewards and gold;
(2) fit a surface gold = f(rewards), a polynomial, and trust it only where points are dense; (3) the point is its
largest value there. It differs from the points that are read off one reward at a time, because rewards are correlated.

The source fits degree 10 to many points; few points bear 2 or 3. Density is a Gaussian kernel estimate, and a place
counts if it is at least as dense as the share `floor` of the points are: the source's absolute density has a unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import InputError
from moorings.improve.exact.optimise import Trace

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ProxyPoint", "joint_proxy_point", "single_proxy_point"]


class ProxyPoint(NamedTuple):
    """Where gold peaks."""

    thresholds: dict[str, float]
    """By name of the reward."""
    gold: float
    """Of the surface there."""
    residual: float
    """Root mean square error of the surface on its points, in gold's unit."""


def single_proxy_point(trace: Trace, name: str) -> float:
    """Value of one reward at which gold was largest in a run that optimised it."""
    return float(trace.rewards[name][int(np.argmax(trace.gold))])


def joint_proxy_point(
    traces: Sequence[Trace], names: Sequence[str], *, degree: int = 2, floor: float = 0.05, n_grid: int = 101
) -> ProxyPoint:
    """Fit the surface to all points of some runs and find its peak where points are dense.

    Args:
        traces: Runs with gold, on the same rewards.
        names: Rewards that thresholds are wanted for.
        degree: Of the polynomial, 1 to 6.
        floor: Share of points that are less dense than a place must be to count.
        n_grid: Places looked at along each reward; points of the runs are looked at as well.

    Raises:
        InputError: Fewer points than coefficients, or a run without gold.
    """
    from scipy.stats import gaussian_kde
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    points = np.concatenate([np.stack([trace.rewards[name] for name in names], axis=1) for trace in traces])
    gold = np.concatenate([trace.gold for trace in traces])
    surface = make_pipeline(StandardScaler(), PolynomialFeatures(degree), LinearRegression())
    n_terms = PolynomialFeatures(degree).fit(points[:1]).n_output_features_
    if len(points) <= n_terms or not np.isfinite(gold).all():
        raise InputError(
            f"{len(points)} points, {int(np.isfinite(gold).sum())} of them with gold, do not bear a surface with "
            f"{n_terms} terms; log more steps, or lower the degree"
        )
    surface.fit(points, gold)
    scaled = StandardScaler().fit(points)
    density = gaussian_kde(scaled.transform(points).T)
    least = np.quantile(density(scaled.transform(points).T), floor)
    places = np.concatenate([points, _grid(points, n_grid)])
    dense = places[density(scaled.transform(places).T) >= least]
    predicted = surface.predict(dense)
    best = int(np.argmax(predicted))
    residual = float(np.sqrt(np.mean((surface.predict(points) - gold) ** 2)))
    return ProxyPoint(_named(names, dense[best]), float(predicted[best]), residual)


def _grid(points: Float[np.ndarray, "n k"], n_grid: int) -> Float[np.ndarray, "m k"]:
    per_axis = min(n_grid, max(3, int(40_000 ** (1 / points.shape[1]))))
    axes = [np.linspace(low, high, per_axis) for low, high in zip(points.min(0), points.max(0), strict=True)]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)


def _named(names: Sequence[str], values: Float[np.ndarray, " k"]) -> dict[str, float]:
    found: Mapping[str, float] = {name: float(value) for name, value in zip(names, values, strict=True)}
    return dict(found)
