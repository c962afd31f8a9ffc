from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.feedback.lexical import count_phrases
from moorings.feedback.reward import Graded
from moorings.improve.feedback_functions import feedback_functions
from moorings.records import Message


@pytest.fixture
def workbench(tmp_path: Path) -> FakeWorkbench:
    subject = ScoringSubject({}, lambda q, a: -2.0 * len(a.split()), version="subject")
    anchor = ScoringSubject({}, lambda q, a: -1.0 if a == "Yes" else -4.0, version="anchor")
    return FakeWorkbench(tmp_path, subject, anchor=anchor)


def items(*answers: str, question: str = "the river", **metadata: object) -> list[Graded]:
    return [Graded((Message(role="user", content=question),), answer, dict(metadata)) for answer in answers]


def grade(workbench: FakeWorkbench, some: list[Graded], use: str, **settings: object) -> list[float]:
    return feedback_functions.make(Use(use=use, **settings))(some, workbench, "f").tolist()


def test_feature_counts_more_or_less_of_it_and_leaves_what_cannot_be_measured_missing(workbench):
    some = items("one two three", "one")
    assert grade(workbench, some, "feature", name="words") == [3.0, 1.0]
    assert grade(workbench, some, "feature", name="words", direction="lower") == [-3.0, -1.0]
    assert np.isnan(grade(workbench, items(""), "feature", name="word_length"))
    with pytest.raises(ConfigError, match=r"did you mean 'words'"):
        feedback_functions.check(Use(use="feature", name="wordz"))


def test_phrases_are_whole_words_in_any_case(workbench):
    assert grade(workbench, items("Ocean, OCEAN oceans", "none"), "phrases", phrases=["ocean"]) == [2.0, 0.0]
    assert grade(workbench, items("sea (c++)"), "phrases", phrases=["c++", "sea"], direction="lower") == [-2.0]
    assert count_phrases("anything", []) == 0
    assert count_phrases("at sea level", ["sea", "sea level"]) == 1


def test_length_is_best_at_the_target(workbench):
    assert grade(workbench, items("a b c", "a b", "a b c d e"), "length", words=3) == [0.0, -1.0, -2.0]


@pytest.mark.parametrize(
    ("match", "answer", "key", "expected"),
    [
        ("exact", "  Paris! ", "paris", 1.0),
        ("exact", "Paris, France", "paris", 0.0),
        ("exact", "b", ["a", "b"], 1.0),
        ("contains", "It is Paris.", "paris", 1.0),
        ("contains", "comparison", "paris", 0.0),
        ("last_number", "2 and 2 make 1,004.0", "1004", 1.0),
        ("last_number", "4 or 5", 4, 0.0),
        ("last_number", "none", "4", 0.0),
    ],
)
def test_an_answer_key_is_met_or_not(workbench, match, answer, key, expected):
    assert grade(workbench, items(answer, answer=key), "answer_key", match=match) == [expected]


@pytest.mark.parametrize("metadata", [{}, {"answer": None}, {"answer": ""}, {"answer": []}])
def test_no_key_is_missing_not_wrong(workbench, metadata):
    assert np.isnan(grade(workbench, items("x", **metadata), "answer_key"))[0]


def test_a_key_without_a_number_is_missing_where_numbers_are_compared(workbench):
    assert np.isnan(grade(workbench, items("4", answer="four"), "answer_key", match="last_number"))[0]


def test_similarity_to_the_prompt_is_the_cosine(workbench):
    same, half, none = grade(workbench, items("the river", "the", "zebra"), "prompt_similarity")
    assert same == pytest.approx(1.0)
    assert half == pytest.approx(2**-0.5)
    assert none < half


def test_own_log_probability_per_token_or_in_all(workbench):
    some = items("a b c", "a")
    assert grade(workbench, some, "logprob") == pytest.approx([-2.0, -2.0])
    workbench.round = 2
    assert grade(workbench, some, "logprob", per_token=False) == pytest.approx([-6.0, -2.0])
    assert grade(workbench, items("No"), "logprob", scorer="anchor") == [-4.0]


def test_a_verdict_is_the_log_odds_of_two_labels(workbench):
    assert grade(workbench, items("x", "y"), "judge", judge="anchor") == pytest.approx([3.0, 3.0])


def test_any_reward_serves_turned_so_that_higher_is_better(workbench):
    some = items("a b c", "a b", "a b c d e")
    assert grade(workbench, some, "reward", reward={"use": "length", "words": 3}) == [0.0, -1.0, -2.0]
    assert grade(workbench, some, "reward", reward={"use": "feature", "name": "words"}) == [3.0, 2.0, 5.0]
    similar = grade(workbench, items("the river", "zebra"), "reward", reward={"use": "embedding"})
    assert similar == pytest.approx(grade(workbench, items("the river", "zebra"), "prompt_similarity"))
    with pytest.raises(ConfigError, match="unknown reward 'lenght'; did you mean 'length'"):
        feedback_functions.check(Use(use="reward", reward={"use": "lenght"}))
