"""Load a report of hostile responses in a real Chromium, and build a large one in time.

Every text of the report that can come from outside holds script tags, event handlers, links and pictures to the network,
style imports, terminal escapes, direction overrides, NULs, broken surrogates, orders to a judge, or 10 MB on one line.
The browser is driven over its DevTools pipe. Skipped where no Chromium is installed. The analysis itself must come to the same
verdicts when a fifth of both arms' responses carry such texts, with and without a planted change.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _common import finish, options
from _pool import load_pool, measured

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "report"))
import browser
import make

from moorings.compare.analysis import analyse
from moorings.compare.selftest import divide_within_prompts
from moorings.compare.settings import Settings
from moorings.report.html import render_html

WIDTHS = (1280, 390)


def main() -> None:
    """Measure and compare with the bars."""
    args = options(__doc__ or "")
    if browser.BINARY is None:
        print(f"hostile_report: skipped: {browser.WHY_NOT}")
        sys.exit(0)
    payloads = [*make.PAYLOADS, make.HUGE]
    visits = _visits(payloads, args.quick)
    verdicts = _verdicts(payloads)
    build_s, size_bytes, open_s = _large(1 if args.quick else 5)
    print(f"{len(payloads)} payloads, {len(visits)} page loads; 4,000 points and 60 findings in {build_s:.2f} s")
    finish(
        "hostile_report",
        args,
        bars={
            "acts of hostile text": (sum(v["acts"] for v in visits), "<=", 0),
            "payloads not readable": (sum(len(v["unreadable"]) for v in visits), "<=", 0),
            "pages wider than the window": (sum(v["too_wide"] for v in visits), "<=", 0),
            "verdicts turned by hostile text": (sum(a != b for a, b in verdicts.values()), "<=", 0),
            "build s": (build_s, "<=", 2.0),
            "size MB": (size_bytes / 1e6, "<=", 5.0),
        },
        payloads=[p.name for p in payloads],
        visits=visits,
        verdicts=verdicts,
        open_large_s=open_s,
    )


def _verdicts(payloads: list[make.Payload]) -> dict[str, tuple[str, str]]:
    """Verdict and first finding without and with hostile texts, for arms that are alike and for a planted change."""
    pool = load_pool("pool", n_prompts=100, n_samples=4)
    halves = divide_within_prompts(pool, np.random.default_rng(3)).corpus
    rng = np.random.default_rng(4)
    planted = (halves.arm == 1) & (rng.random(len(halves.texts)) < 0.6)
    hostile = np.flatnonzero(rng.random(len(halves.texts)) < 0.2).tolist()
    found = {}
    for name, changed in (("alike", np.zeros_like(planted)), ("planted", planted)):
        clean = [f"Great question! {t}" if c else t for t, c in zip(halves.texts, changed, strict=True)]
        dirty = list(clean)
        for number, i in enumerate(hostile):
            dirty[i] += " " + payloads[number % len(payloads)].text
        found[name] = tuple(_verdict(replace(halves, texts=texts)) for texts in (clean, dirty))
    print(f"verdicts without and with hostile texts: {found}")
    return found


def _verdict(corpus) -> str:
    result = analyse(measured(corpus), Settings(n_draws=5000)).result
    leads = [f.statement for f in result.findings if f.part_of is None]
    return f"{result.verdict}: {leads[0] if leads else 'nothing'}"


def _visits(payloads: list[make.Payload], quick: bool) -> list[dict]:
    """Load all payloads in one page at each width; unless quick, each also alone in a page."""
    cases = [("all together", payloads, width) for width in WIDTHS]
    if not quick:
        cases += [(p.name, [p], WIDTHS[0]) for p in payloads]
    with tempfile.TemporaryDirectory() as folder, browser.chromium() as tab:
        return [_visit(tab, Path(folder), *case) for case in cases]


def _visit(tab: browser.Browser, folder: Path, name: str, payloads: list[make.Payload], width: int) -> dict:
    path = folder / "report.html"
    path.write_text(render_html(make.hostile(payloads)), encoding="utf-8")
    tab.size(width, 900)
    seen = tab.load(path)
    tab.run("document.getElementById('open-all').click()")
    tab.run("document.getElementById('map').focus()")
    for key in ("ArrowRight", "ArrowLeft", "+"):
        tab.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    tab.settle()
    text = tab.run("document.body.innerText")
    acts = {
        "dialogs": seen.dialogs,
        "requests": [url for url in seen.requests if url != path.as_uri()],
        "console": seen.console,
        "exceptions": seen.exceptions,
        "policy and other issues": seen.issues,
        "windows": seen.windows,
        "canary": [] if tab.run("typeof window.__canary") == "undefined" else ["set"],
    }
    return {
        "case": name,
        "width": width,
        "acts": sum(map(len, acts.values())),
        "what": {k: v[:3] for k, v in acts.items() if v},
        "unreadable": [p.name for p in payloads if p.visible not in text],
        "too_wide": int(tab.run("document.documentElement.scrollWidth > innerWidth")),
    }


def _large(repeats: int) -> tuple[float, int, float]:
    """Median build time, size, and the time until the browser has laid the page out."""
    comparison = make.large(n_points=4000, n_findings=60)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        html = render_html(comparison)
        times.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder, browser.chromium() as tab:
        path = Path(folder) / "report.html"
        path.write_text(html, encoding="utf-8")
        start = time.perf_counter()
        tab.load(path)
        open_s = time.perf_counter() - start
    return sorted(times)[len(times) // 2], len(html.encode()), open_s


if __name__ == "__main__":
    main()
