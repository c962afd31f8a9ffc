"""Scores by hand on small sheets; no score depends on how options are stored or shown; nothing missing is dropped."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from moorings.errors import InputError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Item, Option
from moorings.probes.metrics.accuracy import accuracy, chance_corrected
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap
from moorings.probes.metrics.detectable import detectable_effect, said
from moorings.probes.metrics.table import Table, responses
from moorings.probes.simulated import Responder, simulated_items


def score(sheet, **settings):
    table = Table.of(sheet)
    return accuracy(table, ClusterBootstrap(table.clusters, rng=np.random.default_rng(0), n_draws=200, **settings))


def item(name, cluster, n_options=2, keys=(0,), **more):
    options = tuple(Option(symbol="ABCD"[at], text=f"t{at}", key=at in keys) for at in range(n_options))
    return Item(item_id=name, cluster_id=cluster, subtask="X", prompt="?", options=options, **more)


def say(name, *chosen, m=2):
    order = tuple(range(m))
    return [Answer(name, order, "plain", "text", one) for one in chosen]


def sheet_of(items, answers):
    return AnswerSheet("scripted:x", "f", tuple(items), tuple(itertools.chain(*answers)))


def test_scores_by_hand():
    items = [
        item("a", "1", pair="b", structure="direct"),
        item("b", "1", pair="a", structure="direct"),
        item("c", "2", 4, pair="d", structure="chain"),
        item("d", "2", 4, pair="c", structure="chain"),
        item("e", "3", 2, structure="chain"),
    ]
    got = score(sheet_of(items, [say("a", 0), say("b", 0), say("c", 0, m=4), say("d", 2, m=4), say("e", 1)]))
    assert got.item.value == 0.6
    assert got.chance == pytest.approx((0.5 + 0.5 + 0.25 + 0.25 + 0.5) / 5)
    assert got.corrected.value == pytest.approx(chance_corrected(0.6, 0.4))
    assert got.macro.value == pytest.approx((1.0 + chance_corrected(1 / 3, 1 / 3)) / 2)
    assert (got.cluster.value, got.cluster.n_clusters) == (0.5, 2)
    assert got.cluster_chance == pytest.approx((0.25 + 0.0625) / 2)
    assert (got.pair.value, got.pair_chance) == (0.5, pytest.approx((0.25 + 0.0625) / 2))
    assert [one.structure for one in got.structures] == ["chain", "direct"]
    assert got.structures[0].item.value == pytest.approx(1 / 3)


def test_ties_are_shared_so_a_place_preference_scores_chance():
    items = [item(str(at), str(at), 4, keys=(at % 3,)) for at in range(30)]
    orders = [(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)]
    answers = [Answer(one.item_id, order, "plain", "text", order[0]) for one in items for order in orders]
    got = score(AnswerSheet("s", "f", tuple(items), tuple(answers)))
    assert got.item.value == 0.25
    assert got.corrected.value == 0
    assert got.single_order.value == pytest.approx(1 / 3)


def permuted(sheet, rng):
    """The same answers with options stored in another sequence and showings in another."""
    moves = {one.item_id: rng.permutation(len(one.options)) for one in sheet.items}
    items = []
    for one in sheet.items:
        moved = [one.options[at] for at in moves[one.item_id]]
        options = tuple(replace_symbol(option, "ABCDEF"[at]) for at, option in enumerate(moved))
        items.append(one.model_copy(update={"options": options}))
    answers = []
    for answer in sheet.answers:
        move = moves[answer.item_id].tolist()
        order = tuple(move.index(at) for at in answer.order)
        nats = tuple(answer.logprobs[at] for at in move)
        answers.append(answer._replace(order=order, logprobs=nats, chosen=move.index(answer.chosen)))
    return replace(sheet, items=tuple(items), answers=tuple(answers[at] for at in rng.permutation(len(answers))))


def replace_symbol(option, symbol):
    return option.model_copy(update={"symbol": symbol})


def test_a_permutation_of_options_orders_and_symbols_changes_nothing():
    rng = np.random.default_rng(3)
    items = simulated_items(30, rng=rng)
    sheet = Responder(theta=0.3, position=1.2, length=0.4, forgetful=0.3).answer(items, rng=rng, orders="all")
    want, got = score(sheet).model_dump(), score(permuted(sheet, rng)).model_dump()
    for name in ("item", "corrected", "macro", "key_share", "cluster", "pair", "as_wrong"):
        assert got[name]["value"] == pytest.approx(want[name]["value"], abs=1e-12)
    assert got["item"]["interval"] == pytest.approx(want["item"]["interval"])


def test_table_averages_as_the_sheet_does():
    rng = np.random.default_rng(4)
    sheet = Responder(theta=0.5, silent=0.4, forgetful=0.5).answer(simulated_items(10, rng=rng), rng=rng)
    np.testing.assert_allclose(Table.of(sheet).mean_shares, np.array(sheet.shares()), atol=1e-15)


def test_missing_answers_are_counted_and_bounded():
    items = [item(name, name) for name in "abcd"]
    answers = [say("a", 0), say("b", None), say("c", 0, 0, None), say("d", 0, None)]
    got = score(sheet_of(items, answers))
    assert (got.item.value, got.item.n_items, got.n_missing) == (1.0, 3, 1)
    assert got.as_wrong.value == 0.75
    # a and c stay right whatever the missing answers were; d may tie, which counts as lost in the worst case.
    assert (got.worst_case.low, got.worst_case.high) == (0.5, 1.0)
    nan = float("nan")
    for chosen, nats in ((None, (0.0, 0.0)), (0, (nan, nan))):
        lost = [Answer("a", (0, 1), "plain", "logprobs", chosen, nats), *itertools.chain(*answers[1:])]
        assert score(AnswerSheet("s", "f", tuple(items), tuple(lost))).n_missing == 2


def test_options_that_an_endpoint_does_not_tell_of_are_unlikely_and_not_missing():
    nan = float("nan")
    answers = (Answer("a", (0, 1, 2), "plain", "logprobs", 1, (nan, -0.5, nan)),)
    table = Table.of(AnswerSheet("s", "f", (item("a", "a", 3, keys=(1,)),), answers))
    np.testing.assert_array_equal(table.shares, [[0, 1, 0]])
    assert table.right.tolist() == [1.0]
    assert not table.scored[0], "its confidence is not known"


def test_worst_case_holds_whatever_was_missing():
    rng = np.random.default_rng(5)
    items = simulated_items(15, rng=rng, n_options=3)
    full = Responder(theta=0.2, forgetful=0.8, mode="text").answer(items, rng=rng)
    gone = [answer._replace(chosen=None) if rng.random() < 0.3 else answer for answer in full.answers]
    bounds = score(replace(full, answers=tuple(gone))).worst_case
    assert bounds.low <= score(full).item.value <= bounds.high
    assert bounds.low < bounds.high


def test_sets_without_keys_clusters_or_answers_are_scored_as_far_as_they_go():
    items = [
        item("a", "a", keys=()),
        item("b", "b", keys=(0, 1), n_options=4),
        item("c", "c", n_options=3, keys=(0, 1, 2)),
    ]
    got = score(sheet_of(items, [say("a", 0), say("b", 1, m=4), []]))
    assert (got.n_keyless, got.n_missing, got.item.value) == (1, 1, 1.0)
    assert got.cluster is None
    assert got.pair is None
    empty = score(AnswerSheet("s", "f", (), ()))
    assert empty.item is None
    assert empty.worst_case is None


@pytest.mark.parametrize(
    ("answer", "said_of"),
    [
        (Answer("other", (0, 1), "plain", "text", 0), "'other' does not fit the items"),
        (Answer("a", (0, 0), "plain", "text", 0), "its order is"),
        (Answer("a", (0, 1), "plain", "text", 2), "does not fit its 2 options"),
        (Answer("a", (0, 1), "plain", "logprobs", 0, (0.0,)), "does not fit its 2 options"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answer, said_of):
    with pytest.raises(InputError, match=said_of):
        Table.of(AnswerSheet("s", "f", (item("a", "a"),), (answer,)))


def test_items_that_share_an_id_are_refused():
    with pytest.raises(InputError, match="1 items share"):
        Table.of(AnswerSheet("s", "f", (item("a", "a"), item("a", "b")), ()))
    sheets = [AnswerSheet("s", "f", (item("a", "a", n),), ()) for n in (2, 3)]
    with pytest.raises(InputError, match="other options in another sheet"):
        responses(sheets)


def test_responses_line_up_the_union_of_items():
    first = sheet_of([item("a", "1"), item("n", "9", keys=())], [say("a", 0), say("n", 0)])
    second = sheet_of([item("b", "2", 4), item("a", "1")], [say("b", 1, m=4)])
    got = responses([first, second])
    assert [one.item_id for one in got.items] == ["a", "b"]
    np.testing.assert_array_equal(got.right, [[1, np.nan], [np.nan, 0]])
    np.testing.assert_array_equal(got.chance, [0.5, 0.25])
    assert got.clusters.tolist() == [0, 1]


def test_detectable_effect_has_its_power():
    rng = np.random.default_rng(6)
    clusters = np.repeat(np.arange(40), 4)
    null = rng.normal(0, 1, 160) + rng.normal(0, 0.5, 40)[clusters]
    effect = detectable_effect(null, clusters, bound=np.inf)
    hits, n = 0, 600
    from moorings.statistics.paired import cluster_robust

    data = effect + rng.normal(0, 1, (160, n)) + rng.normal(0, 0.5, (40, n))[clusters]
    hits = (cluster_robust(data, clusters).p < 0.05).mean()
    assert 0.65 < hits < 0.92, "0.8, but for the error of one estimated standard error"
    assert detectable_effect(np.zeros(5), np.arange(5)) is None
    assert detectable_effect(np.zeros(50), np.arange(50)) == pytest.approx(1 - 0.05 ** (1 / 50))
    assert "fewer than 8 clusters" in said(None, "A gap")
