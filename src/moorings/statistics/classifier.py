"""Classifier two-sample tests: can a linear model tell whose response it reads?

Two honest forms. `classifier_test` fits on one set of prompts and scores another: given the fit, the
scored prompts are fresh, so a sign-flip of their mean score differences is valid. `out_of_fold_test`
uses all prompts for both; there each score depends on the other prompts' labels, so shuffling the
scores alone would be invalid: the model is refitted for every shuffle, which ridge regression allows
as one matrix product (Lopez-Paz and Oquab 2017, arXiv:1610.06545, with permutations as in Kim et al.
2021, arXiv:1602.02210).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from moorings.errors import ConfigError, InputError
from moorings.statistics.paired import prompt_differences, sign_flip_p
from moorings.statistics.permutation import contrast_weights, permute_many

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["ClassifierTest", "classifier_test", "out_of_fold_test", "paired_auc"]


class ClassifierTest(NamedTuple):
    """Result of a classifier two-sample test."""

    auc: float
    """Chance that of two responses to one prompt the candidate's scores higher; 0.5 is guessing."""
    p: float
    """One-sided: that scores point to the right arm."""


def _membership(index: Int[np.ndarray, " n"], size: int) -> sparse.csr_array:
    """Rows by prompts, one where the row answers the prompt."""
    n = len(index)
    return sparse.csr_array((np.ones(n), (np.arange(n), index)), shape=(n, size))


def _centre(x: Float[np.ndarray, "n d"], prompt: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Subtract each prompt's mean over both arms, so that only what differs within a prompt is left."""
    names, index = np.unique(prompt, return_inverse=True)
    member = _membership(index, len(names))
    return np.asarray(x - ((member.T @ x) / np.bincount(index)[:, None])[index])


def paired_auc(score: Float[np.ndarray, " n"], arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"]) -> float:
    """Mean over prompts of the share of pairs in which the candidate's response scores higher.

    Ties count one half; prompts that one arm lacks are left out; NaN if none is left.

    >>> paired_auc(np.array([0.1, 0.9, 0.5, 0.5]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
    0.75
    """
    names, index = np.unique(prompt, return_inverse=True)
    member = _membership(index, len(names))
    ones, zeros = np.flatnonzero(arm == 1), np.flatnonzero(arm == 0)
    pairs = (member[ones] @ member[zeros].T).tocoo()
    first, second = ones[pairs.coords[0]], zeros[pairs.coords[1]]
    wins = (score[first] > score[second]) + 0.5 * (score[first] == score[second])
    counts = np.bincount(index[first], minlength=len(names))
    sums = np.bincount(index[first], weights=wins, minlength=len(names))
    both = counts > 0
    return float((sums[both] / counts[both]).mean()) if both.any() else float("nan")


def classifier_test(
    x_train: Float[np.ndarray, "n_train d"],
    arm_train: Int[np.ndarray, " n_train"],
    prompt_train: Int[np.ndarray, " n_train"],
    x_test: Float[np.ndarray, "n d"],
    arm_test: Int[np.ndarray, " n"],
    prompt_test: Int[np.ndarray, " n"],
    families_test: Int[np.ndarray, " n_prompts"],
    *,
    n_draws: int = 20_000,
    rng: np.random.Generator,
) -> ClassifierTest:
    """Fit a logistic regression on some prompts and test its scores on others.

    Args:
        x_train: Features of the Discover rows; centred within prompts and standardised here.
        arm_train: 0 precursor, 1 candidate.
        prompt_train: Prompt of each Discover row, any integers.
        x_test: Features of the Confirm rows.
        arm_test: 0 precursor, 1 candidate.
        prompt_test: Prompt of each Confirm row, 0 to n_prompts - 1.
        families_test: Family of each Confirm prompt.
        n_draws: Sign patterns, as in `sign_flip_p`.
        rng: Source of the signs.

    Returns:
        Held-out AUC within prompts and the p-value of the mean score difference.

    Raises:
        InputError: The training rows hold one arm only, or columns do not match.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(arm_train)) != 2:
        raise InputError("the rows to fit on hold only one arm; give responses of both")
    centred = _centre(x_train, prompt_train)
    spread = centred.std(axis=0)
    weight = np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
    model = LogisticRegression(C=0.01, max_iter=300).fit(centred * weight, arm_train)
    score = np.asarray(x_test * weight) @ model.coef_[0]
    d = prompt_differences(score[:, None], arm_test, prompt_test, len(families_test))
    two_sided = float(sign_flip_p(d, families_test, n_draws=n_draws, rng=rng)[0])
    # Every draw and its mirror image are both allowed, which halves a two-sided p exactly.
    p = two_sided / 2.0 if np.nansum(d) > 0 else 1.0
    return ClassifierTest(paired_auc(score, arm_test, prompt_test), p)


def _smoother(
    train: Float[np.ndarray, "n_train d"], test: Float[np.ndarray, "n_test d"], ridge: float
) -> Float[np.ndarray, "n_test n_train"]:
    """Matrix that turns training labels into ridge predictions; solved on the smaller side."""
    penalty = ridge * float(np.square(train).sum()) / min(train.shape)
    n, d = train.shape
    if d <= n:
        inner = train.T @ train + max(penalty, 1e-12) * np.eye(d)
        return np.asarray(test @ np.linalg.solve(inner, train.T))
    outer = train @ train.T + max(penalty, 1e-12) * np.eye(n)
    return np.asarray(np.linalg.solve(outer, train @ test.T).T)


def out_of_fold_test(
    x: Float[np.ndarray, "n d"],
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    *,
    n_folds: int = 5,
    ridge: float = 1.0,
    n_draws: int = 500,
    rng: np.random.Generator,
) -> ClassifierTest:
    """Test by out-of-fold scores, refitting for every shuffle of labels within prompts; exact.

    O(n^2 n_draws) time: about 4,000 rows are comfortable, see `mmd.sample_prompts` for more.

    Args:
        x: Features; centred within prompts here.
        arm: 0 precursor, 1 candidate.
        prompt: Prompt of each row; all rows of a prompt share a fold. Pass families to keep those together.
        n_folds: Parts that are scored by a fit on the others, >= 2.
        ridge: Penalty in mean squared singular values of the features, > 0.
        n_draws: Shuffles, >= 1; no p is below 1 / (1 + n_draws).
        rng: Source of folds and shuffles.

    Returns:
        Out-of-fold AUC within prompts, and the p-value of the mean score difference.

    Raises:
        ConfigError: Fewer than two folds, or fewer prompts than folds.
    """
    names, index = np.unique(prompt, return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise ConfigError(f"{n_folds} folds of {len(names)} prompts are not allowed; use 2 to {len(names)}")
    fold = (rng.permutation(len(names)) % n_folds)[index]
    features = _centre(x, index)
    arms = np.concatenate([arm[None, :], permute_many(arm, index, n_draws, rng)])
    share = np.bincount(index, weights=arm) / np.bincount(index)
    labels = (arms - share[index]).astype(np.float32)
    scores = np.empty_like(labels)
    for part in range(n_folds):
        test = fold == part
        smooth = _smoother(features[~test], features[test], ridge).astype(np.float32)
        scores[:, test] = labels[:, ~test] @ smooth.T
    statistic = np.einsum("bn,bn->b", scores, contrast_weights(arms, index))
    tolerance = 1e-6 * float(np.abs(statistic).max())
    hits = int((statistic[1:] >= statistic[0] - tolerance).sum())
    return ClassifierTest(paired_auc(scores[0], arm, index), (1.0 + hits) / (1.0 + n_draws))
