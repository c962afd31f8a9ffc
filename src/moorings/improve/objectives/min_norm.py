"""The point of smallest norm in a convex hull: of scalars in closed form (PAMA), of vectors by active sets (MGDA)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["closest_to_zero", "min_norm_weights", "weights_to_zero"]


def closest_to_zero(values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, ...]:
    """Projection of 0 on [min, max] of the first axis: theorem 1 of PAMA (arXiv:2508.07768).

    >>> closest_to_zero(np.array([[2.0, -1.0, -3.0], [5.0, 4.0, -1.0]])).tolist()
    [2.0, 0.0, -1.0]
    """
    return np.asarray(np.clip(0.0, values.min(axis=0), values.max(axis=0)))


def weights_to_zero(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights on the simplex whose sum of values is `closest_to_zero`, in O(n); at most two are not 0.

    >>> weights_to_zero(np.array([3.0, -1.0])).tolist()
    [0.25, 0.75]
    """
    weights = np.zeros(len(values))
    low, high = int(values.argmin()), int(values.argmax())
    a, b = values[low], values[high]
    if a >= 0 or a == b:
        weights[low] = 1.0
    elif b <= 0:
        weights[high] = 1.0
    else:
        weights[low], weights[high] = b / (b - a), -a / (b - a)
    return weights


def min_norm_weights(gradients: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Weights on the simplex that make the weighted sum of rows shortest: exact MGDA, O(n^2 d).

    The problem min |G'c|^2 with c >= 0, sum c = 1 is, up to scale, min |G'u|^2 + (sum u - 1)^2 with u >= 0: with the
    scale s = sum u of its solution, u = s c. The factor n rows are reduced to n columns by QR.
    """
    scale = float(np.linalg.norm(gradients, axis=1).max())
    n = len(gradients)
    if not scale:
        return np.full(n, 1.0 / n)
    corner = np.linalg.qr(gradients.T / scale, mode="r")
    solved, _ = nnls(np.vstack([corner, np.ones(n)]), np.append(np.zeros(len(corner)), 1.0))
    return np.asarray(solved / solved.sum())
