"""What is drawn of alignment methods, from traces and repeats: lines with bands, and fronts of two rewards.

Repeats are seeds or retrainings; a band is Student's t interval of their mean. Where there is one repeat, there is no band.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import ConfigError
from moorings.improve.exact.optimise import Trace
from moorings.improve.exact.scaling import mean_interval

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "AlignReport",
    "Front",
    "Line",
    "Panel",
    "Spot",
    "Value",
    "front",
    "gold_by_kl",
    "hypervolume",
    "line",
    "means_by_step",
]


class Value(NamedTuple):
    """A mean with the ends of its interval, NaN where it has none."""

    mean: float
    low: float = math.nan
    high: float = math.nan


class Line(NamedTuple):
    """One curve."""

    name: str
    """Untrusted text."""
    x: tuple[float, ...]
    y: tuple[Value, ...]


class Panel(NamedTuple):
    """Lines on common axes."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    limits: tuple[tuple[str, float], ...] = ()
    """Names and heights of level lines, such as thresholds."""
    about: str = ""


class Spot(NamedTuple):
    """One method on a front."""

    name: str
    x: Value
    y: Value
    hypervolume: Value


class Front(NamedTuple):
    """Methods by two rewards, both better where larger."""

    title: str
    x_label: str
    y_label: str
    spots: tuple[Spot, ...]
    about: str = ""

    @property
    def best(self) -> tuple[Spot, ...]:
        """Methods whose means no other method's means beat in both."""
        return tuple(
            one
            for one in self.spots
            if not any(
                other.x.mean >= one.x.mean
                and other.y.mean >= one.y.mean
                and (other.x.mean, other.y.mean) != (one.x.mean, one.y.mean)
                for other in self.spots
            )
        )


class AlignReport(NamedTuple):
    """A page."""

    title: str
    about: str = ""
    panels: tuple[Panel, ...] = ()
    fronts: tuple[Front, ...] = ()


def line(name: str, x: Float[np.ndarray, "repeats points"], y: Float[np.ndarray, "repeats points"]) -> Line:
    """The mean over repeats at each point, with its band; x is the mean of x.

    Raises:
        ConfigError: Nothing to draw, or x and y of other shapes.
    """
    x, y = np.atleast_2d(np.asarray(x, dtype=np.float64)), np.atleast_2d(np.asarray(y, dtype=np.float64))
    if x.shape != y.shape or not x.size:
        raise ConfigError(f"line '{name}': x has shape {x.shape}, y {y.shape}; give equal shapes of at least one point")
    return Line(name, tuple(x.mean(axis=0).tolist()), tuple(_value(y[:, at]) for at in range(y.shape[1])))


def gold_by_kl(traces: Mapping[str, Sequence[Trace]], *, title: str = "Gold reward against KL") -> Panel:
    """The gold reward of each method as its policy leaves the start policy, step by step.

    Args:
        traces: One a seed, by method; a shorter one ends its method's line.
        title: Of the panel.

    Raises:
        ConfigError: A trace without a gold reward.
    """
    lines = []
    for name, some in traces.items():
        if not some or any(np.isnan(trace.gold).all() for trace in some):
            raise ConfigError(f"method '{name}' has no trace with a gold reward; give one to `optimise`")
        n = min(len(trace.kl) for trace in some)
        lines.append(line(name, np.stack([t.kl[:n] for t in some]), np.stack([t.gold[:n] for t in some])))
    return Panel(title, "KL(pi || pi0), nats", "gold reward", tuple(lines))


def means_by_step(
    traces: Sequence[Trace],
    of: Iterable[str] | None = None,
    *,
    kind: str = "rewards",
    limits: Mapping[str, float] | None = None,
    title: str = "",
) -> Panel:
    """Rewards of one method by step with their thresholds, or what its objective logged, such as multipliers.

    Args:
        traces: One a seed.
        of: Which; all if None.
        kind: `rewards`, `logged` or `watched`, as in `Trace`.
        limits: Thresholds by name.
        title: Of the panel; the kind if empty.

    Raises:
        ConfigError: No traces, another kind, or a name that a trace does not have.
    """
    if kind not in ("rewards", "logged", "watched") or not traces:
        raise ConfigError(f"{len(traces)} traces and kind '{kind}' given; give traces, and rewards, logged or watched")
    known = list(getattr(traces[0], kind))
    names = known if of is None else list(of)
    for name in names:
        if any(name not in getattr(trace, kind) for trace in traces):
            raise ConfigError(f"'{name}' is not among {kind} of every trace; there are: {', '.join(known) or 'none'}")
    n = min(len(trace.kl) for trace in traces)
    steps = np.tile(np.arange(n, dtype=np.float64), (len(traces), 1))
    lines = tuple(line(name, steps, np.stack([getattr(t, kind)[name][:n] for t in traces])) for name in names)
    return Panel(title or kind.capitalize(), "step", kind, lines, tuple((limits or {}).items()))


def front(
    title: str,
    x_label: str,
    y_label: str,
    gains: Mapping[str, Float[np.ndarray, "repeats 2"]],
    *,
    reference: tuple[float, float] = (0.0, 0.0),
) -> Front:
    """Methods by what they gain in two rewards, each repeat one point; the hypervolume is that of one point over `reference`.

    Raises:
        ConfigError: A method's gains are no pairs of finite numbers.
    """
    spots = []
    for name, some in gains.items():
        points = np.atleast_2d(np.asarray(some, dtype=np.float64))
        if points.shape[1] != 2 or not points.size or not np.isfinite(points).all():
            raise ConfigError(f"gains of '{name}' have shape {points.shape}; give two finite numbers a repeat")
        volumes = np.array([hypervolume(point[None], reference) for point in points])
        spots.append(Spot(name, _value(points[:, 0]), _value(points[:, 1]), _value(volumes)))
    return Front(title, x_label, y_label, tuple(spots))


def hypervolume(points: Float[np.ndarray, "n 2"], reference: tuple[float, float] = (0.0, 0.0)) -> float:
    """Area between `reference` and the points, both coordinates better where larger.

    >>> hypervolume(np.array([[1.0, 3.0], [2.0, 1.0], [1.0, 1.0], [-5.0, 9.0]]))
    4.0
    """
    area, reached = 0.0, 0.0
    over = np.asarray(points, dtype=np.float64) - np.asarray(reference)
    for x, y in sorted(over[(over > 0).all(axis=1)].tolist(), reverse=True):
        if y > reached:
            area += x * (y - reached)
            reached = y
    return float(area)


def _value(repeats: Float[np.ndarray, " repeats"]) -> Value:
    known = repeats[np.isfinite(repeats)]
    if known.size < 2:
        return Value(float(known[0]) if known.size else math.nan)
    found = mean_interval(known)
    return Value(float(known.mean()), found.low, found.high)
