"""Fresh units of the monitors of meaning: numbers of a space, drawn as all questions are, and their digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from moorings.errors import ConfigError
from moorings.monitors.questions.fresh import UNITS, permute

if TYPE_CHECKING:
    from moorings.monitors.monitor import Gathering

__all__ = ["digits", "fresh_numbers"]


def fresh_numbers(gathering: Gathering, size: int, space: str) -> list[int]:
    """Draw this look's unit numbers, `gathering.n` of them, which no other look of the run can draw.

    Args:
        gathering: Whose `start`, size and generator count; the run's seed is that of its anchor.
        size: Units in the space, at least `UNITS`.
        space: Name of the space; spaces of other names are scattered otherwise.

    Raises:
        ConfigError: More units than a run has.
    """
    last = gathering.start + gathering.n
    if last > UNITS or size < UNITS:
        raise ConfigError(
            f"'{space}' was asked for units up to {last}; a run has {min(UNITS, size)} of them; use fewer rounds or a smaller budget"
        )
    block = size // UNITS
    places = gathering.rng.integers(0, block, size=gathering.n).tolist()
    key = f"{gathering.anchor.seed} {space}"
    return [permute((gathering.start + at) * block + place, size, key) for at, place in enumerate(places)]


def digits(number: int, bases: Sequence[int]) -> list[int]:
    """Mixed-radix digits of a number, the fastest first.

    >>> digits(23, [2, 3, 4])
    [1, 2, 3]
    """
    found = []
    for base in bases:
        number, digit = divmod(number, base)
        found.append(digit)
    return found
