"""Strengths from comparisons: Bradley-Terry by maximum likelihood with standard errors, and sequential ratings.

Bradley and Terry 1952: P(i beats j) = sigma(s_i - s_j). A tie is half a win for each (`half`), or an outcome of its own by
Davidson 1970 (`davidson`): P(tie) = nu sqrt(p_i p_j) / Z, P(i beats j) = p_i / Z, with p = e^s and
Z = p_i + p_j + nu sqrt(p_i p_j). Strengths are in nats (log-odds) with mean 0; standard errors come from the inverse Fisher
information on that subspace. Without a prior, strengths are finite only if every group of contestants has won or tied
against the rest; a ridge (a Gaussian prior of variance 1 / ridge) makes them finite always, and the errors then are
those of the posterior's mode.
Strengths are one number each: a cycle (A over B over C over A) cannot be told from equality. `cyclic_share` counts them.

Ratings that move with each comparison (Weng and Lin 2011, as in TrueSkill) come from `openskill`, an optional package.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from moorings.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Comparison", "Outcome", "Rating", "Strengths", "bradley_terry", "cyclic_share", "rate"]

Outcome = Literal["first", "second", "tie"]


class Comparison(NamedTuple):
    """Two contestants and who won."""

    first: str
    second: str
    outcome: Outcome = "first"


class Strengths(NamedTuple):
    """What was estimated."""

    names: tuple[str, ...]
    """In alphabetical order."""
    strengths: Float[np.ndarray, " n"]
    """Nats, mean 0."""
    covariance: Float[np.ndarray, "n n"]
    """Of the strengths; rows sum to 0, as the mean is fixed."""
    log_nu: float | None
    """Davidson's tie parameter; None where ties are half wins."""

    @property
    def standard_errors(self) -> Float[np.ndarray, " n"]:
        """Of each strength against the mean."""
        return np.sqrt(np.diag(self.covariance))

    def difference(self, first: str, second: str) -> tuple[float, float]:
        """Strength of the first minus that of the second, and its standard error, in nats."""
        i, j = self._place(first), self._place(second)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2 * self.covariance[i, j]
        return float(self.strengths[i] - self.strengths[j]), math.sqrt(max(0.0, float(variance)))

    def probability(self, first: str, second: str) -> float:
        """Probability that the first beats the second, given that it is no tie."""
        return float(expit(self.difference(first, second)[0]))

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise ConfigError(f"no contestant '{name}'; there are {', '.join(self.names)[:200]}")
        return self.names.index(name)


def bradley_terry(
    comparisons: Sequence[Comparison], *, ties: Literal["half", "davidson"] = "half", ridge: float = 0.0
) -> Strengths:
    """Strengths of contestants.

    Args:
        comparisons: Who met whom.
        ties: What a tie is.
        ridge: Precision of a Gaussian prior on each strength, >= 0; 0 is plain maximum likelihood.

    Raises:
        ConfigError: Nothing to compare, a contestant against itself, or strengths that would be infinite.
    """
    names, wins, tied = _tables(comparisons)
    if ridge < 0:
        raise ConfigError(f"ridge is {ridge}; allowed: 0 or more")
    davidson = ties == "davidson"
    if not davidson:
        wins, tied = wins + tied / 2, np.zeros_like(tied)
    if ridge == 0:
        _check_finite(names, wins, tied)
    if davidson and (not tied.any() or not wins.any()):
        raise ConfigError("Davidson's model needs ties and decisions; use ties='half'")
    n = len(names)
    start = np.zeros(n + davidson)
    fit = minimize(_nll, start, args=(wins, tied, davidson, ridge), jac=True, method="BFGS", options={"gtol": 1e-5})
    theta = _polished(np.asarray(fit.x), wins, tied, davidson, ridge)
    theta[:n] -= theta[:n].mean()
    covariance = np.linalg.pinv(_information(theta, wins, tied, davidson, ridge), hermitian=True)[:n, :n]
    centre = np.eye(n) - 1 / n
    return Strengths(names, theta[:n], centre @ covariance @ centre, float(theta[n]) if davidson else None)


def _tables(
    comparisons: Sequence[Comparison],
) -> tuple[tuple[str, ...], Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
    """Names, wins of row over column, and ties (symmetric)."""
    if not comparisons:
        raise ConfigError("no comparisons given; give at least one")
    names = tuple(sorted({name for one in comparisons for name in (one.first, one.second)}))
    place = {name: at for at, name in enumerate(names)}
    wins, tied = np.zeros((len(names),) * 2), np.zeros((len(names),) * 2)
    for one in comparisons:
        i, j = place[one.first], place[one.second]
        if i == j:
            raise ConfigError(f"'{one.first}' is compared with itself; leave that out")
        if one.outcome == "tie":
            tied[i, j] += 1
            tied[j, i] += 1
        else:
            wins[(i, j) if one.outcome == "first" else (j, i)] += 1
    return names, wins, tied


def _check_finite(names: Sequence[str], wins: np.ndarray, tied: np.ndarray) -> None:
    n, labels = connected_components(wins + tied > 0, directed=True, connection="strong")
    if n > 1:
        some = [name for name, label in zip(names, labels, strict=True) if label == labels[0]]
        raise ConfigError(
            f"strengths are infinite: {', '.join(some)[:120]} won all, lost all, or never met the rest; "
            "give more comparisons, or a ridge such as 0.1"
        )


def _outcomes(theta: np.ndarray, n: int, davidson: bool) -> tuple[np.ndarray, np.ndarray]:
    """P(row beats column) and P(tie)."""
    gap = theta[:n, None] - theta[None, :n]
    if not davidson:
        p = expit(gap)
        return p, np.zeros_like(p)
    # Divided by sqrt(p_i p_j), so that nothing overflows for equal strengths.
    terms = np.stack([gap / 2, -gap / 2, np.full_like(gap, theta[n])])
    weights = np.exp(terms - terms.max(axis=0))
    weights /= weights.sum(axis=0)
    return weights[0], weights[2]


def _nll(
    theta: np.ndarray, wins: np.ndarray, tied: np.ndarray, davidson: bool, ridge: float
) -> tuple[float, np.ndarray]:
    n = len(wins)
    p, tie = _outcomes(theta, n, davidson)
    nll = -float((wins * np.log(np.maximum(p, 1e-300))).sum()) + ridge / 2 * float(theta[:n] @ theta[:n])
    met = wins + wins.T + tied
    # A tie counts half for each of the two.
    points, expected = wins + tied / 2, met * (p + tie / 2)
    gradient = -(points - expected).sum(axis=1) + ridge * theta[:n]
    if not davidson:
        return nll, gradient
    nll -= float((np.triu(tied) * np.log(np.maximum(tie, 1e-300))).sum())
    by_nu = -(tied.sum() - (met * tie).sum()) / 2
    return nll, np.append(gradient, by_nu)


def _information(
    theta: np.ndarray, wins: np.ndarray, tied: np.ndarray, davidson: bool, ridge: float
) -> Float[np.ndarray, "m m"]:
    """Fisher information: of each meeting, the covariance of its sufficient statistics."""
    n = len(wins)
    p, tie = _outcomes(theta, n, davidson)
    met = wins + wins.T + tied
    # Points of the row are 1, 1/2 or 0.
    mean = p + tie / 2
    spread = met * (p + tie / 4 - mean**2)
    information = np.asarray(np.diag(spread.sum(axis=1) + ridge) - spread)
    if not davidson:
        return information
    cross = (met * (tie / 2 - mean * tie)).sum(axis=1)
    own = float((met * tie * (1 - tie)).sum() / 2)
    return np.asarray(np.block([[information, cross[:, None]], [cross[None, :], np.array([[own]])]]))


def _polished(theta: np.ndarray, wins: np.ndarray, tied: np.ndarray, davidson: bool, ridge: float) -> np.ndarray:
    """A few Newton steps; the model is an exponential family, so its Hessian is the information."""
    for _ in range(5):
        gradient = _nll(theta, wins, tied, davidson, ridge)[1]
        theta = theta - np.linalg.pinv(_information(theta, wins, tied, davidson, ridge), hermitian=True) @ gradient
    return theta


def cyclic_share(comparisons: Sequence[Comparison]) -> float:
    """Share of triples, all three of which met and were decided by majority, that form a cycle; NaN without one."""
    _, wins, _ = _tables(comparisons)
    beats: Int[np.ndarray, "n n"] = (wins > wins.T).astype(np.int64)
    either = beats + beats.T
    n_decided = np.trace(either @ either @ either) / 6
    n_cyclic = np.trace(beats @ beats @ beats) / 3
    return float(n_cyclic / n_decided) if n_decided else math.nan


class Rating(NamedTuple):
    """A rating after some comparisons."""

    mu: float
    sigma: float


def rate(comparisons: Sequence[Comparison], start: Mapping[str, Rating] | None = None) -> dict[str, Rating]:
    """Ratings that move with each comparison in turn, by openskill's Plackett-Luce model (Weng and Lin 2011).

    The order of comparisons matters; shuffle them if it should not.

    Args:
        comparisons: In the order in which they were made.
        start: Ratings so far; others begin at openskill's own start.

    Raises:
        ConfigError: A contestant is compared with itself.
        MissingExtraError: openskill is not installed.
    """
    try:
        model = importlib.import_module("openskill.models").PlackettLuce()
    except ImportError:
        raise MissingExtraError("rating by openskill", "ratings") from None

    now = {name: model.rating(mu=one.mu, sigma=one.sigma) for name, one in (start or {}).items()}
    ranks = {"first": [0, 1], "second": [1, 0], "tie": [0, 0]}
    for one in comparisons:
        if one.first == one.second:
            raise ConfigError(f"'{one.first}' is compared with itself; leave that out")
        teams = [[now.get(name) or model.rating()] for name in (one.first, one.second)]
        [now[one.first]], [now[one.second]] = model.rate(teams, ranks=ranks[one.outcome])
    return {name: Rating(float(rating.mu), float(rating.sigma)) for name, rating in now.items()}
