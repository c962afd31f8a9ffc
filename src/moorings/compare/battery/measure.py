"""Measure the battery on many responses, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.compare.battery.feature import Feature, features, known_features
from moorings.compare.battery.text import Text
from moorings.errors import ConfigError, InputError
from moorings.execution import open_executor

if TYPE_CHECKING:
    from jaxtyping import Float32

__all__ = ["BatteryTable", "measure_battery"]

_CHUNK = 200
_WORTH_PROCESSES = 400
"""Fewer different pairs than this are measured here: it takes less time than starting processes."""

Pair = tuple[str, str]


class BatteryTable(NamedTuple):
    """Values of all features on all responses."""

    features: tuple[Feature, ...]
    values: Float32[np.ndarray, "n f"]
    """One row a response, one column a feature; NaN where it cannot be measured."""


class _Chunk(NamedTuple):
    start: int
    pairs: list[Pair]


def measure_battery(
    texts: Sequence[str],
    prompts: Sequence[str],
    *,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> BatteryTable:
    """Measure every known feature on each response.

    A pair of response and prompt that occurs again is measured once. The values do not depend on `jobs`.

    Args:
        texts: Responses.
        prompts: The prompt of each response.
        jobs: Processes, from 1.
        progress: Called with the number of responses done so far, repeated ones included.

    Raises:
        InputError: There are not as many prompts as responses.
        ConfigError: `jobs` is below 1, or a feature is unknown to the processes.
    """
    if len(texts) != len(prompts):
        raise InputError(f"{len(texts)} responses came with {len(prompts)} prompts; give one prompt a response")
    if jobs < 1:
        raise ConfigError(f"jobs is {jobs}; give the number of processes, from 1")
    known = known_features()
    pairs = sorted(set(zip(texts, prompts, strict=True)), key=lambda pair: (pair[1], pair[0]))
    at = {pair: i for i, pair in enumerate(pairs)}
    rows = np.array([at[pair] for pair in zip(texts, prompts, strict=True)], dtype=np.intp)
    values = np.full((len(pairs), len(known)), np.nan, dtype=np.float32)
    repeats = np.bincount(rows, minlength=len(pairs))
    chunks = [_Chunk(i, pairs[i : i + _CHUNK]) for i in range(0, len(pairs), _CHUNK)]
    task = partial(_measure_chunk, names=tuple(measured.feature.name for measured in known))
    executor = open_executor(f"processes:{jobs}" if jobs > 1 and len(pairs) >= _WORTH_PROCESSES else "local")
    n_done = 0
    try:
        for chunk, result, error, _ in executor.map(task, chunks, retries=0):
            if error is not None or result is None:
                raise error or ConfigError("a process that measures the battery gave no result; use jobs=1")
            done = slice(chunk.start, chunk.start + len(chunk.pairs))
            values[done] = result
            n_done += int(repeats[done].sum())
            if progress is not None:
                progress(n_done)
    finally:
        executor.close()
    return BatteryTable(tuple(measured.feature for measured in known), values[rows])


def _measure_chunk(chunk: _Chunk, *, names: tuple[str, ...]) -> Float32[np.ndarray, "n f"]:
    absent = sorted(set(names) - set(features.names()))
    if absent:
        raise ConfigError(
            f"battery feature '{absent[0]}' is not known to other processes; list its module under the entry-point "
            "group 'moorings', or use jobs=1"
        )
    measured = [features.get(name) for name in names]
    values = np.empty((len(chunk.pairs), len(names)), dtype=np.float32)
    for i, (text, prompt) in enumerate(chunk.pairs):
        response = Text(text, prompt)
        values[i] = [measure(response) for measure in measured]
    return values
