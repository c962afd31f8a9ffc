"""A stance axis in an embedding: the direction along which statements differ from their own negations.

Embeddings put the two close together, so the axis must be fitted for the statements at hand, and its accuracy on pairs that
it was not fitted on says whether it can be used at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.stance.clauses import TOPIC, passages
from moorings.compare.stance.topics import TopicPhrases
from moorings.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MIN_PAIRS", "NegationAxis", "negation_axis"]

MIN_PAIRS = 8
"""Fewer pairs than this fit no axis."""


@dataclass(frozen=True, eq=False)
class NegationAxis:
    """A fitted axis; a `StanceScorer` for the topic of its statements."""

    embed: Callable[[Sequence[str]], Float[np.ndarray, "m d"]]
    weights: Float[np.ndarray, " d"]
    centre: Float[np.ndarray, " d"]
    accuracy: float
    """Share of held-out pairs put the right way round, by leaving out fifths; 0.5 is chance."""

    def __call__(self, texts: Sequence[str], topic: TopicPhrases) -> Float[np.ndarray, " n"]:
        """Mean position on the axis of the sentences that speak of the topic, in [-1, 1]; NaN without a mention."""
        spoken = [[s.replace(TOPIC, topic.name).strip() for s in passages(text, topic.pattern)] for text in texts]
        owner = np.repeat(np.arange(len(texts)), [len(some) for some in spoken])
        out = np.full(len(texts), np.nan)
        if len(owner):
            values = np.tanh((self.embed([s for some in spoken for s in some]) - self.centre) @ self.weights / 2.0)
            n = np.bincount(owner, minlength=len(texts))
            sums = np.bincount(owner, weights=values, minlength=len(texts))
            out[n > 0] = sums[n > 0] / n[n > 0]
        return out


def negation_axis(
    embed: Callable[[Sequence[str]], Float[np.ndarray, "m d"]],
    statements: Sequence[str],
    negations: Sequence[str],
    *,
    penalty: float = 1.0,
) -> NegationAxis:
    """Fit the axis by logistic regression on halves of the differences between statements and their negations.

    Args:
        embed: Texts to unit rows.
        statements: Favourable sentences about one topic or about many.
        negations: The opposite of each, in the same order.
        penalty: Ridge penalty, > 0; larger is smoother.

    Raises:
        InputError: Lists differ in length or hold fewer than 8 pairs.
    """
    n = len(statements)
    if n != len(negations) or n < MIN_PAIRS:
        raise InputError(f"{n} statements and {len(negations)} negations; give at least {MIN_PAIRS} pairs")
    yes, no = np.asarray(embed(statements), dtype=float), np.asarray(embed(negations), dtype=float)
    half = (yes - no) / 2.0
    fold = np.arange(n) % 5
    right = np.concatenate([half[fold == k] @ _fit(half[fold != k], penalty) > 0 for k in range(5)])
    return NegationAxis(embed, _fit(half, penalty), (yes + no).mean(axis=0) / 2.0, float(right.mean()))


def _fit(half: Float[np.ndarray, "n d"], penalty: float) -> Float[np.ndarray, " d"]:
    from sklearn.linear_model import LogisticRegression

    scale = float(np.linalg.norm(half, axis=1).mean()) or 1.0
    x = np.concatenate([half, -half]) / scale
    y = np.repeat([1, 0], len(half))
    fitted = LogisticRegression(C=1.0 / penalty, fit_intercept=False).fit(x, y)
    weights: Float[np.ndarray, " d"] = fitted.coef_[0] / scale
    return weights
