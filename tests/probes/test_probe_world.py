"""Two routines agree on every random graph, and both agree with closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.probes.item import Edge, Endorsement, Graph, Node
from moorings.probes.world import forward, paths
from moorings.probes.world.effect import Effect, direction_of
from moorings.probes.world.endorse import stance_on
from moorings.probes.world.structures import (
    INFLUENCES,
    Slots,
    candidates_world,
    change_world,
    path_labels,
    stance_world,
)

SLOTS = Slots(
    owner="Ada",
    rival="Bo",
    values=("thrift", "candour", "tact"),
    decoy="the thrift mill",
    events=("the fair", "the race", "the gala", "the quiz", "the tour"),
    mechanisms=("the noise in the mill", "the dust in the mill", "the fog in the mill", "the heat in the mill"),
    gate="the bridge",
    processes=("the quiet drill", "the slow debate"),
)
SIGNS = {name: 1 for name in ("x", "y", "m", "n", "k", "c", "p", "q")} | {
    f"{a}>{b}": 1 for a in ("x", "y", "c", "v", "v0") for b in ("x", "y", "k", "m", "w")
}


def random_graph(rng: np.random.Generator, n: int = 7) -> Graph:
    nodes = tuple(Node(id=f"n{i}", kind="value", name=f"n{i}", owner="Ada", t=int(rng.integers(3))) for i in range(n))
    edges = tuple(
        Edge(
            source=f"n{i}",
            to=f"n{j}",
            sign=1 if rng.integers(2) else -1,
            w=float(rng.choice([0.5, 1.0])),
            delay=int(rng.integers(3)),
            gate=f"n{int(rng.integers(n))}" if rng.random() < 0.2 else None,
        )
        for i in range(n)
        for j in range(i + 1, n)
        if rng.random() < 0.5
    )
    off = tuple(f"n{i}" for i in range(n) if rng.random() < 0.1)
    return Graph(nodes=nodes, edges=edges, off=off)


def test_both_routines_agree_on_random_graphs() -> None:
    rng = np.random.default_rng(5)
    seen = set()
    for _ in range(300):
        graph = random_graph(rng)
        t = int(rng.integers(6))
        one, two = paths.effect(graph, "n0", "n6", t), forward.effect(graph, "n0", "n6", t)
        assert one.total == pytest.approx(two.total, abs=1e-12)
        assert one.size == pytest.approx(two.size, abs=1e-12)
        seen.add(direction_of(one))
    assert seen == {"up", "down", "none", "exclude"}


@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, 1), (-1, -1, 1), (-1, -1, -1)])
def test_a_chain_has_the_product_of_its_signs_and_takes_its_delays(signs: tuple[int, ...]) -> None:
    nodes = tuple(Node(id=f"n{i}", kind="mechanism", t=1 if i == 0 else 0) for i in range(4))
    edges = tuple(Edge(source=f"n{i}", to=f"n{i + 1}", sign=s, w=0.5, delay=1) for i, s in enumerate(signs))  # type: ignore[arg-type]
    graph = Graph(nodes=nodes, edges=edges)
    for routine in (paths, forward):
        assert routine.effect(graph, "n0", "n3", 4) == Effect(0.125 * np.prod(signs), 0.125)
        assert routine.effect(graph, "n0", "n3", 3) == Effect(0.0, 0.0)


def test_a_gate_that_is_off_cuts_and_a_cause_of_the_event_does_not_count() -> None:
    nodes = tuple(Node(id=name, kind="mechanism") for name in "cxvg")
    edges = (
        Edge(source="c", to="x", sign=1),
        Edge(source="c", to="v", sign=1),
        Edge(source="x", to="v", sign=-1, gate="g"),
    )
    for routine in (paths, forward):
        assert routine.effect(Graph(nodes=nodes, edges=edges), "x", "v", 0) == Effect(-1.0, 1.0)
        assert routine.effect(Graph(nodes=nodes, edges=edges, off=("g",)), "x", "v", 0) == Effect(0.0, 0.0)
        assert routine.effect(Graph(nodes=nodes, edges=edges), "c", "v", 0) == Effect(0.0, 2.0)


@pytest.mark.parametrize("structure", INFLUENCES)
def test_a_structure_has_an_effect_only_where_the_event_comes_to_the_value(structure: str) -> None:
    flipped = {**SIGNS, path_labels(structure)[0]: -1}
    for routine in (paths, forward):
        for hit, signs, wanted in ((True, SIGNS, "up"), (True, flipped, "down"), (False, SIGNS, "none")):
            world = change_world(structure, hit, signs, SLOTS)  # type: ignore[arg-type]
            assert direction_of(routine.effect(world.graph, "x", world.asked, world.t)) == wanted
        idle = ("x", True) if structure in ("blocked", "wrong_time") else ("c", False)
        for (source, cut), reaches in ((("x", False), {"x"}), (("y", False), {"y"}), (idle, set())):
            world = candidates_world(structure, source, cut, SIGNS, SLOTS)  # type: ignore[arg-type]
            found = {e for e in "xy" if routine.effect(world.graph, e, world.asked, world.t).size > 0}
            assert found == reaches


def test_what_is_held_is_what_came_last() -> None:
    nodes = (
        Node(id="u", kind="event", t=1),
        Node(id="x", kind="event", t=3),
        Node(id="a", kind="value", name="thrift", owner="Ada"),
        Node(id="b", kind="value", name="tact", owner="Ada"),
        Node(id="c", kind="value", name="tact", owner="Bo"),
    )
    edges = (Edge(source="u", to="a", sign=1), Edge(source="x", to="b", sign=1), Edge(source="x", to="c", sign=1))
    happened, called_off = Graph(nodes=nodes, edges=edges), Graph(nodes=nodes, edges=edges, off=("x",))
    clash = Graph(nodes=nodes, edges=(*edges, Edge(source="x", to="a", sign=1)))
    for routine in (paths, forward):
        assert [routine.held(happened, "Ada", t) for t in range(5)] == [None, "thrift", "thrift", "tact", "tact"]
        assert routine.held(happened, "Bo", 4) == "tact"
        assert routine.held(called_off, "Ada", 4) == "thrift"
        assert routine.held(called_off, "Ada", 4, do="x") == "tact"
    assert paths.held(clash, "Ada", 4) is None


def test_a_change_is_welcome_only_if_direction_and_process_both_are() -> None:
    wish = (Endorsement(owner="Ada", value="thrift", direction="up", process=("debate",)),)
    both = (*wish, Endorsement(owner="Ada", value="thrift", direction="down"))
    table = {(d, p): stance_on(wish, "Ada", "thrift", d, p) for d in ("up", "down") for p in ("debate", "drill")}  # type: ignore[arg-type]
    assert [pair for pair, stance in table.items() if stance == "welcome"] == [("up", "debate")]
    assert set(table.values()) == {"welcome", "resist"}
    assert stance_on(wish, "Ada", "tact", "up", "debate") == "indifferent"
    assert stance_on(wish, "Bo", "thrift", "up", "debate") == "indifferent"
    assert stance_on(wish, "Ada", "thrift", "exclude", "debate") is None
    assert stance_on(both, "Ada", "thrift", "up", "debate") is None


@pytest.mark.parametrize("structure", ["direct", "chain2"])
def test_only_the_process_that_is_used_counts(structure: str) -> None:
    for through, wanted in ((0, "up"), (1, "down")):
        world = stance_world(structure, through, "v", {**SIGNS, "q": -1}, SLOTS)  # type: ignore[arg-type]
        assert direction_of(paths.effect(world.graph, "x", "v", world.t)) == wanted
        elsewhere = stance_world(structure, through, "w", SIGNS, SLOTS)  # type: ignore[arg-type]
        assert direction_of(forward.effect(elsewhere.graph, "x", "v", world.t)) == "none"
