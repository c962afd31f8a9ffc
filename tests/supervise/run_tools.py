"""What the tests of whole runs share: charters, events, and components that misbehave."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from moorings.store import Run
from moorings.supervise.lineage import Event, Lineage
from moorings.supervise.state import RunState, read_state

CHARTER: dict[str, Any] = {
    "title": "A drill",
    "purpose": "To see that the gate works.",
    "forbidden": [{"name": "praise", "phrases": ["great question"], "direction": "more", "tolerance": 0.2}],
    "run": {
        "subject": "simulated:m",
        "rounds": 3,
        "data": [{"use": "self_distillation", "n_prompts": 12, "max_new_tokens": 16}],
        "train": {"use": "simulated", "add": {"Great question!": 0.01}},
        "gate": {"look": 64, "budget": 256, "decoding": {"max_new_tokens": 16}, "discover": False, "compare": False},
    },
}
FAULT = {"round": 2, "train": {"use": "simulated", "add": {"Great question!": 0.6}}}
"""A round that is rolled back."""
DOUBTFUL = {"round": 2, "train": {"use": "simulated", "add": {"Great question!": 0.15}}}
"""A round that a budget of one look cannot settle."""
BREAKS = {"round": 2, "train": {"use": "simulated", "fail": True}}
"""A round that fails at its first try."""
ONE_LOOK = {"look": 64, "budget": 64}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Changes laid over a nested mapping."""
    found = dict(base)
    for key, value in changes.items():
        held = found.get(key)
        found[key] = merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return found


def write_charter(path: Path, **changes: Any) -> Path:
    """Write the charter with changes."""
    path.write_text(yaml.safe_dump(merged(CHARTER, changes)), encoding="utf-8")
    return path


def all_events(run: Path) -> list[Event]:
    """The lineage of a run."""
    with Run.open(run) as opened:
        return list(Lineage(opened).events())


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    """Data of the events of one kind."""
    return [event.data for event in all_events(run) if event.kind == kind]


def lineage_hash(run: Path) -> str:
    """Stands for all that happened."""
    with Run.open(run) as opened:
        return Lineage(opened).hash


def state_of(run: Path) -> RunState:
    """Where a run stands."""
    with Run.open(run) as opened:
        return read_state(Lineage(opened), opened.config["rounds"])


def decided(run: Path) -> list[tuple[int, int, str]]:
    """Round, attempt and action of each decision."""
    return [(d["round"], d["attempt"], d["action"]) for d in events(run, "decided")]


def at_point(point: str, act: Callable[[], None], nth: int = 1) -> Callable[[str], None]:
    """Something that is done the nth time a run comes to a named point."""
    seen: Counter[str] = Counter()

    def on_point(reached: str) -> None:
        seen[reached] += 1
        if reached == point and seen[point] == nth:
            act()

    return on_point


def child(charter: str, run: str, point: str, nth: int, number: int) -> None:
    """Run in a process of its own and send it a signal at a named point."""
    from moorings.supervise.supervisor import supervise

    supervise(charter, run, on_point=at_point(point, lambda: os.kill(os.getpid(), signal.Signals(number)), nth))
