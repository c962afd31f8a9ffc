"""Effects by enumeration of directed paths; the first of two independent routines.

    eff(e, v, t) = sum over paths e -> ... -> v with all gates on and total delay <= t - t_e of the product of s * w

Must agree with `world.forward`, which never enumerates a path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from moorings.probes.item import Edge, Graph
from moorings.probes.world.effect import Effect

__all__ = ["directed_paths", "effect", "held"]


def directed_paths(
    graph: Graph, source: str, to: str, *, on: frozenset[str] = frozenset()
) -> Iterator[tuple[Edge, ...]]:
    """Paths from one node to another over edges that work.

    Args:
        graph: Acyclic.
        source: Id of the node where paths start.
        to: Id of the node where they end.
        on: Nodes that count as on although the graph says that they are off.
    """
    off = set(graph.off) - on
    leaving: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        if edge.gate not in off and edge.source not in off and edge.to not in off:
            leaving.setdefault(edge.source, []).append(edge)
    stack: list[tuple[str, tuple[Edge, ...]]] = [(source, ())]
    while stack:
        node, path = stack.pop()
        if node == to and path:
            yield path
        stack.extend((edge.to, (*path, edge)) for edge in leaving.get(node, ()))


def effect(graph: Graph, do: str, value: str, t: int) -> Effect:
    """Effect of switching `do` on, on `value` at time `t`.

    Raises:
        KeyError: `do` is no node.
    """
    start = {node.id: node.t for node in graph.nodes}[do]
    parts = [
        math.prod(edge.sign * edge.w for edge in path)
        for path in directed_paths(graph, do, value, on=frozenset({do}))
        if sum(edge.delay for edge in path) <= t - start
    ]
    return Effect(math.fsum(parts), math.fsum(map(abs, parts)))


def held(graph: Graph, owner: str, t: int, *, do: str | None = None) -> str | None:
    """Name of what an owner holds at a time: where the latest positive path from an event or self-belief arrives.

    Args:
        graph: Acyclic; what was called off is in `off`.
        owner: Whose value.
        t: When.
        do: Root that counts as on although it was called off.

    Returns:
        None where no path arrives, or two values arrive at the same time.
    """
    on = frozenset({do} if do else ())
    reached = {edge.to for edge in graph.edges}
    roots = [node for node in graph.nodes if node.id not in reached and node.kind in ("event", "belief")]
    found = []
    for node in graph.nodes:
        if node.kind not in ("value", "belief") or node.owner != owner:
            continue
        for root in roots:
            for path in directed_paths(graph, root.id, node.id, on=on):
                arrival = root.t + sum(edge.delay for edge in path)
                if arrival <= t and math.prod(edge.sign for edge in path) > 0:
                    found.append((arrival, node.name))
    latest = {name for arrival, name in found if arrival == max(found)[0]}
    return latest.pop() if len(latest) == 1 else None
