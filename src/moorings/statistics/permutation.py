"""Within-prompt permutation tests of the sharp null: for every prompt both arms answer alike.

All responses to one prompt are exchangeable under that null, whatever the prompts have in common, so
the test is exact at any number of samples. Rejecting it means that the arms differ on some prompt,
not that they differ on average; for the average see `paired`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from moorings.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["contrast_weights", "permutation_p", "permute_many", "permute_within", "within_prompt_p"]

_CELLS = 4_000_000


def permute_many(
    arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"], n_draws: int, rng: np.random.Generator
) -> Int[np.ndarray, "n_draws n"]:
    """Shuffle arm labels within each prompt, `n_draws` times independently."""
    if len(arm) != len(prompt):
        raise InputError(f"arm has {len(arm)} rows and prompt {len(prompt)}; give one of each a response")
    order = np.argsort(prompt, kind="stable")
    rank = np.unique(prompt[order], return_inverse=True)[1]
    shuffled = np.argsort(rank + rng.random((n_draws, len(arm))), axis=1)
    out = np.empty((n_draws, len(arm)), dtype=arm.dtype)
    out[:, order] = arm[order][shuffled]
    return out


def permute_within(
    arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Shuffle arm labels within each prompt; every prompt keeps its number of responses per arm.

    >>> permute_within(np.array([0, 1, 1]), np.array([0, 1, 1]), np.random.default_rng(0))
    array([0, 1, 1])
    """
    return np.asarray(permute_many(arm, prompt, 1, rng)[0])


def contrast_weights(arms: Int[np.ndarray, "b n"], prompt: Int[np.ndarray, " n"]) -> Float[np.ndarray, "b n"]:
    """Weights whose product with values is the mean over prompts of candidate less precursor.

    Permuted labels keep the counts of each prompt, so the counts of the first row serve all. Prompts
    that only one arm answered have weight zero.
    """
    index = np.unique(prompt, return_inverse=True)[1]
    ones = np.bincount(index, weights=arms[0])
    zeros = np.bincount(index) - ones
    both = (ones > 0) & (zeros > 0)
    n_prompts = max(int(both.sum()), 1)
    up = np.where(both, 1.0 / np.maximum(ones, 1.0), 0.0)[index] / n_prompts
    down = np.where(both, 1.0 / np.maximum(zeros, 1.0), 0.0)[index] / n_prompts
    return np.where(arms == 1, up, -down)


def permutation_p(hits: Int[np.ndarray, " k"], n_draws: int) -> Float[np.ndarray, " k"]:
    """Turn the number of draws at least as extreme into p-values that are never zero.

    Source: Phipson and Smyth 2010, Permutation p-values should never be zero.
    """
    return (1.0 + hits) / (1.0 + n_draws)


def within_prompt_p(
    values: Float[np.ndarray, "n k"],
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    *,
    n_draws: int = 2_000,
    rng: np.random.Generator,
) -> Float[np.ndarray, " k"]:
    """Test per column whether both arms answer every prompt alike.

    The statistic is the mean over prompts of the difference of arm means. A missing value stands at
    its prompt's pooled mean, which no shuffling changes, so the test stays exact. All columns share
    the same draws.

    Args:
        values: What each response shows of each behaviour; NaN is missing.
        arm: 0 precursor, 1 candidate.
        prompt: Prompt of each row, any integers.
        n_draws: Shuffles, >= 1; no p is below 1 / (1 + n_draws).
        rng: Source of the shuffles.

    Returns:
        Two-sided p-values in (0, 1].

    Raises:
        InputError: Columns differ in length.
    """
    if values.ndim != 2 or len(values) != len(arm):
        raise InputError(f"values {values.shape} and arm {arm.shape} do not match; give one row a response")
    n = len(arm)
    names, index = np.unique(prompt, return_inverse=True)
    gather = sparse.csr_array((np.ones(n), (index, np.arange(n))), shape=(len(names), n))
    seen = ~np.isnan(values)
    filled = np.where(seen, values, 0.0)
    means = (gather @ filled) / np.maximum(gather @ seen.astype(np.float64), 1.0)
    centred = np.where(seen, filled - means[index], 0.0)
    weights = contrast_weights(arm[None, :], prompt)
    bar = np.abs(weights @ centred)[0] - 1e-10 * (np.abs(weights) @ np.abs(centred))[0]
    hits = np.zeros(values.shape[1], dtype=np.int64)
    step = max(1, _CELLS // max(n, 1))
    for start in range(0, n_draws, step):
        arms = permute_many(arm, prompt, min(step, n_draws - start), rng)
        hits += (np.abs(contrast_weights(arms, prompt) @ centred) >= bar).sum(axis=0)
    return permutation_p(hits, n_draws)
