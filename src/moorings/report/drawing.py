"""Parts of drawings that reports share. Positions are percentages of the width, so that one drawing fits a phone and a poster.

Lines that bend lie in an inner drawing which is stretched (`preserveAspectRatio="none"`) with strokes that are not.
All drawings are named for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from moorings.report.forest import Scale

__all__ = ["FOOT", "PLOT", "TOP", "Drawing", "bar", "labels_below", "labels_beside", "named", "plot_y", "stretched"]

PLOT, FOOT, TOP = 128, 20, 8
"""Pixels: height of a plot, of the labels below it, and of the room above it."""
MAX_LABELS = 12


class Drawing(NamedTuple):
    """A plot and the labels at its left."""

    labels: Markup
    plot: Markup


def plot_y(scale: Scale, value: float, height: float = PLOT) -> float:
    """Pixels from the top at which a value lies; values beyond the scale lie at its end."""
    inside = min(max(value, scale.low), scale.high)
    return round(TOP + height * (scale.high - inside) / (scale.high - scale.low), 1)


def labels_beside(labels: Iterable[tuple[float, str]], height: float) -> Markup:
    """Labels at the left of a plot, each with its height in pixels."""
    parts = [Markup('<text x="100%" y="{:g}" text-anchor="end">{}</text>').format(y + 4, text) for y, text in labels]
    opening = Markup('<svg class="ylabels" aria-hidden="true" width="100%" height="{:g}">').format(height)
    return opening + Markup("").join(parts) + Markup("</svg>")


def labels_below(labels: Sequence[str], places: Sequence[float], y: float) -> list[Markup]:
    """Labels of some places; every second one is of class `minor`, to be left out where it is narrow."""
    stride = math.ceil(len(labels) / MAX_LABELS)
    shown = range(0, len(labels), stride)
    return [
        Markup('<text class="{}" x="{:.2f}%" y="{:g}" text-anchor="middle">{}</text>').format(
            "minor" if len(shown) > 7 and k % 2 else "major", places[i], y, labels[i]
        )
        for k, i in enumerate(shown)
    ]


def stretched(top: float, height: float, paths: Iterable[tuple[str, str]]) -> Markup:
    """Paths, each with its class, in a drawing whose x runs from 0 to 100 however wide it is."""
    drawn = [Markup('<path class="{}" d="{}"/>').format(kind, d) for kind, d in paths if d]
    opening = Markup(
        '<svg y="{0:g}" width="100%" height="{1:g}" viewBox="0 0 100 {1:g}" preserveAspectRatio="none" '
        'aria-hidden="true">'
    ).format(top, height)
    return opening + Markup("").join(drawn) + Markup("</svg>")


def bar(parts: Iterable[tuple[str, float]], label: str) -> Markup:
    """One bar of parts, each with its class and its share of the width."""
    drawn, at = [Markup('<rect class="track" x="0" y="0" width="100%" height="12" rx="3"/>')], 0.0
    for kind, part in parts:
        if part > 0:
            drawn.append(
                Markup('<rect class="part {}" x="{:.2f}%" y="0" width="{:.2f}%" height="12"/>').format(
                    kind, 100 * at, 100 * min(part, 1 - at)
                )
            )
            at += part
    opening = Markup('<svg class="bar-row" role="img" aria-label="{}" width="100%" height="12">').format(label)
    return opening + Markup("").join(drawn) + Markup("</svg>")


def named(name: str, title: str, words: str, height: float, parts: Iterable[Markup], *, kind: str = "trend") -> Markup:
    """A drawing with a title and a description for screen readers; `name` is the prefix of its ids."""
    opening = Markup(
        '<svg class="{kind}" role="img" aria-labelledby="{name}-t {name}-d" width="100%" height="{height:g}">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{words}</desc>'
    ).format(kind=kind, name=name, height=height, title=title, words=words)
    return opening + Markup("").join(parts) + Markup("</svg>")
