from __future__ import annotations

import itertools

import numpy as np
import pytest

from moorings.errors import InputError
from moorings.statistics.multiplicity import adjust_bh
from moorings.statistics.paired import prompt_differences
from moorings.statistics.permutation import contrast_weights, permute_many, permute_within, within_prompt_p


def test_shuffles_keep_each_prompt_and_reach_every_order_evenly():
    prompt = np.array([3, 1, 3, 1, 3, 7])
    arm = np.array([0, 1, 1, 0, 0, 1])
    rng = np.random.default_rng(0)
    draws = permute_many(arm, prompt, 6_000, rng)
    for p in (1, 3, 7):
        assert (draws[:, prompt == p].sum(axis=1) == arm[prompt == p].sum()).all()
    orders, counts = np.unique(draws, axis=0, return_counts=True)
    assert len(orders) == 6
    assert (np.abs(counts - 1_000) < 4 * np.sqrt(1_000)).all()
    assert permute_within(arm, prompt, rng).shape == arm.shape


def test_contrast_weights_give_the_mean_paired_difference():
    rng = np.random.default_rng(1)
    prompt, arm = rng.integers(0, 20, 90), rng.integers(0, 2, 90)
    values = rng.random((90, 2))
    expected = np.nanmean(prompt_differences(values, arm, prompt, 20), axis=0)
    np.testing.assert_allclose((contrast_weights(arm[None, :], prompt) @ values)[0], expected)


def test_p_agrees_with_enumeration():
    prompt = np.repeat([0, 1], 4)
    arm = np.array([0, 0, 1, 1] * 2)
    values = np.random.default_rng(2).integers(0, 4, (8, 3)).astype(float)
    values[:, 2] = [0, 0, 1, 1, 0, 0, 1, 1]
    halves = [np.isin(np.arange(4), pick).astype(int) for pick in itertools.combinations(range(4), 2)]
    every = np.array([np.concatenate(pair) for pair in itertools.product(halves, halves)])
    statistic = np.abs(contrast_weights(every, prompt) @ values)
    observed = np.abs(contrast_weights(arm[None, :], prompt) @ values)
    exact = (statistic >= observed - 1e-12).mean(axis=0)
    p = within_prompt_p(values, arm, prompt, n_draws=20_000, rng=np.random.default_rng(3))
    np.testing.assert_allclose(p, exact, atol=4 * 0.5 / np.sqrt(20_000))
    assert exact[2] == 2 / 36


def test_missing_values_stand_at_the_prompt_mean():
    prompt, arm = np.repeat(np.arange(6), 4), np.array([0, 0, 1, 1] * 6)
    values = np.random.default_rng(4).random((24, 1))
    values[5] = np.nan
    filled = values.copy()
    filled[5] = np.nanmean(values[4:8])
    missing, known = (
        within_prompt_p(v, arm, prompt, n_draws=300, rng=np.random.default_rng(5)) for v in (values, filled)
    )
    assert missing[0] == known[0]
    empty = within_prompt_p(np.full((24, 1), np.nan), arm, prompt, n_draws=50, rng=np.random.default_rng(5))
    assert empty[0] == 1.0


def test_sharp_null_holds_its_level_with_strong_prompts_and_finds_a_shift():
    rng = np.random.default_rng(6)
    prompt, arm = np.repeat(np.arange(20), 6), np.tile([0, 0, 0, 1, 1, 1], 20)
    null = rng.normal(0, 5, (20, 1_500))[prompt] + rng.normal(0, 1, (120, 1_500))
    p = within_prompt_p(null, arm, prompt, n_draws=499, rng=rng)
    assert abs((p <= 0.05).mean() - 0.05) <= 3.3 * np.sqrt(0.05 * 0.95 / 1_500) + 1 / np.sqrt(499) * 0.05
    shifted = within_prompt_p(null + 0.8 * arm[:, None], arm, prompt, n_draws=499, rng=rng)
    assert (shifted <= 0.05).mean() > 0.95


def test_label_blind_clusters_may_be_tested_on_the_same_texts():
    """A/A, 12 clusters of pooled texts, BH at 0.1: any finding at most at the nominal rate."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(7)
    prompt, arm = np.repeat(np.arange(40), 4), np.tile([0, 0, 1, 1], 40)
    found = 0
    for _ in range(60):
        x = rng.normal(0, 1, (40, 4))[prompt] + rng.normal(0, 1, (160, 4))
        labels = KMeans(12, n_init=1, max_iter=20, random_state=0).fit_predict(x)
        member = (labels[:, None] == np.arange(12)).astype(float)
        found += bool((adjust_bh(within_prompt_p(member, arm, prompt, n_draws=199, rng=rng)) <= 0.1).any())
    assert found / 60 <= 0.1 + 3 * np.sqrt(0.09 / 60)


def test_a_direction_chosen_by_labels_needs_other_texts():
    """200 per arm, 128 dimensions, no difference: same data always rejects, held-out data at its level."""
    rng = np.random.default_rng(8)
    prompt, arm = np.repeat(np.arange(200), 2), np.tile([0, 1], 200)
    same, held_out = [], []
    for _ in range(200):
        x, fresh = rng.normal(0, 1, (2, 400, 128))
        direction = x[arm == 1].mean(axis=0) - x[arm == 0].mean(axis=0)
        scores = np.column_stack([x @ direction, fresh @ direction])
        p = within_prompt_p(scores, arm, prompt, n_draws=199, rng=rng)
        same.append(p[0] <= 0.05)
        held_out.append(p[1] <= 0.05)
    assert np.mean(same) == 1.0
    assert np.mean(held_out) <= 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / 200)


def test_columns_must_match():
    with pytest.raises(InputError, match="prompt 3"):
        permute_many(np.zeros(2, int), np.zeros(3, int), 1, np.random.default_rng(0))
    with pytest.raises(InputError, match="do not match"):
        within_prompt_p(np.zeros((3, 1)), np.zeros(2, int), np.zeros(2, int), rng=np.random.default_rng(0))
