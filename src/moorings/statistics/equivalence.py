"""Showing sameness: a difference that was not found is not yet a difference that is not there.

`tost` is the two one-sided tests for one behaviour. `kernel_equivalence` bounds the difference of
whole distributions: an upper confidence bound on the MMD is compared with a margin. The bound is our
own construction, not that of arXiv:2603.10886: by the triangle inequality the true MMD is at most
the observed one plus the size of its error, and the error's size is estimated by flipping the signs
of centred families (wild bootstrap). It is conservative, most so where both are alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse, special

from moorings.errors import ConfigError, InputError
from moorings.statistics.paired import MIN_FAMILIES
from moorings.statistics.permutation import contrast_weights

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["KernelEquivalence", "kernel_equivalence", "tost"]


def tost(estimate: ArrayLike, se: ArrayLike, df: ArrayLike, margin: ArrayLike) -> Float[np.ndarray, "*shape"]:
    """Test that a difference lies within +-margin; a small p shows sameness.

    Args:
        estimate: Difference, in any unit.
        se: Its standard error, >= 0; NaN gives NaN. 0 gives p = 0 inside the margin: where all families
            agree exactly, use `paired.interval` with a bound instead.
        df: Degrees of freedom of the t distribution.
        margin: Largest difference that does not matter, > 0.

    Returns:
        The larger of the two one-sided p-values. p <= alpha exactly when the interval of level
        1 - 2 alpha lies inside the margin.

    Raises:
        ConfigError: A margin that is not positive.

    Source: Schuirmann 1987.

    >>> round(float(tost(0.0, 0.01, 50, 0.02)), 4)
    0.0255
    """
    if not (np.asarray(margin) > 0).all():
        raise ConfigError(
            f"margin {margin!r} is not allowed; give the largest difference that does not matter, above 0"
        )
    se = np.asarray(se, dtype=np.float64)
    room = np.asarray(margin, dtype=np.float64) - np.abs(np.asarray(estimate, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((se == 0) & (room == 0), 0.0, room / se)
    return np.asarray(special.stdtr(np.asarray(df, dtype=np.float64), -t))


class KernelEquivalence(NamedTuple):
    """Result of `kernel_equivalence`."""

    mmd: float
    """Observed distance of the arms' mean embeddings, not squared; biased upwards."""
    upper: float
    """Upper confidence bound on the true distance."""
    p: float
    """Of the hypothesis that the true distance is at least the margin; small shows sameness."""


def kernel_equivalence(
    gram: Float[np.ndarray, "n n"],
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    families: Int[np.ndarray, " n"],
    *,
    margin: float,
    level: float = 0.95,
    n_draws: int = 2_000,
    rng: np.random.Generator,
) -> KernelEquivalence:
    """Bound the MMD between two arms from above, over prompts like these.

    The distance is that of the arms' mean embeddings averaged over prompts, each prompt counting once.

    Args:
        gram: Kernel between all rows, positive semi-definite.
        arm: 0 precursor, 1 candidate.
        prompt: Prompt of each row, any integers.
        families: Family of each row's prompt; families are the independent units.
        margin: Largest distance that does not matter, > 0, a distance: 0 to sqrt(2) for kernels with k(x, x) = 1.
        level: Confidence of the bound, in (0, 1).
        n_draws: Sign patterns, >= 1.
        rng: Source of the signs.

    Returns:
        Observed distance, bound and p; the bound and p are NaN with fewer than 8 families.

    Raises:
        ConfigError: margin or level outside their ranges.
        InputError: Sizes do not match.

    Source: this project; asymptotically valid by Mammen 1993 (wild bootstrap) and the triangle inequality.
    """
    if not margin > 0 or not 0 < level < 1:
        raise ConfigError(f"margin {margin}, level {level} are not allowed; use margin > 0 and level between 0 and 1")
    n = len(arm)
    if gram.shape != (n, n) or len(prompt) != n or len(families) != n:
        raise InputError(f"gram {gram.shape} does not fit {n} rows; give an n x n Gram matrix and columns of length n")
    weights = contrast_weights(arm[None, :], prompt)[0]
    used = weights != 0
    names, index = np.unique(families[used], return_inverse=True)
    g = len(names)
    columns = np.flatnonzero(used)
    gather = sparse.csr_array((weights[columns], (index, columns)), shape=(g, n))
    between = np.asarray(gather @ np.asarray((gather @ gram).T, dtype=np.float64))
    mmd = float(np.sqrt(max(between.sum(), 0.0)))
    if g < MIN_FAMILIES:
        return KernelEquivalence(mmd, float("nan"), float("nan"))
    share = np.bincount(index, weights=np.abs(weights[columns])) / 2.0
    # Each family's part less its share of the whole, in feature space.
    touching = between.sum(axis=1)
    centred = between - np.outer(share, touching) - np.outer(touching, share) + np.outer(share, share) * touching.sum()
    signs = rng.choice(np.array([-1.0, 1.0]), size=(n_draws, g))
    squared = np.einsum("bg,bg->b", signs @ centred, signs) * g / (g - 1.0)
    error = np.sqrt(np.maximum(squared, 0.0))
    upper = mmd + float(np.quantile(error, level, method="higher"))
    p = (1.0 + float((error >= margin - mmd).sum())) / (1.0 + n_draws)
    return KernelEquivalence(mmd, upper, p)
