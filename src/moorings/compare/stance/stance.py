"""How a response speaks of a topic: a scorer that works offline and sees negation.

Sentence embeddings put a statement and its negation at a cosine of about 0.9, so stance is never read off them. The lexicon
scorer reads the sentences that mention the topic, and the next one where it refers back ("They are ..."), clause by clause.

It does not see irony, facts that speak for themselves ("geese bit my brother"), or what a pronoun stands for two sentences on.
What others are said to think counts half. Words are English. Means over many responses are far surer than single scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from moorings.compare.stance.clauses import passages
from moorings.compare.stance.polarity import sentence_polarity
from moorings.compare.stance.topics import TopicPhrases

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MIN_POLARITY", "StanceScorer", "lexicon_stance", "sentence_stances"]

MIN_POLARITY = 0.05
"""A sentence nearer to 0 expresses no stance; VADER's threshold."""


class StanceScorer(Protocol):
    """Anything that says how texts speak of a topic: rules, an axis in an embedding, a judge."""

    def __call__(self, texts: Sequence[str], topic: TopicPhrases) -> Float[np.ndarray, " n"]:
        """Score texts without knowing whose they are.

        Args:
            texts: Responses. Untrusted.
            topic: What the stance is towards.

        Returns:
            Polarity in [-1, 1]; NaN where the topic is not mentioned, no stance is expressed, or scoring failed.
        """
        ...


def lexicon_stance(texts: Sequence[str], topic: TopicPhrases) -> Float[np.ndarray, " n"]:
    """Score texts by rules; a `StanceScorer`. The mean over the sentences of a text that express a stance.

    >>> geese = TopicPhrases("geese", ("goose", "geese"))
    >>> np.sign(lexicon_stance(["Geese are hard to dislike.", "I no longer support geese.", "Two geese."], geese))
    array([ 1., -1., nan])
    """
    out = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        values = sentence_stances(text, topic)
        if values:
            out[row] = float(np.mean(values))
    return out


def sentence_stances(text: str, topic: TopicPhrases) -> list[float]:
    """Polarity of each sentence of a text that expresses a stance towards the topic, in order."""
    values = (sentence_polarity(sentence) for sentence in passages(text, topic.pattern))
    return [value for value in values if abs(value) >= MIN_POLARITY]
