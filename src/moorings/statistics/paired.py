"""Paired effects: how much more one arm shows a behaviour than the other, prompt by prompt.

Each prompt gives one difference of arm means; prompts of one family are dependent and count as one
unit. The mean over prompts is tested with a cluster-robust t (Miller 2024, arXiv:2411.00640, with the
finite-cluster factor G/(G-1)) and with a sign-flip randomisation of whole families, which needs no
normality. Both speak of the mean null: that over prompts like these the average difference is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse, special

from moorings.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["MIN_FAMILIES", "PairedEffects", "cluster_robust", "interval", "prompt_differences", "sign_flip_p"]

MIN_FAMILIES = 8
"""Fewer independent units than this give no standard error: the uncertainty itself is unknown."""
_COLUMNS = 64
_CELLS = 4_000_000


class PairedEffects(NamedTuple):
    """Mean paired differences of k behaviours, one entry a behaviour."""

    estimate: Float[np.ndarray, " k"]
    """Mean over prompts; NaN where no prompt has a difference."""
    se: Float[np.ndarray, " k"]
    """Cluster-robust standard error; NaN with fewer than `MIN_FAMILIES` families."""
    t: Float[np.ndarray, " k"]
    p: Float[np.ndarray, " k"]
    """Two-sided; NaN where `se` is."""
    df: Float[np.ndarray, " k"]
    """Families less one."""
    n_prompts: Int[np.ndarray, " k"]
    n_families: Int[np.ndarray, " k"]


def prompt_differences(
    values: Float[np.ndarray, "n k"], arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"], n_prompts: int
) -> Float[np.ndarray, "n_prompts k"]:
    """Subtract the precursor's mean from the candidate's, prompt by prompt.

    Args:
        values: What each response shows of each behaviour; NaN is missing and left out.
        arm: 0 precursor, 1 candidate.
        prompt: Index of each row's prompt, below `n_prompts`.
        n_prompts: Rows of the result.

    Returns:
        Mean of arm 1 less mean of arm 0; NaN where a side has no value.

    Raises:
        InputError: Columns differ in length, or an arm is neither 0 nor 1.

    >>> prompt_differences(np.array([[0.0], [1.0], [1.0], [np.nan]]), np.array([0, 0, 1, 1]), np.zeros(4, int), 1)
    array([[0.5]])
    """
    if values.ndim != 2 or not len(values) == len(arm) == len(prompt):
        raise InputError(
            f"values {values.shape}, arm {arm.shape} and prompt {prompt.shape} do not match; give one row a response"
        )
    if not np.isin(arm, (0, 1)).all():
        raise InputError("arm holds numbers other than 0 and 1; select two arms first")
    n = len(values)
    cell = 2 * prompt.astype(np.int64) + arm
    gather = sparse.csr_array((np.ones(n), (cell, np.arange(n))), shape=(2 * n_prompts, n))
    out = np.empty((n_prompts, values.shape[1]))
    for start in range(0, values.shape[1], _COLUMNS):
        block = values[:, start : start + _COLUMNS].astype(np.float64)
        seen = ~np.isnan(block)
        counts = gather @ seen.astype(np.float64)
        with np.errstate(invalid="ignore"):
            means = (gather @ np.where(seen, block, 0.0)) / counts
        out[:, start : start + _COLUMNS] = means[1::2] - means[0::2]
    return out


def _family_sums(
    d: Float[np.ndarray, "n_prompts k"], families: Int[np.ndarray, " n_prompts"]
) -> Float[np.ndarray, "G k"]:
    """Sum rows family by family."""
    if d.ndim != 2 or len(d) != len(families):
        raise InputError(f"d {d.shape} and families {families.shape} do not match; give one family a prompt")
    names, index = np.unique(families, return_inverse=True)
    gather = sparse.csr_array((np.ones(len(d)), (index, np.arange(len(d)))), shape=(len(names), len(d)))
    return np.asarray(gather @ d)


def cluster_robust(d: Float[np.ndarray, "n_prompts k"], families: Int[np.ndarray, " n_prompts"]) -> PairedEffects:
    """Estimate the mean paired difference of each column with a cluster-robust t test.

    Var(D) = G/(G-1) * sum_g [sum_{i in g} (d_i - D)]^2 / n^2, with G - 1 degrees of freedom. Where
    all families agree exactly the standard error is 0 and tells nothing; p is then that of the exact
    sign-flip test, 2^(1-G), or 1 if the difference is zero, so it is never 0.

    Args:
        d: Differences as from `prompt_differences`; NaN rows are left out column by column.
        families: Family of each prompt, any integers.

    Returns:
        The effects; `se`, `t` and `p` are NaN with fewer than `MIN_FAMILIES` families.

    Raises:
        InputError: `families` does not have one entry a row.

    Source: Miller 2024 (arXiv:2411.00640), clustered standard errors of paired differences.
    """
    seen = ~np.isnan(d)
    n = seen.sum(axis=0)
    per_family = _family_sums(seen.astype(np.float64), families)
    g = (per_family > 0).sum(axis=0)
    total = _family_sums(np.where(seen, d, 0.0), families)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = np.where(n > 0, total.sum(axis=0) / n, np.nan)
        residual = total - per_family * np.nan_to_num(estimate)
        se = np.sqrt(g / (g - 1.0) * np.square(residual).sum(axis=0)) / n
        scale = np.abs(np.where(seen, d, 0.0)).max(axis=0, initial=0.0)
        estimate = np.where(np.abs(estimate) <= 1e-13 * scale, 0.0, estimate)
        se = np.where(se <= 1e-12 * scale, 0.0, se)
        t = np.where((se == 0) & (estimate == 0), 0.0, estimate / se)
        df = np.maximum(g - 1.0, 0.0)
        p = 2.0 * special.stdtr(df, -np.abs(t))
        p = np.where(se > 0, p, np.where(estimate == 0, 1.0, np.exp2(1.0 - g)))
    few = g < MIN_FAMILIES
    se, t, p = (np.where(few, np.nan, column) for column in (se, t, p))
    return PairedEffects(estimate, se, t, p, df, n, g)


def sign_flip_p(
    d: Float[np.ndarray, "n_prompts k"],
    families: Int[np.ndarray, " n_prompts"],
    *,
    n_draws: int = 20_000,
    rng: np.random.Generator,
) -> Float[np.ndarray, " k"]:
    """Test each column's mean by flipping the sign of whole families.

    Exact in any number of families where differences are symmetric about zero. All sign patterns are
    used where there are no more than `n_draws`; otherwise p = (1 + hits) / (1 + n_draws), so nothing
    below 1 / (1 + n_draws) can come out. A missing difference counts as none. All columns share the
    same draws.

    Args:
        d: Differences as from `prompt_differences`.
        families: Family of each prompt, any integers.
        n_draws: Random sign patterns, >= 1.
        rng: Source of the signs.

    Returns:
        Two-sided p-values in (0, 1].

    Raises:
        InputError: `families` does not have one entry a row.

    Source: Winkler et al. 2014, Permutation inference for the general linear model (whole-block sign flips).
    """
    sums = _family_sums(np.nan_to_num(d, nan=0.0), families)
    g = len(sums)
    scale = np.abs(sums).sum(axis=0)
    # Single precision halves the time of the products; ties must still count, so the bar is a hair lower.
    bar = (np.abs(sums.sum(axis=0)) - 4e-6 * scale).astype(np.float32)
    small = sums.astype(np.float32)
    exact = g < 63 and 2**g <= n_draws
    total = 2**g if exact else n_draws
    hits = np.zeros(d.shape[1], dtype=np.int64)
    step = max(1, _CELLS // max(g, d.shape[1], 1))
    for start in range(0, total, step):
        size = min(step, total - start)
        signs = _all_signs(start, size, g) if exact else _random_signs(size, g, rng)
        hits += (np.abs(signs @ small) >= bar).sum(axis=0)
    return hits / total if exact else (1.0 + hits) / (1.0 + total)


def _all_signs(start: int, size: int, g: int) -> Float[np.ndarray, "size g"]:
    """Sign patterns number `start` and following."""
    bits = (np.arange(start, start + size)[:, None] >> np.arange(g)) & 1
    return 1.0 - 2.0 * bits.astype(np.float32)


def _random_signs(size: int, g: int, rng: np.random.Generator) -> Float[np.ndarray, "size g"]:
    """Draw fair signs, one random bit each."""
    drawn = rng.integers(0, 256, (size, -(-g // 8)), dtype=np.uint8)
    return 1.0 - 2.0 * np.unpackbits(drawn, axis=1, count=g).astype(np.float32)


def interval(
    effects: PairedEffects, level: float | Float[np.ndarray, " k"], *, bound: float | None = None
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Give each effect's t interval.

    Where all families agree exactly (`se` 0) the t interval has no width, which is false certainty:
    with `bound` it is widened by the largest share of unlike families that could have gone unseen,
    1 - (1 - level)^(1/G), each at most `bound` in size.

    Args:
        effects: As from `cluster_robust`.
        level: Confidence in (0, 1), one for all or one each.
        bound: Largest absolute difference that a prompt can have, 1 for shares; None leaves zero width.

    Returns:
        Lower and upper ends; NaN where the standard error is unknown.
    """
    level_k = np.broadcast_to(np.asarray(level, dtype=np.float64), effects.estimate.shape)
    df = np.maximum(effects.df, 1.0)
    half = special.stdtrit(df, 0.5 + level_k / 2.0) * effects.se
    low, high = effects.estimate - half, effects.estimate + half
    if bound is None:
        return low, high
    unseen = -np.expm1(np.log1p(-level_k) / (df + 1.0))
    flat = effects.se == 0
    rest = effects.estimate * (1.0 - unseen)
    return np.where(flat, rest - unseen * bound, low), np.where(flat, rest + unseen * bound, high)
