"""The balanced fraction over which clusters are spread: 16 runs of two-level factors, any two of them orthogonal.

A regular fraction 2^(8-4) of resolution IV: four basic columns a, b, c, d and the products abc, abd, acd, bcd. All eight
columns turn over between a run and its complement, so a cluster that takes both holds both levels of every factor: each
item of a self form has its named-other twin in its cluster.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["N_PAIRS", "Run", "pair_of_runs"]

N_PAIRS = 8
"""Pairs of a run and its complement."""


class Run(NamedTuple):
    """Levels of the factors for one part of a cluster."""

    negated: bool
    own: bool
    """Whether the one who is asked is the owner."""
    valence_up: bool
    other_symbols: bool
    paraphrase: int
    name_set: int


def pair_of_runs(number: int) -> tuple[Run, Run]:
    """A run of the design and its complement.

    Args:
        number: Which pair, 0 to 7; taken modulo `N_PAIRS`.
    """
    run = number % N_PAIRS
    return _run(run), _run(15 - run)


def _run(number: int) -> Run:
    a, b, c, d = (number >> shift & 1 for shift in range(4))
    return Run(
        negated=bool(a),
        own=bool(b),
        valence_up=bool(c),
        other_symbols=bool(d),
        paraphrase=4 * (a ^ b ^ c) + 2 * (a ^ b ^ d) + (a ^ c ^ d),
        name_set=b ^ c ^ d,
    )
