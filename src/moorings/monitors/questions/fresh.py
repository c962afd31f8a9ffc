"""How questions are drawn so that no run ever asks one twice.

A kind of question is a product of lists: template x name x place x ... Its members are numbered, and a fixed
permutation of the numbers (a Feistel network; members beyond the end are walked on) mixes them. The permuted line is
cut into `UNITS` blocks, and the u-th unit of a run is a random member of the u-th block. Blocks share no member, so no
two units of a run are the same question, whatever the seeds; and two runs ask different questions.

Source of the permutation: Black and Rogaway 2002, Ciphers with Arbitrary Finite Domains (cycle walking).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from moorings.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["UNITS", "Drawn", "Space", "distinct", "permute"]

UNITS = 10_000_000
"""Units that a run may draw of each kind of question: a thousand in each of the most rounds that a charter allows."""
_FEISTEL_ROUNDS = 6


class Drawn(NamedTuple):
    """One member of a space."""

    unit: str
    """Its name, unique in the run."""
    digits: tuple[int, ...]
    """Which entry of each list."""


@dataclass(frozen=True)
class Space:
    """A product of lists.

    Args:
        name: Of the kind of question; part of every unit's name.
        radices: Lengths of the lists.
    """

    name: str
    radices: tuple[int, ...]

    @property
    def size(self) -> int:
        """Members in all."""
        return math.prod(self.radices)

    @property
    def block(self) -> int:
        """Members that each unit of a run is drawn from."""
        return self.size // UNITS

    def draw(self, numbers: Sequence[int], rng: np.random.Generator) -> list[Drawn]:
        """The units of a run with these numbers; different numbers never give the same member.

        Args:
            numbers: From 0.
            rng: Randomness of this look; chooses within each unit's block.

        Raises:
            ConfigError: A number beyond `UNITS`.
        """
        if numbers and not (min(numbers) >= 0 and max(numbers) < UNITS):
            raise ConfigError(
                f"questions '{self.name}' were asked for units up to {max(numbers)}; a run has {UNITS} of them from 0; "
                "use fewer rounds or a smaller budget"
            )
        places = rng.integers(0, self.block, size=len(numbers)).tolist()
        return [
            self.member(permute(number * self.block + place, self.size, self.name))
            for number, place in zip(numbers, places, strict=True)
        ]

    def member(self, number: int) -> Drawn:
        """The member with a number, 0 for the first."""
        rest, digits = number, []
        for radix in self.radices:
            rest, digit = divmod(rest, radix)
            digits.append(digit)
        return Drawn(f"{self.name}-{number}", tuple(digits))


def permute(number: int, size: int, key: str) -> int:
    """Image of a number under a fixed permutation of 0 to size - 1.

    >>> sorted(permute(i, 10, "a") for i in range(10)) == list(range(10))
    True
    """
    bits = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << bits) - 1
    while True:
        left, right = number >> bits, number & mask
        for step in range(_FEISTEL_ROUNDS):
            digest = hashlib.blake2b(f"{key}:{step}:{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest) & mask)
        number = (left << bits) | right
        if number < size:
            return number


def distinct(digits: Sequence[int], n: int) -> list[int]:
    """Different entries of a list of n from digits below n, n - 1, n - 2, ...; every choice and order once.

    >>> distinct([1, 1, 0], 4)
    [1, 2, 0]
    """
    left = list(range(n))
    return [left.pop(digit) for digit in digits]
