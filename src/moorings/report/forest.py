"""A forest plot whose rows are small drawings, so that words stay words at any width.

Horizontal positions are percentages of the drawing's width, so a row fits a phone and a poster without being scaled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup

from moorings.records import Effect, Finding, Interval
from moorings.report.wording import SHARE, number

__all__ = ["Scale", "axis", "level_bars", "round_step", "scale_of", "standardised_interval", "strip"]

_MAX_TICKS = 5
_HEIGHT = 30
_LIMIT = 1e6


class Scale(NamedTuple):
    """From a value to a horizontal position; `low` < `high`, both finite."""

    low: float
    high: float
    step: float

    def position(self, value: float) -> float:
        """Percent of the width, 4 to 96; values outside stand at the edge, unknown ones at zero."""
        if math.isnan(value):
            return self.position(0.0)
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(4 + 92 * share, 2)

    def ticks(self) -> list[float]:
        """Round values across the scale."""
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [k * self.step for k in range(first, last + 1)]


def standardised_interval(effect: Effect) -> Interval:
    """The effect's interval in standard deviations of a single response.

    The unit's spread is read off the estimate; where the estimate is 0 it is unknown and the interval is the
    point. An end that is not a number is unbounded.
    """
    if not effect.estimate or not effect.standardised:
        return Interval(low=effect.standardised, high=effect.standardised, level=effect.interval.level)
    factor = effect.standardised / effect.estimate
    low = -math.inf if math.isnan(effect.interval.low) else effect.interval.low
    high = math.inf if math.isnan(effect.interval.high) else effect.interval.high
    ends = sorted((low * factor, high * factor))
    return Interval(low=ends[0], high=ends[1], level=effect.interval.level)


def scale_of(findings: Iterable[Finding]) -> Scale:
    """The scale that holds zero and all intervals of these findings."""
    ends = [0.0]
    for finding in findings:
        interval = standardised_interval(finding.effect)
        ends += [e for e in (interval.low, interval.high, finding.effect.standardised) if math.isfinite(e)]
    low, high = max(min(ends), -_LIMIT), min(max(ends), _LIMIT)
    if high - low < 1e-9:
        low, high = -0.5, 0.5
    step = round_step((high - low) / _MAX_TICKS)
    return Scale(math.floor(low / step) * step, math.ceil(high / step) * step, step)


def axis(scale: Scale) -> Markup:
    """Tick labels above the rows; every second one from zero is of class `minor`, to be left out where it is narrow."""
    parts = [
        Markup('<text class="{}" x="{}%" y="14" text-anchor="middle">{}</text>').format(
            "minor" if round(t / scale.step) % 2 else "major", scale.position(t), number(t, sign=True)
        )
        for t in scale.ticks()
    ]
    label = "Scale in standard deviations of a single response"
    return _svg("axis", 20, label, parts)


def strip(scale: Scale, effect: Effect) -> Markup:
    """One row: the interval as a bar, the estimate as a dot, zero as a line."""
    interval = standardised_interval(effect)
    at = scale.position(effect.standardised)
    low, high = scale.position(interval.low), scale.position(interval.high)
    middle = _HEIGHT // 2
    parts = [
        Markup('<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>').format(scale.position(t))
        for t in scale.ticks()
    ]
    parts += [
        Markup('<line class="zero" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>').format(scale.position(0)),
        Markup('<line class="bar" x1="{}%" x2="{}%" y1="{}" y2="{}"/>').format(low, high, middle, middle),
        *(
            Markup('<line class="cap" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>').format(x, middle - 5, middle + 5)
            for x in (low, high)
        ),
        Markup('<circle class="dot" cx="{}%" cy="{}" r="5.5"/>').format(at, middle),
    ]
    label = (
        f"Effect {number(effect.standardised, sign=True)} standard deviations, "
        f"interval {number(interval.low, sign=True)} to {number(interval.high, sign=True)}"
    )
    return _svg("strip", _HEIGHT, label, parts)


def level_bars(effect: Effect, arm: int) -> Markup:
    """Both sides' levels as two bars on one scale from 0; `arm` is the candidate's, for its colour."""
    values = [v if math.isfinite(v) else 0.0 for v in (effect.precursor, effect.candidate)]
    low, high = min(0.0, *values), max(0.0, *values)
    if effect.unit == SHARE:
        high = max(1.0, high)
    span = high - low or 1.0
    parts = []
    for row, (value, colour) in enumerate(zip(values, ("a0", f"a{arm % 6}"), strict=True)):
        start, end = sorted((-low / span * 100, (value - low) / span * 100))
        top = 2 + 14 * row
        parts.append(Markup('<rect class="track" x="0" y="{}" width="100%" height="10" rx="3"/>').format(top))
        parts.append(
            Markup('<rect class="level {}" x="{}%" y="{}" width="{}%" height="10" rx="3"/>').format(
                colour, round(start, 2), top, round(end - start, 2)
            )
        )
    label = f"Precursor {number(effect.precursor)}, candidate {number(effect.candidate)}"
    return _svg("levels", 28, label, parts)


def _svg(kind: str, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    opening = Markup('<svg class="{}" role="img" aria-label="{}" width="100%" height="{}">').format(kind, label, height)
    return opening + Markup("").join(parts) + Markup("</svg>")


def round_step(raw: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not below a number above 0."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
