"""Clusters that mix opposite stances, and clusters that contradict each other but move together.

A cluster may be named after a stance only if its members share one; otherwise it carries a topic and no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from moorings.compare.stance.stance import MIN_POLARITY
from moorings.errors import InputError
from moorings.records import Interval

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = [
    "ClusterMove",
    "ClusterStance",
    "Merged",
    "StanceName",
    "merge_contradictory",
    "split_on_stance",
    "stance_entropy",
]

StanceName = Literal["positive", "negative", "neutral"]
_MAX_MINORITY = 0.2
"""Largest share of the other stance that a named stance may have, at the interval's upper end."""
_N_DRAWS = 4000


@dataclass(frozen=True)
class ClusterStance:
    """What the members of a cluster think, and what its label may say."""

    entropy: float
    """Of negative, neutral and positive shares, over its largest value: 0 is one mind, 1 an even mix."""
    interval: Interval
    shares: tuple[float, float, float]
    """Negative, neutral, positive."""
    minority: Interval | None
    """Share of the rarer of the two stances among members with a stance; None where none has one."""
    label: Literal["positive", "negative", "topic"]
    """The stance that the cluster may be named after, or `topic` where it may not."""


def stance_entropy(
    stance: Float[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
    prompt: Int[np.ndarray, " n"] | None = None,
    level: float = 0.95,
) -> ClusterStance:
    """Measure how mixed a cluster is.

    Intervals are those of a Dirichlet posterior with Jeffreys' prior. Members that answer one prompt count as one member
    together, which is the widest that their dependence can make them.

    Args:
        stance: Polarity of each member; NaN counts as neutral.
        rng: Source of the posterior's draws.
        prompt: Prompt of each member; None takes members as independent.
        level: Confidence.

    Raises:
        InputError: No member.
    """
    if not len(stance):
        raise InputError("the cluster has no member; leave empty clusters out")
    counts = np.bincount(split_on_stance(stance) + 1, minlength=3).astype(float)
    effective = counts if prompt is None else counts * len(np.unique(prompt)) / len(stance)
    draws = rng.dirichlet(effective + 0.5, size=_N_DRAWS)
    low, high = np.quantile(_entropy(draws), [(1 - level) / 2, (1 + level) / 2])
    shares = counts / counts.sum()
    minority, label = _name(counts, draws, level)
    return ClusterStance(
        entropy=float(_entropy(shares[None])[0]),
        interval=Interval(low=float(low), high=float(high), level=level),
        shares=(float(shares[0]), float(shares[1]), float(shares[2])),
        minority=minority,
        label=label,
    )


def _entropy(shares: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, " k"]:
    logs = np.log(np.where(shares > 0, shares, 1.0))
    entropy: Float[np.ndarray, " k"] = -(shares * logs).sum(axis=1) / math.log(3.0)
    return entropy


def _name(
    counts: Float[np.ndarray, " 3"], draws: Float[np.ndarray, "k 3"], level: float
) -> tuple[Interval | None, Literal["positive", "negative", "topic"]]:
    """Interval of the rarer stance's share, and the label: a stance needs that share and the neutral one to be small."""
    if not counts[0] and not counts[2]:
        return None, "topic"
    rarer, other = (0, 2) if counts[0] <= counts[2] else (2, 0)
    share = draws[:, rarer] / np.maximum(draws[:, rarer] + draws[:, other], 1e-12)
    low, high = np.quantile(share, [(1 - level) / 2, (1 + level) / 2])
    minority = Interval(low=float(low), high=float(high), level=level)
    if high > _MAX_MINORITY or counts[1] > counts[other]:
        return minority, "topic"
    return minority, "positive" if other == 2 else "negative"


def split_on_stance(stance: Float[np.ndarray, " n"], *, margin: float = MIN_POLARITY) -> Int[np.ndarray, " n"]:
    """Split a cluster's members into negative (-1), neutral (0; NaN too) and positive (1).

    >>> split_on_stance(np.array([-0.6, np.nan, 0.01, 0.4]))
    array([-1,  0,  0,  1])
    """
    known = np.nan_to_num(stance)
    return np.where(np.abs(known) < margin, 0, np.sign(known)).astype(np.int64)


@dataclass(frozen=True)
class ClusterMove:
    """How a cluster, or a part that `split_on_stance` made, differs between the arms."""

    name: str
    topic: str
    label: Literal["positive", "negative", "topic"]
    effect: float
    """Difference or log odds ratio, candidate less precursor; one measure for all."""
    interval: Interval


@dataclass(frozen=True)
class Merged:
    """Clusters of one topic with contradictory labels that move together."""

    topic: str
    members: tuple[str, ...]
    direction: Literal["more", "less"]
    kind: Literal["volume", "volume and stance"]
    """Volume alone where the intervals of both sides overlap; else one side moves more, and stance is to be reported too."""


def merge_contradictory(moves: Sequence[ClusterMove]) -> list[Merged]:
    """Replace "praises geese more" and "blames geese more" by "speaks of geese more".

    Merged are all clusters of a topic whose interval excludes 0 on one side, provided that both stances are among them.
    What the stance itself did is for `decompose` to say.

    Args:
        moves: Clusters with their topic, stance and effect, in any order.

    Returns:
        One entry a topic and direction; clusters that no entry names stand as they are.
    """
    groups: dict[tuple[str, Literal["more", "less"]], list[ClusterMove]] = {}
    for move in moves:
        if move.interval.low > 0:
            groups.setdefault((move.topic, "more"), []).append(move)
        elif move.interval.high < 0:
            groups.setdefault((move.topic, "less"), []).append(move)
    found = []
    for (topic, direction), members in groups.items():
        sides = [[m.interval for m in members if m.label == label] for label in ("positive", "negative")]
        if all(sides):
            kind: Literal["volume", "volume and stance"] = (
                "volume"
                if any(a.low <= b.high and b.low <= a.high for a in sides[0] for b in sides[1])
                else "volume and stance"
            )
            found.append(Merged(topic, tuple(m.name for m in members), direction, kind))
    return found
