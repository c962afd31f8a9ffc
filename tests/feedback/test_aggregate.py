"""Aggregates against their closed forms and limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moorings.errors import ConfigError
from moorings.feedback.aggregate import (
    Aggregation,
    Threshold,
    aggregated,
    mean,
    satisfied,
    share_satisfied,
    soft_min,
    uncertainty_weighted,
    weighted_sum,
    worst_case,
)

VALUES = np.random.default_rng(0).standard_normal((5, 4, 3))
NAMES = ("a", "b", "c", "d", "e")
some_values = arrays(np.float64, (4, 3), elements=st.floats(-50, 50))


def test_against_loops():
    for at in np.ndindex(4, 3):
        one = [float(VALUES[m][at]) for m in range(5)]
        average = sum(one) / 5
        variance = sum((value - average) ** 2 for value in one) / 5
        assert mean(VALUES)[at] == pytest.approx(average)
        assert worst_case(VALUES)[at] == min(one)
        assert uncertainty_weighted(VALUES, 0.3)[at] == pytest.approx(average - 0.3 * variance)
        direct = -0.7 * np.log(sum(np.exp(-value / 0.7) for value in one) / 5)
        assert soft_min(VALUES, 0.7)[at] == pytest.approx(direct)


def test_soft_min_has_the_mean_the_minimum_and_uwo_as_limits():
    np.testing.assert_allclose(soft_min(VALUES, 1e-4), worst_case(VALUES), atol=1e-3)
    np.testing.assert_allclose(soft_min(VALUES, 1e9), mean(VALUES), atol=1e-8)
    errors = []
    for beta in (20.0, 40.0):
        second_order = uncertainty_weighted(VALUES, 1 / (2 * beta))
        errors.append(np.abs(soft_min(VALUES, beta) - second_order).max())
    # The next term is of order 1 / beta^2: half the step, a quarter of the error.
    assert errors[1] < errors[0] / 3.5
    assert errors[0] < 2e-3


@given(values=some_values, beta=st.floats(0.01, 1e6))
def test_soft_min_lies_between_minimum_and_mean(values, beta):
    found = soft_min(values, beta)
    assert (found >= worst_case(values) - 1e-9).all()
    assert (found <= mean(values) + 1e-9).all()


@given(values=some_values, shift=st.floats(-100, 100))
def test_a_common_shift_shifts_every_aggregate(values, shift):
    for how in ("mean", "worst_case", "uncertainty_weighted", "soft_min"):
        aggregation = Aggregation(kind=how)
        names = NAMES[: len(values)]
        np.testing.assert_allclose(
            aggregated(values + shift, names, aggregation), aggregated(values, names, aggregation) + shift, atol=1e-7
        )


def test_a_missing_member_makes_the_aggregate_missing():
    values = VALUES.copy()
    values[2, 1, 1] = np.nan
    for how in ("mean", "worst_case", "uncertainty_weighted", "soft_min"):
        found = aggregated(values, NAMES, Aggregation(kind=how))
        assert np.isnan(found[1, 1])
        assert np.isnan(found).sum() == 1


def test_weights_go_by_name():
    aggregation = Aggregation(kind="weighted_sum", weights={"d": 2.0, "a": -1.0})
    np.testing.assert_allclose(aggregated(VALUES, NAMES, aggregation), 2 * VALUES[3] - VALUES[0])
    with pytest.raises(ConfigError, match="unknown reward 'dd'; did you mean 'd'"):
        weighted_sum(VALUES, NAMES, {"dd": 1.0})


def test_thresholds_go_by_name_and_count_both_ends():
    values = np.array([[0.0, 1.0, 2.0, np.nan], [5.0, 5.0, 4.9, 5.0]])
    thresholds = {"b": Threshold(at_least=5.0, at_most=5.0), "a": Threshold(at_most=1.5, tolerance=0.5)}
    np.testing.assert_array_equal(satisfied(values, ("a", "b"), thresholds), [[1, 1, 0, 1], [1, 1, 1, np.nan]])
    np.testing.assert_array_equal(
        aggregated(values, ("a", "b"), Aggregation(kind="constraints", thresholds=thresholds)), [1, 1, 0.5, np.nan]
    )
    np.testing.assert_array_equal(share_satisfied(values[::-1], ("b", "a"), thresholds), [1, 1, 0.5, np.nan])


@pytest.mark.parametrize("settings", [{"kind": "weighted_sum"}, {"kind": "mean", "weights": {"a": 1.0}}])
def test_weights_are_for_the_weighted_sum(settings):
    with pytest.raises(ConfigError, match="give weights for weighted_sum"):
        Aggregation(**settings)


@pytest.mark.parametrize("settings", [{}, {"at_least": 2.0, "at_most": 1.0}])
def test_a_threshold_has_an_end_and_order(settings):
    with pytest.raises(ConfigError, match="give one, or a pair in order"):
        Threshold(**settings)
