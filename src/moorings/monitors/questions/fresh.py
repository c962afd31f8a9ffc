"""How questions are drawn so that no run ever asks one twice.

A kind of question is a product of lists: template x name x place x ... Its members are numbered, and a fixed
permutation of the numbers (a Feistel network; members beyond the end are walked on) mixes them. The permuted line is
cut into one block for every round and look that a charter allows, so blocks of different looks share no member,
whatever the seeds. Within its block a look draws without replacement with its own randomness, so two runs ask
different questions.

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

__all__ = ["LOOKS", "ROUNDS", "Drawn", "Space", "distinct", "permute"]

ROUNDS = 10_000
"""Most rounds of a run; the charter allows no more."""
LOOKS = 256
"""Most looks of a round that have questions of their own."""
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
        """Members that each look has to itself."""
        return self.size // (ROUNDS * LOOKS)

    def draw(self, round: int, look: int, n: int, rng: np.random.Generator) -> list[Drawn]:
        """Different members that no other round or look can draw.

        Args:
            round: From 1.
            look: From 0.
            n: Members wanted.
            rng: Randomness of this look.

        Raises:
            ConfigError: More rounds, looks or members than there are blocks, or room in one.
        """
        if not (1 <= round <= ROUNDS and 0 <= look < LOOKS and 0 <= n <= self.block):
            raise ConfigError(
                f"questions '{self.name}': {n} were asked for in round {round}, look {look}; allowed are rounds 1 to "
                f"{ROUNDS}, {LOOKS} looks a round and {self.block} questions a look; make the gate's look larger or smaller"
            )
        start = ((round - 1) * LOOKS + look) * self.block
        places = rng.choice(self.block, size=n, replace=False)
        return [self.member(permute(start + int(place), self.size, self.name)) for place in places]

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
