"""The key of an item, recomputed from its graph alone by either of the two routines."""

from __future__ import annotations

from types import ModuleType

from moorings.probes.item import Graph, Item
from moorings.probes.world import forward, paths
from moorings.probes.world.effect import direction_of
from moorings.probes.world.endorse import stance_on

__all__ = ["BOTH", "CHANGES", "NEITHER", "STANCES", "key_by_forward", "key_by_paths", "process_of"]

NEITHER = "neither of the two"
BOTH = "both of the two"
CHANGES = {"up": "more than before", "down": "less than before", "none": "about as much as before"}
"""Options of S4, by direction of the effect; for a question with negation the first two change places."""
STANCES = {
    "welcome": "as a change to welcome",
    "resist": "as a change to resist",
    "indifferent": "as no concern either way",
}
"""Options of S5, by stance; for a question about the change being called off the first two change places."""
_TURNED = {"up": "down", "down": "up", "welcome": "resist", "resist": "welcome"}


def key_by_paths(item: Item) -> int | None:
    """Index of the option that path enumeration makes right; None where the graph gives no clear answer."""
    return _key(item, paths)


def key_by_forward(item: Item) -> int | None:
    """Index of the option that forward evaluation makes right; None where the graph gives no clear answer."""
    return _key(item, forward)


def process_of(graph: Graph, do: str) -> str | None:
    """Name of what an event works through: the one mechanism that it acts on; None if that is not one."""
    names = {node.id: node.name for node in graph.nodes if node.kind == "mechanism"}
    through = {names[edge.to] for edge in graph.edges if edge.source == do and edge.to in names}
    return through.pop() if len(through) == 1 else None


def _key(item: Item, routine: ModuleType) -> int | None:
    if item.graph is None or item.query is None or item.subtask not in _ANSWERS:
        return None
    answer = _ANSWERS[item.subtask](item, item.graph, routine)
    return item.texts.index(answer) if answer in item.texts else None


def _held(item: Item, graph: Graph, routine: ModuleType) -> str | None:
    assert item.query is not None
    name: str | None = routine.held(graph, item.query.owner, item.query.t, do=item.intervention.get("do"))
    return name


def _which(item: Item, graph: Graph, routine: ModuleType) -> str | None:
    assert item.query is not None
    ids = {node.name: node.id for node in graph.nodes if node.kind == "event"}
    events = [text for text in item.texts if text in ids]
    found = [direction_of(routine.effect(graph, ids[name], item.query.value, item.query.t)) for name in events]
    if "exclude" in found:
        return None
    negated = item.factors.polarity == "negate"
    right = [name for name, direction in zip(events, found, strict=True) if (direction == "none") == negated]
    if len(right) == 1:
        return right[0]
    return BOTH if right else NEITHER


def _change(item: Item, graph: Graph, routine: ModuleType) -> str | None:
    assert item.query is not None
    direction: str = direction_of(routine.effect(graph, item.intervention["do"], item.query.value, item.query.t))
    if item.factors.polarity == "negate":
        direction = _TURNED.get(direction, direction)
    return CHANGES.get(direction)


def _stance(item: Item, graph: Graph, routine: ModuleType) -> str | None:
    assert item.query is not None
    do = item.intervention["do"]
    direction = direction_of(routine.effect(graph, do, item.query.value, item.query.t))
    names = {node.id: node.name for node in graph.nodes}
    stance: str | None = stance_on(
        item.endorsements, item.query.owner, names[item.query.value], direction, process_of(graph, do)
    )
    if stance is not None and item.factors.polarity == "negate":
        stance = _TURNED.get(stance, stance)
    return STANCES.get(stance or "")


_ANSWERS = {"S1": _held, "S2": _held, "S3": _which, "S4": _change, "S5": _stance}
