"""Fresh units without a list of used ones: each look draws from a slice of a numbered space that is its own.

All units of a monitor are numbered 0 to size-1, a number being a mixed-radix code of what the unit is made of. A
keyed permutation (Feistel network over blake2b with cycle walking, Black and Rogaway 2002, "Ciphers with arbitrary
finite domains") scatters the numbers, and slot `round * 1024 + look` of the permuted order belongs to that look alone.
So looks cannot overlap, whatever happened between them, and each draws evenly from the whole space. A round that is
tried again falls into the same slots; its own generator picks other places there, which are many times more than a
look needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from moorings.errors import ConfigError

if TYPE_CHECKING:
    from moorings.monitors.monitor import Gathering

__all__ = ["LOOKS", "ROUNDS", "digits", "fresh_numbers", "scatter"]

ROUNDS = 10_001
"""Rounds that have slots, round 0 included."""
LOOKS = 1_024
"""Looks a round that have slots."""
_FEISTEL_ROUNDS = 6


def fresh_numbers(gathering: Gathering, size: int, space: str) -> list[int]:
    """Draw this look's unit numbers, `gathering.n` of them, which no other look of the run can draw.

    Args:
        gathering: Whose round, look, size and generator count; the run's seed is that of its anchor.
        size: Units in the space.
        space: Name of the space; spaces of other names are scattered otherwise.

    Raises:
        ConfigError: More looks or rounds than there are slots, or a look larger than its slot.
    """
    if not 0 <= gathering.round < ROUNDS or not 0 <= gathering.look < LOOKS:
        raise ConfigError(
            f"round {gathering.round}, look {gathering.look} has no fresh units; allowed are rounds below {ROUNDS} "
            f"and looks below {LOOKS}: use larger looks"
        )
    width = size // (ROUNDS * LOOKS)
    if gathering.n > width:
        raise ConfigError(f"a look of {gathering.n} units is too large for '{space}'; at most {width} are allowed")
    start = (gathering.round * LOOKS + gathering.look) * width
    places = gathering.rng.choice(width, size=gathering.n, replace=False)
    return [scatter(start + int(place), size, f"{gathering.anchor.seed} {space}") for place in places]


def scatter(number: int, size: int, key: str) -> int:
    """Permute 0 to size-1.

    >>> sorted(scatter(number, 10, "key") for number in range(10)) == list(range(10))
    True
    """
    half = max(1, (max(1, size - 1).bit_length() + 1) // 2)
    while True:
        number = _feistel(number, half, key)
        if number < size:
            return number


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


def _feistel(number: int, half: int, key: str) -> int:
    mask = (1 << half) - 1
    left, right = number >> half, number & mask
    for turn in range(_FEISTEL_ROUNDS):
        digest = hashlib.blake2b(f"{turn} {right} {key}".encode()).digest()
        left, right = right, left ^ (int.from_bytes(digest[:32], "big") & mask)
    return left << half | right
