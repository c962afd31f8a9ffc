"""Leaks: learners find what was put there, stay at chance where nothing is, and never see a cluster on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from small_sets import change_set, open_set, word

from moorings.charter_run import Use
from moorings.probes.filters import plant
from moorings.probes.filters.artefacts import lengths, log_odds
from moorings.probes.filters.filter import FilterReport, filters
from moorings.probes.filters.learners import FAMILIES, cluster_folds, guess_from_context, guess_from_options
from moorings.probes.item import Item, Option


def look(name: str, items, **settings) -> FilterReport:
    return filters.make(Use.model_validate({"use": name, **settings})).look(items)


def as_dispositions(items):
    return [item.model_copy(update={"kind": "disposition"}) for item in items]


def test_folds_hold_whole_clusters_and_are_fresh_by_seed():
    items = change_set(80).items
    fold = cluster_folds(items, 5, seed=1)
    assert set(fold) == set(range(5))
    for name in {item.cluster_id for item in items}:
        assert len({f for f, item in zip(fold, items, strict=True) if item.cluster_id == name}) == 1
    assert (fold == cluster_folds(items, 5, seed=1)).all()
    assert (fold != cluster_folds(items, 5, seed=2)).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_learners_are_at_chance_without_a_leak_and_find_one(family):
    items = open_set(300).items
    guess = guess_from_options(items, family, seed=0)
    assert guess.chance == pytest.approx(1 / 3)
    assert abs(guess.accuracy - 1 / 3) < 4 * np.sqrt(2 / 9 / 300)
    assert guess.accuracy == pytest.approx(guess.right.mean())
    leaky = plant.key_word(items, np.random.default_rng(0), share=0.5).items
    assert guess_from_options(leaky, family, seed=0).accuracy > 0.6


def test_equal_options_share_the_credit():
    items = [
        Item(
            item_id=str(k),
            cluster_id=str(k),
            subtask="x",
            prompt="Which?",
            options=tuple(Option(symbol=s, text=" ", key=s == "A") for s in "ABCD"),
        )
        for k in range(20)
    ]
    assert guess_from_options(items, "naive bayes", seed=0).accuracy == 0.25


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stem_gives_the_place_away_only_where_it_does(family):
    items = open_set(300).items
    guess = guess_from_context(items, family, seed=0)
    assert guess.accuracy < guess.chance + 4 * np.sqrt(2 / 9 / 300)
    told = [
        item.model_copy(update={"prompt": f"{item.prompt} {['first', 'second', 'third'][item.key_at]}"})
        for item in items
    ]
    assert guess_from_context(told, family, seed=0).accuracy > 0.9
    report = look("context_only", told, families=[family])
    assert report.verdict == "fail"
    assert "from the stem alone" in report.said


def test_a_leak_seen_in_training_clusters_only_is_no_leak():
    # Both items of a cluster share a word that no other cluster has, so a learner may only profit within the cluster.
    rng = np.random.default_rng(0)
    items = []
    for k in range(60):
        good, bad = word(rng, 4), word(rng, 4)
        for twin in "ab":
            options = (Option(symbol="A", text=good, key=True), Option(symbol="B", text=bad, key=False))
            items.append(Item(item_id=f"{k}{twin}", cluster_id=str(k), subtask="x", prompt="?", options=options))
    guess = guess_from_options(items, "naive bayes", seed=0)
    assert 0.2 < guess.accuracy < 0.8


def test_p_values_hold_under_no_leak():
    low = [guess_from_options(open_set(60, seed).items, "naive bayes", seed=0).p < 0.1 for seed in range(20)]
    assert sum(low) <= 7  # a binomial of 20 at 0.1 exceeds it once in 2,500 times


def test_a_disposition_is_measured_and_not_judged():
    leaky = plant.key_word(open_set(200).items, np.random.default_rng(0), share=0.6).items
    assert look("choices_only", leaky).verdict == "fail"
    report = look("choices_only", as_dispositions(leaky))
    assert report.verdict == "not applicable"
    assert "as is expected of a disposition" in report.said
    assert report.figures["S1: naive bayes accuracy"] > 0.6
    assert look("artefacts", as_dispositions(leaky)).flags == ()


def test_small_sets_are_not_judged():
    for name in ("choices_only", "context_only", "artefacts"):
        report = look(name, open_set(20).items)
        assert report.verdict == "not applicable"
        assert "too few" in report.said


def test_one_leaky_subtask_fails_the_set():
    clean = open_set(200).items
    leaky = plant.key_word(open_set(200, seed=9).items, np.random.default_rng(0), share=0.6).items
    leaky = tuple(item.model_copy(update={"subtask": "S9", "item_id": f"s9-{item.item_id}"}) for item in leaky)
    report = look("choices_only", [*clean, *leaky])
    assert report.verdict == "fail"
    assert report.said.startswith("S9: from the options alone")
    assert report.figures["S1: over chance"] < 0.12


def test_artefacts_pass_a_clean_set():
    assert look("artefacts", change_set(300).items).verdict == "pass"
    report = look("artefacts", open_set(600).items)
    assert report.verdict == "pass", report.said
    assert len(report.flags) < 0.02 * 600


@pytest.mark.parametrize("kind", ["longer key", "key-specific word"])
def test_artefacts_find_planted_keys(kind):
    planted = plant.KINDS[kind](open_set(600).items, np.random.default_rng(1))
    report = look("artefacts", planted.items)
    found = {flag.item_id for flag in report.flags}
    assert report.verdict == "fail"
    assert len(found & planted.faulty) >= 0.95 * len(planted.faulty)
    assert len(found - planted.faulty) <= 0.02 * (600 - len(planted.faulty))


def test_an_uneven_place_fails_and_its_surplus_is_flagged():
    planted = plant.label_imbalance(open_set(600).items, np.random.default_rng(1))
    report = look("artefacts", planted.items)
    assert report.verdict == "fail"
    assert "the key is at place 1 in" in report.said
    flagged = {flag.item_id for flag in report.flags if "surplus" in flag.reason}
    left = [item for item in planted.items if item.item_id not in flagged]
    assert abs(np.mean([item.key_at == 0 for item in left]) - 1 / 3) < 0.03


def test_lengths_by_hand():
    def item(key: str, *others: str) -> Item:
        options = [Option(symbol="A", text=key, key=True)]
        options += [Option(symbol=s, text=text, key=False) for s, text in zip("BC", others, strict=False)]
        return Item(item_id=key, cluster_id=key, subtask="x", prompt="?", options=tuple(options))

    found = lengths([item("abcd", "a", "ab"), item("ab", "cd"), item("a", "bcd")])
    assert found.longest == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.shortest == pytest.approx((0 + 0.5 + 1) / 3)
    assert found.chance == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)
    assert found.lead.tolist() == [2, 0, -2]


def test_log_odds_are_antisymmetric_and_point_to_the_word():
    planted = plant.key_word(open_set(200).items, np.random.default_rng(0), share=0.3)
    odds = log_odds(planted.items)
    assert max(odds, key=lambda one: odds[one]) == "surely"
    assert odds["surely"] > 4
    two = [item.model_copy(update={"options": item.options[:2]}) for item in planted.items]
    turned = [
        item.model_copy(update={"options": tuple(o.model_copy(update={"key": not o.key}) for o in item.options)})
        for item in (item for item in two if any(o.key for o in item.options))
    ]
    kept = [item for item in two if any(o.key for o in item.options)]
    a, b = log_odds(kept), log_odds(turned)
    np.testing.assert_allclose([a[name] for name in a], [-b[name] for name in a], atol=1e-9)
