"""Which rows each optimiser step learns: shuffled, of similar length together, and taken up again at any step.

Rows are shuffled, sorted by length within stretches of some batches, cut into batches, and the batches are shuffled:
little padding, and no epoch in the order of length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Order"]

_BATCHES_IN_STRETCH = 32


class Order:
    """Batches of row numbers, for ever.

    Args:
        lengths: Tokens of each row.
        batch_size: Rows in a batch; the last one of an epoch may be smaller.
        seed: Equal seeds give equal orders.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._rng = np.random.default_rng([seed, 0x0D1E])
        self._done = 0
        self._at_epoch: Mapping[str, Any] = self._rng.bit_generator.state

    @property
    def batches_in_epoch(self) -> int:
        """Steps in which each row is learned once."""
        return math.ceil(len(self._lengths) / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            self._at_epoch = self._rng.bit_generator.state
            batches = self._epoch()
            while self._done < len(batches):
                self._done += 1
                yield batches[self._done - 1]
            self._done = 0

    def state(self) -> dict[str, Any]:
        """Plain data from which the order goes on after the last batch that was given."""
        return {"generator": dict(self._at_epoch), "done": self._done}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; before iterating."""
        self._rng.bit_generator.state = state["generator"]
        self._done = state["done"]

    def _epoch(self) -> list[list[int]]:
        shuffled = self._rng.permutation(len(self._lengths))
        stretch = self._batch_size * _BATCHES_IN_STRETCH
        batches = []
        for start in range(0, len(shuffled), stretch):
            part = shuffled[start : start + stretch]
            part = part[np.argsort(-self._lengths[part], kind="stable")]
            batches += [part[at : at + self._batch_size].tolist() for at in range(0, len(part), self._batch_size)]
        return [batches[at] for at in self._rng.permutation(len(batches))]
