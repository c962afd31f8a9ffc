"""Strengths from comparisons against closed forms, enumeration and simulation."""

from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest

from moorings.errors import ConfigError, MissingExtraError
from moorings.feedback.comparisons import Comparison, Rating, _nll, _tables, bradley_terry, cyclic_share, rate


def met(first: str, second: str, wins: int, losses: int, ties: int = 0) -> list[Comparison]:
    return [
        *[Comparison(first, second, "first")] * wins,
        *[Comparison(first, second, "second")] * losses,
        *[Comparison(second, first, "tie")] * ties,
    ]


def test_two_contestants_have_a_closed_form():
    found = bradley_terry(met("a", "b", 30, 10))
    gap, error = found.difference("a", "b")
    assert gap == pytest.approx(math.log(3))
    assert error == pytest.approx(1 / math.sqrt(40 * 0.75 * 0.25))
    assert found.probability("b", "a") == pytest.approx(0.25)
    assert found.strengths.sum() == pytest.approx(0)
    np.testing.assert_allclose(found.covariance.sum(axis=0), 0, atol=1e-12)


def test_half_ties_are_half_wins():
    found = bradley_terry(met("a", "b", 25, 5, ties=10))
    assert found.difference("a", "b")[0] == pytest.approx(math.log(3))


def test_davidson_with_two_contestants_fits_the_shares_exactly():
    # p / q = wins / losses, and tie / sqrt(win loss) = nu.
    found = bradley_terry(met("a", "b", 36, 4, ties=10), ties="davidson")
    assert found.difference("a", "b")[0] == pytest.approx(math.log(9))
    assert found.log_nu == pytest.approx(math.log(10 / 12))


SOME = [*met("a", "b", 5, 2, 1), *met("b", "c", 4, 4, 2), *met("c", "a", 1, 3, 3), *met("c", "d", 6, 1, 1)]


@pytest.mark.parametrize("davidson", [False, True])
def test_gradient_and_information_are_those_of_finite_differences(davidson):
    from moorings.feedback.comparisons import _information

    names, wins, tied = _tables(SOME)
    if not davidson:
        wins, tied = wins + tied / 2, np.zeros_like(tied)
    theta, h = np.random.default_rng(0).standard_normal(len(names) + davidson), 1e-5
    steps = np.eye(len(theta)) * h
    numeric = [
        (_nll(theta + s, wins, tied, davidson, 0.3)[0] - _nll(theta - s, wins, tied, davidson, 0.3)[0]) / (2 * h)
        for s in steps
    ]
    np.testing.assert_allclose(_nll(theta, wins, tied, davidson, 0.3)[1], numeric, atol=1e-7)
    hessian = [
        (_nll(theta + s, wins, tied, davidson, 0.3)[1] - _nll(theta - s, wins, tied, davidson, 0.3)[1]) / (2 * h)
        for s in steps
    ]
    np.testing.assert_allclose(_information(theta, wins, tied, davidson, 0.3), hessian, atol=1e-7)


@pytest.mark.parametrize("ties", ["half", "davidson"])
def test_the_expected_points_are_those_that_were_won(ties):
    """The likelihood equations of an exponential family."""
    found = bradley_terry(SOME, ties=ties)
    points = dict.fromkeys(found.names, 0.0)
    for one in SOME:
        share = {"first": 1.0, "second": 0.0, "tie": 0.5}[one.outcome]
        for name, other, got in ((one.first, one.second, share), (one.second, one.first, 1 - share)):
            gap = found.difference(name, other)[0]
            nu = 0.0 if found.log_nu is None else math.exp(found.log_nu)
            win, lose = math.exp(gap / 2), math.exp(-gap / 2)
            points[name] += got - (win + nu / 2) / (win + lose + nu)
    np.testing.assert_allclose(list(points.values()), 0, atol=1e-8)


@pytest.mark.parametrize("ties", ["half", "davidson"])
def test_standard_errors_cover(ties):
    rng = np.random.default_rng(2)
    truth = {"a": 0.8, "b": 0.0, "c": -0.8}
    nu = 0.6 if ties == "davidson" else 0.0
    inside, n = 0, 150
    for _ in range(n):
        some = []
        for one, other in (("a", "b"), ("b", "c"), ("a", "c")):
            gap = truth[one] - truth[other]
            weights = np.array([math.exp(gap / 2), math.exp(-gap / 2), nu])
            wins, losses, tied = rng.multinomial(60, weights / weights.sum())
            some += met(one, other, wins, losses, tied)
        gap, error = bradley_terry(some, ties=ties).difference("a", "c")
        inside += abs(gap - 1.6) < 1.96 * error
    assert inside / n > 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / n)


def test_infinite_strengths_are_refused_and_a_ridge_makes_them_finite():
    some = [*met("a", "b", 2, 1), *met("b", "c", 3, 0)]
    with pytest.raises(ConfigError, match="strengths are infinite: a, b won all, lost all, or never met"):
        bradley_terry(some)
    found = bradley_terry(some, ridge=0.1)
    assert found.names == ("a", "b", "c")
    assert found.strengths[0] > found.strengths[1] > found.strengths[2] > -20
    with pytest.raises(ConfigError, match="ridge is -1"):
        bradley_terry(some, ridge=-1)


@pytest.mark.parametrize(("some", "reason"), [([], "no comparisons"), ([Comparison("a", "a")], "compared with itself")])
def test_impossible_comparisons_are_refused(some, reason):
    with pytest.raises(ConfigError, match=reason):
        bradley_terry(some)


def test_davidson_needs_ties_and_names_must_be_known():
    with pytest.raises(ConfigError, match="needs ties"):
        bradley_terry(met("a", "b", 1, 1), ties="davidson")
    with pytest.raises(ConfigError, match="no contestant 'z'"):
        bradley_terry(met("a", "b", 1, 1)).difference("a", "z")


def test_cycles_are_counted():
    cycle = [Comparison("a", "b"), Comparison("b", "c"), Comparison("c", "a")]
    assert cyclic_share(cycle) == 1.0
    assert bradley_terry(cycle).strengths == pytest.approx([0, 0, 0], abs=1e-9)
    assert cyclic_share([*cycle, *met("d", "a", 1, 0), *met("d", "b", 1, 0), *met("d", "c", 1, 0)]) == 0.25
    assert math.isnan(cyclic_share(met("a", "b", 1, 0)))


def test_without_openskill_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openskill", None)
    monkeypatch.setitem(sys.modules, "openskill.models", None)
    with pytest.raises(MissingExtraError, match=r"moorings\[ratings\]"):
        rate([Comparison("a", "b")])


class FakeModel:
    """Counts points, so that what is handed to openskill can be seen."""

    def rating(self, mu: float = 25.0, sigma: float = 8.0) -> types.SimpleNamespace:
        return types.SimpleNamespace(mu=mu, sigma=sigma)

    def rate(self, teams: list, ranks: list[float]) -> list:
        return [[self.rating(team[0].mu - rank, team[0].sigma / 2)] for team, rank in zip(teams, ranks, strict=True)]


def test_outcomes_reach_openskill_as_ranks(monkeypatch):
    module = types.ModuleType("openskill.models")
    module.PlackettLuce = FakeModel
    monkeypatch.setitem(sys.modules, "openskill", types.ModuleType("openskill"))
    monkeypatch.setitem(sys.modules, "openskill.models", module)
    some = [Comparison("a", "b"), Comparison("a", "b", "second"), Comparison("b", "c", "tie")]
    found = rate(some, {"c": Rating(30.0, 4.0), "d": Rating(1.0, 1.0)})
    assert found == {"a": (24.0, 2.0), "b": (24.0, 1.0), "c": (30.0, 2.0), "d": (1.0, 1.0)}
    with pytest.raises(ConfigError, match="compared with itself"):
        rate([Comparison("a", "a")])


def test_openskill_itself_moves_winners_up():
    pytest.importorskip("openskill")
    found = rate([Comparison("a", "b")] * 5 + [Comparison("b", "c", "tie")])
    assert found["a"].mu > 25 > found["b"].mu
    assert found["a"].sigma < 25 / 3
