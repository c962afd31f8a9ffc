"""Drawings of a report of probes: rows, curves, maps and rounds.

Positions are percentages of the width, so that one drawing fits a phone and a poster. Lines that bend lie in an inner
drawing which is stretched with strokes that are not. All drawings are named for screen readers in fixed words and numbers;
names from item sets stand beside them as text. The page has each number in a table as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from moorings.probes.metrics.calibration import Calibration
from moorings.probes.metrics.cluster_bootstrap import Figure
from moorings.report.drawing import (
    FOOT,
    PLOT,
    TOP,
    Drawing,
    bar,
    labels_below,
    labels_beside,
    named,
    plot_y,
    stretched,
)
from moorings.report.forest import Scale, round_step
from moorings.report.probe.rows import Row, fixed, spread
from moorings.report.text import shown
from moorings.report.wording import number, percent

if TYPE_CHECKING:
    from moorings.report.probe.view import ItemMap

__all__ = ["choice_bar", "gap_scale", "item_map", "over_rounds", "reliability", "row_axis", "row_strip", "share_scale"]

MAX_DOTS = 3000
"""Items that a map draws; of more, evenly spaced ones by rank."""
_ROW, _SQUARE, _MAP = 30, 240, 200
_LEVELS = (0.1, 0.25, 0.5, 1.0)


def share_scale(rows: Iterable[Row]) -> Scale:
    """0 to 1, further down where an interval reaches there."""
    ends = [v for row in rows for v in _reach(row)]
    return Scale(min(0.0, math.floor(4 * min(ends, default=0.0)) / 4), 1.0, 0.25)


def gap_scale(rows: Iterable[Row]) -> Scale:
    """The same distance to both sides of 0."""
    reach = max((abs(v) for row in rows for v in _reach(row)), default=0.0)
    half = next((level for level in _LEVELS if reach <= level), math.ceil(reach))
    return Scale(-half, half, half / 2)


def _reach(row: Row) -> list[float]:
    ends = [] if row.bounds is None else [row.bounds.low, row.bounds.high]
    return ends if row.figure is None else ends + _ends_of(row.figure)


def _ends_of(figure: Figure) -> list[float]:
    ends = figure.interval
    values = [figure.value] if ends is None else [figure.value, ends.low, ends.high]
    return [v for v in values if math.isfinite(v)]


def row_axis(scale: Scale) -> Markup:
    """Tick labels above rows; every second one is of class `minor`, to be left out where it is narrow."""
    parts = [
        Markup('<text class="{}" x="{}%" y="14" text-anchor="middle">{}</text>').format(
            "minor" if at % 2 else "major", scale.position(tick), _tick(tick, scale)
        )
        for at, tick in enumerate(scale.ticks())
    ]
    label = f"Scale from {number(scale.low)} to {number(scale.high)}"
    return _svg("axis", 20, label, parts)


def _tick(tick: float, scale: Scale) -> str:
    return number(0.0 if abs(tick) < scale.step / 2 else tick, sign=scale.low < 0)


def row_strip(row: Row, scale: Scale) -> Markup:
    """One row: the interval as a bar, the value as a dot, what it is held against as a dashed line."""
    figure, middle = row.figure, _ROW // 2
    if figure is None:
        return _svg("strip", _ROW, "not known", [])
    parts = [_upright("grid", scale.position(tick)) for tick in scale.ticks()]
    if row.reference is not None:
        parts.append(_upright("chance", scale.position(row.reference)))
    if row.bounds is not None:
        low, high = scale.position(row.bounds.low), scale.position(row.bounds.high)
        parts.append(
            Markup('<rect class="bounds" x="{}%" y="{}" width="{:.2f}%" height="16" rx="3"/>').format(
                low, middle - 8, max(high - low, 0.0)
            )
        )
    ends = figure.interval
    if ends is not None:
        low, high = scale.position(ends.low), scale.position(ends.high)
        parts.append(Markup('<line class="bar" x1="{}%" x2="{}%" y1="{m}" y2="{m}"/>').format(low, high, m=middle))
        parts += [_upright("cap", x, middle - 5, middle + 5) for x in (low, high)]
    kind = "dot" if ends is not None else "dot open"
    parts.append(
        Markup('<circle class="{}" cx="{}%" cy="{}" r="5.5"/>').format(kind, scale.position(figure.value), middle)
    )
    against = "" if row.reference is None else f", held against {fixed(row.reference)}"
    return _svg("strip", _ROW, f"{fixed(figure.value)}, interval {spread(figure)}{against}", parts)


def _upright(kind: str, x: float, top: float = 0, bottom: float | str = "100%") -> Markup:
    return Markup('<line class="{}" x1="{x}%" x2="{x}%" y1="{}" y2="{}"/>').format(kind, top, bottom, x=x)


def _svg(kind: str, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    opening = Markup('<svg class="{}" role="img" aria-label="{}" width="100%" height="{}">').format(kind, label, height)
    return opening + Markup("").join(parts) + Markup("</svg>")


def reliability(seen: Calibration, name: str) -> Drawing:
    """Accuracy against confidence, one dot a bin; on the diagonal it is as sure as it is right.

    Args:
        seen: With its bins.
        name: Prefix of the drawing's ids.
    """
    scale, height = Scale(0.0, 1.0, 0.25), TOP + _SQUARE + FOOT
    parts = _level_lines(scale, _SQUARE)
    parts.append(stretched(TOP, _SQUARE, [("ideal", f"M{_across(0):g} {_SQUARE}L{_across(1):g} 0")]))
    most = max(point.n_items for point in seen.curve)
    for point in seen.curve:
        x, y, ideal = (
            _across(point.confidence),
            *(plot_y(scale, v, _SQUARE) for v in (point.accuracy, point.confidence)),
        )
        words = f"confidence {fixed(point.confidence)}, right {fixed(point.accuracy)}, {point.n_items:,} items"
        parts.append(
            Markup(
                '<g class="bin"><title>{}</title><line x1="{x}%" x2="{x}%" y1="{y:g}" y2="{:g}"/>'
                '<circle cx="{x}%" cy="{y:g}" r="{:.1f}"/></g>'
            ).format(words, ideal, 3 + 4 * math.sqrt(point.n_items / most), x=x, y=y)
        )
    parts += labels_below([number(v) for v in scale.ticks()], [_across(v) for v in scale.ticks()], height - 4)
    told = "; ".join(f"{fixed(p.confidence, 2)}: {fixed(p.accuracy, 2)}" for p in seen.curve)
    words = f"Share right by confidence, {len(seen.curve)} bins of about equally many items. {told}."
    return Drawing(
        labels_beside(_level_labels(scale, _SQUARE), height),
        named(name, "Calibration curve", words, height, parts, kind="trend square"),
    )


def item_map(seen: ItemMap, theta: Figure | None, name: str) -> Drawing:
    """Each item's share of the right option: by calibrated difficulty where all items have it, else in order of size.

    Args:
        seen: The items, the lowest share first.
        theta: Ability on the scale of the difficulties: items left of it are easier than it is able.
        name: Prefix of the drawing's ids.
    """
    by_difficulty = all(one.b is not None for one in seen.seen)
    stride = math.ceil(len(seen.seen) / MAX_DOTS)
    dots = seen.seen[::stride]
    values = [one.b or 0.0 for one in dots] if by_difficulty else [float(at) for at in range(len(dots))]
    across = _axis_of(values, [theta.value] if by_difficulty and theta else [])
    scale, height = Scale(0.0, 1.0, 0.25), TOP + _MAP + FOOT
    paths = {"pt no": "", "pt yes": ""}
    for one, value in zip(dots, values, strict=True):
        x, y = _across(across(value)), plot_y(scale, one.share, _MAP) - TOP
        paths["pt yes" if one.right > 0.5 else "pt no"] += f"M{x:g} {y:g}h0"
    parts = _level_lines(scale, _MAP)
    if by_difficulty and theta is not None:
        parts += _ability_marks(theta, across)
    parts.append(stretched(TOP, _MAP, paths.items()))
    if by_difficulty:
        ticks = [v for v in range(math.floor(min(values)), math.ceil(max(values)) + 1) if 0 <= across(v) <= 1]
        parts += labels_below([number(v, sign=True) for v in ticks], [_across(across(v)) for v in ticks], height - 4)
    n_right = sum(one.right > 0.5 for one in seen.seen)
    least, most = seen.seen[0].share, seen.seen[-1].share
    words = (
        f"{len(seen.seen):,} items {'by difficulty' if by_difficulty else 'in order of their share'}; shares of the right "
        f"option from {fixed(least, 2)} to {fixed(most, 2)}, {n_right:,} items right."
    )
    return Drawing(
        labels_beside(_level_labels(scale, _MAP), height),
        named(name, "Item map", words, height, parts, kind="trend map-plot"),
    )


def _ability_marks(theta: Figure, across: Callable[[float], float]) -> list[Markup]:
    """The ability as an upright line, its interval as a band."""
    parts = []
    if theta.interval is not None:
        low, high = (_across(min(max(across(v), 0.0), 1.0)) for v in (theta.interval.low, theta.interval.high))
        parts.append(
            Markup('<rect class="band" x="{}%" y="{}" width="{:.2f}%" height="{}"/>').format(
                low, TOP, max(high - low, 0.0), _MAP
            )
        )
    parts.append(_upright("ability", _across(across(theta.value)), TOP, TOP + _MAP))
    return parts


def _axis_of(values: Sequence[float], more: Sequence[float]) -> Callable[[float], float]:
    """From a value to its share of the way across."""
    low, high = min([*values, *more]), max([*values, *more])
    if high - low < 1e-9:
        return lambda v: 0.5
    return lambda v: (v - low) / (high - low)


def over_rounds(
    figures: Sequence[Figure | None],
    labels: Sequence[str],
    reference: float | None,
    name: str,
    *,
    joined: bool,
) -> Drawing | None:
    """A figure by round with its interval; joined rounds have a line and a band. None where no round has it.

    Args:
        figures: One a round.
        labels: What stands below each. Untrusted text.
        reference: Chance, or where nothing would lie.
        name: Prefix of the drawing's ids.
        joined: Whether the entries are rounds in order.
    """
    known = [(at, figure) for at, figure in enumerate(figures) if figure is not None and math.isfinite(figure.value)]
    if not known:
        return None
    ends = [v for _, figure in known for v in _ends_of(figure)] + ([] if reference is None else [reference])
    inside = min(ends) >= 0.0 and 0.3 < max(ends) <= 1.0
    scale, n, height = Scale(0.0, 1.0, 0.25) if inside else _free_scale(ends), len(figures), TOP + PLOT + FOOT
    parts = _level_lines(scale, PLOT)
    if joined:
        parts.append(stretched(TOP, PLOT, [("band", _band(known, scale, n)), ("path", _line(known, scale, n))]))
    if reference is not None:
        parts.append(
            Markup('<line class="chance" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(plot_y(scale, reference))
        )
    for at, figure in known:
        words = f"{fixed(figure.value)}, {spread(figure)}"
        parts.append(_dot(_x(at, n), figure, scale, words))
    parts += labels_below([shown(label, 10) for label in labels], [_x(at, n) for at in range(n)], height - 4)
    told = "; ".join(f"{fixed(figure.value, 2)} ({spread(figure, 2)})" for _, figure in known[-12:])
    ticks = [(plot_y(scale, tick), _tick(tick, scale)) for tick in scale.ticks()]
    title = "By round, with intervals" if joined else "By subject, with intervals"
    return Drawing(labels_beside(ticks, height), named(name, title, told, height, parts))


def _free_scale(values: Sequence[float]) -> Scale:
    """A scale that holds 0 and these values and ends at ticks."""
    low, high = min(0.0, *values), max(0.0, *values)
    if high - low < 1e-9:
        low, high = -0.5, 0.5
    step = round_step((high - low) / 3)
    return Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)


def _x(at: int, n: int) -> float:
    return round(100 * (at + 0.5) / n, 2)


def _dot(x: float, figure: Figure, scale: Scale, words: str) -> Markup:
    ends = figure.interval
    low, high = (figure.value, figure.value) if ends is None else (ends.low, ends.high)
    return Markup(
        '<g class="s-{}"><title>{}</title><line x1="{x}%" x2="{x}%" y1="{:g}" y2="{:g}"/>'
        '<circle cx="{x}%" cy="{:g}" r="4.5"/></g>'
    ).format(
        "open" if ends is None else "changed",
        words,
        plot_y(scale, low),
        plot_y(scale, high),
        plot_y(scale, figure.value),
        x=x,
    )


def _line(known: Sequence[tuple[int, Figure]], scale: Scale, n: int) -> str:
    """A path through neighbouring rounds; it breaks where a round is missing."""
    path, before = "", None
    for at, figure in known:
        path += f"{'L' if before == at - 1 else 'M'}{_x(at, n):g} {plot_y(scale, figure.value) - TOP:g}"
        before = at
    return path


def _band(known: Sequence[tuple[int, Figure]], scale: Scale, n: int) -> str:
    """Between the ends of the intervals of neighbouring rounds."""
    path = ""
    for (at, figure), (after, later) in pairwise(known):
        if after == at + 1 and figure.interval is not None and later.interval is not None:
            corners = [
                (at, figure.interval.low),
                (at, figure.interval.high),
                (after, later.interval.high),
                (after, later.interval.low),
            ]
            path += "M" + "L".join(f"{_x(place, n):g} {plot_y(scale, v) - TOP:g}" for place, v in corners) + "Z"
    return path


def choice_bar(shares: Sequence[float]) -> Markup:
    """What was foretold: shares of more, less and the same, all finite, as one bar."""
    label = ", ".join(f"{word} {percent(share)}" for word, share in zip(("more", "less", "same"), shares, strict=True))
    return bar([(f"c{at}", share) for at, share in enumerate(shares)], label)


def _across(share: float) -> float:
    """Percent of the width, with room for dots at both ends."""
    return round(3 + 94 * share, 2)


def _level_lines(scale: Scale, height: float) -> list[Markup]:
    return [
        Markup('<line class="{1}" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(
            plot_y(scale, tick, height), "zero" if abs(tick) < scale.step / 2 else "grid"
        )
        for tick in scale.ticks()
    ]


def _level_labels(scale: Scale, height: float) -> list[tuple[float, str]]:
    return [(plot_y(scale, tick, height), _tick(tick, scale)) for tick in scale.ticks()]
