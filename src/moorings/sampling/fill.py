"""Bring a run to hold every planned sample: reuse, draw, acknowledge, seal.

Samples of earlier runs are taken over first and the rest is planned, once; that plan is journaled, so a resumed run
cuts the same batches whatever the cache has learnt since.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from moorings.errors import BackendError, MooringsError, StorageError
from moorings.execution import Executor, Outcome
from moorings.records import Interaction, content_hash
from moorings.sampling.plan import Batch, Item, make_batches
from moorings.sampling.progress import Meter
from moorings.sampling.sides import Sides
from moorings.store import Run, SampleCache, batch_note

__all__ = ["Counts", "fill_run"]

_CACHE_CHUNK = 1024


class Counts(NamedTuple):
    """What one call added to a run."""

    n_drawn: int
    n_cached: int


def fill_run(
    store: Run,
    items: Sequence[Item],
    sides: Sides,
    pool: Executor,
    *,
    retries: int,
    cache: SampleCache | None,
    meter: Meter,
) -> Counts:
    """Store every item; what is stored already is never drawn again.

    Raises:
        BackendError: A batch failed on every attempt.
        StorageError: The run cannot be written.
    """
    n_cached = 0
    if _planned(store) is None:
        n_cached = _reuse(store, items, cache) if cache is not None else 0
        kept = [item.key for item in items if store.has(item.key)]
        store.note("planned", {"reused": kept, "rest": content_hash([i.key for i in items if not store.has(i.key)])})
    batches = _rest(store, items, sides)
    todo = [batch for batch in batches if not all(store.has(item.key) for item in batch.items)]
    meter.start(len(items), store.n_stored)
    n_drawn, since = 0, time.monotonic()
    for outcome in pool.map(sides.draw, todo, retries=retries):
        rows = _rows(outcome)
        n_tokens = sum(row.n_output_tokens or 0 for row in rows)
        note = batch_note(
            (item.key for item in outcome.item.items),
            "sampled",
            duration_s=time.monotonic() - since,
            n_output_tokens=n_tokens,
            attempts=outcome.attempts,
        )
        since = time.monotonic()
        n_new = store.add_interactions(rows, note)
        if cache is not None:
            cache.put(row for row in rows if row.status != "failed")
        meter.advance(n_new, n_tokens)
        n_drawn += n_new
    store.finish()
    return Counts(n_drawn, n_cached)


def _planned(store: Run) -> dict[str, object] | None:
    return next((entry.data() for entry in store.notes("planned")), None)


def _rest(store: Run, items: Sequence[Item], sides: Sides) -> list[Batch]:
    """The batches of the journaled plan, cut again from the same samples."""
    plan = _planned(store)
    assert plan is not None
    reused = set(plan["reused"]) if isinstance(plan["reused"], list) else set()
    rest = [item for item in items if item.key not in reused]
    if content_hash([item.key for item in rest]) != plan["rest"]:
        raise StorageError(
            f"run {store.files.url} was planned with other samples than these settings give; use a new folder"
        )
    return make_batches(
        rest,
        sides.subject.describe().batch_size,
        subject=sides.spec,
        fingerprint=sides.fingerprint,
        decoding=sides.decoding,
        user=sides.user,
    )


def _reuse(store: Run, items: Sequence[Item], cache: SampleCache) -> int:
    """Take over samples of earlier runs, under this run's names for prompt, group and persona."""
    n_found = 0
    for start in range(0, len(items), _CACHE_CHUNK):
        part = items[start : start + _CACHE_CHUNK]
        known = cache.get([item.key for item in part])
        rows = [_renamed(known[item.key], item) for item in part if item.key in known]
        if rows:
            n_found += store.add_interactions(rows, batch_note((row.key for row in rows), "cache"))
    return n_found


def _renamed(row: Interaction, item: Item) -> Interaction:
    names = {
        "prompt_id": item.prompt.prompt_id,
        "group": item.prompt.group,
        "persona": item.persona.name if item.persona else None,
        "metadata": item.prompt.metadata,
    }
    return row.model_copy(update=names)


def _rows(outcome: Outcome[Batch, list[Interaction]]) -> list[Interaction]:
    if outcome.result is not None:
        return outcome.result
    if isinstance(outcome.error, MooringsError):
        raise outcome.error
    raise BackendError(
        f"batch {outcome.item.batch_id} of {len(outcome.item.items)} samples failed {outcome.attempts} times, last with "
        f"{type(outcome.error).__name__}: {outcome.error}; what was stored is kept, run the same command to go on"
    ) from outcome.error
