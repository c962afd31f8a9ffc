"""Rules that pick among answers, against planted scores and another way of counting; an evaluator that learned on easy questions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from feedback_tools import BAD, GOOD, FakeTools, graded

from moorings.errors import ConfigError
from moorings.feedback.easy_to_hard import RULES, picked, right_over_wrong
from moorings.feedback.reward_model import train_reward_model
from moorings.feedback.weak_to_strong import performance_gap_recovered


def by_counting(finals: list[str], scores: list[float], rule: str) -> int:
    """The rule again, from dictionaries."""
    places = [at for at, final in enumerate(finals) if final] or [*range(len(finals))]
    sums: dict[str, float] = {}
    for at in places:
        weight = 1.0 if rule == "majority" else 1 / (1 + math.exp(-scores[at]))
        sums[finals[at]] = sums.get(finals[at], 0.0) + weight
    if rule in ("majority", "weighted"):
        places = [at for at in places if sums[finals[at]] >= max(sums.values()) - 1e-9]
    return 0 if rule == "first" else places[0] if rule == "majority" else max(places, key=lambda at: (scores[at], -at))


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_picks_what_counting_picks(rule):
    rng = np.random.default_rng(3)
    finals = [[str(rng.choice(["7", "8", "9", ""])) for _ in range(6)] for _ in range(300)]
    scores = rng.normal(0, 2, (300, 6))
    expected = [by_counting(some, row.tolist(), rule) for some, row in zip(finals, scores, strict=True)]
    assert picked(finals, scores, rule).tolist() == expected


def test_an_unreadable_answer_is_picked_last():
    scores = np.array([[np.nan, -5.0], [np.nan, np.nan]])
    assert picked([["7", "8"], ["7", "8"]], scores, "best").tolist() == [1, 0]
    assert picked([["7", "8"], ["7", "8"]], scores, "weighted").tolist() == [1, 0]


def test_an_answer_that_comes_to_nothing_is_picked_only_among_its_like():
    scores = np.array([[9.0, 0.0, 0.0]])
    for rule in ("majority", "best", "weighted"):
        assert picked([["", "7", ""]], scores, rule).tolist() == [1]
        assert picked([["", "", ""]], scores, rule).tolist() == [0]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="scores of shape \\(1, 3\\) do not fit 1 questions"):
        picked([["7", "8"]], np.zeros((1, 3)), "best")
    with pytest.raises(ConfigError, match="rule 'most' is not known; allowed: first, majority, best, weighted"):
        picked([["7"]], np.zeros((1, 1)), "most")


def test_pairs_set_right_over_wrong_within_a_question():
    answers = [
        [graded(text, "one") for text in ("a", "b", "c", "a")],
        [graded(text, "two") for text in ("d", "e", "f", "g")],
        [graded("h", "all right") for _ in range(4)],
    ]
    right = [np.array([True, False, False, True]), np.array([True, True, False, False]), np.ones(4, bool)]
    pairs = right_over_wrong(answers, right, np.random.default_rng(0), most=3)
    found = {(pair.prompt[0].content, pair.chosen, pair.rejected) for pair in pairs}
    assert len(found) == len(pairs) == 5
    assert {one for one in found if one[0] == "one"} == {("one", "a", "b"), ("one", "a", "c")}
    assert {one for one in found if one[0] == "two"} < {("two", good, bad) for good in "de" for bad in "fg"}


def test_an_evaluator_of_easy_questions_picks_on_hard_ones(tmp_path):
    """Hard answers have one telling word among many others, where easy ones have three; the words are the same."""
    rng, tools = np.random.default_rng(5), FakeTools(tmp_path)

    def drawn(n: int, telling: int, share_right: float):
        right = rng.random((n, 6)) < share_right
        filler = ["the", "a", "river", "stone", "cloud", "bread", "engine"]
        return right, [
            [
                graded(
                    " ".join([*rng.choice(GOOD if flag else BAD, telling), *rng.choice(filler, 4)]), f"Question {at}"
                )
                for flag in row
            ]
            for at, row in enumerate(right)
        ]

    flags, easy = drawn(80, 3, 0.5)
    evaluator = train_reward_model(right_over_wrong(easy, list(flags), rng), tools)
    right, hard = drawn(400, 1, 0.2)
    scores = evaluator.of_items([item for some in hard for item in some], tools).mean(axis=0).reshape(right.shape)
    finals = [["yes" if flag else str(rng.integers(3)) for flag in row] for row in right]
    share = {rule: right[np.arange(400), picked(finals, scores, rule)] for rule in RULES}
    at_random = right[np.arange(400), picked(finals, rng.normal(size=right.shape), "best")].mean()
    assert share["best"].mean() > share["majority"].mean() + 0.1
    assert share["weighted"].mean() > share["majority"].mean() + 0.1
    assert abs(at_random - share["first"].mean()) < 0.08
    recovered = performance_gap_recovered(share["first"], share["best"], right.any(axis=1), rng)
    assert recovered.low > 0.5
