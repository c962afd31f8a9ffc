"""Positions and colours of responses on the map. For looking only: nothing is tested on them."""

from __future__ import annotations

import numpy as np

from moorings.compare.comparison import MapPoint
from moorings.compare.discovery.clusters import label_clusters
from moorings.compare.predicate import Table
from moorings.compare.representations.ngrams import count_ngrams
from moorings.compare.settings import Settings

__all__ = ["draw_map"]

_SHOWN = 280
"""Characters of a response and of a prompt that the map holds."""


def draw_map(table: Table, settings: Settings) -> tuple[tuple[MapPoint, ...], tuple[str, ...]]:
    """Place at most `map_points` responses so that like ones are near each other, and name their clusters."""
    corpus = table.corpus
    rows = np.flatnonzero(~corpus.missing)
    if settings.map_points < 10 or len(rows) < 10:
        return (), ()
    rng = np.random.default_rng([settings.seed, 3])
    chosen = np.sort(rng.choice(rows, size=min(settings.map_points, len(rows)), replace=False))
    x = table.embeddings[chosen]
    positions, clusters = _positions(x, settings.seed), _clusters(x, settings.seed)
    texts = [corpus.texts[i] for i in chosen]
    ngrams = count_ngrams(texts, min_texts=3, max_n=2)
    names = tuple(", ".join(label_clusters(ngrams, clusters == c).phrases[:4]) for c in range(int(clusters.max()) + 1))
    points = tuple(
        MapPoint(
            x=round(float(positions[i, 0]), 3),
            y=round(float(positions[i, 1]), 3),
            arm=int(corpus.arm[row]),
            cluster=int(clusters[i]),
            prompt=corpus.prompts[corpus.prompt[row]][:_SHOWN],
            text=corpus.texts[row][:_SHOWN],
        )
        for i, row in enumerate(chosen)
    )
    return points, names


def _positions(x: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    near = PCA(n_components=min(30, *x.shape), random_state=seed).fit_transform(x)
    # One thread: more of them gain little here, and lose tenfold where other work shares the cores.
    with threadpool_limits(1):
        maker = TSNE(perplexity=min(30, (len(x) - 1) / 3), max_iter=300, random_state=seed, init="pca")
        places = maker.fit_transform(near)
    spread: np.ndarray = (places - places.mean(0)) / np.abs(places).max()
    return spread


def _clusters(x: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    n_clusters = int(np.clip(len(x) // 40, 2, 12))
    return np.asarray(KMeans(n_clusters=n_clusters, n_init=4, random_state=seed).fit_predict(x))
