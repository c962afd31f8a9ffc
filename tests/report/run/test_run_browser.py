"""The run's page in a real browser: nothing runs, nothing loads, everything fits and can be read."""

from __future__ import annotations

from pathlib import Path

import browser
import make
import pytest
import runs_made
from test_browser import _LOW_CONTRAST

from moorings.report.run.html import render_run_html
from moorings.report.run.story import RunStory

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.BINARY is None, reason=browser.WHY_NOT)]


def _load(tab: browser.Browser, folder: Path, story: RunStory) -> browser.Seen:
    path = folder / "report.html"
    path.write_text(render_run_html(story), encoding="utf-8")
    return tab.load(path)


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_texts_do_nothing_and_are_readable(tab: browser.Browser, tmp_path: Path, width: int) -> None:
    tab.size(width, 900)
    seen = _load(tab, tmp_path, runs_made.hostile([p.text for p in (*make.PAYLOADS, make.HUGE)]))
    tab.run("document.getElementById('open-all').click()")
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("typeof window.__canary") == "undefined"
    text = tab.run("document.body.innerText")
    assert [p.name for p in (*make.PAYLOADS, make.HUGE) if p.visible not in text] == []
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("made", [runs_made.story, runs_made.empty, runs_made.running, runs_made.failed])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_pages_are_quiet_and_fit(tab: browser.Browser, tmp_path: Path, made, width: int, dark: bool) -> None:
    tab.size(width, 900, dark=dark)
    seen = _load(tab, tmp_path, made())
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert tab.run(_LOW_CONTRAST) == []


def test_every_dot_lies_inside_its_drawing(tab: browser.Browser, tmp_path: Path) -> None:
    tab.size(390, 900)
    seen = _load(tab, tmp_path, runs_made.large())
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    outside = (
        "[...document.querySelectorAll('.trend, .course')].filter(s => { const b = s.getBoundingClientRect(); "
        "return [...s.querySelectorAll('circle')].some(c => { const d = c.getBoundingClientRect(); "
        "return d.left < b.left - 6 || d.right > b.right + 6 || d.top < b.top - 6 || d.bottom > b.bottom + 6; }); })"
    )
    assert tab.run("document.querySelectorAll('.trend circle').length") > 1500
    assert tab.run(f"{outside}.length") == 0


def test_without_script_the_story_is_there(tab: browser.Browser, tmp_path: Path) -> None:
    tab.size(1280, 900)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        path = tmp_path / "report.html"
        path.write_text(render_run_html(runs_made.story()), encoding="utf-8")
        tab.load(path, settle=False)
        assert tab.run("getComputedStyle(document.getElementById('open-all')).display") == "none"
        assert "Looked at forty answers" in tab.run("document.body.innerText")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
