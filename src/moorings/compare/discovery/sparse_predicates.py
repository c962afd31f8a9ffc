"""Words for the latents of a sparse code, found without seeing the arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.discovery.clusters import ClusterLabel, label_clusters
from moorings.compare.representations.ngrams import NgramTable

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["describe_latent"]


def describe_latent(
    codes_column: Float[np.ndarray, " n"],
    table: NgramTable,
    *,
    n_words: int = 6,
    min_active: int = 8,
    min_auc: float = 0.7,
) -> ClusterLabel | None:
    """Say when a latent is active, by the phrases that predict it best.

    All texts on which it is active count alike, weak activations included, so that the label is not written
    from the few most extreme texts.

    Args:
        codes_column: Activations on n texts, >= 0.
        table: Phrases of the same texts.
        n_words: Most phrases of the label.
        min_active: Fewest texts with, and fewest without, activation.
        min_auc: Least area under the ROC curve of the label on these texts; chance alone reaches about 0.6.

    Returns:
        The label, or None if the latent is active on too few or too many texts or no phrases predict it.
    """
    active = codes_column > 0
    if min(active.sum(), (~active).sum()) < min_active:
        return None
    label = label_clusters(table, active, n_words=n_words)
    return label if label.auc >= min_auc else None
