"""Text against world: what the generator writes is read back; a flipped edge, a lost line or a second right option is found."""

from __future__ import annotations

import numpy as np
import pytest
from small_sets import change_item, open_set

from moorings.charter_run import Use
from moorings.probes.build import SUBTASKS, build
from moorings.probes.filters import plant
from moorings.probes.filters.filter import FilterReport, filters
from moorings.probes.filters.round_trip import named_edges


@pytest.fixture(scope="module")
def items():
    return tuple(item for subtask in SUBTASKS for item in build(subtask, 60, 5).items)


def look(name: str, items, **settings) -> FilterReport:
    return filters.make(Use.model_validate({"use": name, **settings})).look(items)


@pytest.mark.parametrize("name", ["well_formed", "solver", "round_trip", "answerable", "minimal_pairs"])
def test_generated_items_pass(items, name):
    report = look(name, items)
    assert (report.verdict, report.flags) == ("pass", ())
    assert report.n_in == 300


@pytest.mark.parametrize("kind", ["sign-flipped edge", "second valid option, reworded", "wrong key", "cyclic graph"])
def test_planted_faults_are_found_alone(items, kind):
    planted = plant.KINDS[kind](items, np.random.default_rng(2))
    report = look(planted.filter, planted.items)
    assert len(planted.faulty) >= 9
    assert {flag.item_id for flag in report.flags} == planted.faulty
    assert report.verdict == "fail"
    assert len(report.examples) <= 10


def test_a_lost_line_is_found_by_both(items):
    item = next(item for item in items if (item.subtask, item.structure) == ("S4", "direct"))
    lost = item.model_copy(update={"prompt": item.prompt.replace(item.metadata["decisive"], "")})
    assert look("round_trip", [lost]).flags[0].reason.startswith(("the text cannot be read", "only the graph has"))
    assert look("answerable", [lost]).flags[0].reason.startswith("the text gives no answer")


def test_an_edge_that_only_one_has_is_named(items):
    item = next(item for item in items if item.subtask == "S1")
    fewer = item.model_copy(update={"graph": item.graph.model_copy(update={"edges": item.graph.edges[:1]})})
    assert look("round_trip", [fewer]).flags[0].reason.startswith("only the text has a cause")
    assert len(named_edges(fewer.graph)) == 1


def test_the_decisive_line_must_be_there_and_decide(items):
    item = next(item for item in items if item.subtask == "S4")
    elsewhere = item.model_copy(update={"metadata": {"decisive": "Not in the text."}})
    idle = item.model_copy(update={"metadata": {"decisive": item.prompt.split(". ")[0] + "."}})
    unnamed = item.model_copy(update={"metadata": {}})
    wrong = item.model_copy(update={"options": tuple(o.model_copy(update={"key": not o.key}) for o in item.options)})
    reasons = [look("answerable", [one]).flags for one in (elsewhere, idle, unnamed, wrong)]
    assert reasons[0][0].reason == "the decisive line is not in the text"
    assert reasons[1][0].reason == "the text gives the key without its decisive line"
    assert reasons[2] == ()
    assert reasons[3][0].reason == "the text gives another answer than the key"


def test_a_decisive_line_of_the_system_prompt_counts():
    found = [item for item in build("S1", 120, 1).items if item.system and item.metadata["decisive"] in item.system]
    assert found
    assert look("answerable", found).flags == ()


def test_sets_without_worlds_are_not_judged():
    for name in ("round_trip", "answerable"):
        assert look(name, open_set(3).items).verdict == "not applicable"


def test_texts_of_no_grammar_are_flagged():
    other = change_item(0, 1, 0).model_copy(update={"subtask": "S9"})
    assert look("round_trip", [other]).flags[0].reason.startswith("the text cannot be read")
