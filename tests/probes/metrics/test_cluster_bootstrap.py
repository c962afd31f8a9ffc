"""Intervals cover at about their level where items of a cluster hang together, and never claim what they cannot know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from moorings.errors import ConfigError, InputError
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, cluster_index, percentiles


def test_a_draw_is_the_mean_of_the_drawn_clusters():
    rng = np.random.default_rng(0)
    clusters = cluster_index(["c", "a", "c", "b", "a", "c"])
    assert clusters.tolist() == [0, 1, 0, 2, 1, 0]
    values = rng.random(6)
    bootstrap = ClusterBootstrap(clusters, rng=rng, n_draws=5)
    assert (bootstrap.counts.sum(axis=1) == 3).all()
    drawn = []

    def mean(s):
        drawn.append(s[..., 0] / s[..., 1])
        return drawn[-1]

    sums = bootstrap.sums(np.stack([values, np.ones(6)], axis=1))
    figure = bootstrap.of_sums(sums, mean, n_items=6, n_clusters=3)
    assert figure is not None
    assert figure.interval is None, "three clusters are too few"
    assert figure.value == pytest.approx(values.mean())
    for counts, got in zip(bootstrap.counts, drawn[1], strict=True):
        rows = [
            row
            for cluster in range(3)
            for _ in range(int(counts[cluster]))
            for row in np.flatnonzero(clusters == cluster)
        ]
        assert got == pytest.approx(values[rows].mean())


def test_weights_and_sums_give_the_same_interval():
    rng = np.random.default_rng(1)
    clusters, values = rng.integers(0, 20, 100), rng.random(100)
    bootstrap = ClusterBootstrap(clusters, rng=rng, n_draws=300)
    by_sums = bootstrap.mean(values)
    by_weights = bootstrap.of_weights(lambda w: (w * values).sum(axis=1) / w.sum(axis=1))
    assert by_sums is not None
    assert by_weights is not None
    assert by_weights.interval is not None
    assert by_sums.interval is not None
    assert by_weights.value == pytest.approx(by_sums.value)
    assert by_weights.interval.low == pytest.approx(by_sums.interval.low)


@pytest.mark.parametrize(("n_clusters", "n_simulations"), [(12, 800), (60, 600)])
def test_coverage_is_near_nominal_and_single_items_would_not_do(n_clusters, n_simulations):
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(n_clusters), 5)
    covered, single = 0, 0
    draws = ClusterBootstrap(clusters, rng=rng, n_draws=600)
    alone = ClusterBootstrap(np.arange(len(clusters)), rng=rng, n_draws=600)
    truth = float(special.expit(0.4 + 1.5 * np.random.default_rng(9).standard_normal(400_000)).mean())
    for _ in range(n_simulations):
        p = special.expit(0.4 + 1.5 * rng.standard_normal(n_clusters))
        values = (rng.random(len(clusters)) < p[clusters]).astype(float)
        for bootstrap in (draws, alone):
            interval = bootstrap.mean(values).interval
            hit = interval.low <= truth <= interval.high
            covered += hit and bootstrap is draws
            single += hit and bootstrap is alone
    # Three binomial errors, and a point and a half for the discreteness of few clusters.
    slack = 3 * np.sqrt(0.95 * 0.05 / n_simulations)
    assert 0.95 - slack - 0.015 <= covered / n_simulations <= 0.95 + slack
    assert single / n_simulations < 0.90


def test_agreement_of_all_clusters_is_not_certainty():
    bootstrap = ClusterBootstrap(np.arange(50), rng=np.random.default_rng(0), n_draws=100)
    figure = bootstrap.mean(np.ones(50))
    assert figure.interval.high == 1.0
    assert figure.interval.low == pytest.approx(0.05 ** (1 / 50))
    assert bootstrap.mean(np.ones(50), bounds=None).interval.low == 1.0


def test_missing_values_are_left_out_of_figure_and_counts():
    values = np.where(np.arange(40) < 30, np.arange(40) % 2, np.nan)
    figure = ClusterBootstrap(np.arange(40) // 2, rng=np.random.default_rng(0)).mean(values)
    assert (figure.value, figure.n_items, figure.n_clusters) == (0.5, 30, 15)
    empty = ClusterBootstrap(np.arange(3), rng=np.random.default_rng(0)).mean(np.full(3, np.nan))
    assert empty is None


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="0 draws at level"):
        ClusterBootstrap(np.arange(3), rng=np.random.default_rng(0), n_draws=0)
    with pytest.raises(InputError, match="one row an item"):
        ClusterBootstrap(np.arange(3), rng=np.random.default_rng(0)).sums(np.zeros((2, 1)))
    assert percentiles(np.full(9, np.nan), 20, 0.95) is None
