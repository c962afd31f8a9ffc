"""The lineage of a run: every phase, model, data set and decision, append-only and hash-chained.

Each event stands in the run's journal, whose own chain proves that nothing was altered. Beside it goes a second chain over
what does not depend on clocks, hosts or interruptions: a run that was killed and resumed ends with the same
lineage hash as one that was not, where its engines repeat themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from moorings.errors import StorageError
from moorings.records import canonical_json, content_hash
from moorings.store import Run

__all__ = ["Event", "Lineage"]

_KIND = "lineage"
_TIMING = "timing"


class Event(NamedTuple):
    """One thing that happened."""

    key: str
    """Unique in the run, such as `2.0 trained`."""
    kind: str
    data: dict[str, Any]
    hash: str
    """Of this event and all before it."""


class Lineage:
    """Events of a run in order. Each key is recorded once; asking again returns what was recorded.

    Args:
        run: An open run; a writer may add events.

    Raises:
        StorageError: An event does not follow from the ones before it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.folder = Path(run.files.url).resolve()
        """The run's folder, absolute."""
        self._events: dict[str, Event] = {}
        self._head = content_hash("lineage")
        for entry in run.notes(_KIND):
            event = _event(entry.data(), f"journal entry {entry.seq} of run {run.files.url}")
            if event.key in self._events or event.hash != _hash(self._head, event.kind, event.key, event.data):
                raise StorageError(
                    f"lineage event {event.key!a} of run {run.files.url} does not follow from those before it; "
                    "do not trust this run"
                )
            self._events[event.key], self._head = event, event.hash

    @property
    def hash(self) -> str:
        """Stands for all that happened (64 hex digits)."""
        return self._head

    def events(self) -> Iterator[Event]:
        """All events in order."""
        yield from list(self._events.values())

    def get(self, key: str) -> dict[str, Any] | None:
        """Data of an event, or None."""
        event = self._events.get(key)
        return event.data if event else None

    def add(self, key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """Record an event durably, once; returns what is recorded under the key, as it will be read back.

        Raises:
            StorageError: The run cannot be written.
        """
        if key in self._events:
            return self._events[key].data
        # Two halves of a broken character become one in JSON: what is hashed is what a reader will find.
        kept = json.loads(canonical_json(data).encode("utf-8", "backslashreplace"))
        event = Event(key, kind, kept, _hash(self._head, kind, key, kept))
        self.run.on_point(f"before {kind}")
        self.run.note(_KIND, event._asdict())
        self._events[key], self._head = event, event.hash
        self.run.on_point(f"after {kind}")
        return event.data

    def note_seconds(self, key: str, phase: str, duration_s: float) -> None:
        """Keep how long a phase took; not part of the lineage hash."""
        self.run.note(_TIMING, {"key": key, "phase": phase, "duration_s": round(duration_s, 3)})

    def seconds(self) -> dict[str, dict[str, float]]:
        """Seconds by key and phase; a phase that was taken up again counts all its parts."""
        found: dict[str, dict[str, float]] = {}
        for entry in self.run.notes(_TIMING):
            data = entry.data()
            phases = found.setdefault(data["key"], {})
            phases[data["phase"]] = phases.get(data["phase"], 0.0) + data["duration_s"]
        return found


def _event(data: Any, where: str) -> Event:
    """An event as it was written.

    Raises:
        StorageError: It is no event.
    """
    kinds = {"key": str, "kind": str, "data": dict, "hash": str}
    if (
        not isinstance(data, dict)
        or data.keys() != kinds.keys()
        or not all(isinstance(data[k], t) for k, t in kinds.items())
    ):
        raise StorageError(f"{where} is no event that Moorings writes; do not trust this run")
    return Event(**data)


def _hash(head: str, kind: str, key: str, data: dict[str, Any]) -> str:
    return content_hash([head, kind, key, data])
