"""Ratings by people and analysis after runs: agreement by hand, and only items that behave badly are put aside."""

from __future__ import annotations

import numpy as np
import pytest
from small_sets import change_set, open_set

from moorings.errors import ConfigError, InputError
from moorings.probes.filters.item_analysis import item_analysis
from moorings.probes.filters.ratings import Rating, agreement, rating_sheet, read_ratings, sample_to_rate


def test_the_sample_is_one_item_a_cluster_and_hides_the_key():
    items = change_set(240).items
    chosen = sample_to_rate(items, n=50, seed=3)
    assert len({item.cluster_id for item in chosen}) == len(chosen) == 50
    assert chosen == sample_to_rate(items, n=50, seed=3)
    assert chosen != sample_to_rate(items, n=50, seed=4)
    assert len(sample_to_rate(open_set(10).items, n=50)) == 10
    row = rating_sheet(chosen)[0]
    assert set(row) == {"item_id", "subtask", "question", "options", "relevance", "answer"}
    assert row["answer"] is None


def test_agreement_and_kappa_by_hand():
    items = open_set(4).items
    keys = [item.key_at for item in items]
    other = (keys[3] + 1) % 3
    ratings = [Rating(item.item_id, 5, key) for item, key in zip(items[:3], keys, strict=False)]
    found = agreement(items, [*ratings, Rating(items[3].item_id, 1, other)])[0]
    assert (found.n, found.agreement, found.relevance) == (4, 0.75, 4.0)
    assert found.disputed == (items[3].item_id,)
    answers = [*keys[:3], other]
    by_chance = sum((keys.count(k) / 4) * (answers.count(k) / 4) for k in range(3))
    assert found.kappa == pytest.approx((0.75 - by_chance) / (1 - by_chance))


def test_no_answer_counts_as_disagreement_and_no_variation_has_no_kappa():
    item = open_set(1).items[0]
    assert agreement([item], [Rating(item.item_id, 4, None)])[0].agreement == 0
    assert np.isnan(agreement([item], [Rating(item.item_id, 4, item.key_at)])[0].kappa)
    assert agreement([item], []) == []


def test_ratings_are_read_by_symbol():
    item = open_set(1).items[0]
    row = {"item_id": item.item_id, "relevance": 4, "answer": "B"}
    assert read_ratings([row, row | {"answer": None}], [item]) == [
        Rating(item.item_id, 4, 1),
        Rating(item.item_id, 4, None),
    ]
    for bad, said in (
        ({"item_id": "x"}, "no item of the set"),
        ({"relevance": 6}, "allowed: 1, 2, 3, 4, 5"),
        ({"relevance": True}, "relevance True"),
        ({"answer": "Z"}, "allowed: A, B, C, or null"),
    ):
        with pytest.raises(InputError, match=said):
            read_ratings([row | bad], [item])


def responses(n: int, slopes: list[float], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=n)
    chance = 1 / (1 + np.exp(-np.outer(theta, slopes)))
    return (rng.random(chance.shape) < chance).astype(float)


def test_only_items_that_mislead_or_say_nothing_are_put_aside():
    slopes = [2.0] * 20 + [-2.0, 0.0]
    right = responses(400, slopes)
    found = item_analysis(right, [f"i{k}" for k in range(22)])
    assert [one.item_id for one in found if one.quarantine] == ["i20", "i21"]
    assert "better respondents get it wrong more often" in found[20].quarantine
    assert found[0].point_biserial > 0.3
    rest = np.delete(right, 0, axis=1).mean(axis=1)
    assert found[0].point_biserial == pytest.approx(np.corrcoef(right[:, 0], rest)[0, 1])


def test_a_fitted_discrimination_takes_the_place_of_the_tails():
    right = responses(100, [2.0] * 10)
    found = item_analysis(right, list("abcdefghij"), a=[1.0] * 9 + [0.1])
    assert found[9].quarantine == "it hardly tells respondents apart (discrimination 0.10)"
    assert found[0].discrimination == 1.0


def test_missing_answers_are_left_out_and_constant_items_are_not_judged():
    right = responses(40, [2.0] * 10)
    right[:, 0] = 1.0
    right[:30, 1] = np.nan
    found = item_analysis(right, list("abcdefghij"))
    assert np.isnan(found[0].point_biserial)
    assert found[0].quarantine == ""
    assert (found[1].n, found[1].quarantine) == (10, "")
    assert np.isnan(found[1].success)


def test_too_few_respondents_are_refused():
    with pytest.raises(ConfigError, match="14 respondents; item analysis needs 15"):
        item_analysis(np.ones((14, 2)), ["a", "b"])
    with pytest.raises(ConfigError, match="2 columns, 1 ids"):
        item_analysis(np.ones((15, 2)), ["a"])
