"""What a learner gets right that sees only a part of an item: cross-validated by clusters, two families of learners.

A key that can be read off the options (or off the stem without them) is a leak. Naive Bayes on words finds key-specific
words; logistic regression on character n-grams finds endings, punctuation and blanks too. Folds hold whole clusters,
since variants of one item share their words. A filter that selects items with one learner leaves what the other finds
(the pitfall of adversarial filtering, Zellers et al. 2018, arXiv 1808.05326), so sets are looked at again with fresh
folds and the learners' roles exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from moorings.probes.filters.text_features import words
from moorings.probes.item import Item

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["FAMILIES", "Family", "Guess", "cluster_folds", "guess_from_context", "guess_from_options"]

Family = Literal["naive bayes", "logistic regression"]
FAMILIES: tuple[Family, ...] = ("naive bayes", "logistic regression")


class Guess(NamedTuple):
    """How often a learner found the key."""

    accuracy: float
    chance: float
    """What guessing gets: the mean of one over the number of options, or the share of the commonest place."""
    p: float
    """One-sided chance of such an accuracy by guessing alone, by clusters."""
    right: Float[np.ndarray, " items"]
    """Credit of each item in [0, 1]; equal scores share it."""


def cluster_folds(items: Sequence[Item], n_folds: int, seed: int) -> Int[np.ndarray, " items"]:
    """Fold of each item; a cluster is never cut in two."""
    names = list(dict.fromkeys(item.cluster_id for item in items))
    fold = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % n_folds, strict=True))
    return np.array([fold[item.cluster_id] for item in items], dtype=int)


def guess_from_options(items: Sequence[Item], family: Family, *, seed: int, n_folds: int = 5) -> Guess:
    """Find the key from the texts of the options alone.

    A learner tells right options from wrong ones; of each item the likeliest is taken.

    Args:
        items: At least one a fold, each with exactly one right option.
        family: The learner.
        seed: Of the folds.
        n_folds: Folds.
    """
    texts = [text for item in items for text in item.texts]
    right = np.array([option.key for item in items for option in item.options], dtype=int)
    sizes = np.array([len(item.options) for item in items])
    own = np.repeat(np.arange(len(items)), sizes)
    score = _cross_validated(texts, right, cluster_folds(items, n_folds, seed)[own], family)[:, 1]
    best = np.maximum.reduceat(score, np.r_[0, np.cumsum(sizes)[:-1]])
    top = np.isclose(score, best[own], rtol=0, atol=1e-9)
    credit = np.bincount(own, top & (right == 1)) / np.bincount(own, top)
    return _judged(items, credit, 1 / sizes)


def guess_from_context(items: Sequence[Item], family: Family, *, seed: int, n_folds: int = 5) -> Guess:
    """Find the place of the key from the stem without its options.

    Args:
        items: Items with equally many options, each with exactly one right one.
        family: The learner.
        seed: Of the folds.
        n_folds: Folds.
    """
    texts = [f"{item.system or ''}\n{item.prompt}" for item in items]
    place = np.array([item.key_at for item in items], dtype=int)
    score = _cross_validated(texts, place, cluster_folds(items, n_folds, seed), family)
    top = np.isclose(score, score.max(axis=1, keepdims=True), rtol=0, atol=1e-9)
    credit = top[np.arange(len(items)), place] / top.sum(axis=1)
    chance = max(1 / len(items[0].options), np.bincount(place).max() / len(items))
    return _judged(items, credit, np.full(len(items), chance))


def _cross_validated(
    texts: Sequence[str], label: Int[np.ndarray, " n"], fold: Int[np.ndarray, " n"], family: Family
) -> Float[np.ndarray, "n labels"]:
    """Score of each label for each text from a learner that saw only other folds; equal texts are read once."""
    unique, at = np.unique(np.array(texts, dtype=object), return_inverse=True)
    score = np.zeros((len(texts), int(label.max()) + 1))
    if not any(text.strip() for text in unique):
        return score
    vectorise, learner = _MAKE[family]()
    features = vectorise.fit_transform(unique.tolist())
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        seen = np.unique(label[train])
        if len(seen) < 2:
            continue
        score[test] = -np.inf
        rows, weight, y = _counted(at[train], label[train])
        learner.fit(features[rows], y, sample_weight=weight)
        score[np.ix_(test, learner.classes_)] = learner.predict_log_proba(features[at[test]])
    return score


def _counted(at: Int[np.ndarray, " n"], label: Int[np.ndarray, " n"]) -> tuple[Any, Any, Any]:
    """Equal rows as one with a weight: sets with fixed options have only a handful of texts."""
    pairs, count = np.unique(np.stack([at, label], axis=1), axis=0, return_counts=True)
    return pairs[:, 0], count.astype(float), pairs[:, 1]


def _judged(items: Sequence[Item], credit: Float[np.ndarray, " items"], chance: Float[np.ndarray, " items"]) -> Guess:
    from scipy.stats import norm

    names = {name: i for i, name in enumerate(dict.fromkeys(item.cluster_id for item in items))}
    cluster = np.array([names[item.cluster_id] for item in items])
    excess = np.bincount(cluster, credit - chance)
    # The null's own variance is a floor: a learner that always guesses alike shows none.
    spread = max(np.sum((excess - excess.mean()) ** 2), np.sum(chance * (1 - chance)))
    z = excess.sum() / np.sqrt(spread) if spread > 0 else 0.0
    return Guess(float(credit.mean()), float(chance.mean()), float(norm.sf(z)), credit)


def _naive_bayes() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    # Counts of texts without a word would be empty rows; their score is then the same for each label.
    return CountVectorizer(tokenizer=words, token_pattern=None, lowercase=False), MultinomialNB(fit_prior=False)


def _logistic_regression() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, max_features=5000)
    return features, LogisticRegression(C=3.0, max_iter=200, class_weight="balanced")


_MAKE: dict[str, Callable[[], tuple[Any, Any]]] = {
    "naive bayes": _naive_bayes,
    "logistic regression": _logistic_regression,
}
