"""Effects by stepping the whole graph through time with and without the event; the second of two independent routines.

    x(v, t) = sum over edges (u -> v) with gate on of s * w * x(u, t - delay),  x(e, t) = 1 for t >= t_e where e is on

The effect is x(v, t) with the event less x(v, t) without it; its size comes from the same run with all signs positive.
Must agree with `world.paths`, which never steps through time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from moorings.probes.item import Edge, Graph
from moorings.probes.world.effect import Effect

__all__ = ["effect", "held", "levels"]


def levels(
    graph: Graph,
    on: Mapping[str, float],
    t: int,
    *,
    signed: bool = True,
    blocked: frozenset[str],
    order: Sequence[str] | None = None,
) -> list[dict[str, float]]:
    """Level of every node at times 0..t.

    Args:
        graph: Acyclic.
        on: Level of each event that is switched on, from its own time.
        t: Last time.
        signed: Whether signs count.
        blocked: Nodes that are off.
        order: Ids of the nodes, causes first; None sorts them.
    """
    entering: dict[str, list[Edge]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        entering[edge.to].append(edge)
    order = order or _causes_first(graph)
    begins = {node.id: node.t for node in graph.nodes}
    history: list[dict[str, float]] = []
    for now in range(t + 1):
        level: dict[str, float] = {}
        history.append(level)
        for name in order:
            total = on.get(name, 0.0) if now >= begins[name] else 0.0
            for edge in entering[name]:
                if edge.delay <= now and edge.gate not in blocked:
                    factor = edge.w * (edge.sign if signed else 1)
                    total += factor * history[now - edge.delay][edge.source]
            level[name] = 0.0 if name in blocked else total
    return history


def _causes_first(graph: Graph) -> list[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter({node.id: () for node in graph.nodes})
    for edge in graph.edges:
        sorter.add(edge.to, edge.source)
    return list(sorter.static_order())


def effect(graph: Graph, do: str, value: str, t: int) -> Effect:
    """Effect of switching `do` on, on `value` at time `t`.

    Raises:
        KeyError: `do` or `value` is no node.
    """
    if {node.id: node.t for node in graph.nodes}[do] > t:
        return Effect(0.0, 0.0)
    blocked = frozenset(graph.off) - {do}
    # A cut of what leads to `do` makes this an intervention and not an observation.
    cut = graph.model_copy(update={"edges": tuple(edge for edge in graph.edges if edge.to != do)})
    order = _causes_first(cut)
    differences = []
    for signed in (True, False):
        with_event = levels(cut, {do: 1.0}, t, signed=signed, blocked=blocked, order=order)[t][value]
        without = levels(cut, {do: 0.0}, t, signed=signed, blocked=blocked, order=order)[t][value]
        differences.append(with_event - without)
    return Effect(*differences)


def held(graph: Graph, owner: str, t: int, *, do: str | None = None) -> str | None:
    """Name of what an owner holds at a time: each value that newly rises replaces the one before.

    Args:
        graph: Acyclic; what was called off is in `off`.
        owner: Whose value.
        t: When.
        do: Root that counts as on although it was called off.

    Returns:
        None where none was taken up, or two at the same time.
    """
    reached = {edge.to for edge in graph.edges}
    blocked = frozenset(graph.off) - {do}
    free = [node for node in graph.nodes if node.id not in reached and node.id not in blocked]
    roots = {node.id: 1.0 for node in free if node.kind in ("event", "belief")}
    takers = [node for node in graph.nodes if node.id in reached and node.kind in ("value", "belief")]
    own = {node.id: node.name for node in takers if node.owner == owner}
    now: str | None = None
    before = dict.fromkeys(own, 0.0)
    for level in levels(graph, roots, t, blocked=blocked):
        risen = {own[name] for name in own if level[name] > before[name]}
        if risen:
            now = risen.pop() if len(risen) == 1 else None
        before = {name: level[name] for name in own}
    return now
