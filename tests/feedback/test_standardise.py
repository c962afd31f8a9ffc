"""Scales of members."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.errors import ConfigError
from moorings.feedback.aggregate import worst_case
from moorings.feedback.standardise import Scales, fit_scales


def test_reference_answers_get_mean_0_and_spread_1_and_more_is_better():
    values = np.array([[1.0, 2.0, np.nan, 6.0], [10.0, 20.0, 30.0, 40.0]])
    scales = fit_scales(values, ["a", "b"], ["higher", "lower"])
    found = scales.apply(values)
    np.testing.assert_allclose(np.nanmean(found, axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(found, axis=1), 1)
    assert np.isnan(found[0, 2])
    assert np.isnan(found).sum() == 1
    assert found[1, 0] > found[1, 3]
    assert [scale.n for scale in scales.members] == [3, 4]


def test_the_minimum_no_longer_depends_on_a_member_s_constant_and_scale():
    rng = np.random.default_rng(1)
    reference, values = rng.standard_normal((2, 3, 50))
    other = np.array([[1.0], [10.0], [0.01]])
    shift = np.array([[5.0], [-3.0], [100.0]])
    plain = worst_case(fit_scales(reference, ["a", "b", "c"]).apply(values))
    moved = worst_case(fit_scales(reference * other + shift, ["a", "b", "c"]).apply(values * other + shift))
    np.testing.assert_allclose(plain, moved, atol=1e-9)


def test_scales_survive_json():
    scales = fit_scales(np.random.default_rng(0).standard_normal((2, 9)), ["a", "b"])
    assert Scales.model_validate_json(scales.model_dump_json()) == scales


@pytest.mark.parametrize("row", [[0.1, 0.1, 0.1], [np.nan, 1.0, np.nan], [np.inf, 1.0, 2.0], [0.3, 0.1 + 0.2, 0.3]])
def test_a_member_that_tells_nothing_apart_is_named(row):
    with pytest.raises(ConfigError, match="reward 'flat' has"):
        fit_scales(np.array([[1.0, 2.0, 3.0], row]), ["fine", "flat"])


def test_another_number_of_members_is_refused():
    with pytest.raises(ConfigError, match="3 rewards given, scales of 2 kept"):
        fit_scales(np.eye(2), ["a", "b"]).apply(np.eye(3))
