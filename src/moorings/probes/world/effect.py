"""Size and direction of a causal effect, as both routines report it."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["RHO", "TAU", "Direction", "Effect", "direction_of"]

TAU = 0.25
"""Smallest effect that has a direction; the design's starting value."""
RHO = 0.5
"""Smallest share of the contributions that must be left when opposing ones cancel; the design's starting value."""

Direction = Literal["up", "down", "none", "exclude"]


class Effect(NamedTuple):
    """What an intervention does to a value."""

    total: float
    """Signed sum over all paths."""
    size: float
    """Sum of the absolute contributions; 0 where nothing leads there."""


def direction_of(effect: Effect) -> Direction:
    """Direction of an effect; `exclude` where opposing paths leave it unclear.

    >>> direction_of(Effect(-1.0, 1.0)), direction_of(Effect(0.0, 0.0)), direction_of(Effect(0.5, 1.5))
    ('down', 'none', 'exclude')
    """
    if effect.size == 0:
        return "none"
    if abs(effect.total) < TAU or abs(effect.total) < RHO * effect.size:
        return "exclude"
    return "up" if effect.total > 0 else "down"
