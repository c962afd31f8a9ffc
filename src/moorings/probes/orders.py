"""In which orders the options of an item are shown.

Position bias cancels in the average over orders in which each option stands at each place equally often: a Latin
square. The rotations of an order are the smallest one; the rotations of its mirror image are another, in which
every option has the other neighbour before it. Half of the clusters get the one, half the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from moorings.errors import ConfigError, nearest
from moorings.probes.item import Item
from moorings.records import content_hash

__all__ = ["ORDERS", "Orders", "plan_orders"]

Orders = Literal["all", "balanced", "stored"]
ORDERS: tuple[Orders, ...] = ("all", "balanced", "stored")
_PERMUTED = 3
"""Options up to which all permutations are asked; four already have 24."""


def plan_orders(items: Sequence[Item], orders: Orders, *, seed: int = 0) -> list[tuple[tuple[int, ...], ...]]:
    """Orders of each item's options: the option index at each place.

    Args:
        items: The set; items of one cluster get like orders, so that minimal pairs differ in nothing else.
        orders: `stored`: as written. `balanced`: one rotation a place, so m orders of m options; each option stands
            at each place once. `all`: all permutations of two or three options, and the rotations of more.
        seed: Which half of the clusters is rotated from the mirror image, where `balanced` has three options or more.

    Raises:
        ConfigError: No such plan.
    """
    if orders not in ORDERS:
        raise ConfigError(f"unknown orders '{orders}'; {nearest(orders, ORDERS)}")
    mirrored = _half(items, seed) if orders == "balanced" else frozenset()
    return [_orders(len(item.options), orders, item.cluster_id in mirrored) for item in items]


def _orders(m: int, orders: Orders, mirrored: bool) -> tuple[tuple[int, ...], ...]:
    places = tuple(range(m))
    if orders == "stored" or m < 2:
        return (places,)
    if orders == "all" and m <= _PERMUTED:
        return tuple(itertools.permutations(places))
    start = places[::-1] if mirrored and m > 2 else places
    return tuple(start[at:] + start[:at] for at in places)


def _half(items: Sequence[Item], seed: int) -> frozenset[str]:
    clusters = sorted({item.cluster_id for item in items}, key=lambda name: (content_hash([seed, name]), name))
    return frozenset(clusters[1::2])
