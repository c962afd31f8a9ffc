"""Embeddings with the prompt, and what is known to be style, taken out.

Without this, clusters are prompts: responses to one prompt are alike whoever wrote them, and length or
markdown moves an embedding more than what is said. The arm is never seen, so clusters of the result may
be tested on the same responses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["residualise"]

_RIDGE = 1e-3
"""Penalty per response on standardised columns: only keeps collinear columns from blowing up."""
_LEAST_NORM = 1e-4
"""A remainder shorter than this is rounding; scaled up it would be a random direction, so it becomes zero."""


def residualise(
    embeddings: Float[np.ndarray, "n d"],
    prompt: Int[np.ndarray, " n"],
    nuisance: Float[np.ndarray, "n q"] | None = None,
) -> Float[np.ndarray, "n d"]:
    """Subtract each prompt's mean over the responses of all arms, then what the nuisance columns explain.

    Args:
        embeddings: One row a response; rows of about unit length.
        prompt: Prompt of each response.
        nuisance: Columns such as log length and markdown density, of any scale. Their effect is estimated
            within prompts by ridge regression. Non-finite values count as the column's mean.

    Returns:
        Rows of unit length; a row of which nothing is left, such as a prompt's only response, is zero.

    Raises:
        ValueError: The inputs differ in length.
    """
    n = len(embeddings)
    if len(prompt) != n or (nuisance is not None and len(nuisance) != n):
        raise ValueError(f"{n} embeddings need as many prompts and nuisance rows; give one row a response")
    left = _within(np.asarray(embeddings, dtype=np.float64), prompt)
    if nuisance is not None and nuisance.shape[1]:
        left -= _explained(left, _within(_finite(nuisance), prompt))
    norm = np.linalg.norm(left, axis=1, keepdims=True)
    return np.where(norm > _LEAST_NORM, left / np.maximum(norm, _LEAST_NORM), 0.0)


def _within(values: Float[np.ndarray, "n q"], prompt: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n q"]:
    names, index, counts = np.unique(prompt, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, index, values)
    return np.asarray(values - (sums / counts[:, None])[index])


def _finite(columns: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n q"]:
    known = np.where(np.isfinite(columns), columns, np.nan).astype(np.float64)
    seen = np.isfinite(known)
    means = np.where(seen, known, 0.0).sum(0) / np.maximum(1, seen.sum(0))
    return np.where(seen, known, means)


def _explained(y: Float[np.ndarray, "n d"], z: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n d"]:
    """Fitted values of a ridge regression of `y` on `z`, both without a mean."""
    scale = z.std(0)
    z = z[:, scale > 1e-12] / scale[scale > 1e-12]
    gram = z.T @ z + _RIDGE * len(z) * np.eye(z.shape[1])
    return np.asarray(z @ np.linalg.solve(gram, z.T @ y))
