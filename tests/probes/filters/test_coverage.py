"""Coverage: cells off their design fail, cells on it do not, and wording is compared with a gold set of equal size."""

from __future__ import annotations

import numpy as np
import pytest
from small_sets import change_set, open_set

from moorings.charter_run import Use
from moorings.probes.files import ItemSet, write_items
from moorings.probes.filters.coverage import wording
from moorings.probes.filters.filter import filters
from moorings.probes.filters.text_features import (
    distinct_n,
    jaccard,
    near_pairs,
    nearest_distances,
    self_bleu,
    shingles,
)


def look(items, **settings):
    return filters.make(Use.model_validate({"use": "coverage", **settings})).look(items)


def test_a_balanced_set_passes_and_open_options_are_not_judged():
    report = look(change_set(240).items)
    assert report.verdict == "pass"
    assert report.figures["S4: share of direct"] == 1
    assert look(open_set(80).items).verdict == "not applicable"
    assert look(open_set(10).items).verdict == "not applicable"


def test_an_answer_that_dominates_fails():
    items = [item for k, item in enumerate(change_set(400).items) if item.item_id.endswith("p") or k % 4 == 1]
    report = look(items)
    assert report.verdict == "fail"
    assert "answer 'less than before' has 33% of 300 items, by design 50%" in report.said


def test_answers_are_judged_within_structures_too():
    items = [
        item.model_copy(update={"structure": "a" if (item.item_id.endswith("p")) == (k % 8 > 1) else "b"})
        for k, item in enumerate(change_set(400).items)
    ]
    report = look(items)
    assert report.verdict == "fail"
    assert "within 'a'" in report.said
    assert "within 'b'" in report.said


def test_structures_follow_the_design():
    items = [
        item.model_copy(update={"structure": "ab"[k // 2 % 4 == 0]}) for k, item in enumerate(change_set(400).items)
    ]
    assert "structure type" in look(items).said
    assert look(items, design={"a": 3, "b": 1}).verdict == "pass"


def test_sets_drawn_by_the_design_rarely_fail():
    rng = np.random.default_rng(0)
    fails = 0
    for _ in range(12):
        items = [
            item.model_copy(update={"structure": str(rng.choice(list("abcd"))), "prompt": "x"})
            for item in change_set(60).items
        ]
        fails += "structure type" in look(items).said
    assert fails <= 1  # a binomial of 12 at 0.01 exceeds it once in 160 times, and these draws are fixed


def test_wording_is_not_worse_than_the_gold_set(tmp_path):
    gold = write_items(ItemSet("gold", open_set(60, 1).items), tmp_path / "gold.jsonl")
    assert look(open_set(200, 2).items, gold=str(gold)).verdict == "pass"
    dull = [
        item.model_copy(update={"prompt": "Somebody lives somewhere for something. For what?"})
        for item in open_set(200).items
    ]
    report = look(dull, gold=str(gold))
    assert report.verdict == "fail"
    assert "self-BLEU is 1.00" in report.said
    assert "nearest distance is 0.00" in report.said
    assert report.figures["S1: gold self-BLEU"] < 0.9


def test_wording_is_drawn_by_its_seed():
    items = open_set(520).items
    assert wording(items, 0) == wording(items, 0)
    assert wording(items, 0) != wording(items, 1)


def test_distinct_n_by_hand():
    assert distinct_n(["a b a", "a b"], 1) == 2 / 5
    assert distinct_n(["a b a", "a b"], 2) == 2 / 3
    assert distinct_n([], 2) == 0


def test_self_bleu_of_copies_is_one_and_of_strangers_near_zero():
    assert self_bleu(["the cat sat on the mat"] * 3) == pytest.approx(1)
    assert self_bleu(["a b c d e", "f g h i j"]) == 0
    assert self_bleu(["only one"]) == 0


def test_self_bleu_by_a_slow_reference():
    texts = ["the cat sat here today", "the cat sat there", "a cat sat here"]

    def grams(text, n):
        cut = text.split()
        return [tuple(cut[i : i + n]) for i in range(len(cut) - n + 1)]

    def bleu(text, others):
        logs = []
        for n in range(1, 5):
            own = grams(text, n)
            hit = sum(min(own.count(g), max(grams(o, n).count(g) for o in others)) for g in set(own))
            logs.append(np.log((hit + (n > 1)) / (len(own) + (n > 1))))
        length = len(text.split())
        near = min((abs(len(o.split()) - length), i) for i, o in enumerate(others))[1]
        return np.exp(np.mean(logs) + min(0, 1 - len(others[near].split()) / length))

    expected = np.mean([bleu(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)])
    assert self_bleu(texts) == pytest.approx(expected)


def test_near_pairs_agree_with_all_pairs():
    rng = np.random.default_rng(0)
    base = [" ".join(rng.choice(list("abcdefghij"), 40)) for _ in range(30)]
    texts = base + [text.replace("a", "b", 1) for text in base]
    sets = [shingles(text, 3) for text in texts]
    slow = {(i, j) for i in range(len(sets)) for j in range(i + 1, len(sets)) if jaccard(sets[i], sets[j]) >= 0.8}
    assert len(slow) >= 20
    assert {(i, j) for i, j, _ in near_pairs(sets, 0.8)} == slow
    assert near_pairs([], 0.8) == []


def test_nearest_distances_leave_the_own_group_out():
    far = nearest_distances(["red cat", "red cat", "blue dog"], ["a", "a", "b"])
    np.testing.assert_allclose(far, 1)
    near = nearest_distances(["red cat", "red cat", "blue dog"], ["a", "b", "c"])
    np.testing.assert_allclose(near, [0, 0, 1], atol=1e-6)
    assert nearest_distances(["one"], ["a"]).tolist() == [1]
