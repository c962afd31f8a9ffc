"""Rewards on one scale: location and spread of each member on the same reference answers, kept with it.

A reward model's scores are fixed only up to a constant, and their scale drifts between seeds, so minimum and variance
over members mean nothing before this. The code released with arXiv:2310.02743 has the step commented out; we do it.
Fit once, on answers of the start policy: fitting again while a policy moves would hide that it moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from moorings.errors import ConfigError
from moorings.feedback.reward import Direction, oriented
from moorings.method import MethodConfig

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Scale", "Scales", "fit_scales"]


class Scale(MethodConfig):
    """Of one member on the reference answers."""

    name: str
    location: float
    """Mean in the member's own unit."""
    spread: float
    """Population standard deviation in its own unit, > 0."""
    direction: Direction = "higher"
    """Which direction is better before; after, more is better."""
    n: int
    """Reference answers that had a value."""


class Scales(MethodConfig):
    """Of all members, in their order. Written as JSON by `model_dump_json`."""

    members: tuple[Scale, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(scale.name for scale in self.members)

    def apply(self, values: Float[np.ndarray, "members ..."]) -> Float[np.ndarray, "members ..."]:
        """Standard deviations of the reference answers above their mean, more is better; missing stays missing.

        Raises:
            ConfigError: Another number of members.
        """
        values = np.asarray(values, dtype=np.float64)
        if len(values) != len(self.members):
            raise ConfigError(f"{len(values)} rewards given, scales of {len(self.members)} kept; fit the scales again")
        rows = [
            oriented((row - scale.location) / scale.spread, scale.direction)
            for row, scale in zip(values, self.members, strict=True)
        ]
        return np.stack(rows)


def fit_scales(
    values: Float[np.ndarray, "members ..."], names: Sequence[str], directions: Sequence[Direction] | None = None
) -> Scales:
    """Scales of members on reference answers.

    Args:
        values: Raw values of each member; NaN is left out.
        names: Of the members.
        directions: Of the members; all `higher` if None.

    Raises:
        ConfigError: A member has fewer than two values, one that is infinite, or the same value everywhere.
    """
    made: list[Scale] = []
    for row, name, direction in zip(values, names, directions or ["higher"] * len(names), strict=True):
        known = np.asarray(row, dtype=np.float64).ravel()
        known = known[~np.isnan(known)]
        facts: dict[str, Any] = {"name": name, "direction": direction, "n": known.size}
        spread = float(known.std()) if known.size > 1 and np.isfinite(known).all() else 0.0
        # Rounding gives equal values a tiny spread.
        if spread <= 1e-12 * max(1.0, float(np.abs(known).max(initial=0.0))):
            raise ConfigError(
                f"reward '{name}' has {known.size} values on the reference answers and no finite spread among them; "
                "give answers that it tells apart, or leave it out"
            )
        made.append(Scale(location=float(known.mean()), spread=spread, **facts))
    return Scales(members=tuple(made))
