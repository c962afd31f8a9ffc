"""The map of responses: a drawing that reads without script, and the data that the script adds words from."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from moorings.compare.comparison import Comparison, MapPoint
from moorings.report.text import shown

__all__ = ["Cluster", "Map", "draw_map", "script_data"]

WIDTH, HEIGHT = 1000, 600
MAX_POINTS = 5000
_MARGIN = 30
_LAYERS = 8
_OPENING, _PROMPT = 220, 140


class Cluster(NamedTuple):
    """One cluster as a table row."""

    number: int
    name: str
    counts: tuple[int, ...]
    """Responses by arm."""
    example: str


class Map(NamedTuple):
    """A drawn map."""

    svg: Markup
    data: Markup
    """JSON for the script, safe inside a script element."""
    clusters: tuple[Cluster, ...]
    n_shown: int
    n_points: int


def draw_map(comparison: Comparison) -> Map | None:
    """Draw the responses where they lie; None if the comparison has no map.

    Of more than 5,000 points an even selection is drawn. Points of unknown place are left out.
    """
    points = [p for p in comparison.map if math.isfinite(p.x) and math.isfinite(p.y)]
    if not points:
        return None
    n_points = len(points)
    points = [points[i * n_points // MAX_POINTS] for i in range(MAX_POINTS)] if n_points > MAX_POINTS else points
    places = _places(points)
    clusters = _clusters(comparison, points)
    label = f"Map of {len(points)} responses of {len(comparison.arms)} arms in {len(clusters)} clusters"
    svg = (
        Markup('<svg id="map" class="map" role="img" tabindex="0" aria-label="{}" viewBox="0 0 {} {}">').format(
            label, WIDTH, HEIGHT
        )
        + _dots(points, places)
        + _badges(points, places)
        + Markup('<circle id="map-here" class="here" r="0" cx="0" cy="0"/></svg>')
    )
    return Map(svg, _data(points, places), clusters, len(points), len(comparison.map))


def script_data(value: object) -> Markup:
    r"""JSON that can stand inside a script element and never ends it.

    >>> str(script_data("</script>"))
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def _places(points: Sequence[MapPoint]) -> list[tuple[float, float]]:
    (x_low, x_span), (y_low, y_span) = (_range([getattr(p, axis) for p in points]) for axis in ("x", "y"))
    inner_width, inner_height = WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN
    return [
        (
            round(_MARGIN + inner_width * min(max((p.x - x_low) / x_span, 0.0), 1.0), 1),
            round(_MARGIN + inner_height * (1 - min(max((p.y - y_low) / y_span, 0.0), 1.0)), 1),
        )
        for p in points
    ]


def _range(values: list[float]) -> tuple[float, float]:
    """Low end and width of the middle 99 %, so that one stray point cannot squeeze the rest."""
    ordered = sorted(values)
    stray = len(ordered) // 200
    low, high = ordered[stray], ordered[-1 - stray]
    span = high - low
    return low, span if 0 < span < math.inf else 1.0


def _dots(points: Sequence[MapPoint], places: Sequence[tuple[float, float]]) -> Markup:
    """Dots of one arm and cluster share a path; layers take turns, so that no arm hides another."""
    paths: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    for i, (point, (x, y)) in enumerate(zip(points, places, strict=True)):
        paths[i % _LAYERS, point.arm, point.cluster].append(f"M{x:g} {y:g}h.01")
    parts = [
        Markup('<path class="pt a{}" data-arm="{}" data-cluster="{}" d="{}"/>').format(
            arm % 6, arm, cluster, "".join(moves)
        )
        for (_, arm, cluster), moves in sorted(paths.items())
    ]
    return Markup("").join(parts)


def _badges(points: Sequence[MapPoint], places: Sequence[tuple[float, float]]) -> Markup:
    """Each cluster's number at its middle."""
    members: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for point, place in zip(points, places, strict=True):
        if point.cluster >= 0:
            members[point.cluster].append(place)
    parts = []
    for cluster, spots in sorted(members.items()):
        x, y = (sorted(s[axis] for s in spots)[len(spots) // 2] for axis in (0, 1))
        parts.append(Markup('<text class="badge" x="{:g}" y="{:g}">{}</text>').format(x, y, cluster + 1))
    return Markup("").join(parts)


def _clusters(comparison: Comparison, points: Sequence[MapPoint]) -> tuple[Cluster, ...]:
    counts: dict[int, list[int]] = defaultdict(lambda: [0] * len(comparison.arms))
    example: dict[int, str] = {}
    for point in points:
        if 0 <= point.arm < len(comparison.arms):
            counts[point.cluster][point.arm] += 1
            example.setdefault(point.cluster, point.text)
    names = comparison.map_clusters
    return tuple(
        Cluster(c, names[c] if 0 <= c < len(names) else "in no cluster", tuple(counts[c]), example[c])
        for c in sorted(counts)
    )


def _data(points: Sequence[MapPoint], places: Sequence[tuple[float, float]]) -> Markup:
    prompts = {p: i for i, p in enumerate(dict.fromkeys(p.prompt for p in points))}
    return script_data(
        {
            "prompts": [shown(p, _PROMPT) for p in prompts],
            "points": [
                [x, y, p.arm, p.cluster, prompts[p.prompt], shown(p.text, _OPENING)]
                for p, (x, y) in zip(points, places, strict=True)
            ],
        }
    )
