"""Drawings of lines with bands and of fronts; see `moorings.report.drawing`. The page has each number in a table as well."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from moorings.report.align.view import Front, Line, Panel, Value
from moorings.report.drawing import FOOT, TOP, Drawing, labels_below, labels_beside, named, plot_y, stretched
from moorings.report.forest import Scale, round_step
from moorings.report.wording import number

__all__ = ["draw_front", "draw_panel", "numbered"]

_N_HUES = 8
"""Colours of lines; further lines take them again with dashes."""
_HEIGHT = 260
_TICKS = 4


def numbered(at: int) -> str:
    """Class of the line or spot that comes at this place."""
    return f"h{at % _N_HUES}{' dashed' if at >= _N_HUES else ''}"


def draw_panel(panel: Panel, name: str) -> Drawing:
    """Lines with bands, level lines, and both axes.

    Args:
        panel: With at least one line.
        name: Prefix of the drawing's ids.
    """
    across = _scale([x for line in panel.lines for x in line.x])
    up = _scale([v for line in panel.lines for value in line.y for v in value] + [level for _, level in panel.limits])
    paths = [(f"band {numbered(at)}", _band(line, across, up)) for at, line in enumerate(panel.lines)]
    paths += [(f"line {numbered(at)}", _path(line, across, up)) for at, line in enumerate(panel.lines)]
    parts = [*_frame(across, up), stretched(TOP, _HEIGHT, paths)]
    for words, level in panel.limits:
        parts.append(
            Markup('<g><title>{} {}</title><line class="limit" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/></g>').format(
                words, number(level), y=plot_y(up, level, _HEIGHT)
            )
        )
    told = "; ".join(f"{line.name} ends at {number(line.y[-1].mean)} ({number(line.x[-1])})" for line in panel.lines)
    return _drawing(panel.title, f"{panel.y_label} by {panel.x_label}. {told}.", parts, across, up, name)


def draw_front(front: Front, name: str) -> Drawing:
    """Methods as crosses whose arms are intervals, and the steps of the front that their means make.

    Args:
        front: With at least one spot.
        name: Prefix of the drawing's ids.
    """
    across = _scale([v for spot in front.spots for v in spot.x])
    up = _scale([v for spot in front.spots for v in spot.y])
    best = sorted(front.best, key=lambda spot: spot.x.mean)
    corners = [(spot.x.mean, spot.y.mean) for spot in best]
    steps = [f"{_at(across, x):g} {_over(up, y):g}" for x, y in _staircase(corners)]
    parts = [*_frame(across, up), stretched(TOP, _HEIGHT, [("front", "M" + "L".join(steps) if steps else "")])]
    for at, spot in enumerate(front.spots):
        x, y = _at(across, spot.x.mean), plot_y(up, spot.y.mean, _HEIGHT)
        left, right = (_at(across, v) for v in _ends(spot.x))
        low, high = (plot_y(up, v, _HEIGHT) for v in _ends(spot.y))
        parts.append(
            Markup(
                '<g class="spot {}"><title>{}: {}, {}</title><line x1="{left}%" x2="{right}%" y1="{y:g}" y2="{y:g}"/>'
                '<line x1="{x}%" x2="{x}%" y1="{low:g}" y2="{high:g}"/><circle cx="{x}%" cy="{y:g}" r="5"/></g>'
            ).format(
                numbered(at),
                spot.name,
                number(spot.x.mean),
                number(spot.y.mean),
                left=left,
                right=right,
                x=x,
                y=y,
                low=low,
                high=high,
            )
        )
    told = "; ".join(f"{spot.name} {number(spot.x.mean)}, {number(spot.y.mean)}" for spot in front.spots)
    return _drawing(front.title, f"{front.y_label} by {front.x_label}. {told}.", parts, across, up, name)


def _drawing(title: str, words: str, parts: Sequence[Markup], across: Scale, up: Scale, name: str) -> Drawing:
    height = TOP + _HEIGHT + FOOT
    ticks = across.ticks()
    below = labels_below([number(tick) for tick in ticks], [_at(across, tick) for tick in ticks], height - 4)
    beside = [(plot_y(up, tick, _HEIGHT), number(0.0 if abs(tick) < up.step / 2 else tick)) for tick in up.ticks()]
    return Drawing(
        labels_beside(beside, height), named(name, title, words, height, [*parts, *below], kind="trend align")
    )


def _frame(across: Scale, up: Scale) -> list[Markup]:
    rows = [
        Markup('<line class="{1}" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(
            plot_y(up, tick, _HEIGHT), "zero" if abs(tick) < up.step / 2 else "grid"
        )
        for tick in up.ticks()
    ]
    columns = [
        Markup('<line class="grid" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(
            _at(across, tick), TOP, TOP + _HEIGHT
        )
        for tick in across.ticks()
    ]
    return rows + columns


def _scale(values: Sequence[float]) -> Scale:
    """A scale that holds 0 and these values, with ticks."""
    known = [v for v in values if math.isfinite(v)]
    low, high = min([0.0, *known]), max([0.0, *known])
    if high - low < 1e-9:
        low, high = -0.5, 0.5
    step = round_step((high - low) / _TICKS)
    return Scale(low - (0.04 * (high - low) if low < 0 else 0.0), high + 0.04 * (high - low), step)


def _at(across: Scale, value: float) -> float:
    """Percent of the width."""
    return round(100 * (min(max(value, across.low), across.high) - across.low) / (across.high - across.low), 2)


def _over(up: Scale, value: float) -> float:
    return plot_y(up, value, _HEIGHT) - TOP


def _path(line: Line, across: Scale, up: Scale) -> str:
    """Through all known points; it breaks at unknown ones."""
    path, joined = "", False
    for x, value in zip(line.x, line.y, strict=True):
        known = math.isfinite(x) and math.isfinite(value.mean)
        if known:
            path += f"{'L' if joined else 'M'}{_at(across, x):g} {_over(up, value.mean):g}"
        joined = known
    return path


def _band(line: Line, across: Scale, up: Scale) -> str:
    known = [(x, v) for x, v in zip(line.x, line.y, strict=True) if all(math.isfinite(w) for w in (x, v.low, v.high))]
    if len(known) < 2:
        return ""
    corners = [(x, value.high) for x, value in known] + [(x, value.low) for x, value in reversed(known)]
    return "M" + "L".join(f"{_at(across, x):g} {_over(up, y):g}" for x, y in corners) + "Z"


def _staircase(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners of the front from left to right, with the inner corners between them."""
    found: list[tuple[float, float]] = []
    for x, y in corners:
        if found:
            found.append((found[-1][0], y))
        found.append((x, y))
    return found


def _ends(value: Value) -> tuple[float, float]:
    return (value.low, value.high) if math.isfinite(value.low) else (value.mean, value.mean)
