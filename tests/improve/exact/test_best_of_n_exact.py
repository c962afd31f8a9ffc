"""Best of n against brute force over all subsets and all draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moorings.errors import ConfigError
from moorings.improve.best_of_n import kl_of_best
from moorings.improve.exact.best_of_n import (
    best_of_n_policy,
    best_of_n_value,
    rank_probabilities,
    selection_kl,
    selection_weights,
)
from moorings.improve.exact.policy import SoftmaxPolicy


def _by_subsets(scores: np.ndarray, values: np.ndarray, n: int) -> float:
    """Mean over all subsets of n answers of the mean value of those that share the best score."""
    found = []
    for some in itertools.combinations(range(len(scores)), n):
        best = max(scores[list(some)])
        found.append(np.mean([values[i] for i in some if scores[i] == best]))
    return float(np.mean(found))


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("tied", [False, True])
def test_value_is_the_mean_over_all_subsets(n: int, tied: bool) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 3, (4, 7)).astype(float) if tied else rng.normal(size=(4, 7))
    values = rng.normal(size=(4, 7))
    slow = [_by_subsets(s, v, n) for s, v in zip(scores, values, strict=True)]
    np.testing.assert_allclose(best_of_n_value(scores, values, n), slow, atol=1e-12)


def test_equal_texts_with_unequal_values_are_told_apart_by_place() -> None:
    scores = np.array([[0.0, 2.0, 1.0, 2.0]])
    np.testing.assert_allclose(selection_weights(scores, 4), [[0, 0.5, 0, 0.5]])
    shuffled = [2, 0, 3, 1]
    np.testing.assert_allclose(selection_weights(scores[:, shuffled], 3), selection_weights(scores, 3)[:, shuffled])


def test_weights_add_up_to_one_for_many_answers() -> None:
    for n in (1, 2, 500, 12_500, 12_600):
        assert rank_probabilities(12_600, n).sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(rank_probabilities(5, 1), 0.2)
    np.testing.assert_allclose(rank_probabilities(5, 5), [0, 0, 0, 0, 1])


def _kl_by_draws(scores: np.ndarray, n: int) -> float:
    """KL of the best of n draws with replacement from a uniform policy, over classes of equal score."""
    size = len(scores)
    best = {level: 0.0 for level in set(scores)}
    for some in itertools.product(range(size), repeat=n):
        best[max(scores[list(some)])] += size**-n
    return sum(p * np.log(p / np.mean(scores == level)) for level, p in best.items())


@pytest.mark.parametrize("n", [1, 2, 4])
def test_kl_is_that_of_all_draws(n: int) -> None:
    scores = np.array([[0.0, 1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(selection_kl(scores, n), [_kl_by_draws(row, n) for row in scores], atol=1e-12)


def test_kl_without_ties_approaches_the_formula_and_ties_lower_it() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(1, 20_000))
    assert selection_kl(scores, 16)[0] == pytest.approx(kl_of_best(16), abs=1e-3)
    assert selection_kl(scores.round(), 16)[0] < kl_of_best(16) - 0.2


@pytest.mark.parametrize("n", [1, 2, 3])
def test_policy_of_the_best_is_that_of_all_draws(n: int) -> None:
    rng = np.random.default_rng(4)
    start = SoftmaxPolicy(rng.normal(size=(2, 4)))
    scores = np.array([[0.0, 1.0, 1.0, -2.0], [5.0, 3.0, 4.0, 1.0]])
    slow = np.zeros((2, 4))
    for row, p, some in zip(slow, np.exp(start.log_p), scores, strict=True):
        for drawn in itertools.product(range(4), repeat=n):
            best = [i for i in drawn if some[i] == max(some[list(drawn)])]
            for i in best:
                row[i] += p[list(drawn)].prod() / len(best)
    found = best_of_n_policy(start, scores, n)
    np.testing.assert_allclose(np.exp(found.log_p), slow, atol=1e-12)
    np.testing.assert_allclose(found.kl(), (slow * np.log(slow / np.exp(start.log_p))).sum(axis=1), atol=1e-12)


def test_policy_of_the_best_of_very_many_keeps_the_best_answer() -> None:
    start = SoftmaxPolicy(np.array([[0.0, 0.0, -9.0]]))
    found = best_of_n_policy(start, np.array([[0.0, 1.0, 2.0]]), 10**7)
    np.testing.assert_allclose(np.exp(found.log_p), [[0, 0, 1]], atol=1e-12)
    assert found.kl()[0] == pytest.approx(-start.log_p[0, 2])


def test_kl_formula_holds_in_simulation() -> None:
    """The best of n has density n F^(n-1), so its mean log density estimates the KL."""
    n, draws = 8, 200_000
    top = np.random.default_rng(3).random((draws, n)).max(axis=1)
    values = np.log(n) + (n - 1) * np.log(top)
    assert abs(values.mean() - kl_of_best(n)) < 4 * values.std() / np.sqrt(draws)


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(ConfigError, match="n must be 1 to 5"):
        rank_probabilities(5, 6)
    with pytest.raises(ConfigError, match="1 scores are missing"):
        selection_weights(np.array([[1.0, np.nan]]), 1)
