"""Simulated abilities come back; gradients and widths agree with slow references; linking and faulty items show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

from moorings.errors import InputError
from moorings.probes.metrics import irt
from moorings.probes.metrics.irt import IrtPriors, abilities, fit_irt, item_analysis
from moorings.probes.metrics.linking import link
from moorings.probes.metrics.table import responses
from moorings.probes.simulated import Responder, simulated_items


def simulate(m, n, rng, *, testlet=0.5, variants=4, shift=0.0, spread=1.0):
    theta = shift + spread * rng.standard_normal(m)
    a, b = np.exp(0.3 * rng.standard_normal(n)), rng.standard_normal(n)
    return theta, a, b, np.arange(n) // variants, answers(theta, a, b, rng, testlet, variants)


def answers(theta, a, b, rng, testlet=0.5, variants=4):
    clusters = np.arange(len(a)) // variants
    g = testlet * rng.standard_normal((len(theta), clusters.max() + 1))
    p = 0.25 + 0.75 * special.expit(a * (theta[:, None] - b) + g[:, clusters])
    return (rng.random(p.shape) < p).astype(float)


@pytest.mark.parametrize(("testlet", "least"), [(0.0, 0.95), (0.5, 0.94)])
def test_abilities_of_40_respondents_to_200_items_are_recovered(testlet, least):
    correlations, misses = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        theta, _, b, clusters, right = simulate(40, 200, rng, testlet=testlet)
        fit = fit_irt(right, np.full(200, 0.25), clusters)
        assert fit.converged
        assert fit.warning == ""
        assert np.corrcoef(fit.b, b)[0, 1] >= 0.8
        correlations.append(np.corrcoef(fit.theta, theta)[0, 1])
        misses.append((fit.theta - theta) / fit.theta_sd)
    assert np.mean(correlations) >= 0.965
    assert min(correlations) >= least
    assert 0.9 <= (np.abs(misses) < 1.96).mean() <= 0.97


def test_answers_that_are_missing_leave_the_rest_as_it_is():
    rng = np.random.default_rng(0)
    theta, _, _, clusters, right = simulate(40, 200, rng)
    right[rng.random(right.shape) < 0.1] = np.nan
    fit = fit_irt(right, np.full(200, 0.25), clusters)
    assert np.corrcoef(fit.theta, theta)[0, 1] >= 0.95
    assert (fit.n_answers == (~np.isnan(right)).sum(axis=0)).all()


def test_abilities_of_simulated_responders_are_recovered_from_their_sheets():
    rng = np.random.default_rng(3)
    items = simulated_items(40, rng=rng)
    truth = rng.standard_normal(24)
    sheets = [Responder(theta=float(t)).answer(items, rng=rng, orders="stored") for t in truth]
    seen = responses(sheets)
    fit = fit_irt(seen.right, seen.chance, seen.clusters)
    assert np.corrcoef(fit.theta, truth)[0, 1] >= 0.95
    known = np.array([[one.irt["a"], one.irt["b"]] for one in seen.items]).T
    placed = abilities(seen.right, *known, seen.chance)
    assert np.corrcoef(placed.theta, truth)[0, 1] >= 0.95
    assert np.std((placed.theta - truth) / placed.sd) == pytest.approx(1, abs=0.45)


def test_the_maximum_is_one_and_widths_are_those_of_the_whole_information():
    rng = np.random.default_rng(4)
    _, _, _, clusters, right = simulate(6, 7, rng, variants=3)
    right[0, 0] = np.nan
    chance, priors = np.full(7, 0.25), IrtPriors()
    fit = fit_irt(right, chance, clusters, priors=priors)
    problem = irt._problem(right, chance, clusters, priors)
    assert problem.k == 2, "the last cluster holds a single item, which needs no effect of its own"
    point, _ = irt._maximise(problem, irt._Point(np.zeros(6), np.zeros(7), np.zeros(7), np.zeros((6, 2))), 500)
    x = np.concatenate([part.ravel() for part in point])

    def eta(x):
        theta, log_a, b, g = np.split(x, [6, 13, 20])
        g = np.column_stack([g.reshape(6, 2), np.zeros(6)])
        return np.exp(log_a) * (theta[:, None] - b) + g[:, problem.clusters]

    precision = np.repeat([1.0, 0.3**-2, 1.5**-2, 0.5**-2], [6, 7, 7, 12])

    def loss(x):
        p = 0.25 + 0.75 * special.expit(eta(x))
        fit = np.where(problem.seen, np.where(problem.right > 0, np.log(p), np.log1p(-p)), 0.0)
        return 0.5 * precision @ x**2 - fit.sum()

    assert np.abs(optimize.approx_fprime(x, loss, 1e-6)).max() < 2e-3
    weights = irt._weights(problem, point).ravel()
    jacobian = np.array([(eta(x + step) - eta(x - step)).ravel() / 2e-5 for step in 1e-5 * np.eye(len(x))])
    covariance = np.linalg.inv(jacobian * weights @ jacobian.T + np.diag(precision))
    widths = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.concatenate([fit.theta_sd, fit.log_a_sd, fit.b_sd]), widths[:20], rtol=1e-4)
    assert "6 respondents are fewer than 15" in fit.warning


def test_few_respondents_leave_items_to_the_prior_and_a_short_fit_says_so():
    rng = np.random.default_rng(5)
    _, _, _, clusters, right = simulate(2, 30, rng)
    fit = fit_irt(right, np.full(30, 0.25), clusters, priors=IrtPriors(testlet=0))
    assert fit.log_a_sd.min() > 0.25, "hardly narrower than the prior's 0.3"
    _, _, _, clusters, right = simulate(20, 30, rng)
    assert "not converged after 2 steps" in fit_irt(right, np.full(30, 0.25), clusters, max_iterations=2).warning


def test_what_is_out_of_range_is_refused():
    with pytest.raises(InputError, match="do not fit 3 items"):
        fit_irt(np.zeros((2, 4)), np.zeros(3), np.zeros(4, int))
    with pytest.raises(InputError, match="outside 0 to 1"):
        fit_irt(np.full((2, 3), 2.0), np.zeros(3), np.zeros(3, int))
    with pytest.raises(InputError, match="guessing floor"):
        abilities(np.ones((2, 3)), np.ones(3), np.ones(3), np.ones(3))


def test_an_item_with_a_wrong_key_is_put_aside():
    rng = np.random.default_rng(6)
    _, _, _, clusters, right = simulate(40, 100, rng, testlet=0.0)
    right[:, 17] = 1.0 - right[:, 17]
    right[:, 50] = 1.0
    right[3, 10] = np.nan
    r, aside = item_analysis(right, fit_irt(right, np.full(100, 0.25), clusters))
    known = ~np.isnan(right[:, 10])
    rest = np.delete(right, 10, axis=1)[known].mean(axis=1)
    assert r[10] == pytest.approx(np.corrcoef(right[known, 10], rest)[0, 1])
    assert np.isnan(r[50])
    assert aside[17]
    assert aside.sum() <= 8


def two_rounds(seed):
    """Errors of the linked and unlinked gap, then correlation and shift of abilities once a third of items is dropped."""
    rng = np.random.default_rng(seed)
    n, chance = 180, np.full(180, 0.25)
    old, a, b, clusters, first = simulate(40, n, rng)
    new = 0.8 + 0.9 * rng.standard_normal(40)
    # The first 90 items are anchors; the later form has other, easier items after them.
    a2, b2 = np.exp(0.3 * rng.standard_normal(n)), rng.standard_normal(n) - 1.0
    a2[:90], b2[:90] = a[:90], b[:90]
    second = answers(new, a2, b2, rng)
    keep = np.isin(clusters, rng.permutation(n // 4)[: n // 6])
    ref, later = fit_irt(first, chance, clusters), fit_irt(second, chance, clusters)
    fewer = fit_irt(second[:, keep], chance[keep], clusters[keep])

    def linked(fit, anchors):
        k, names = len(anchors), [str(clusters[at]) for at in anchors]
        found = link(ref.a[anchors], ref.b[anchors], fit.a[:k], fit.b[:k], names, rng=rng, n_draws=200)
        assert found.n_anchors == k
        return found.theta(fit.theta)

    theta, theta_fewer = linked(later, np.arange(90)), linked(fewer, np.flatnonzero(keep[:90]))
    truth = new.mean() - old.mean() + ref.theta.mean()
    shift = theta_fewer.mean() - theta.mean()
    return theta.mean() - truth, later.theta.mean() - truth, np.corrcoef(theta, theta_fewer)[0, 1], shift


def test_linking_finds_the_shift_and_survives_dropping_a_third_of_the_items():
    with_link, without, correlation, shift = np.array([two_rounds(seed) for seed in range(8)]).T
    assert (correlation >= 0.95).all()
    assert (np.abs(shift) <= 0.15).all()
    assert np.abs(with_link).max() <= 0.25, "priors shrink a gap by a tenth"
    assert with_link.std() < without.std()


def test_linking_by_hand():
    a, b = np.array([1.0, 2.0] * 5), np.linspace(-1, 1, 10)
    clusters = [str(at) for at in range(10)]
    found = link(a, b, 2 * a, (b - 0.5) / 2, clusters, rng=np.random.default_rng(0))
    assert (found.slope, found.shift.value, found.spread) == pytest.approx((2.0, 0.5, 0.0))
    np.testing.assert_allclose(found.b((b - 0.5) / 2), b)
    same = link(a, b, a, b, clusters, rng=np.random.default_rng(0))
    assert same.shift.interval.low == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([np.ones(0)] * 4, "at least one"),
        ([np.ones(2), np.ones(2), np.ones(2), np.ones(3)], "the same anchors"),
        ([np.ones(1), np.ones(1), np.zeros(1), np.ones(1)], "not positive"),
        ([np.ones(1), np.full(1, np.nan), np.ones(1), np.ones(1)], "not a number"),
    ],
)
def test_anchors_that_cannot_link_are_refused(columns, said):
    with pytest.raises(InputError, match=said):
        link(*columns, ["x"] * len(columns[0]), rng=np.random.default_rng(0))
