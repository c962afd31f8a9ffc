"""Ensembles of registered rewards."""

from __future__ import annotations

import numpy as np
import pytest
from feedback_tools import FakeTools, graded

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.feedback.ensemble import EnsembleConfig, ensemble, fit_ensemble, read_scales, write_scales

ITEMS = [graded(text) for text in ("a b c kind", "kind kind", "a b c d e f", "")]
MEMBERS = {"short": Use(use="length", words=2), "kind": Use(use="phrases", phrases=["kind"])}


def made(**settings: object) -> EnsembleConfig:
    return EnsembleConfig.model_validate({"members": MEMBERS, **settings})


def test_members_are_turned_standardised_and_aggregated(tmp_path):
    tools = FakeTools(tmp_path)
    write_scales(fit_ensemble(made(), ITEMS, tools), tmp_path / "scales.json")
    found = ensemble(made(scales="scales.json", aggregation={"kind": "worst_case"}))(ITEMS, tools)
    distance, count = np.array([2.0, 0.0, 4.0, 2.0]), np.array([1.0, 2.0, 0.0, 0.0])
    expected = np.minimum(-(distance - distance.mean()) / distance.std(), (count - count.mean()) / count.std())
    np.testing.assert_allclose(found, expected)


def test_members_of_other_units_need_scales():
    with pytest.raises(ConfigError, match="short, kind differ in unit or direction"):
        ensemble(made())


def test_members_of_one_unit_need_none_and_lower_is_turned(tmp_path):
    members = {"two": Use(use="length", words=2), "four": Use(use="length", words=4)}
    found = ensemble(EnsembleConfig(members=members))
    assert (found.unit, found.direction) == ("words", "higher")
    np.testing.assert_allclose(found(ITEMS, FakeTools(tmp_path)), [-1.0, -1.0, -3.0, -3.0])


def test_constraints_are_in_the_members_own_units(tmp_path):
    thresholds = {"short": {"at_most": 2.0}, "kind": {"at_least": 1.0}}
    found = ensemble(made(aggregation={"kind": "constraints", "thresholds": thresholds}))
    assert found.unit == "share of constraints"
    np.testing.assert_allclose(found(ITEMS, FakeTools(tmp_path)), [1.0, 1.0, 0.0, 0.5])


def test_scales_of_other_members_are_refused(tmp_path):
    tools = FakeTools(tmp_path)
    write_scales(fit_ensemble(made(), ITEMS, tools), tmp_path / "scales.json")
    turned = EnsembleConfig(members=dict(reversed(MEMBERS.items())), scales="scales.json")
    with pytest.raises(ConfigError, match="has scales of short, kind, the ensemble has kind, short"):
        ensemble(turned)(ITEMS, tools)


@pytest.mark.parametrize("content", [None, b"{}", b"not json"])
def test_other_files_hold_no_scales(tmp_path, content):
    path = tmp_path / "scales.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="holds no scales"):
        read_scales(path)


def test_an_unknown_member_is_named_at_once():
    with pytest.raises(ConfigError, match="unknown reward 'lenth'; did you mean 'length'"):
        EnsembleConfig.model_validate({"members": {"a": {"use": "lenth"}}})
