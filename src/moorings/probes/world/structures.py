"""Worlds of every structure type, each with the edge that decides and what becomes of it.

A world comes in states that differ in one edge, one gate or one time: an event reaches the value that is asked about, or
it reaches a foil instead. All other lines stay, so the words of a text do not tell its state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from moorings.probes.item import Edge, Graph, Node

__all__ = [
    "INFLUENCES",
    "CAUSES",
    "Slots",
    "World",
    "candidates_world",
    "change_world",
    "path_labels",
    "stance_world",
    "turn_world",
]

INFLUENCES = (
    "direct",
    "chain2",
    "chain3",
    "fork",
    "collider",
    "blocked",
    "reversed",
    "wrong_time",
    "wrong_owner",
    "decoy",
)
"""Structure types of S3 and S4, in equal shares."""
CAUSES: dict[str, str] = {
    "fork": "confounder",
    "collider": "confounder",
    "reversed": "reversed_cause",
    "wrong_time": "wrong_time",
    "wrong_owner": "wrong_owner",
}
"""What an event without influence is as a distractor, by structure type; `no_effect` for the others."""
_MEDIATED = ("chain2", "chain3", "wrong_owner", "decoy")
Sign = Literal[-1, 1]
_ASKED_AT = 5


class Slots(NamedTuple):
    """Names that fill one world."""

    owner: str
    rival: str
    values: tuple[str, str, str]
    decoy: str
    events: tuple[str, str, str, str, str]
    mechanisms: tuple[str, str, str, str]
    gate: str
    processes: tuple[str, str]


class World(NamedTuple):
    """A graph, and what its text needs beside it."""

    graph: Graph
    asked: str
    """Id of the value node that the question is about."""
    t: int
    """Time that the question is about."""


def path_labels(structure: str) -> tuple[str, ...]:
    """Sources of the edges on the path from the event to the value, in order."""
    return {"chain2": ("x", "m"), "wrong_owner": ("x", "m"), "decoy": ("x", "m"), "chain3": ("x", "m", "n")}.get(
        structure, ("x",)
    )


def change_world(structure: str, hit: bool, signs: Mapping[str, Sign], slots: Slots) -> World:
    """A world of one structure type for S4: one event takes place, which comes to the value or does not.

    Args:
        structure: One of `INFLUENCES`.
        hit: Whether event `x` influences the value asked for.
        signs: Sign of each edge by its source, such as `x`; `c>x` where a source has another edge.
        slots: Names.
    """
    late = "x" if structure == "wrong_time" and not hit else None
    gate = "g" if structure == "blocked" else None
    if structure in ("blocked", "wrong_time"):
        to = "v"
    elif structure in _MEDIATED:
        to = "m" if hit else "k"
    else:
        to = "v" if hit else "w"
    edges = [Edge(source="x", to=to, sign=signs["x"], delay=1, gate=gate)]
    if structure in _MEDIATED:
        links = [("m", "n"), ("n", "v"), ("k", "w")] if structure == "chain3" else [("m", "v"), ("k", "w")]
        edges += [Edge(source=a, to=b, sign=signs[a], delay=1) for a, b in links]
    elif structure == "fork":
        edges += [_edge("c", "x", signs), Edge(source="c", to="v", sign=signs["c"], delay=1)]
    elif structure in ("collider", "reversed"):
        edges += _trap(structure, ("x",), signs)
    else:
        edges.append(Edge(source="y", to="w", sign=signs["y"], delay=1))
    return _world(structure, edges, slots, late, blocked=gate is not None and not hit)


def candidates_world(structure: str, source: str, cut: bool, signs: Mapping[str, Sign], slots: Slots) -> World:
    """A world of one structure type for S3: one edge into the value comes from either event, or from neither.

    Args:
        structure: One of `INFLUENCES`.
        source: Event whose line leads to the value: `x`, `y`, or `c`, which is no option.
        cut: Whether that line is blocked or comes too late.
        signs: See `change_world`.
        slots: Names.
    """
    events = ("x", "y")
    chained = structure in ("chain2", "chain3")
    root = {"x": "m", "y": "k", "c": "n"}[source] if chained else source
    gate = "g" if structure == "blocked" else None
    end = "j" if structure == "chain3" else "v"
    edges = [Edge(source=root, to=end, sign=signs[source], delay=1, gate=gate)]
    if chained:
        edges += [_edge("x", "m", signs), _edge("y", "k", signs), Edge(source="n", to="w", sign=signs["m"], delay=1)]
        edges += [Edge(source="j", to="v", sign=signs["n"], delay=1)] if structure == "chain3" else []
    elif structure == "fork":
        edges += [_edge("c", event, signs) for event in events]
    elif structure in ("collider", "reversed"):
        edges += [*_trap(structure, events, signs), _edge("c", "w", signs)]
    else:
        foils = events if structure in ("blocked", "wrong_time") else (*events, "c")
        edges += [_edge(event, "w", signs) for event in foils]
    late = source if structure == "wrong_time" and cut else None
    return _world(structure, edges, slots, late, blocked=gate is not None and cut)


def _edge(source: str, to: str, signs: Mapping[str, Sign]) -> Edge:
    return Edge(source=source, to=to, sign=signs[f"{source}>{to}"], delay=1)


def _trap(structure: str, events: Sequence[str], signs: Mapping[str, Sign]) -> list[Edge]:
    """Edges that tie events to the value without an influence of the event on it."""
    if structure == "collider":
        return [*(_edge(event, "k", signs) for event in events), _edge("v", "k", signs)]
    return [_edge("v0", event, signs) for event in events]


def _world(structure: str, edges: list[Edge], slots: Slots, late: str | None, *, blocked: bool) -> World:
    used = {name for edge in edges for name in (edge.source, edge.to, edge.gate) if name} | {"v", "w"}
    used |= {"x", "y"} if structure == "wrong_time" else set()
    nodes = [node for node in _nodes(structure, slots, late) if node.id in used]
    return World(Graph(nodes=tuple(nodes), edges=tuple(edges), off=("g",) if blocked else ()), "v", _ASKED_AT)


def _nodes(structure: str, slots: Slots, late: str | None) -> list[Node]:
    first, second, _ = slots.values
    rival = structure == "wrong_owner"
    if structure == "decoy":
        foil = Node(id="w", kind="decoy", name=slots.decoy, owner=slots.owner, t=_ASKED_AT)
    else:
        owner, name = (slots.rival, first) if rival else (slots.owner, second)
        foil = Node(id="w", kind="value", name=name, owner=owner, t=_ASKED_AT)
    events = zip(("x", "y", "c"), slots.events, strict=False)
    return [
        *(Node(id=i, kind="event", name=name, t=_ASKED_AT + 2 if i == late else 2 - (i == "c")) for i, name in events),
        *(Node(id=i, kind="mechanism", name=name, t=3) for i, name in zip("mnkj", slots.mechanisms, strict=True)),
        Node(id="g", kind="mechanism", name=slots.gate),
        Node(id="v0", kind="value", name=first, owner=slots.owner, t=0),
        Node(id="v", kind="value", name=first, owner=slots.owner, t=_ASKED_AT),
        foil,
    ]


def stance_world(structure: str, through: int, to: str, signs: Mapping[str, Sign], slots: Slots) -> World:
    """A world for S5: an event works through one of two processes, each of which changes a value.

    Args:
        structure: `direct` or `chain2` (a mechanism stands between process and value).
        through: Which process the event works through, 0 or 1.
        to: What that process changes in the end, `v` or `w`.
        signs: Of the edges from `p` and `q` and, for a chain, from `m` and `n`, which stand behind them.
        slots: Names.
    """
    chained = structure == "chain2"
    ends = [to if at == through else "v" for at in (0, 1)]
    edges = [Edge(source="x", to="pq"[through], sign=1, delay=1)]
    for process, middle, end in zip("pq", "mn", ends, strict=True):
        edges.append(Edge(source=process, to=middle if chained else end, sign=signs[process], delay=1))
        if chained:
            edges.append(Edge(source=middle, to=end, sign=signs[middle], delay=1))
    first, second, _ = slots.values
    nodes = [
        Node(id="x", kind="event", name=slots.events[0], t=1),
        *(Node(id=i, kind="mechanism", name=name, t=2) for i, name in zip("pq", slots.processes, strict=True)),
        *(
            Node(id=i, kind="mechanism", name=name, t=3)
            for i, name in zip("mn", slots.mechanisms, strict=False)
            if chained
        ),
        Node(id="v", kind="value", name=first, owner=slots.owner, t=_ASKED_AT),
        Node(id="w", kind="value", name=second, owner=slots.owner, t=_ASKED_AT),
    ]
    return World(Graph(nodes=tuple(nodes), edges=tuple(edges)), to, _ASKED_AT)


def turn_world(structure: str, past: int, later: int, slots: Slots) -> World:
    """A world for S2: three turns, each to one value; two events each bring one of them about.

    Args:
        structure: `past`, `present`, `planned`, `other` (the second event turns somebody else) or `future`.
        past: Which turn the first event brings about.
        later: Which the second one does, or would.
        slots: Names; the mechanisms are the turns.
    """
    other = structure == "other"
    turns = ("m", "n", "k")
    edges = [
        Edge(source="u", to=turns[past], sign=1),
        Edge(source="x", to=turns[later] + ("2" if other else ""), sign=1),
    ]
    nodes = [
        Node(id="u", kind="event", name=slots.events[0], t=1),
        Node(id="x", kind="event", name=slots.events[1], t=5 if structure == "future" else 3),
    ]
    for suffix, value, who in (("", "v", slots.owner), ("2", "w", slots.rival))[: 1 + other]:
        for i, turn in enumerate(turns):
            nodes.append(Node(id=turn + suffix, kind="mechanism", name=slots.mechanisms[i], t=1))
            nodes.append(Node(id=f"{value}{i}", kind="value", name=slots.values[i], owner=who, t=4))
            edges.append(Edge(source=turn + suffix, to=f"{value}{i}", sign=1, delay=1))
    off = ("x",) if structure == "planned" else ()
    return World(Graph(nodes=tuple(nodes), edges=tuple(edges), off=off), f"v{past}", 4)
