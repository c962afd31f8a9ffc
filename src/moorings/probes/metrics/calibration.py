"""Whether a subject is as sure as it is right.

Sources: Brier 1950; Guo et al. 2017 (arXiv:1706.04599) for the expected calibration error (ECE) and temperature; Nguyen and
O'Connor 2015 (arXiv:1508.05154) for bins of equal mass; Broecker and Smith 2007 for the band that a calibrated responder
falls in; Geifman and El-Yaniv 2017 (arXiv:1705.08500) for selective accuracy. With shares p averaged over orders, the key k,
confidence f = max p and right r: Brier = mean sum_j (p_j - [j = k])^2, log score = mean -log p_k, ECE = sum_b n_b/n
|mean(r - f)| over 15 bins.

ECE is above 0 even for a calibrated responder, and a bootstrap of it repeats that bias. So the lower end of its interval is
the estimate less the upper percentile of sum_b |gap*_b - gap_b| (triangle inequality), and the upper end the estimate less
the lower percentile of ECE* - mean ECE* (the expected ECE is at least the true one). Beside it stands the band in which a
calibrated responder's ECE falls, from random signs of whole clusters' residuals. Left out: kernel and debiased estimators. Must show: the ECE of a calibrated
responder lies inside its band. Needs log-probabilities and exactly one right option; temperature is fitted on `dev` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy import optimize, special

from moorings.probes.metrics.accuracy import Bounds
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure, percentiles
from moorings.probes.metrics.table import Table
from moorings.records import Interval, Record

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = [
    "Calibration",
    "CurvePoint",
    "auroc",
    "calibration",
    "ece",
    "equal_mass_bins",
    "fit_temperature",
    "selective",
]

N_BINS = 15
COVERAGE = 0.8
_LEAST = 1e-12
_MIN_DEV = 30


class CurvePoint(Record):
    """One bin of the calibration curve."""

    confidence: float
    accuracy: float
    n_items: int


class Calibration(Record):
    """How well confidence fits accuracy, on the items outside the `dev` split (on all if all are in it)."""

    brier: Figure
    """0 best; 2 is sure and wrong; guessing among m gives 1 - 1/m."""
    log_score: Figure
    """Nats, 0 best; guessing among m gives log m."""
    ece: Figure
    """Expected calibration error, 0 best, with 15 bins of equal mass; biased upward, which its interval allows for."""
    ece_if_calibrated: Bounds | None
    """Central range of the ECE that a calibrated responder with these confidences would have."""
    looks_calibrated: bool | None
    """Whether the ECE is at most the upper end of that range."""
    auroc: Figure | None
    """Chance that a right answer is surer than a wrong one; 0.5 tells nothing; None if all are right or all wrong."""
    selective: Figure
    """Accuracy on the surest 80 % of the items."""
    overconfidence: Figure
    """Mean confidence less accuracy."""
    temperature: float | None
    """Fitted on the `dev` items, above 1 for the overconfident; None with fewer than 30 of them."""
    ece_scaled: Figure | None
    """ECE after dividing log shares by that temperature."""
    log_score_scaled: Figure | None
    curve: tuple[CurvePoint, ...]
    n_items: int
    n_dev: int
    """Items that the temperature was fitted on."""
    n_left_out: int
    """Items without log-probabilities, or without exactly one right option."""


def calibration(
    table: Table, *, rng: np.random.Generator, n_draws: int = 2000, level: float = 0.95
) -> Calibration | None:
    """Judge the confidence of averaged shares; None where no item has log-probabilities and one right option."""
    drawn = np.bincount(table.item[~table.scored & ~table.missing], minlength=len(table.items)) > 0
    usable = (table.keys.sum(axis=1) == 1) & ~np.isnan(table.right) & ~drawn
    dev = np.array([item.split == "dev" for item in table.items], dtype=bool)
    used = usable & ~dev if (usable & ~dev).any() else usable
    if not used.any():
        return None
    fitted = usable & dev & ~used
    shares, key = table.mean_shares[used], table.keys[used].argmax(axis=1)
    options = np.arange(shares.shape[1]) < table.n_options[:, None]
    right, bootstrap = table.right[used], ClusterBootstrap(table.clusters[used], rng=rng, n_draws=n_draws, level=level)
    # Rounded so that equal confidences tie whatever the last digit of their softmax.
    confidence = np.round(shares.max(axis=1), 12)
    temperature = None
    if fitted.sum() >= _MIN_DEV:
        temperature = fit_temperature(table.mean_shares[fitted], table.keys[fitted].argmax(axis=1), options[fitted])
    scaled = _scale(shares, options[used], temperature) if temperature is not None else None
    error = _ece_figure(confidence, right, bootstrap)
    band = _band(confidence, right, bootstrap, rng)
    bins = equal_mass_bins(confidence)
    return Calibration(
        brier=_mean(bootstrap, ((shares - table.keys[used]) ** 2).sum(axis=1), (0.0, 2.0)),
        log_score=_mean(bootstrap, _log_score(shares, key), None),
        ece=error,
        ece_if_calibrated=band,
        looks_calibrated=None if band is None else error.value <= band.high,
        auroc=bootstrap.of_weights(lambda w: auroc(confidence, right, w)),
        selective=_known(bootstrap.of_weights(lambda w: selective(confidence, right, w))),
        overconfidence=_mean(bootstrap, confidence - right, (-1.0, 1.0)),
        temperature=temperature,
        ece_scaled=None if scaled is None else _ece_figure(scaled.max(axis=1), right, bootstrap),
        log_score_scaled=None if scaled is None else _mean(bootstrap, _log_score(scaled, key), None),
        curve=tuple(
            CurvePoint(
                confidence=float(confidence[bins == b].mean()),
                accuracy=float(right[bins == b].mean()),
                n_items=int((bins == b).sum()),
            )
            for b in np.unique(bins)
        ),
        n_items=int(used.sum()),
        n_dev=int(fitted.sum()),
        n_left_out=int((~usable).sum()),
    )


def equal_mass_bins(confidence: Float[np.ndarray, " n"], n_bins: int = N_BINS) -> Int[np.ndarray, " n"]:
    """Bin of each item, by rank; equal confidences share a bin, so bins may be fewer or uneven.

    >>> equal_mass_bins(np.array([0.9, 0.1, 0.5, 0.5]), 2)
    array([1, 0, 0, 0])
    """
    n = len(confidence)
    ranked = np.sort(confidence)
    return np.searchsorted(ranked, confidence, side="left") * n_bins // max(n, 1)


def ece(confidence: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"], n_bins: int = N_BINS) -> float:
    """Expected calibration error with bins of equal mass.

    >>> round(ece(np.array([0.9, 0.9, 0.5, 0.5]), np.array([1.0, 1.0, 0.0, 1.0]), 2), 3)
    0.05
    """
    return float(np.abs(_by_bin(confidence, right, n_bins).sum(axis=0)).sum() / len(confidence))


def _by_bin(
    confidence: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"], n_bins: int = N_BINS
) -> Float[np.ndarray, "n b"]:
    """Each item's residual, in the column of its bin."""
    out = np.zeros((len(confidence), n_bins))
    out[np.arange(len(confidence)), equal_mass_bins(confidence, n_bins)] = right - confidence
    return out


def _ece_figure(
    confidence: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"], bootstrap: ClusterBootstrap
) -> Figure:
    sums = bootstrap.sums(np.column_stack([_by_bin(confidence, right), np.ones(len(right))]))
    totals, draws = sums.sum(axis=0), bootstrap.counts @ sums
    gaps, drawn = totals[:-1] / totals[-1], draws[:, :-1] / draws[:, -1:]
    value, errors = float(np.abs(gaps).sum()), np.abs(drawn).sum(axis=1)
    noise = percentiles(np.abs(drawn - gaps).sum(axis=1), bootstrap.n_clusters, bootstrap.level)
    spread = percentiles(errors - errors.mean(), bootstrap.n_clusters, bootstrap.level)
    ends = None
    if noise is not None and spread is not None:
        low, high = max(value - noise[1], 0.0), min(value - spread[0], 1.0)
        ends = Interval(low=low, high=high, level=bootstrap.level)
    return Figure(value=value, interval=ends, n_items=len(right), n_clusters=bootstrap.n_clusters)


def _band(
    confidence: Float[np.ndarray, " n"],
    right: Float[np.ndarray, " n"],
    bootstrap: ClusterBootstrap,
    rng: np.random.Generator,
) -> Bounds | None:
    """Range of the ECE under calibration: residuals then have mean zero, so that whole clusters' signs are arbitrary."""
    sums = bootstrap.sums(_by_bin(confidence, right))
    signs = rng.choice([-1.0, 1.0], (bootstrap.n_draws, bootstrap.n_clusters))
    ends = percentiles(np.abs(signs @ sums).sum(axis=1) / len(right), bootstrap.n_clusters, bootstrap.level)
    return None if ends is None else Bounds(low=ends[0], high=ends[1])


def auroc(
    confidence: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Chance that a right item is surer than a wrong one, ties counting half, for rows of item weights."""
    order = np.argsort(confidence, kind="stable")
    w, r = weights[:, order], right[order]
    starts = np.flatnonzero(np.diff(confidence[order], prepend=-np.inf))
    hits, misses = _by_tie(w * r, starts), _by_tie(w * (1.0 - r), starts)
    below = np.cumsum(misses, axis=1) - misses
    return np.asarray((hits * (below + 0.5 * misses)).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1)))


def selective(
    confidence: Float[np.ndarray, " n"],
    right: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, "b n"],
    coverage: float = COVERAGE,
) -> Float[np.ndarray, " b"]:
    """Accuracy on the surest share of the weight; equal confidences enter by equal parts."""
    order = np.argsort(-confidence, kind="stable")
    w, r = weights[:, order], right[order]
    starts = np.flatnonzero(np.diff(-confidence[order], prepend=-np.inf))
    mass, hits = _by_tie(w, starts), _by_tie(w * r, starts)
    kept = coverage * mass.sum(axis=1, keepdims=True)
    part = np.clip(kept - (np.cumsum(mass, axis=1) - mass), 0.0, mass)
    share = np.divide(part, mass, out=np.zeros_like(part), where=mass > 0)
    return np.asarray((share * hits).sum(axis=1) / kept[:, 0])


def _by_tie(columns: Float[np.ndarray, "b n"], starts: Int[np.ndarray, " t"]) -> Float[np.ndarray, "b t"]:
    """Sum neighbours with equal confidence."""
    return columns if len(starts) == columns.shape[1] else np.add.reduceat(columns, starts, axis=1)


def fit_temperature(
    shares: Float[np.ndarray, "n m"], key: Int[np.ndarray, " n"], options: Bool[np.ndarray, "n m"]
) -> float:
    """Temperature in [0.05, 20] that makes the log score of these items least."""

    def loss(log_t: float) -> float:
        return float(_log_score(_scale(shares, options, float(np.exp(log_t))), key).mean())

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def _scale(
    shares: Float[np.ndarray, "n m"], options: Bool[np.ndarray, "n m"], temperature: float
) -> Float[np.ndarray, "n m"]:
    logits = np.where(options, np.log(np.maximum(shares, _LEAST)) / temperature, -np.inf)
    return np.asarray(special.softmax(logits, axis=1))


def _log_score(shares: Float[np.ndarray, "n m"], key: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return np.asarray(-np.log(np.maximum(shares[np.arange(len(key)), key], _LEAST)))


def _mean(bootstrap: ClusterBootstrap, values: Float[np.ndarray, " n"], bounds: tuple[float, float] | None) -> Figure:
    return _known(bootstrap.mean(values, bounds=bounds))


def _known(figure: Figure | None) -> Figure:
    # The figures here rest on at least one item and divide by nothing else, so they are never undefined.
    return cast("Figure", figure)
