"""The page on probes in a real browser: nothing runs, nothing loads, everything fits and can be read."""

from __future__ import annotations

from pathlib import Path

import browser
import make
import pytest
from test_browser import _LOW_CONTRAST
from test_probe_html import html_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.BINARY is None, reason=browser.WHY_NOT)]
_OUTSIDE = (
    "[...document.querySelectorAll('.trend, .strip')].filter(s => { const b = s.getBoundingClientRect(); "
    "return b.width && [...s.querySelectorAll('circle')].some(c => { const d = c.getBoundingClientRect(); "
    "return d.left < b.left - 8 || d.right > b.right + 8 || d.top < b.top - 8 || d.bottom > b.bottom + 8; }); })"
)


def _load(tab: browser.Browser, folder: Path, name: str) -> browser.Seen:
    path = folder / "report.html"
    path.write_text(html_of(name), encoding="utf-8")
    return tab.load(path)


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_texts_do_nothing_and_are_readable(tab: browser.Browser, tmp_path: Path, width: int) -> None:
    tab.size(width, 900)
    seen = _load(tab, tmp_path, "hostile")
    tab.run("document.getElementById('open-all').click()")
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("typeof window.__canary") == "undefined"
    text = tab.run("document.body.innerText")
    assert [p.name for p in make.PAYLOADS if p.visible not in text] == []
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", ["one", "rounds", "live alone", "bare"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_pages_are_quiet_and_fit(tab: browser.Browser, tmp_path: Path, name: str, width: int, dark: bool) -> None:
    tab.size(width, 900, dark=dark)
    seen = _load(tab, tmp_path, name)
    tab.run("document.getElementById('open-all').click()")
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert tab.run(_LOW_CONTRAST) == []
    assert tab.run(f"{_OUTSIDE}.length") == 0


def test_without_script_the_numbers_are_there(tab: browser.Browser, tmp_path: Path) -> None:
    tab.size(1280, 900)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        path = tmp_path / "report.html"
        path.write_text(html_of("one"), encoding="utf-8")
        tab.load(path, settle=False)
        assert tab.run("getComputedStyle(document.getElementById('open-all')).display") == "none"
        assert "averaged over orders" in tab.run("document.body.innerText")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
