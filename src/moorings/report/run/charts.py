"""Drawings of a run. Positions are percentages of the width, so that one drawing fits a phone and a poster.

See `moorings.report.drawing` for how drawings are made; the page has each number in a table as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

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
from moorings.report.run.view import ACTIONS, STATUSES, Grown, Step, Track, e_text, share
from moorings.report.wording import number, percent

__all__ = ["N_HUES", "ORIGINS", "Drawing", "course", "growth", "origin_bar", "phase_bar", "trend"]

N_HUES = 8
"""Colours of phases."""
ORIGINS = ("human", "self", "other model", "template")
_GAP, _EVIDENCE = 22, 34
_COURSE = 96
_MAX_TICKS = 4


class _Mark(NamedTuple):
    at: int
    value: float
    low: float
    high: float
    kind: str
    """Class of its colour and shape."""
    title: str


def trend(track: Track, all_steps: Sequence[Step], name: str) -> Drawing:
    """A monitor's mean and interval by try, its tolerance, and its evidence on the way to the threshold.

    Args:
        track: The monitor; needs at least one point.
        all_steps: All tries of the run; each drawing has them all, so that drawings can be compared.
        name: Prefix of the drawing's ids.
    """
    marks = [
        _Mark(
            p.step.at,
            p.evidence.mean,
            p.evidence.interval.low,
            p.evidence.interval.high,
            p.evidence.status,
            f"{p.step.name}: {number(p.evidence.mean, sign=True)} ({number(p.evidence.interval.low, sign=True)} to "
            f"{number(p.evidence.interval.high, sign=True)}), evidence {e_text(p.evidence.e_value)}, "
            f"{STATUSES[p.evidence.status][2]}",
        )
        for p in track.points
    ]
    tolerance, side = track.monitor.tolerance, track.monitor.side
    limits = ([tolerance] if side != "less" else []) + ([-tolerance] if side != "more" else [])
    scale = _scale([*limits, *_ends(marks)])
    last = track.points[-1]
    parts = [*_zones(scale, limits), *_grid(scale), *_limits(scale, limits), *_marks(marks, scale, len(all_steps))]
    parts += _evidence(track, len(all_steps))
    parts += _foot(all_steps, PLOT + TOP + _GAP + _EVIDENCE + FOOT)
    words = (
        f"{len(marks)} rounds or tries. The last, {marks[-1].title}. Tolerance {number(tolerance)}. "
        f"Harm counts as shown at an evidence of {e_text(last.evidence.threshold)}."
    )
    height = TOP + PLOT + _GAP + _EVIDENCE + FOOT
    labels = [*_ticks(scale), *_evidence_labels(last.evidence.threshold)]
    return Drawing(labels_beside(labels, height), named(name, "Mean and interval by round", words, height, parts))


def growth(change: Grown, all_steps: Sequence[Step], name: str) -> Drawing | None:
    """A discovered change by try; None where its size was never told as a number."""
    marks = [
        _Mark(
            step.at,
            told.estimate,
            told.interval.low if told.interval else told.estimate,
            told.interval.high if told.interval else told.estimate,
            told.verdict,
            f"{step.name}: {number(told.estimate, sign=True)}",
        )
        for step, told in change.points
        if told.estimate is not None and math.isfinite(told.estimate)
    ]
    if not marks:
        return None
    scale = _scale(_ends(marks))
    height = TOP + PLOT + FOOT
    parts = [*_grid(scale), *_marks(marks, scale, len(all_steps)), *_foot(all_steps, height)]
    words = "; ".join(mark.title for mark in marks[-12:])
    return Drawing(labels_beside(_ticks(scale), height), named(name, "Size by round", words, height, parts))


def course(all_steps: Sequence[Step], promoted: int | None, name: str = "course") -> Markup:
    """The run as a line of models: each try hangs on the model it was trained from, and what holds now stands out."""
    n = len(all_steps) + 1
    places = [(0.5 / n * 100, 26.0)] + [
        ((step.at + 1.5) / n * 100, 26.0 if step.action == "promote" else 62.0) for step in all_steps
    ]
    parents, now = _parents(all_steps)
    kept = _line_to(parents, _node_of(all_steps, promoted, now))
    faint, strong = (
        "".join(
            _bend(places[parents[i]], places[i]) for i in range(1, n) if (i in kept and parents[i] in kept) is wanted
        )
        for wanted in (False, True)
    )
    radius = 11 if n <= 26 else 4
    parts = [stretched(0, _COURSE, [("way", faint), ("way kept", strong)])]
    parts.append(_node(places[0], "anchor", "", "Round 0, the anchor", radius=radius, kept=0 in kept))
    for i, step in enumerate(all_steps, start=1):
        tone, sign, word = ACTIONS[step.action]
        words = f"{step.name}: {word}"
        parts.append(_node(places[i], f"tone-{tone}", sign if n <= 26 else "", words, radius=radius, kept=i in kept))
    labels = ["anchor" if n <= 8 else "0", *(step.label for step in all_steps)]
    parts += labels_below(labels, [x for x, _ in places], _COURSE - 4)
    words = "; ".join(f"{step.name} {ACTIONS[step.action][2]}" for step in all_steps[-60:]) or "No round yet"
    return named(name, "The course of the run", words, _COURSE, parts, kind="course")


def origin_bar(origins: Mapping[str, int]) -> Markup:
    """Who wrote the rows, as one bar."""
    order = [*(o for o in ORIGINS if origins.get(o)), *(o for o in origins if o not in ORIGINS and origins[o])]
    parts = [(f"o{ORIGINS.index(o)}" if o in ORIGINS else "o9", share(origins, o)) for o in order]
    label = ", ".join(f"{o} {percent(share(origins, o))}" for o in ORIGINS if origins.get(o))
    return bar(parts, label or "Rows of other origins")


def phase_bar(durations: Sequence[float], longest: float) -> Markup:
    """The time of each phase, as one bar on the scale of the longest try."""
    known = [max(0.0, d) if math.isfinite(d) else 0.0 for d in durations]
    parts = [(f"t{i % N_HUES}", d / longest if longest > 0 else 0.0) for i, d in enumerate(known)]
    return bar(parts, f"{percent(sum(known) / longest)} of the longest try" if longest > 0 else "no time known")


def _parents(all_steps: Sequence[Step]) -> tuple[list[int], int]:
    """Node that each node was trained from (0 is the anchor), and the node that the next one would start from."""
    parents, promoted, now = [0], {0: 0}, 0
    for i, step in enumerate(all_steps, start=1):
        parents.append(now)
        if step.action == "promote":
            promoted[step.round] = now = i
        elif step.action == "rollback" and step.story.decision and step.story.decision.back_to is not None:
            now = promoted.get(step.story.decision.back_to, now)
    return parents, now


def _node_of(all_steps: Sequence[Step], promoted: int | None, now: int) -> int:
    """The node of the promoted round; where the story does not say, the one the decisions lead to."""
    if promoted is None:
        return now
    found = [i for i, s in enumerate(all_steps, start=1) if s.round == promoted and s.action == "promote"]
    return found[-1] if found else 0


def _line_to(parents: Sequence[int], node: int) -> set[int]:
    line = {node}
    while node:
        node = parents[node]
        line.add(node)
    return line


def _bend(a: tuple[float, float], b: tuple[float, float]) -> str:
    """A path from one node to another: straight on a line, else an S."""
    if a[1] == b[1]:
        return f"M{a[0]:.2f} {a[1]:g}L{b[0]:.2f} {b[1]:g}"
    middle = b[0] - min(b[0] - a[0], 100 / 6) / 2
    start = f"M{a[0]:.2f} {a[1]:g}L{2 * middle - b[0]:.2f} {a[1]:g}"
    return f"{start}C{middle:.2f} {a[1]:g} {middle:.2f} {b[1]:g} {b[0]:.2f} {b[1]:g}"


def _node(place: tuple[float, float], kind: str, sign: str, title: str, *, radius: int, kept: bool) -> Markup:
    return Markup(
        '<g class="node {}{}"><title>{}</title><circle cx="{:.2f}%" cy="{:g}" r="{}"/>'
        '<text x="{:.2f}%" y="{:g}" text-anchor="middle">{}</text></g>'
    ).format(kind, " kept" if kept else "", title, place[0], place[1], radius, place[0], place[1] + 4.5, sign)


def _ends(marks: Iterable[_Mark]) -> list[float]:
    return [v for mark in marks for v in (mark.value, mark.low, mark.high) if math.isfinite(v)]


def _scale(values: Iterable[float]) -> Scale:
    low, high = min(0.0, *values), max(0.0, *values)
    if high - low < 1e-9:
        low, high = -0.5, 0.5
    room = 0.08 * (high - low)
    low, high = (low - room if low < 0 else low), (high + room if high > 0 else high)
    step = round_step((high - low) / _MAX_TICKS)
    return Scale(low, high, step)


def _x(at: int, n: int) -> float:
    return round(100 * (at + 0.5) / n, 2)


def _zones(scale: Scale, limits: Sequence[float]) -> list[Markup]:
    """What lies beyond a tolerance."""
    parts = []
    for limit in limits:
        top, bottom = (TOP, plot_y(scale, limit)) if limit > 0 else (plot_y(scale, limit), TOP + PLOT)
        parts.append(
            Markup('<rect class="beyond" x="0" y="{:g}" width="100%" height="{:g}"/>').format(top, max(0, bottom - top))
        )
    return parts


def _limits(scale: Scale, limits: Sequence[float]) -> list[Markup]:
    return [
        Markup('<line class="limit" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(plot_y(scale, limit))
        for limit in limits
    ]


def _grid(scale: Scale) -> list[Markup]:
    return [
        Markup('<line class="{1}" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(
            plot_y(scale, tick), "zero" if abs(tick) < scale.step / 2 else "grid"
        )
        for tick in scale.ticks()
    ]


def _marks(marks: Sequence[_Mark], scale: Scale, n: int) -> list[Markup]:
    line, before = [], None
    for mark in marks:
        if math.isfinite(mark.value):
            line.append(
                f"{'L' if before == mark.at - 1 else 'M'}{_x(mark.at, n):g} {plot_y(scale, mark.value) - TOP:g}"
            )
            before = mark.at
    parts = [stretched(TOP, PLOT, [("path", "".join(line))])]
    for mark in marks:
        if math.isfinite(mark.value):
            low = scale.low if math.isnan(mark.low) else mark.low
            high = scale.high if math.isnan(mark.high) else mark.high
            parts.append(
                Markup(
                    '<g class="s-{}"><title>{}</title><line x1="{x}%" x2="{x}%" y1="{:g}" y2="{:g}"/>'
                    '<circle cx="{x}%" cy="{:g}" r="4.5"/></g>'
                ).format(
                    mark.kind,
                    mark.title,
                    plot_y(scale, low),
                    plot_y(scale, high),
                    plot_y(scale, mark.value),
                    x=_x(mark.at, n),
                )
            )
    return parts


def _evidence(track: Track, n: int) -> list[Markup]:
    """E-values as bars on a logarithmic scale that ends at each one's own threshold."""
    bottom = TOP + PLOT + _GAP + _EVIDENCE
    top = bottom - _EVIDENCE * 0.8
    parts = [
        Markup('<line class="limit" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(top),
        Markup('<line class="grid" x1="0" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(bottom),
    ]
    for point in track.points:
        e, threshold = point.evidence.e_value, point.evidence.threshold
        way = math.log(e) / math.log(threshold) if e > 1 and threshold > 1 else 0.0
        tall = (bottom - top) * min(way, 1.25)
        if tall > 0:
            parts.append(
                Markup('<line class="e{}" x1="{x}%" x2="{x}%" y1="{:g}" y2="{:g}"/>').format(
                    " over" if way >= 1 else "", bottom, round(bottom - tall, 1), x=_x(point.step.at, n)
                )
            )
    return parts


def _evidence_labels(threshold: float) -> list[tuple[float, str]]:
    bottom = TOP + PLOT + _GAP + _EVIDENCE
    return [(bottom - _EVIDENCE * 0.8, f"e {threshold:.3g}" if threshold < 1e6 else "e"), (bottom, "1")]


def _ticks(scale: Scale) -> list[tuple[float, str]]:
    return [
        (plot_y(scale, tick), number(0.0 if abs(tick) < scale.step / 2 else tick, sign=True)) for tick in scale.ticks()
    ]


def _foot(all_steps: Sequence[Step], height: float) -> list[Markup]:
    n = len(all_steps)
    return labels_below([step.label for step in all_steps], [_x(i, n) for i in range(n)], height - 4)
