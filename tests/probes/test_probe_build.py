"""Built items are deterministic and balanced, pairs differ in one cause, and texts tell what graphs hold."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from moorings.errors import ConfigError
from moorings.probes.build import STRUCTURES, SUBTASKS, build, build_all
from moorings.probes.design import N_PAIRS, pair_of_runs
from moorings.probes.item import Graph, Item
from moorings.probes.language import parse
from moorings.probes.world.keys import BOTH, NEITHER, key_by_forward, key_by_paths


@pytest.fixture(scope="module", params=SUBTASKS)
def items(request: pytest.FixtureRequest) -> tuple[Item, ...]:
    return build(request.param, 600, 7).items


def test_equal_arguments_give_equal_items_and_a_longer_set_begins_alike() -> None:
    assert build("S4", 60, 7).sha256 == build("S4", 60, 7).sha256
    assert build("S4", 120, 7).items[:60] == build("S4", 60, 7).items
    assert len({build("S4", 60, seed, form=form).sha256 for seed in (7, 8) for form in (0, 1)}) == 4
    assert {name: len(found.items) for name, found in build_all(8, 0).items()} == dict.fromkeys(SUBTASKS, 8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("S9", 6, 0), "subtask 'S9' is unknown"),
        (("S1", 7, 0), "n is 7; items come in minimal pairs"),
        (("S1", 6, -1), "seed is -1"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: tuple[str, int, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(*arguments)


def test_what_has_no_lexicon_is_refused() -> None:
    with pytest.raises(ConfigError, match="split 'tset' is unknown; did you mean 'test'"):
        build("S1", 6, 0, split="tset")
    with pytest.raises(ConfigError, match="form is -1"):
        build("S1", 6, 0, form=-1)


def test_keys_are_what_both_routines_and_the_text_give(items: tuple[Item, ...]) -> None:
    for item in items:
        assert key_by_paths(item) == key_by_forward(item) == item.key_at == parse.answer(item)
        assert item.options[item.key_at].symbol == item.key
        assert item.options[item.key_at].distractor is None
        assert all(option.distractor for option in item.options if not option.key)


def test_texts_state_the_edges_of_the_graph(items: tuple[Item, ...]) -> None:
    for item in items:
        assert item.graph is not None
        names = {node.id: node.name for node in item.graph.nodes}
        assert parse.edges_of(item) == {(names[e.source], names[e.to], e.sign) for e in item.graph.edges}
        known = {(e.source, e.to, e.sign) for e in item.graph.edges}
        assert item.key_derivation
        assert set(item.key_derivation) <= known


def test_without_the_decisive_line_there_is_no_answer(items: tuple[Item, ...]) -> None:
    for item in items:
        line = item.metadata["decisive"]
        prompt, system = item.prompt.replace(line, ""), (item.system or "").replace(line, "")
        assert (prompt, system) != (item.prompt, item.system or "")
        assert parse.answer(item.model_copy(update={"prompt": prompt, "system": system or None})) is None


def test_pairs_differ_in_one_cause_and_in_the_key(items: tuple[Item, ...]) -> None:
    known = {item.item_id: item for item in items}
    for item in items:
        other = known[item.pair or ""]
        assert other.pair == item.item_id
        assert other.cluster_id == item.cluster_id
        assert other.texts == item.texts
        assert other.key_at != item.key_at
        assert item.graph is not None
        assert other.graph is not None
        assert differences(item.graph, other.graph) == 1
        ours, theirs = (Counter(one.prompt.split()) + Counter((one.system or "").split()) for one in (item, other))
        assert (ours - theirs).total() <= 12


def differences(a: Graph, b: Graph) -> int:
    """Edges that were flipped or moved, gates that were switched, times that were shifted."""
    lost, won = (
        Counter(map(str, a.edges)) - Counter(map(str, b.edges)),
        Counter(map(str, b.edges)) - Counter(map(str, a.edges)),
    )
    times = {node.id: node.t for node in a.nodes}
    moved = sum(times.get(node.id, node.t) != node.t for node in b.nodes)
    return max(lost.total(), won.total()) + len(set(a.off) ^ set(b.off)) + moved


def test_no_text_is_there_twice(items: tuple[Item, ...]) -> None:
    assert len({(item.system, item.prompt) for item in items}) == len(items)
    assert len({item.item_id for item in items}) == len(items)


def test_structures_and_keys_are_balanced(items: tuple[Item, ...]) -> None:
    structures = Counter(item.structure for item in items)
    assert set(structures) == set(STRUCTURES[items[0].subtask])
    assert set(structures.values()) == {600 // len(structures)}
    # Three standard errors of a share of 1/3 in 600.
    assert all(abs(count / 600 - 1 / 3) < 0.058 for count in Counter(item.key_at for item in items).values())
    if items[0].subtask in ("S4", "S5"):
        for structure in structures:
            keys = Counter(item.texts[item.key_at] for item in items if item.structure == structure)
            assert max(keys.values()) - min(keys.values()) <= 0.3 * sum(keys.values()) / 3
    if items[0].subtask == "S3":
        for structure in structures:
            none = [i for i in items if i.structure == structure and i.metadata["state"] == "neither"]
            assert len(none) == structures[structure] / 3


def test_an_option_is_right_as_often_as_it_is_wrong() -> None:
    for subtask in ("S1", "S2"):
        for cluster in grouped(build(subtask, 120, 3).items).values():
            assert set(Counter(item.key_at for item in cluster).values()) == {2}


def grouped(items: tuple[Item, ...]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.cluster_id, []).append(item)
    return found


def test_negation_turns_the_key_over() -> None:
    for item in build("S4", 240, 7).items:
        state = {"up": "more", "down": "less", "none": "about"}[item.metadata["state"]]
        turned = {"more": "less", "less": "more", "about": "about"}[state]
        said = item.texts[item.key_at].split()[0]
        assert said == (turned if item.factors.polarity == "negate" else state)
    last = {(i.factors.polarity, text) for i in build("S3", 60, 7).items for text in i.texts if text in (BOTH, NEITHER)}
    assert last == {("affirm", NEITHER), ("negate", BOTH)}


def test_each_cluster_has_self_and_named_other(items: tuple[Item, ...]) -> None:
    for cluster in grouped(items).values():
        assert {item.factors.person for item in cluster} == {"self", "other"}
        assert {item.factors.polarity for item in cluster} == {"affirm", "negate"}
    for item in items:
        assert (item.system is not None) == (item.factors.person == "self")


def test_the_design_is_orthogonal() -> None:
    runs = [run for number in range(N_PAIRS) for run in pair_of_runs(number)]
    bits = [[r.paraphrase >> s & 1 for s in range(3)] for r in runs]
    table = np.array(
        [[r.negated, r.own, r.valence_up, r.other_symbols, r.name_set, *b] for r, b in zip(runs, bits, strict=True)]
    )
    for a, b in combinations(table.T.astype(int), 2):
        assert Counter(zip(a.tolist(), b.tolist(), strict=True)) == dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], 4)
    for number in range(N_PAIRS):
        one, two = pair_of_runs(number)
        assert all(x != y for x, y in zip(one, two, strict=True))
