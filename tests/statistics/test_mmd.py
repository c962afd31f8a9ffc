from __future__ import annotations

import itertools

import numpy as np
import pytest

from moorings.errors import ConfigError, InputError
from moorings.statistics import mmd
from moorings.statistics.mmd import hamming_kernel, mmd2_unbiased, mmd_test, rbf_kernels, sample_prompts


def slow_mmd2(gram, arm):
    ones, zeros = np.flatnonzero(arm == 1), np.flatnonzero(arm == 0)
    within = [np.mean([gram[i, j] for i in side for j in side if i != j]) for side in (ones, zeros)]
    return sum(within) - 2 * np.mean([gram[i, j] for i in ones for j in zeros])


def design(n_prompts, m):
    return np.repeat(np.arange(n_prompts), 2 * m), np.tile(np.repeat([0, 1], m), n_prompts)


def test_unbiased_estimate_agrees_with_a_loop_over_pairs(monkeypatch):
    monkeypatch.setattr(mmd, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(11, 3)), rng.normal(0.5, 1, size=(17, 3))
    both = np.concatenate([x, y])
    gram = np.exp(-((both[:, None] - both[None]) ** 2).sum(-1) / (2 * 0.8**2))
    expected = slow_mmd2(gram, np.repeat([0, 1], [11, 17]))
    assert mmd2_unbiased(x, y, bandwidth=0.8) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(InputError, match="1 and 17"):
        mmd2_unbiased(x[:1], y, bandwidth=1.0)
    with pytest.raises(ConfigError, match="bandwidth 0"):
        mmd2_unbiased(x, y, bandwidth=0)


def test_estimate_has_mean_zero_between_equal_distributions_and_the_closed_form_between_shifted_ones():
    rng = np.random.default_rng(1)
    null = [mmd2_unbiased(*rng.normal(size=(2, 20, 1)), bandwidth=1.0) for _ in range(800)]
    assert abs(np.mean(null)) <= 3.3 * np.std(null) / np.sqrt(800)
    shifted = [
        mmd2_unbiased(rng.normal(size=(20, 1)), rng.normal(1, 1, size=(20, 1)), bandwidth=1.0) for _ in range(800)
    ]
    expected = 2 / np.sqrt(3) * (1 - np.exp(-1 / 6))
    assert np.mean(shifted) == pytest.approx(expected, abs=3.3 * np.std(shifted) / np.sqrt(800))


def test_rbf_kernels_use_the_median_distance():
    x = np.random.default_rng(2).normal(size=(30, 4))
    distances = ((x[:, None] - x[None]) ** 2).sum(-1)
    median2 = np.median(distances[distances > 0])
    kernels = rbf_kernels(x, (0.5, 2.0))
    assert list(kernels) == ["rbf 0.5", "rbf 2"]
    np.testing.assert_allclose(kernels["rbf 0.5"], np.exp(-distances / (2 * 0.25 * median2)), atol=1e-4)
    np.testing.assert_allclose(kernels["rbf 2"], np.exp(-distances / (2 * 4 * median2)), atol=1e-4)
    assert (rbf_kernels(np.ones((5, 2)))["rbf 1"] == 1).all()


def test_hamming_kernel_counts_equal_bytes():
    gram = hamming_kernel(["abcd", "abXd", "ab", "\ud800é"], n_bytes=8)
    assert gram[0].tolist() == [1.0, 7 / 8, 6 / 8, 3 / 8]
    assert (gram == gram.T).all()
    assert hamming_kernel(["abcZ", "abcd"], n_bytes=3)[0, 1] == 1
    assert (np.linalg.eigvalsh(gram.astype(float)) > -1e-6).all()


def test_sample_prompts_takes_whole_prompts():
    rng = np.random.default_rng(3)
    prompt = rng.integers(0, 40, 300)
    rows = sample_prompts(prompt, 100, rng)
    assert 80 <= len(rows) <= 100
    assert (np.diff(rows) > 0).all()
    assert not set(prompt[rows]) & set(np.delete(prompt, rows))
    assert len(sample_prompts(prompt, 1_000, rng)) == 300
    one = sample_prompts(prompt, 1, rng)
    assert len(one) > 0
    assert len(set(prompt[one])) == 1


def test_statistic_and_p_agree_with_enumeration():
    prompt, arm = design(3, 2)
    rng = np.random.default_rng(4)
    x = rng.normal(size=(12, 2)) + 0.8 * arm[:, None]
    gram = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1))
    halves = [np.isin(np.arange(4), pick).astype(int) for pick in itertools.combinations(range(4), 2)]
    every = [slow_mmd2(gram, np.concatenate(parts)) for parts in itertools.product(halves, repeat=3)]
    exact = np.mean(np.array(every) >= slow_mmd2(gram, arm) - 1e-9)
    result = mmd_test({"only": gram}, arm, prompt, n_draws=5_000, rng=rng)
    assert result.statistic == pytest.approx(slow_mmd2(gram, arm), abs=1e-6)
    assert result.p == pytest.approx(exact, abs=4 * 0.5 / np.sqrt(5_000))
    assert result.name == "only"


def test_level_with_strong_prompts_and_several_kernels():
    rng = np.random.default_rng(5)
    prompt, arm = design(15, 2)
    ps = []
    for _ in range(400):
        x = 3 * rng.normal(size=(15, 5))[prompt] + rng.normal(size=(60, 5))
        ps.append(mmd_test(rbf_kernels(x), arm, prompt, n_draws=99, rng=rng).p)
    for alpha in (0.05, 0.2):
        assert abs(np.mean(np.array(ps) <= alpha) - alpha) <= 3.3 * np.sqrt(alpha * (1 - alpha) / 400)


def test_power_and_choice_of_kernel():
    rng = np.random.default_rng(6)
    prompt, arm = design(60, 2)
    found = 0
    for _ in range(20):
        x = 2 * rng.normal(size=(60, 8))[prompt] + rng.normal(size=(240, 8)) + 0.5 * arm[:, None]
        noise = rng.normal(size=(240, 8))
        kernels = {"noise": rbf_kernels(noise, (1.0,))["rbf 1"], **rbf_kernels(x)}
        result = mmd_test(kernels, arm, prompt, n_draws=99, rng=rng)
        found += result.p <= 0.05 and result.name != "noise"
    assert found >= 18


def test_identical_responses_are_no_evidence():
    prompt, arm = design(10, 2)
    same = np.repeat(np.random.default_rng(7).normal(size=(10, 3)), 4, axis=0)
    result = mmd_test(rbf_kernels(same), arm, prompt, n_draws=50, rng=np.random.default_rng(7))
    assert result.p == 1.0
    assert mmd_test({"ones": np.ones((40, 40))}, arm, prompt, n_draws=50, rng=np.random.default_rng(7)).p == 1.0


def test_kernels_are_left_as_they_were_and_checked():
    prompt, arm = design(4, 2)
    gram = np.eye(16, dtype=np.float32)
    mmd_test({"eye": gram}, arm, prompt, n_draws=5, rng=np.random.default_rng(8))
    assert np.trace(gram) == 16
    for kernels in ({}, {"small": np.eye(3)}):
        with pytest.raises(InputError, match="16 rows"):
            mmd_test(kernels, arm, prompt, rng=np.random.default_rng(8))
    with pytest.raises(InputError, match="fewer than two"):
        mmd_test({"eye": gram}, np.zeros(16, int), prompt, rng=np.random.default_rng(8))
