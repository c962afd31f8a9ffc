"""Structure of the page on probes: what may stand where, whatever the texts hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import make
import probes_made
import pytest
from page_checks import CANARY, Page, PageChecks

from moorings.report.probe.html import MAX_FULL, render_probe_html
from moorings.report.probe.rows import fixed
from moorings.report.probe.view import ProbeReport, assemble


def _one() -> ProbeReport:
    one, profile = probes_made.realistic()
    return assemble([profile], [one], "Probes before the run")


def _rounds() -> ProbeReport:
    sheets, profiles = probes_made.rounds()
    return assemble(profiles, sheets, rounds=[str(at) for at in range(6)], live=probes_made.live())


def _hostile(end: str = "") -> ProbeReport:
    one, profile = probes_made.hostile([p.text for p in make.PAYLOADS], end)
    texts = [p.text + end for p in make.PAYLOADS]
    track = probes_made.live([text[:200] for text in texts[:3]], texts[3][:200])
    return assemble([profile, profile], [one], f"title {texts[0]}", [texts[1], texts[2]], track)


def _bare() -> ProbeReport:
    rows = [probes_made.plain_item("S1", at, "?", ["a", "b"]) for at in range(3)]
    return assemble([probes_made.told(probes_made.by_choice(rows, [None] * 3))])


REPORTS: dict[str, Callable[[], ProbeReport]] = {
    "one": _one,
    "rounds": _rounds,
    "hostile": _hostile,
    "bare": _bare,
    "without sheets": lambda: assemble(probes_made.rounds()[1][:2]),
    "live alone": lambda: assemble([], live=probes_made.live()),
    "few": lambda: assemble([probes_made.told(probes_made.sheet({"S1": 1.0}, n_clusters=5))]),
}


@cache
def html_of(name: str) -> str:
    """The page of one of the reports."""
    return render_probe_html(REPORTS[name]())


@cache
def _page(name: str) -> Page:
    return Page(html_of(name))


@pytest.fixture(params=REPORTS)
def page(request: pytest.FixtureRequest) -> Page:
    return _page(request.param)


def _text(name: str) -> str:
    return " ".join(_page(name).text.split())


class TestPage(PageChecks):
    """See `PageChecks`."""


def test_no_attribute_holds_untrusted_text_and_the_page_shows_it() -> None:
    one, profile = probes_made.hostile([f"text {at}" for at in range(20)], CANARY)
    rounds = [f"r{CANARY}", f"s{CANARY}"]
    track = probes_made.live([f"{name}{CANARY}" for name in "abc"], f"trait{CANARY}")
    page = Page(render_probe_html(assemble([profile, profile], [one], f"title{CANARY}", rounds, track)))
    for tag, attrs in page.elements:
        for key, value in attrs.items():
            assert "canary" not in f"{key} {value}", (tag, key)
    for what in ("title", "r", "text 3", "other text 3", "observed", "trait", "b", "0text 0", "untext 0"):
        assert f"{what}{CANARY}" in page.text or f"{what}{CANARY}".strip() in page.text, what
    assert page.text.count(CANARY.strip()) > 100


def test_every_payload_is_shown() -> None:
    text = _page("hostile").text
    for payload in make.PAYLOADS:
        assert payload.visible in text, payload.name


def test_no_hidden_character_is_left() -> None:
    html = html_of("hostile")
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]", html)
    assert len(html) < 3_000_000


def test_the_page_tells_one_subject() -> None:
    profile = probes_made.realistic()[1]
    text = _text("one")
    for wanted in (
        "Probes before the run",
        "Above chance on 2 of 3",
        "Missing answers: S1",
        "observed less unobserved, items right",
        "The hardest items",
        "Items that show it most",
        "It shows the disposition on",
        "By structure type",
        "if it were calibrated",
        "Case 3, wording",
        "How this was measured",
        "Would have been found",
        "simulated:model",
        "rotations",
    ):
        assert wanted in text, wanted
    for one in profile.subtasks:
        assert one.accuracy.item is not None
        assert one.accuracy.single_order is not None
        assert one.observation_gap is not None
        assert one.observation_gap.right is not None
        for wanted in (fixed(one.accuracy.item.value), fixed(one.accuracy.single_order.value)):
            assert wanted in text
        assert one.observation_gap.right.said in text


def test_nothing_is_averaged_over_abilities_and_dispositions() -> None:
    html = html_of("one")
    abilities, dispositions = html.index('id="abilities"'), html.index('id="dispositions"')
    assert abilities < html.index('id="a0"') < html.index('id="a2"') < dispositions < html.index('id="d0"')
    overview = html[abilities : html.index('id="a0"')]
    assert "power" not in overview
    assert len(re.findall('class="strip"', overview)) == 3
    assert "Calibration error" in html[abilities:dispositions]
    assert "Calibration error" not in html[dispositions : html.index('id="methods"')]


def test_rounds_have_lines_and_each_number_stands_in_a_table() -> None:
    html, text = html_of("rounds"), _text("rounds")
    assert html.count('class="band"') >= 4
    for profile in probes_made.rounds()[1]:
        for one in profile.subtasks:
            assert one.accuracy.item is not None
            assert fixed(one.accuracy.item.value) in text
    assert "not asked, or no usable answer" in text
    assert "Since the first round (0)" in text
    n_full = len(re.findall('<details class="fold"', html))
    assert n_full == 4 * MAX_FULL
    assert "2 more rounds in the table above and in profile.json." in text


def test_subjects_have_no_line_between_them() -> None:
    html = html_of("without sheets")
    assert 'class="band"' not in html
    assert 'class="path"' not in html
    assert "By subject, with intervals" in html


def test_of_many_subjects_the_rest_is_counted() -> None:
    profile = probes_made.told(probes_made.sheet({"S1": 1.0}, n_clusters=5))
    text = " ".join(Page(render_probe_html(assemble([profile] * 10))).text.split())
    assert "2 more subjects below." in text
    assert "6 more subjects in the table above and in profile.json." in text


def test_the_live_track_tells_what_happened_and_what_was_foretold() -> None:
    text = _text("live alone")
    for wanted in (
        "Live track",
        "↑ more",
        "↓ less",
        "? unclear",
        "= same",
        "more 70.0 %, less 20.0 %, same 10.0 %",
        "could not be measured",
        "no answer",
        "Own less another's",
        "held against a third",
        "would have been seen",
    ):
        assert wanted in text, wanted
    assert "not known" in text


def test_what_is_missing_is_said_to_be_missing() -> None:
    bare = _text("bare")
    for wanted in (
        "Too little to tell",
        "Without a usable answer: S1.",
        "no usable answer",
        "No item has a usable answer and a right option.",
        "3 of them missing",
        "no answer sheet was given",
    ):
        assert wanted in bare, wanted
    few = _text("few")
    assert "too few clusters" in few
