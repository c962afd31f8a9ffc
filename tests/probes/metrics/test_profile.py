"""One record of every figure, equal for equal sheets, that survives JSON and is plain text for terminals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moorings.errors import ConfigError, InputError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Item, Option
from moorings.probes.metrics.profile import Profile, profile, render_profile
from moorings.probes.metrics.table import Table
from moorings.probes.simulated import Responder, orders_of, simulated_items

DOCS = Path(__file__).parents[3] / "docs" / "probes_metrics.md"


@pytest.fixture(scope="module")
def sheet():
    rng = np.random.default_rng(0)
    items = [
        *simulated_items(40, rng=rng, dev=0.3).items,
        *simulated_items(20, rng=rng, subtask="S1", n_options=2).items,
    ]
    who = Responder(theta=0.8, position=0.5, forgetful=0.2, silent=0.05, heeds={"observed": 0.5})
    return who.answer(items, rng=rng, framings=("plain", "observed", "unobserved"))


def test_each_subtask_has_its_record_and_the_whole_survives_json(sheet):
    got = profile(sheet, n_draws=200)
    assert [one.subtask for one in got.subtasks] == ["S1", "S4"]
    assert Profile.model_validate_json(got.model_dump_json()) == got
    assert json.loads(got.model_dump_json())["subtasks"][1]["accuracy"]["chance"] == 0.25
    one = got.subtasks[1]
    table = Table.of(
        replace(sheet, items=sheet.items[:160], answers=tuple(a for a in sheet.answers if a.item_id[:2] == "S4")).of(
            "plain"
        )
    )
    assert one.accuracy.item.value == pytest.approx(np.nanmean(table.right))
    assert (one.n_answers, one.n_missing_answers) == (640, int(table.missing.sum()))
    assert one.framings["plain"].value == one.accuracy.item.value
    assert one.observation_gap.first == ("observed",)
    assert one.ability.interval.low < 0.8 < one.ability.interval.high + 0.5
    assert {s.structure for s in one.accuracy.structures} == {"direct_pos", "direct_neg", "chain2_neg", "blocked"}


def test_equal_sheets_and_seeds_give_equal_profiles(sheet):
    assert profile(sheet, n_draws=100) == profile(sheet, n_draws=100)
    assert profile(sheet, n_draws=100) != profile(sheet, n_draws=100, seed=1)
    alone = replace(sheet, items=sheet.items[:160], answers=tuple(a for a in sheet.answers if a.item_id[:2] == "S4"))
    assert profile(alone, n_draws=100).subtasks[0] == profile(sheet, n_draws=100).subtasks[1]


def test_abilities_and_dispositions_are_apart(sheet):
    items = tuple(
        one.model_copy(update={"kind": "disposition"}) if one.item_id < "S4-000020" else one
        for one in sheet.items[:160]
    )
    answers = tuple(a for a in sheet.answers if a.item_id[:2] == "S4")
    got = profile(replace(sheet, items=items, answers=answers), n_draws=100)
    assert [(one.subtask, one.kind, one.n_items) for one in got.subtasks] == [
        ("S4", "ability", 80),
        ("S4", "disposition", 80),
    ]
    shown = render_profile(got)
    assert "shows the disposition" in shown
    assert shown.count("above chance") == 1


def test_the_framing_can_be_chosen(sheet):
    assert profile(sheet, framing="observed", n_draws=50).subtasks[0].framing == "observed"
    only = replace(sheet, answers=tuple(a for a in sheet.answers if a.framing == "observed"))
    assert profile(only, n_draws=50).subtasks[0].framing == "observed"
    assert profile(only, n_draws=50).subtasks[0].observation_gap is None
    with pytest.raises(ConfigError, match="framing 'calm' was not asked"):
        profile(sheet, framing="calm")


def test_self_and_other_framings_are_compared(sheet):
    names = {"observed": "self", "unobserved": "other"}
    twins = tuple(a._replace(framing=names.get(a.framing, a.framing)) for a in sheet.answers)
    got = profile(replace(sheet, answers=twins), n_draws=50).subtasks[1]
    want = profile(sheet, n_draws=50).subtasks[1]
    assert got.observation_gap is None
    assert got.self_gap.right.gap.value == want.observation_gap.right.gap.value
    assert "self less other" in render_profile(profile(replace(sheet, answers=twins), n_draws=50))


def test_rendered_lines_are_the_figures(sheet):
    got = profile(sheet, n_draws=200, symbol_prior={"A": -1.0, "B": -2.0})
    shown = render_profile(got)
    one = got.subtasks[1]
    ends = one.accuracy.item.interval
    assert f"{one.accuracy.item.value:.3f} [{ends.low:.3f}, {ends.high:.3f}]" in shown
    assert one.observation_gap.right.said in shown
    assert f"temperature {one.calibration.temperature:.2f} of {one.calibration.n_dev} dev items" in shown
    assert "whatever was missing" in shown
    assert "by structure type" in shown
    assert "right without symbol prior" in shown


def test_a_null_says_what_would_have_been_found():
    rng = np.random.default_rng(3)
    items = simulated_items(60, rng=rng)
    guess = Responder(theta=-np.inf, mode="text", temperature=1.0).answer(items, rng=rng)
    got = profile(guess, n_draws=200)
    effect = got.subtasks[0].accuracy.corrected.detectable
    assert f"Not told apart from chance. A true distance of {effect:.2g} would have been found" in render_profile(got)
    able = profile(Responder(theta=2.0).answer(items, rng=rng), n_draws=200)
    assert "Not told apart" not in render_profile(able)


def test_foreign_sets_without_clusters_graphs_or_plain_names_are_profiled():
    def option(at, key):
        return Option(symbol="AB"[at], text=f"t{at}", key=at == key)

    hostile = "S\x1b[31m\n" + "x" * 50
    items = tuple(
        Item(
            item_id=str(n), cluster_id=str(n), subtask=hostile, prompt="?", options=(option(0, n % 2), option(1, n % 2))
        )
        for n in range(5)
    )
    answers = tuple(Answer(one.item_id, (0, 1), "plain", "text", 0) for one in items)
    got = profile(AnswerSheet("http://x\x07", "f", items, answers), n_draws=50)
    one = got.subtasks[0]
    assert one.calibration is None
    assert one.orders is None
    assert one.accuracy.cluster is None
    assert one.ability is None
    shown = render_profile(got)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[too few clusters]" in shown
    assert "could not have been found: there are fewer than 8 clusters" in shown
    with pytest.raises(InputError, match="does not fit the items"):
        profile(AnswerSheet("s", "f", items, (Answer("zzz", (0, 1), "plain", "text", 0),)))
    assert profile(AnswerSheet("s", "f", (), ())).subtasks == ()
    unasked = profile(AnswerSheet("s", "f", items, ()), n_draws=50).subtasks[0]
    assert unasked.accuracy.item is None
    assert unasked.accuracy.n_missing == 5


def test_every_printed_line_is_in_the_docs(sheet):
    shown = render_profile(profile(sheet, n_draws=50, symbol_prior={"A": 0.0, "B": -0.1}))
    documented = DOCS.read_text(encoding="utf-8")
    for line in shown.splitlines():
        if line.startswith("  ") and not line.startswith("    ") and "[" in line:
            name = line[2:34].strip()
            if name not in ("right, observed", "right, unobserved", "observed less unobserved"):
                assert f"`{name}`" in documented, name


def test_simulated_answers_are_equal_for_equal_generators_and_orders_are_all_there():
    items = simulated_items(3, rng=np.random.default_rng(0))
    one, two = (Responder(forgetful=0.5).answer(items, rng=np.random.default_rng(1)) for _ in range(2))
    assert one == two
    assert len(orders_of(4, "all")) == 24
    assert len(set(orders_of(4, "rotations"))) == 4
    assert orders_of(2, "stored") == [(0, 1)]
    assert all(sorted(a.order) == [0, 1, 2, 3] for a in one.answers)
