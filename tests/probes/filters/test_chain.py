"""The chain: counts in and out, partners leave together, the last look is fresh, and equal sets give equal reports."""

from __future__ import annotations

import numpy as np
import pytest
from small_sets import change_set, open_set

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.probes.files import ItemSet
from moorings.probes.filters import plant
from moorings.probes.filters.by_subtask import each_subtask
from moorings.probes.filters.chain import ORDER, run_chain
from moorings.probes.filters.filter import FilterReport, filters

CHEAP = [Use(use=name) for name in ("well_formed", "solver", "duplicates", "minimal_pairs", "artefacts")]


def test_every_built_in_filter_has_its_turn():
    assert sorted(ORDER) == filters.names()
    for name in ORDER:
        one = filters.make(Use(use=name))
        assert one.challenge in ("C1", "C2", "C3", "C4")
        assert one.statement.endswith(".")
        for field in filters.config(name).model_fields.values():
            assert field.description


def test_counts_go_down_and_partners_leave_together():
    items = change_set(200)
    planted = plant.wrong_key(items.items, np.random.default_rng(0))
    chain = run_chain(ItemSet("p", planted.items, {"seed": 1}), CHEAP)
    stage = next(stage for stage in chain.stages if stage.name == "solver")
    assert {flag.item_id for flag in stage.report.flags} == planted.faulty
    clusters = {item_id.rsplit("-", 1)[0] for item_id in planted.faulty}
    assert stage.n_out == 200 - 2 * len(clusters)
    assert chain.by_filter()["minimal_pairs"].verdict == "pass"
    assert not chain.passed
    assert chain.flagged()[min(planted.faulty)][0] == "solver"
    assert not planted.faulty & {item.item_id for item in chain.clean.items}
    assert chain.clean.about["seed"] == 1
    assert chain.clean.about["filters"]["solver"]["flagged"] == len(planted.faulty)
    assert [one.n_in for one in chain.stages[1:]] == [one.n_out for one in chain.stages[:-1]]


def test_a_clean_set_passes_and_comes_out_whole():
    items = change_set(200)
    chain = run_chain(items, CHEAP)
    assert chain.passed
    assert chain.clean.items == items.items
    assert run_chain(items, CHEAP).counts() == chain.counts()


def test_the_last_look_has_fresh_folds_and_every_family():
    chain = run_chain(open_set(200), [Use(use="choices_only", families=("naive bayes",))])
    first, again = chain.stages
    assert (first.name, again.name) == ("choices_only", "choices_only again")
    assert "S1: logistic regression accuracy" not in first.report.figures
    assert "S1: logistic regression accuracy" in again.report.figures
    assert first.report.figures["S1: naive bayes p"] != again.report.figures["S1: naive bayes p"]


def test_what_was_not_judged_is_not_looked_at_again():
    chain = run_chain(open_set(20), [Use(use="choices_only")])
    assert [stage.name for stage in chain.stages] == ["choices_only"]


def test_an_empty_set_and_an_unknown_filter():
    assert run_chain(ItemSet("empty", ())).passed
    with pytest.raises(ConfigError, match="did you mean 'solver'"):
        run_chain(ItemSet("empty", ()), [Use(use="solvr")])


def test_many_subtasks_are_summed_up():
    items = [item.model_copy(update={"subtask": f"T{k % 6}"}) for k, item in enumerate(open_set(12).items)]
    report = each_subtask(
        items, lambda some, n: FilterReport(len(some), (), "pass", f"{len(some)} of {n}.", {"n": 2.0})
    )
    assert report.n_in == 12
    assert report.said == "T0: 2 of 6. T1: 2 of 6. T2: 2 of 6. And 3 more."
    assert report.figures["T5: n"] == 2


def test_planting_is_drawn_by_its_generator_and_keeps_the_rest():
    items = change_set(100).items
    for name, kind in plant.KINDS.items():
        one, two = (kind(items, np.random.default_rng(4)) for _ in range(2))
        assert one == two, name
        sound = {item.item_id: item for item in one.items if item.item_id not in one.faulty}
        assert all(item == sound[item.item_id] for item in items if item.item_id in sound), name
    assert plant.wrong_key(open_set(5).items, np.random.default_rng(0)).faulty == frozenset()
