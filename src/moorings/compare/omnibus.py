"""Does anything differ at all? Two tests on the held-out prompts that need no hypothesis."""

from __future__ import annotations

import numpy as np

from moorings.compare.comparison import Omnibus
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.compare.split import Split
from moorings.statistics.classifier import classifier_test
from moorings.statistics.mmd import hamming_kernel, mmd_test, rbf_kernels, sample_prompts

__all__ = ["omnibus_tests"]

_MOST_ROWS = 4000


def omnibus_tests(table: Table, split: Split, settings: Settings) -> tuple[Omnibus, ...]:
    """Kernel test on embeddings and a classifier trained on the discovery prompts.

    The kernel test uses at most 4,000 responses, whole prompts chosen by the seed, as its cost grows with their square.
    """
    corpus, rng = table.corpus, np.random.default_rng([settings.seed, 2])
    confirm = split.confirm[corpus.prompt]
    rows = np.flatnonzero(confirm)
    chosen = rows[sample_prompts(corpus.prompt[rows], _MOST_ROWS, rng)]
    kernels = {
        **rbf_kernels(table.embeddings[chosen]),
        "characters": hamming_kernel([corpus.texts[i] for i in chosen.tolist()]),
    }
    mmd = mmd_test(kernels, corpus.arm[chosen], corpus.prompt[chosen], n_draws=1000, rng=rng)
    note = f"{len(chosen)} of {len(rows)} held-out responses; the most telling kernel: {mmd.name}"
    features = np.hstack([table.embeddings, _scaled(table.battery.values)])
    discover = split.discover[corpus.prompt]
    seen = classifier_test(
        features[discover],
        corpus.arm[discover],
        corpus.prompt[discover],
        features[confirm],
        corpus.arm[confirm],
        corpus.prompt[confirm],
        corpus.families,
        rng=rng,
    )
    return (
        Omnibus(name="kernel two-sample test (MMD)", statistic=mmd.statistic, p=mmd.p, note=note),
        Omnibus(
            name="classifier two-sample test",
            statistic=seen.auc,
            p=seen.p,
            note="area under the ROC curve on held-out prompts; 0.5 is no better than a guess",
        ),
    )


def _scaled(values: np.ndarray) -> np.ndarray:
    """Battery columns on the scale of an embedding's coordinates, by ranks so that no outlier dominates."""
    from scipy.stats import rankdata

    known = np.isfinite(values)
    middle = [np.median(column[seen]) if seen.any() else 0.0 for column, seen in zip(values.T, known.T, strict=True)]
    filled = np.where(known, values, middle)
    ranks = rankdata(filled, axis=0) / len(filled) - 0.5
    scaled: np.ndarray = ranks.astype(np.float32) / np.sqrt(values.shape[1])
    return scaled
