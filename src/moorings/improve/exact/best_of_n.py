"""Best of n on stored answers: what the best of n draws is worth, without bias and for every n at once.

Unbiased estimator (Nakano et al. 2021, arXiv:2112.09332; eq. in Coste et al. 2023, arXiv:2310.02743): of N answers
sorted by score, the i-th is the best of n drawn without replacement with probability C(i - 1, n - 1) / C(N, n), computed
in logarithms. Answers of equal score share their ranks' probabilities, as if ties were broken at random; answers are
told apart by their index, never by their text.

KL axis: ln n - (n - 1) / n (Gao et al. 2022, arXiv:2210.10760), which assumes that no score comes twice. With ties the KL
is smaller. On a finite policy all is exact, for any n: with F the probability of at most a score and F- of less, the best
of n draws has it with probability F^n - F-^n, and shares it among the answers of that score as the policy does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from moorings.errors import ConfigError
from moorings.improve.exact.policy import SoftmaxPolicy

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["best_of_n_policy", "best_of_n_value", "rank_probabilities", "selection_kl", "selection_weights"]


_LEAST = -700.0
"""Log-probabilities below this are 0 to a float; a finite one keeps 0 ln 0 at 0."""


def rank_probabilities(n_answers: int, n: int) -> Float[np.ndarray, " answers"]:
    """Probability that the answer of each rank, worst first, is the best of n drawn without replacement.

    Raises:
        ConfigError: n is not between 1 and the number of answers.

    >>> rank_probabilities(4, 2).round(4).tolist()
    [0.0, 0.1667, 0.3333, 0.5]
    """
    if not 1 <= n <= n_answers:
        raise ConfigError(f"best of {n} of {n_answers} answers is asked for; n must be 1 to {n_answers}")
    ranks = np.arange(n, n_answers + 1)

    def log_choose(a: np.ndarray | int, b: int) -> np.ndarray:
        return np.asarray(gammaln(np.add(a, 1)) - gammaln(b + 1) - gammaln(np.subtract(a, b) + 1))

    out = np.zeros(n_answers)
    out[n - 1 :] = np.exp(log_choose(ranks - 1, n - 1) - log_choose(n_answers, n))
    return out


def selection_weights(scores: Float[np.ndarray, "prompts answers"], n: int) -> Float[np.ndarray, "prompts answers"]:
    """Probability that each answer is the one kept from n drawn without replacement, ties broken at random.

    Raises:
        ConfigError: n is too large, or a score is missing.
    """
    if np.isnan(scores).any():
        raise ConfigError(f"{int(np.isnan(scores).sum())} scores are missing; leave those answers out of the choice")
    by_rank = rank_probabilities(scores.shape[1], n)
    order = np.argsort(scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    fresh = np.ones(scores.shape, dtype=bool)
    fresh[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    tie = np.cumsum(fresh) - 1
    shared = np.bincount(tie, weights=np.tile(by_rank, len(scores))) / np.bincount(tie)
    out = np.empty(scores.shape)
    np.put_along_axis(out, order, shared[tie].reshape(scores.shape), axis=1)
    return out


def best_of_n_value(
    scores: Float[np.ndarray, "prompts answers"], values: Float[np.ndarray, "prompts answers"], n: int
) -> Float[np.ndarray, " prompts"]:
    """Expected value of the answer that has the best score among n.

    Args:
        scores: What the choice is made by.
        values: What the chosen answer is worth, such as its gold reward, or its length.
        n: Draws, 1 to the number of answers.
    """
    return np.asarray((selection_weights(scores, n) * values).sum(axis=1))


def selection_kl(scores: Float[np.ndarray, "prompts answers"], n: int) -> Float[np.ndarray, " prompts"]:
    """KL in nats of the best of n from one draw, where draws are uniform over the stored answers, ties counted.

    >>> selection_kl(np.array([[1.0, 2.0], [3.0, 3.0]]), 2).round(4).tolist()
    [0.1308, 0.0]
    """
    return best_of_n_policy(SoftmaxPolicy.uniform(*scores.shape), scores, n).kl()


def best_of_n_policy(policy: SoftmaxPolicy, scores: Float[np.ndarray, "prompts answers"], n: int) -> SoftmaxPolicy:
    """The policy that draws n answers and keeps the best, with the given one as its start policy.

    Args:
        policy: What is drawn from.
        scores: What the choice is made by.
        n: Draws, >= 1, however many.
    """
    log_p = policy.log_p
    tilt = np.empty(scores.shape)
    for row, some, own in zip(tilt, scores, log_p, strict=True):
        _, level = np.unique(some, return_inverse=True)
        mass = np.full(level.max() + 1, -np.inf)
        np.logaddexp.at(mass, level, own)
        upper = np.minimum(np.logaddexp.accumulate(mass), 0.0)
        upper[-1] = 0.0
        lower = np.append(-np.inf, upper[:-1])
        # ln(F^n - F-^n), of which the second is the smaller.
        with np.errstate(divide="ignore"):
            best = n * upper + np.log1p(-np.exp(n * (lower - upper)))
        row[:] = (best - mass)[level]
    return SoftmaxPolicy(np.maximum(tilt, _LEAST), base=log_p)
