"""Rewards that count words, against counts by hand and the battery."""

from __future__ import annotations

import numpy as np
import pytest
from feedback_tools import FakeTools, graded

from moorings.charter_run import Use
from moorings.compare.battery import Text, features
from moorings.errors import ConfigError
from moorings.feedback.reward import rewards


def values(tmp_path, use: str, *answers: str, **settings: object) -> list[float]:
    reward = rewards.make(Use(use=use, **settings))
    return reward([graded(answer) for answer in answers], FakeTools(tmp_path)).tolist()


def test_a_feature_is_the_battery_s_in_its_unit(tmp_path):
    answers = ("One two three. Is it?", "no")
    expected = [features.get("questions")(Text(answer, "the river")) for answer in answers]
    assert values(tmp_path, "feature", *answers, name="questions") == expected
    made = rewards.make(Use(use="feature", name="questions", direction="lower"))
    assert (made.name, made.unit, made.direction) == ("questions", "share of sentences", "lower")
    assert np.isnan(values(tmp_path, "feature", "", name="word_length")).all()
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        rewards.check(Use(use="feature", name="wordz"))


def test_length_is_a_distance_of_which_less_is_better(tmp_path):
    assert values(tmp_path, "length", "a b c", "a b", "a b c d e", words=3) == [0.0, 1.0, 2.0]
    assert rewards.make(Use(use="length", words=3)).direction == "lower"


def test_phrases_are_whole_words_in_any_case(tmp_path):
    assert values(tmp_path, "phrases", "Ocean, OCEAN oceans", "none", phrases=["ocean"]) == [2.0, 0.0]


def test_sentiment_is_vader_s_of_the_whole_answer(tmp_path):
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    texts = ("This is wonderful, I love it.", "Horrible. I hate it.", "The table has four legs.")
    by_hand = [SentimentIntensityAnalyzer().polarity_scores(text)["compound"] for text in texts]
    found = values(tmp_path, "sentiment", *texts)
    assert found == by_hand
    assert found[0] > 0.5 > -0.5 > found[1]
    assert np.isnan(values(tmp_path, "sentiment", "", "12 34 !!")).all()
    assert values(tmp_path, "sentiment", "I love it. I hate it.", max_chars=10) == values(
        tmp_path, "sentiment", "I love it."
    )


@pytest.mark.parametrize(
    ("use", "settings"), [("feature", {"name": "words"}), ("length", {"words": 2}), ("phrases", {"phrases": ["a"]})]
)
def test_nothing_gives_nothing(tmp_path, use, settings):
    assert values(tmp_path, use, **settings) == []
