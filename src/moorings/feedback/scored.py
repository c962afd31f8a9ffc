"""A reward made of a name, a unit, a direction and a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moorings.feedback.reward import Direction, Graded, Tools

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ScoredBy"]


@dataclass
class ScoredBy:
    """A `Reward`."""

    name: str
    unit: str
    direction: Direction
    score: Callable[[Sequence[Graded], Tools], Float[np.ndarray, " n"]]

    def __call__(self, items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        """See `Reward`."""
        return np.asarray(self.score(items, tools), dtype=np.float64) if items else np.empty(0)
