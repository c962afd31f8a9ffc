"""Planted preferences come out at their size, and skill is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Factors, Item, Option
from moorings.probes.metrics.bias import biases
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap
from moorings.probes.metrics.table import Table
from moorings.probes.simulated import Responder, simulated_items


def read(sheet, **settings):
    table = Table.of(sheet)
    return biases(table, ClusterBootstrap(table.clusters, rng=np.random.default_rng(0), n_draws=300), **settings)


def drawer(**settings):
    """Answers at chance but for its preferences, drawn by the softmax of their logits."""
    return Responder(theta=-np.inf, mode="text", temperature=1.0, **settings)


def test_a_planted_preference_has_its_closed_form():
    rng = np.random.default_rng(0)
    items = simulated_items(250, rng=rng)
    got = read(drawer(position=0.8).answer(items, rng=rng))
    want = special.softmax([0.8, 0, 0, 0])[0] - 0.25
    assert got.position.interval.low <= want <= got.position.interval.high
    assert got.places[0] == got.position.value
    assert sum(got.places) == pytest.approx(0, abs=1e-9)
    assert got.balanced == 1.0
    assert got.length.interval.low <= 0 <= got.length.interval.high
    longer = read(drawer(length=0.8).answer(items, rng=rng))
    assert longer.length.interval.low <= want <= longer.length.interval.high
    assert longer.position.interval.low <= 0 <= longer.position.interval.high


def test_a_key_that_is_mostly_first_is_not_a_preference():
    rng = np.random.default_rng(1)
    items = simulated_items(300, rng=rng)
    kept = [one for one in items.items if one.key_at == 0 or rng.random() < 0.15]
    got = read(Responder(theta=1.5).answer(kept, rng=rng, orders="stored"))
    assert got.position.interval.low <= 0 <= got.position.interval.high
    assert got.balanced == 0.0
    only = [one for one in kept if one.key_at == 0]
    assert read(Responder(theta=1.5).answer(only, rng=rng, orders="stored")).position is None


def binary(name, first, second, key, **factors):
    options = (Option(symbol="A", text=first, key=key == 0), Option(symbol="B", text=second, key=key == 1))
    return Item(item_id=name, cluster_id=name, subtask="X", prompt="?", options=options, factors=Factors(**factors))


def ask(items, chosen):
    answers = tuple(Answer(one.item_id, (0, 1), "plain", "text", at) for one, at in zip(items, chosen, strict=True))
    return AnswerSheet("s", "f", tuple(items), answers)


def test_acquiescence_by_hand():
    items = [binary(str(at), " Yes.", "(no)", at % 2) for at in range(20)] + [binary("z", "Yes", "Maybe", 0)]
    assert read(ask(items, [0] * 21)).acquiescence.value == 0.5
    assert read(ask(items, [1] * 21)).acquiescence.value == -0.5
    assert read(ask(items, [at % 2 for at in range(20)] + [1])).acquiescence.value == 0.0
    flipped = [binary(str(at), "disagree", "Agree", at % 2) for at in range(8)]
    assert read(ask(flipped, [1] * 8)).acquiescence.value == 0.5
    assert read(ask([binary(str(at), "red", "blue", 0) for at in range(8)], [0] * 8)).acquiescence is None


def test_a_constant_answer_shows_as_a_preference_for_its_text():
    items = [binary(str(at), "more", "much less", at % 2) for at in range(20)]
    got = read(ask(items, [0] * 20))
    assert {text: figure.value for text, figure in got.constant.items()} == {"more": 0.5, "much less": -0.5}
    assert got.length is None, "where options are fixed, length is content"


def test_gaps_pair_twins_within_clusters():
    items, chosen = [], []
    for at in range(10):
        for person in ("self", "other"):
            one = binary(f"{at}{person}", f"a{at}", f"b{at}", 0, person=person, valence="up" if at % 2 else "down")
            items.append(one.model_copy(update={"cluster_id": str(at)}))
            chosen.append(int(person == "other" and at < 4))
    lone = binary("alone", "x", "y", 0, person="self", valence="up")
    got = read(ask([*items, lone], [*chosen, 1]))
    assert got.self_other_gap.value == pytest.approx(0.4)
    assert got.self_other_gap.n_clusters == 10
    assert got.valence_gap.value == pytest.approx(8 / 11 - 8 / 10)
    assert read(ask([lone], [0])).self_other_gap is None


def test_subtracting_the_prior_of_symbols_undoes_a_preference_for_one():
    rng = np.random.default_rng(2)
    items = simulated_items(100, rng=rng)
    nats = {"A": 3.0, "B": 0.0, "C": -1.0, "D": 0.0}
    liking = Responder(theta=1.0, symbols=nats).answer(items, rng=np.random.default_rng(7), orders="stored")
    neutral = Responder(theta=1.0).answer(items, rng=np.random.default_rng(7), orders="stored")
    got = read(liking, symbol_prior=nats)
    assert got.symbol_prior == {"A": 2.5, "B": -0.5, "C": -1.5, "D": -0.5}
    assert got.without_prior.value == pytest.approx(float(Table.of(neutral).right.mean()))
    assert float(Table.of(liking).right.mean()) < got.without_prior.value - 0.1


def test_nothing_is_read_off_an_empty_sheet():
    got = read(AnswerSheet("s", "f", (), ()))
    assert got.position is None
    assert got.balanced == 0.0
