import numpy as np
import pytest

from moorings.compare.representations.residual import residualise


@pytest.fixture
def responses() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(0, 90, 3), 10)
    x = rng.standard_normal((90, 8))[prompt] * 3 + rng.standard_normal((len(prompt), 8))
    return x / np.linalg.norm(x, axis=1, keepdims=True), prompt


def test_prompts_no_longer_differ(responses: tuple[np.ndarray, np.ndarray]) -> None:
    x, prompt = responses
    left = residualise(x, prompt)
    expected = x.copy()
    for p in np.unique(prompt):
        expected[prompt == p] -= x[prompt == p].mean(0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(left, expected)


def test_swapping_arms_swaps_rows_and_nothing_else(responses: tuple[np.ndarray, np.ndarray]) -> None:
    """Relabelling which half of a prompt's responses is whose reorders rows within prompts."""
    x, prompt = responses
    nuisance = np.abs(x[:, :2])
    order = np.arange(len(x)).reshape(-1, 2, 5)[:, ::-1].ravel()
    swapped = residualise(x[order], prompt[order], nuisance[order])
    assert np.allclose(swapped, residualise(x, prompt, nuisance)[order])


def test_nuisance_is_gone(responses: tuple[np.ndarray, np.ndarray]) -> None:
    x, prompt = responses
    rng = np.random.default_rng(1)
    length = rng.standard_normal(len(x))
    x = x + length[:, None] * np.array([2.0, -1, 0, 0, 0, 0, 0, 0])
    columns = np.column_stack([length * 1e6, length * 1e6 + 1e-3, np.ones(len(x))])
    before, after = residualise(x, prompt), residualise(x, prompt, columns)
    within = length - np.array([length[prompt == p].mean() for p in prompt])
    assert abs(np.corrcoef(within, before[:, 0])[0, 1]) > 0.6
    assert abs(np.corrcoef(within, after[:, 0])[0, 1]) < 0.1
    assert np.allclose(np.linalg.norm(after, axis=1), 1)


def test_rows_of_which_nothing_is_left_are_zero() -> None:
    x = np.eye(4)[[0, 1, 1, 1]]
    assert not residualise(x, np.array([5, 7, 7, 7])).any()
    assert not residualise(x * (1 + 1e-9), np.array([5, 7, 7, 7])).any()


def test_missing_nuisance_counts_as_its_mean(responses: tuple[np.ndarray, np.ndarray]) -> None:
    x, prompt = responses
    nuisance = np.random.default_rng(2).standard_normal((len(x), 2))
    nuisance[3, 0], nuisance[:, 1] = np.inf, np.nan
    filled = nuisance[:, :1].copy()
    filled[3] = np.delete(nuisance[:, 0], 3).mean()
    assert np.allclose(residualise(x, prompt, nuisance), residualise(x, prompt, filled))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="3 embeddings"):
        residualise(np.zeros((3, 2)), np.zeros(2, dtype=int))
    assert residualise(np.zeros((0, 2)), np.zeros(0, dtype=int)).shape == (0, 2)
