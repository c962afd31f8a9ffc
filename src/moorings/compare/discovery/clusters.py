"""Clusters of texts at several resolutions, and words for them that can be checked.

A cluster is only a place where a hypothesis comes from. What is tested is its label's own classifier, "holds at
least `min_hits` of these phrases", on all texts; the share of an arm in a cluster is never reported. No function
here sees the arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.compare.discovery.phrases import is_plain, without_redundant
from moorings.compare.representations.ngrams import END, START, NgramTable

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["ClusterLabel", "Hierarchy", "cluster_hierarchy", "label_clusters"]

_MICRO_PER_CLUSTER = 4
"""Micro-clusters for each cluster of the finest level."""
_TEXTS_PER_CLUSTER = 10
_POOL = 60
"""Phrases that a label is chosen from."""
_LEAST_GAIN = 0.005
_LEAST_MEMBERS = 3
"""Members that a further phrase has to win, net of others, to be more than chance."""
_MAX_HITS = 3


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Nested clusters: each cluster of a level lies within one of every coarser level."""

    levels: tuple[int, ...]
    """Clusters of each level, ascending; empty where there were too few texts for any."""
    centroids: Float[np.ndarray, "k d"]
    """Of the micro-clusters that all levels are made of."""
    parents: Int[np.ndarray, "k n_levels"]
    """Cluster of each micro-cluster, numbered from 0 within a level."""

    def assign(self, x: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n n_levels"]:
        """Cluster of each row at each level: that of the nearest micro-centroid. No row is without one."""
        return np.asarray(self.parents[_nearest(x, self.centroids)])


class ClusterLabel(NamedTuple):
    """A label that is its own classifier: a text belongs if it holds at least `min_hits` of the phrases."""

    phrases: tuple[str, ...]
    min_hits: int
    auc: float
    """Area under the ROC curve of the classifier on the texts that it was written from, so on the high side."""


def cluster_hierarchy(
    x: Float[np.ndarray, "n d"], *, levels: Sequence[int] = (8, 16, 32, 64), seed: int = 0
) -> Hierarchy:
    """Cluster texts into nested levels: k-means micro-clusters, joined by Ward's criterion.

    Args:
        x: Embeddings of pooled texts.
        levels: Clusters of each level, >= 2; those with fewer than 10 texts a cluster are left out.
        seed: Draws the first centroids.

    Raises:
        ValueError: A level is below 2.
    """
    if min(levels, default=2) < 2:
        raise ValueError(f"levels {tuple(levels)} given; a level needs at least 2 clusters")
    n = len(x)
    wanted = sorted({level for level in levels if level <= n / _TEXTS_PER_CLUSTER})
    centroids = _micro_centroids(x, min(_MICRO_PER_CLUSTER * wanted[-1], n // 2), seed) if wanted else x[:0]
    possible = tuple(level for level in wanted if level <= len(centroids))
    if not possible:
        return Hierarchy((), np.zeros((1, x.shape[1])), np.zeros((1, 0), dtype=int))
    from scipy.cluster.hierarchy import cut_tree, linkage

    parents = cut_tree(linkage(centroids, method="ward"), n_clusters=list(possible))
    return Hierarchy(possible, centroids, np.asarray(parents, dtype=int))


def label_clusters(table: NgramTable, members: Bool[np.ndarray, " n"], *, n_words: int = 6) -> ClusterLabel:
    """Write the label of a cluster from all its members.

    Phrases are ranked by class-based TF-IDF, (share among members - share among others) * log(1 + 1 / share).
    From the best, two labels are built greedily: one for "any of", one whose count of phrases separates best,
    with its best threshold. The better one is returned. If no phrase tells members from others, the label is
    the best one there is, with an `auc` near 0.5; it is empty only if the table or the cluster is.

    Args:
        table: Phrases of n texts.
        members: Texts of the cluster.
        n_words: Most phrases of the label, >= 1.

    Raises:
        ValueError: `members` differs in length from the table.
    """
    members = np.asarray(members, dtype=bool)
    if len(members) != table.presence.shape[0]:
        raise ValueError(f"{len(members)} members given for {table.presence.shape[0]} texts; give one value a text")
    pool = _pool(table, members)
    if not pool:
        return ClusterLabel((), 1, 0.5)
    holds = table.presence[:, pool].toarray().astype(np.int16)
    any_of = _greedy(holds, members, n_words, most=1)
    counted = _greedy(holds, members, n_words, most=n_words)
    options = [(chosen, hits) for chosen in (any_of, counted) for hits in range(1, min(_MAX_HITS, len(chosen)) + 1)]
    scores = [_auc((holds[:, chosen].sum(1) >= hits)[:, None], members)[0] for chosen, hits in options]
    chosen, hits = options[int(np.argmax(scores))]
    return ClusterLabel(tuple(table.vocabulary[pool[i]] for i in chosen), hits, float(max(scores)))


def _nearest(x: Float[np.ndarray, "n d"], centroids: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
    return np.asarray(np.argmin((centroids**2).sum(1) / 2 - x @ centroids.T, axis=1))


def _micro_centroids(x: Float[np.ndarray, "n d"], k: int, seed: int) -> Float[np.ndarray, "k d"]:
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(n_clusters=k, n_init=1, max_iter=20, batch_size=2048, random_state=seed).fit(x)
    used = np.unique(_nearest(x, model.cluster_centers_))
    return np.asarray(model.cluster_centers_[used])


def _pool(table: NgramTable, members: Bool[np.ndarray, " n"]) -> list[int]:
    """Phrases to write a label from, the most telling first, without those that say the same."""
    n, n_in = len(members), int(members.sum())
    if not table.vocabulary or not 0 < n_in < n:
        return []
    inside = np.asarray(table.presence[members].sum(0)).ravel()
    total = np.asarray(table.presence.sum(0)).ravel()
    excess = inside / n_in - (total - inside) / (n - n_in)
    score = excess * np.log1p(n / np.maximum(1, total))
    ranked = np.argsort(-score, kind="stable")[: 8 * _POOL]
    telling = [i for i in ranked if score[i] > 0 and _can_stand(table.vocabulary[i])]
    chosen = np.array(telling or ranked[:1], dtype=int)
    log_odds = np.log((inside + 0.5) / (total - inside + 0.5))
    return without_redundant(table, chosen, np.maximum(score, 0), log_odds)[:_POOL]


def _can_stand(phrase: str) -> bool:
    tokens = phrase.split(" ")
    return tokens[0] != START and tokens[-1] != END and not is_plain(phrase)


def _greedy(holds: Int[np.ndarray, "n c"], members: Bool[np.ndarray, " n"], n_words: int, *, most: int) -> list[int]:
    """Phrases whose count, cut off at `most`, separates members best, added one at a time."""
    chosen: list[int] = []
    count, best = np.zeros(len(members), dtype=np.int16), 0.5
    least = max(_LEAST_GAIN, _LEAST_MEMBERS / 2 / members.sum())
    while len(chosen) < n_words:
        scores = _auc(np.minimum(count[:, None] + holds, most), members)
        scores[chosen] = -1.0
        top = int(np.argmax(scores))
        if chosen and scores[top] < best + least:
            break
        chosen.append(top)
        count, best = count + holds[:, top], float(scores[top])
    return chosen


def _auc(counts: Int[np.ndarray, "n c"], members: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " c"]:
    """Area under the ROC curve of small counts, ties as half."""
    area, below = np.zeros(counts.shape[1]), np.zeros(counts.shape[1])
    for value in range(int(counts.max(initial=0)) + 1):
        equal = counts == value
        inside, outside = equal[members].mean(0), equal[~members].mean(0)
        area += inside * (below + outside / 2)
        below += outside
    return area
