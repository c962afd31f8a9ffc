"""The page in a real browser: nothing runs, nothing loads, everything can be read and used."""

from __future__ import annotations

from pathlib import Path

import browser
import make
import pytest

from moorings.compare.comparison import Comparison
from moorings.report.html import render_html

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.BINARY is None, reason=browser.WHY_NOT)]


def _load(tab: browser.Browser, folder: Path, comparison: Comparison) -> browser.Seen:
    path = folder / "report.html"
    path.write_text(render_html(comparison), encoding="utf-8")
    return tab.load(path)


def test_the_watcher_sees_what_a_bad_page_does(tab: browser.Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'; img-src 'none'\">"
        "<script>window.__canary=1; alert('hello'); console.log('said'); fetch('https://canary.invalid/x')"
        ".catch(() => {}); throw new Error('thrown')</script><p style='color:red' onclick='x'>"
        "<img src=https://canary.invalid/a.png><script src=https://canary.invalid/b.js></script>"
    )
    seen = tab.load(path)
    assert seen.dialogs == ["hello"]
    assert any("said" in line for line in seen.console)
    assert any("thrown" in line for line in seen.exceptions)
    assert "https://canary.invalid/x" in seen.requests
    assert any("ContentSecurityPolicyIssue" in issue for issue in seen.issues)
    assert tab.run("window.__canary") == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_texts_do_nothing_and_are_readable(tab: browser.Browser, tmp_path: Path, width: int) -> None:
    tab.size(width, 900)
    seen = _load(tab, tmp_path, make.hostile([*make.PAYLOADS, make.HUGE]))
    tab.run("document.getElementById('open-all').click()")
    tab.run("document.getElementById('map').focus()")
    for key in ("ArrowRight", "ArrowRight", "+"):
        tab.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    tab.settle()
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("typeof window.__canary") == "undefined"
    assert "owned" not in tab.run("document.title").split("<script")[0]
    text = tab.run("document.body.innerText")
    assert [p.name for p in (*make.PAYLOADS, make.HUGE) if p.visible not in text] == []
    assert tab.run("window.find('⟨U+202E⟩gnp.exe')")
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")


def test_the_policy_holds_where_escaping_would_fail(tab: browser.Browser, tmp_path: Path) -> None:
    slip = (
        "<script>window.__canary=1</script><img src=https://canary.invalid/a.png onerror='window.__canary=1'>"
        "<style>*{display:none}</style><link rel=stylesheet href=https://canary.invalid/a.css>"
    )
    path = tmp_path / "report.html"
    path.write_text(render_html(make.comparison()).replace("<h1>", slip + "<h1>"), encoding="utf-8")
    seen = tab.load(path)
    assert tab.run("typeof window.__canary") == "undefined"
    assert sorted(seen.stopped) == ["https://canary.invalid/a.css", "https://canary.invalid/a.png"]
    assert set(seen.requests) == {path.as_uri(), *seen.stopped}
    assert len([issue for issue in seen.issues if "ContentSecurityPolicyIssue" in issue]) >= 4
    assert tab.run("getComputedStyle(document.body).display") == "block"


@pytest.mark.parametrize("made", [make.comparison, make.lineage])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_pages_are_quiet_and_fit(tab: browser.Browser, tmp_path: Path, made, width: int, dark: bool) -> None:
    tab.size(width, 900, dark=dark)
    seen = _load(tab, tmp_path, made())
    assert seen == browser.Seen(requests=[(tmp_path / "report.html").as_uri()])
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert tab.run(_LOW_CONTRAST) == []


def test_the_map_can_be_used(tab: browser.Browser, tmp_path: Path) -> None:
    tab.size(1280, 900)
    comparison = make.comparison(n_points=200)
    seen = _load(tab, tmp_path, comparison)
    tab.run("document.getElementById('map').scrollIntoView()")
    tab.run("document.getElementById('map').focus()")
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    tip = tab.run("document.getElementById('map-tip').innerText")
    assert any(point.text.split("\n")[0] in tip for point in comparison.map)
    tab.run("document.getElementById('map-in').click()")
    assert tab.run("document.getElementById('map').viewBox.baseVal.width") == 700
    tab.run("document.getElementById('map-reset').click()")
    assert tab.run("document.getElementById('map').viewBox.baseVal.width") == 1000
    shown = "[...document.querySelectorAll('#map .pt')].filter(e => getComputedStyle(e).display != 'none')"
    assert tab.run(f"{shown}.some(e => e.dataset.arm == '0')")
    tab.run("document.querySelector('#map-arms input').click()")
    assert tab.run(f"{shown}.length > 0 && {shown}.every(e => e.dataset.arm == '1')")
    tab.run("document.querySelector('#map-clusters input').click()")
    assert tab.run(f"{shown}.every(e => e.dataset.cluster != '0')")
    assert seen.exceptions == []


def test_without_script_the_map_and_the_numbers_are_there(tab: browser.Browser, tmp_path: Path) -> None:
    tab.size(1280, 900)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        path = tmp_path / "report.html"
        path.write_text(render_html(make.comparison()), encoding="utf-8")
        tab.load(path, settle=False)
        assert tab.run("document.querySelectorAll('#map .pt').length") > 10
        assert tab.run("getComputedStyle(document.getElementById('open-all')).display") == "none"
        assert "knots and ropes" in tab.run("document.getElementById('map-clusters').innerText")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


_LOW_CONTRAST = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c.length && c[3] !== 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll("body *:not(svg *):not(script):not(.skip)")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio]);
  }
  return low.slice(0, 10);
})()"""
"""Elements with own text whose contrast is below 4.5 to 1 (WCAG 2.2, AA)."""
