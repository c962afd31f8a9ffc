"""Rewards that count words: features of the battery, distance from a length, phrases, sentiment.

Sentiment is VADER's (Hutto and Gilbert 2014). All of them are cheap, exact and easily satisfied without the answer being
good, which makes them test cases for over-optimisation as well as rewards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from moorings.compare.battery import Text, features
from moorings.feedback.reward import Direction, Graded, Reward, RewardConfig, rewards
from moorings.feedback.scored import ScoredBy

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["count_phrases", "feature_values", "length_distance"]


def feature_values(name: str, items: Sequence[Graded]) -> Float[np.ndarray, " n"]:
    """A battery feature of each answer; NaN where it cannot be measured.

    Raises:
        ConfigError: No such feature; the nearest one is suggested.
    """
    measure = features.get(name)
    return np.array([measure(Text(item.response, item.question)) for item in items], dtype=np.float64)


def count_phrases(text: str, phrases: Sequence[str]) -> int:
    """How often any of the phrases stands in a text as whole words, in any case of letters.

    >>> count_phrases("A cat, a CAT and a catalogue.", ["cat"])
    2
    """
    if not phrases:
        return 0
    some = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    return len(re.findall(rf"(?<!\w)(?:{some})(?!\w)", text, flags=re.IGNORECASE))


def length_distance(items: Sequence[Graded], words: int) -> Float[np.ndarray, " n"]:
    """How far each answer's length is from a target, in words."""
    return np.asarray(np.abs(feature_values("words", items) - words))


class FeatureConfig(RewardConfig):
    """Settings of `feature`."""

    name: str
    """Feature of the battery, such as `words` or `sentiment`."""
    direction: Direction = "higher"
    """Which direction is better."""

    @field_validator("name")
    @classmethod
    def _is_known(cls, value: str) -> str:
        features.get(value)
        return value


@rewards.register("feature", FeatureConfig)
def feature(config: FeatureConfig) -> Reward:
    """A feature of the battery, in its own unit."""
    unit = features.get(config.name).feature.unit
    return ScoredBy(config.name, unit, config.direction, lambda items, tools: feature_values(config.name, items))


class LengthConfig(RewardConfig):
    """Settings of `length`."""

    words: int = Field(ge=1)
    """The length that is best."""


@rewards.register("length", LengthConfig)
def length(config: LengthConfig) -> Reward:
    """Distance of the answer's length from a target, in words."""
    return ScoredBy("length", "words", "lower", lambda items, tools: length_distance(items, config.words))


class PhrasesConfig(RewardConfig):
    """Settings of `phrases`."""

    phrases: tuple[str, ...] = Field(min_length=1)
    """What is counted, as whole words in any case."""
    direction: Direction = "higher"
    """Which direction is better."""


@rewards.register("phrases", PhrasesConfig)
def phrases(config: PhrasesConfig) -> Reward:
    """How often phrases occur in the answer."""

    def score(items: Sequence[Graded], tools: object) -> Float[np.ndarray, " n"]:
        return np.array([count_phrases(item.response, config.phrases) for item in items], dtype=np.float64)

    return ScoredBy("phrases", "phrases", config.direction, score)


class SentimentConfig(RewardConfig):
    """Settings of `sentiment`."""

    max_chars: int = Field(default=4000, ge=1)
    """Only so many characters are read; VADER takes quadratic time on long texts."""
    direction: Direction = "higher"
    """Which direction is better."""


@rewards.register("sentiment", SentimentConfig)
def sentiment(config: SentimentConfig) -> Reward:
    """VADER's compound score of the whole answer, -1 to 1; missing where there is no letter.

    The battery's feature `sentiment` is another one: the mean over the first sentences of prose.
    """

    def score(items: Sequence[Graded], tools: object) -> Float[np.ndarray, " n"]:
        texts = [item.response[: config.max_chars] for item in items]
        return np.array([_compound(text) if any(map(str.isalpha, text)) else np.nan for text in texts])

    return ScoredBy("sentiment", "VADER compound", config.direction, score)


def _compound(text: str) -> float:
    return float(_vader().polarity_scores(text)["compound"])


@cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
