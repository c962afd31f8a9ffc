"""Kernel two-sample test: does the distribution of responses differ at all?

Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) under several kernels at once.
The kernels are put on one scale by the permutations themselves and the largest counts, so that the
choice of kernel costs no error rate; labels are shuffled within prompts, which keeps the test exact
when responses to one prompt resemble each other. Gram matrices take n^2 memory: use `sample_prompts`
to stay near 4,000 rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import ConfigError, InputError
from moorings.statistics.permutation import permute_many

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["MmdTest", "hamming_kernel", "mmd2_unbiased", "mmd_test", "rbf_kernels", "sample_prompts"]

_BLOCK = 2_000
_MEDIAN_ROWS = 1_000


class MmdTest(NamedTuple):
    """Result of `mmd_test`."""

    statistic: float
    """Unbiased squared MMD under the kernel that stood out most; can be negative."""
    p: float
    name: str
    """That kernel."""


def _squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Squared Euclidean distances, never negative."""
    out = x @ y.T
    out *= -2.0
    out += np.square(x).sum(axis=1)[:, None]
    out += np.square(y).sum(axis=1)[None, :]
    return np.asarray(np.maximum(out, 0.0, out=out))


def _kernel_sum(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], bandwidth: float) -> float:
    """Sum the RBF kernel over all pairs, block by block."""
    total = 0.0
    for i in range(0, len(x), _BLOCK):
        for j in range(0, len(y), _BLOCK):
            distances = _squared_distances(x[i : i + _BLOCK], y[j : j + _BLOCK])
            total += float(np.exp(-distances / (2.0 * bandwidth**2)).sum())
    return total


def mmd2_unbiased(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], *, bandwidth: float) -> float:
    """Estimate squared MMD between two samples with an RBF kernel.

    Unbiased, so it can be negative. O((n+m)^2 d) time; blocks keep memory flat.

    Args:
        x: Precursor embeddings.
        y: Candidate embeddings.
        bandwidth: Kernel width in embedding units, > 0; k = exp(-|x - y|^2 / (2 bandwidth^2)).

    Returns:
        The estimate, in squared kernel units.

    Raises:
        InputError: A sample has fewer than two rows.
        ConfigError: bandwidth <= 0.

    Source: Gretton et al. 2012, eq. 3.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise InputError(f"samples of {n} and {m} rows are too small; give two rows or more of each")
    if not bandwidth > 0:
        raise ConfigError(f"bandwidth {bandwidth} is not allowed; give a positive width")
    within_x = (_kernel_sum(x, x, bandwidth) - n) / (n * (n - 1))
    within_y = (_kernel_sum(y, y, bandwidth) - m) / (m * (m - 1))
    return within_x + within_y - 2.0 * _kernel_sum(x, y, bandwidth) / (n * m)


def rbf_kernels(
    x: Float[np.ndarray, "n d"], factors: Sequence[float] = (0.5, 1.0, 2.0)
) -> dict[str, Float[np.ndarray, "n n"]]:
    """Make RBF Gram matrices at several multiples of the median distance.

    The median is taken over evenly spaced rows of both arms together, blind to labels.

    Args:
        x: Embeddings of all rows.
        factors: Multiples of the median distance, > 0.

    Returns:
        Gram matrices in single precision, named `rbf 0.5` and so on.

    Source: Gretton et al. 2012 (median heuristic).
    """
    # Double precision, so that equal rows are at distance zero and shuffles of them tie exactly.
    x = np.asarray(x, dtype=np.float64)
    distances = _squared_distances(x, x)
    few = distances[:: -(-len(x) // _MEDIAN_ROWS)]
    positive = few[few > 1e-9 * float(np.square(x).sum(axis=1).mean())]
    median2 = float(np.median(positive)) if positive.size else 1.0
    scaled = (distances / (-2.0 * median2)).astype(np.float32)
    return {f"rbf {factor:g}": np.exp(scaled / np.float32(factor**2)) for factor in factors}


def hamming_kernel(texts: Sequence[str], n_bytes: int = 128) -> Float[np.ndarray, "n n"]:
    """Make the Gram matrix of the share of the first `n_bytes` UTF-8 bytes at which two texts agree.

    Shorter texts are padded, so two ended texts agree on the rest. O(n^2 n_bytes) time.

    Source: Gao et al. 2024, Model equality testing (arXiv:2410.20247), Hamming kernel.
    """
    rows = [text.encode("utf-8", "surrogatepass")[:n_bytes].ljust(n_bytes, b"\0") for text in texts]
    columns = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), n_bytes).T
    agree = np.zeros((len(rows), len(rows)), dtype=np.uint16)
    for column in columns:
        agree += column[:, None] == column[None, :]
    return agree.astype(np.float32) / np.float32(n_bytes)


def sample_prompts(prompt: Int[np.ndarray, " n"], max_rows: int, rng: np.random.Generator) -> Int[np.ndarray, " kept"]:
    """Choose whole prompts at random until about `max_rows` rows are reached; returns sorted row numbers.

    Blind to labels, so a test on the chosen rows stays exact.
    """
    index = np.unique(prompt, return_inverse=True)[1]
    counts = np.bincount(index)
    order = rng.permutation(len(counts))
    kept = order[np.cumsum(counts[order]) <= max(max_rows, int(counts[order[0]]))]
    return np.flatnonzero(np.isin(index, kept))


def _statistics(gram: Float[np.ndarray, "n n"], arms: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
    """Unbiased squared MMD of each labelling; the diagonal of `gram` must be zero."""
    rows = gram.sum(axis=1)
    ones = np.einsum("bn,bn->b", arms @ gram, arms)
    touching = arms @ rows
    m = float(arms[0].sum())
    n = len(gram) - m
    zeros = rows.sum() - 2.0 * touching + ones
    return np.asarray(ones / (m * (m - 1)) + zeros / (n * (n - 1)) - 2.0 * (touching - ones) / (m * n))


def mmd_test(
    kernels: Mapping[str, Float[np.ndarray, "n n"]],
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    *,
    n_draws: int = 500,
    rng: np.random.Generator,
) -> MmdTest:
    """Test whether both arms answer every prompt alike, by the largest of several standardised MMDs.

    Each kernel's statistic is standardised by its mean and spread over the observed labelling and all
    shuffles together, which treats them alike, so the test is exact.

    Args:
        kernels: Name to Gram matrix over all rows, such as from `rbf_kernels`.
        arm: 0 precursor, 1 candidate.
        prompt: Prompt of each row, any integers.
        n_draws: Shuffles of labels within prompts, >= 1; no p is below 1 / (1 + n_draws).
        rng: Source of the shuffles.

    Returns:
        Statistic, p-value and name of the kernel that stood out most.

    Raises:
        InputError: No kernel, a Gram matrix of another size, or an arm with fewer than two rows.

    Source: Gretton et al. 2012, eq. 3; maximum over kernels as in Schrab et al. 2023 (arXiv:2110.15073).
    """
    shapes = {name: gram.shape for name, gram in kernels.items()}
    if not shapes or set(shapes.values()) != {(len(arm), len(arm))}:
        raise InputError(f"kernels {shapes} do not fit {len(arm)} rows; give n x n Gram matrices")
    if min(int((arm == 0).sum()), int((arm == 1).sum())) < 2:
        raise InputError("an arm has fewer than two responses; record more")
    shuffled = permute_many(arm, prompt, n_draws, rng)
    arms = np.concatenate([arm[None, :], shuffled]).astype(np.float64)
    raw, scale = [], []
    for gram in kernels.values():
        hollow = gram.astype(np.float64)
        np.fill_diagonal(hollow, 0.0)
        raw.append(_statistics(hollow, arms))
        scale.append([np.abs(hollow).mean()])
    values = np.stack(raw)
    spread = values.std(axis=1, keepdims=True)
    # A kernel that does not vary between shuffles holds no evidence; rounding must not make it up.
    flat = spread <= 1e-8 * np.array(scale)
    z = np.where(flat, 0.0, (values - values.mean(axis=1, keepdims=True)) / np.where(flat, 1.0, spread))
    largest = z.max(axis=0)
    best = int(z[:, 0].argmax())
    hits = int((largest[1:] >= largest[0] - 1e-6).sum())
    return MmdTest(float(values[best, 0]), (1.0 + hits) / (1.0 + n_draws), list(kernels)[best])
