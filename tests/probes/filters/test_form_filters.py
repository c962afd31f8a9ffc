"""Form, keys, duplicates and pairs: each fault is found where it was put, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from small_sets import change_item, change_set, open_set

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.probes.filters import plant
from moorings.probes.filters.filter import FilterReport, filters
from moorings.probes.item import Item
from moorings.subjects.embedders import Embedder


def look(name: str, items, **settings) -> FilterReport:
    return filters.make(Use.model_validate({"use": name, **settings})).look(items)


def flagged(report: FilterReport) -> set[str]:
    return {flag.item_id for flag in report.flags}


ITEM = change_item(0, 1, 0)


def with_graph(item: Item, **changes) -> Item:
    return item.model_copy(update={"graph": item.graph.model_copy(update=changes)})


def with_edge(item: Item, **changes) -> Item:
    return with_graph(item, edges=(item.graph.edges[0].model_copy(update=changes),))


FAULTY = [
    (ITEM.model_copy(update={"prompt": " \n"}), "the stem is empty"),
    (ITEM.model_copy(update={"options": ITEM.options[:1]}), "1 options; at least 2"),
    (
        ITEM.model_copy(update={"options": (ITEM.options[0], ITEM.options[1].model_copy(update={"text": ""}))}),
        "is empty",
    ),
    (ITEM.model_copy(update={"options": (*ITEM.options, ITEM.options[1])}), "have the same symbol"),
    (ITEM.model_copy(update={"key": "C"}), "the key is 'C', but the option marked right is 'A'"),
    (
        ITEM.model_copy(update={"options": tuple(o.model_copy(update={"key": False}) for o in ITEM.options)}),
        "0 options are",
    ),
    (with_graph(ITEM, nodes=(*ITEM.graph.nodes, ITEM.graph.nodes[0])), "two nodes have the id 'x'"),
    (with_edge(ITEM, gate="g"), "names 'g', which is no node"),
    (with_graph(ITEM, off=("h",)), "names 'h', which is no node"),
    (with_edge(ITEM, w=0.0), "weight of 0 or less"),
    (with_edge(ITEM, delay=-1), "negative delay"),
    (with_edge(ITEM, to="x"), "has a cycle through 'x'"),
    (ITEM.model_copy(update={"intervention": {"do": "q"}}), "the intervention is on 'q'"),
    (ITEM.model_copy(update={"query": ITEM.query.model_copy(update={"value": "x"})}), "no value in the graph"),
    (ITEM.model_copy(update={"query": ITEM.query.model_copy(update={"owner": "Ann"})}), "the question to 'Ann'"),
    (ITEM.model_copy(update={"key_derivation": (("x", "v", -1),)}), "x' to 'v' (-1), which is no edge"),
]


@pytest.mark.parametrize(("item", "said"), FAULTY, ids=[said for _, said in FAULTY])
def test_each_fault_of_form_is_named(item, said):
    report = look("well_formed", [item, change_item(1, 1, 0)])
    assert flagged(report) == {item.item_id}
    assert said in report.flags[0].reason
    assert report.verdict == "fail"


def test_two_items_must_not_share_an_id():
    assert look("well_formed", [ITEM, ITEM]).flags[0].reason == "another item has the same id"
    assert look("well_formed", []).verdict == "not applicable"


def test_a_sound_set_passes_all_form_filters():
    items = change_set().items
    for name in ("well_formed", "solver", "duplicates", "minimal_pairs"):
        report = look(name, items)
        assert (report.verdict, report.flags) == ("pass", ()), name
        assert report.n_in == len(items)


@pytest.mark.parametrize("kind", ["wrong key", "near duplicates", "cyclic graph", "second valid option"])
def test_planted_faults_are_found_and_sound_items_are_left_alone(kind):
    planted = plant.KINDS[kind](change_set().items, np.random.default_rng(3))
    assert len(planted.faulty) >= 6
    assert flagged(look(planted.filter, planted.items)) == planted.faulty


def test_the_solver_knows_unclear_and_broken_worlds():
    opposed = with_graph(ITEM, edges=(ITEM.graph.edges[0], ITEM.graph.edges[0].model_copy(update={"sign": -1})))
    broken = ITEM.model_copy(update={"item_id": "b", "intervention": {}})
    report = look("solver", [opposed, broken, open_set(5).items[0]])
    assert [flag.reason for flag in report.flags] == [
        "the graph gives no clear answer",
        "it cannot be computed: KeyError",
    ]
    assert report.n_in == 2
    assert look("solver", open_set(5).items).verdict == "not applicable"


def test_a_set_fails_where_the_two_routines_disagree(monkeypatch):
    monkeypatch.setattr("moorings.probes.filters.solver.key_by_forward", lambda item: 1)
    report = look("solver", [change_item(0, 1, 0)], tolerated=1.0)
    assert report.verdict == "fail"
    assert report.figures["agreement of the two routines"] == 0


def test_duplicates_within_a_cluster_do_not_count():
    copy = ITEM.model_copy(update={"item_id": "copy"})
    assert look("duplicates", [ITEM, copy]).flags == ()
    other = copy.model_copy(update={"cluster_id": "other", "prompt": ITEM.prompt.upper().replace(",", "")})
    report = look("duplicates", [ITEM, other])
    assert report.flags[0].reason == f"the stem is the same as that of {ITEM.item_id}"
    assert report.figures["S4: repeated stems"] == 1


def test_a_stem_that_all_items_share_is_told_apart_by_its_options():
    items = [item.model_copy(update={"prompt": "Which one?"}) for item in open_set(20).items]
    assert look("duplicates", items).flags == ()
    again = items[3].model_copy(update={"item_id": "again", "cluster_id": "again"})
    assert flagged(look("duplicates", [*items, again])) == {"again"}


def test_an_embedder_finds_copies_in_other_words(monkeypatch):
    class Fixed:
        def embed_texts(self, texts):
            return np.array([[1.0, 0.0], [0.0, 1.0], [0.96, 0.28]], dtype=np.float32)[: len(texts)]

    opened: list[str] = []

    def open_fixed(uri: str) -> Embedder:
        opened.append(uri)
        return Fixed()  # type: ignore[return-value]

    monkeypatch.setattr("moorings.subjects.embedders.open_embedder", open_fixed)
    items = open_set(3).items
    report = look("duplicates", items, embedder="bundled:minilm")
    assert opened == ["bundled:minilm"]
    assert [flag.reason for flag in report.flags] == [f"the stem has cosine 0.96 with that of {items[0].item_id}"]


def test_broken_pairs_are_named():
    a, b = change_item(7, 1, 0), change_item(7, -1, 0)
    cases = {
        "its pair is not in the set": [a],
        "its pair is of another cluster": [a, b.model_copy(update={"cluster_id": "z"})],
        "its pair has the same key": [a, b.model_copy(update={"options": a.options})],
        "13 words of its stem are not in its pair's": [a.model_copy(update={"prompt": a.prompt + " so" * 12}), b],
        "2 causes differ from its pair's; one should": [a, with_edge(with_graph(b, off=("x",)), sign=-1)],
    }
    for said, items in cases.items():
        found = {flag.item_id: flag.reason for flag in look("minimal_pairs", items).flags}
        assert found[a.item_id] == said


def test_a_moved_time_is_one_change():
    a = change_item(7, 1, 0)
    late = tuple(node.model_copy(update={"t": 5}) if node.id == "x" else node for node in a.graph.nodes)
    same = {text.key: text for text in a.options}[True].text
    b = with_graph(change_item(7, -1, 0), nodes=late, edges=a.graph.edges)
    assert same == "more than before"
    assert look("minimal_pairs", [a, b]).flags == ()
    assert look("minimal_pairs", open_set(5).items).verdict == "not applicable"


def test_unknown_settings_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'jaccard'"):
        look("duplicates", [], jacard=0.9)
