"""The page of alignment methods as one self-contained HTML file and its numbers as JSON, each file whole or not there.

It shares the style sheet, script, escaping and content-security policy of the other reports; see `moorings.report.page`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from moorings import __version__
from moorings.compare.as_json import finite
from moorings.errors import ConfigError
from moorings.report.align.charts import draw_front, draw_panel, numbered
from moorings.report.align.view import AlignReport, Line, Spot, Value
from moorings.report.page import render_page
from moorings.report.wording import number
from moorings.store.disk import Disk, write_atomic

__all__ = ["render_align_html", "write_align_report"]

_STYLES = ("style.css", "run/run.css", "align/align.css")
_ROWS = 40
"""Points of a line that the page's table has; the JSON has all."""


def write_align_report(report: AlignReport, folder: Path, *, disk: Disk | None = None) -> dict[str, Path]:
    """Write alignment.json and alignment.html; files of the same names are replaced.

    Args:
        report: At least one panel or front, each with at least one line or spot.
        folder: Where to; made if missing.
        disk: System calls, for tests.

    Returns:
        The written files by `json` and `html`.

    Raises:
        ConfigError: Nothing to show.
        StorageFullError: No room; an older file stays as it was.
        StorageError: Any other failed system call.
    """
    html = render_align_html(report)
    told = {"moorings_align_report": 1, **report._asdict()}
    told["panels"] = [{**panel._asdict(), "lines": [_line(line) for line in panel.lines]} for panel in report.panels]
    told["fronts"] = [{**front._asdict(), "spots": [_spot(spot) for spot in front.spots]} for front in report.fronts]
    text = json.dumps(finite(told), indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    written = {}
    for form, name, data in (("json", "alignment.json", text), ("html", "alignment.html", html)):
        write_atomic(folder / name, data.encode("utf-8"), disk or Disk())
        written[form] = folder / name
    return written


def render_align_html(report: AlignReport) -> str:
    """The whole document.

    Raises:
        ConfigError: Nothing to show.
    """
    if not report.panels and not report.fronts:
        raise ConfigError("a report of alignment methods with no panel and no front has nothing to show; give one")
    empty = [p.title for p in report.panels if not p.lines] + [f.title for f in report.fronts if not f.spots]
    if empty:
        raise ConfigError(f"'{empty[0]}' has nothing to draw; give it at least one line or method")
    values = {
        "r": report,
        "panels": [(panel, draw_panel(panel, f"panel{at}")) for at, panel in enumerate(report.panels)],
        "fronts": [(front, draw_front(front, f"front{at}")) for at, front in enumerate(report.fronts)],
        "hue": numbered,
        "number": number,
        "told": _told,
        "thinned": _thinned,
        "version": __version__,
    }
    return render_page("align/report.html.j2", _STYLES, values)


def _told(value: Value) -> str:
    """A mean with its interval, for people."""
    if math.isnan(value.low):
        return number(value.mean)
    return f"{number(value.mean)} ({number(value.low)} to {number(value.high)})"


def _thinned(n: int) -> list[int]:
    """Places of at most so many points, the last among them."""
    stride = -(-n // _ROWS)
    places = list(range(0, n, stride))
    return places if places[-1] == n - 1 else [*places, n - 1]


def _line(line: Line) -> dict[str, Any]:
    return {**line._asdict(), "y": [value._asdict() for value in line.y]}


def _spot(spot: Spot) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Value) else value for name, value in spot._asdict().items()}
