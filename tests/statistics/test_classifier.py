from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from moorings.errors import ConfigError, InputError
from moorings.statistics import classifier
from moorings.statistics.classifier import classifier_test, out_of_fold_test, paired_auc


def made(rng, n_prompts, shift, d=10, m=2):
    prompt, arm = np.repeat(np.arange(n_prompts), 2 * m), np.tile(np.repeat([0, 1], m), n_prompts)
    x = 3 * rng.normal(size=(n_prompts, d))[prompt] + rng.normal(size=(len(arm), d))
    x[:, 0] += shift * arm
    return x, arm, prompt


def held_out(rng, shift, n_prompts=60, sign=1):
    x, arm, prompt = made(rng, n_prompts, shift)
    y, arm_y, prompt_y = made(rng, n_prompts, sign * shift)
    return classifier_test(x, arm, prompt, y, arm_y, prompt_y, np.arange(n_prompts), n_draws=499, rng=rng)


def test_paired_auc_is_the_mean_over_prompts_of_the_usual_one():
    rng = np.random.default_rng(0)
    score, arm = rng.integers(0, 5, 60) / 4.0, rng.integers(0, 2, 60)
    prompt = np.where(np.arange(60) < 57, np.arange(60) % 5, 9)
    arm[:10], arm[57:] = np.repeat([0, 1], 5), 1
    expected = np.mean([roc_auc_score(arm[prompt == p], score[prompt == p]) for p in range(5)])
    assert paired_auc(score, arm, prompt) == pytest.approx(expected)
    assert np.isnan(paired_auc(score, np.zeros(60, int), prompt))


def test_held_out_level_power_and_direction():
    rng = np.random.default_rng(1)
    p = np.array([held_out(rng, 0.0, 30).p for _ in range(250)])
    assert (p <= 0.05).mean() <= 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / 250)
    assert 0.4 <= (p < 1).mean() <= 0.6
    found = [held_out(rng, 1.0) for _ in range(20)]
    assert all(test.p <= 0.05 for test in found)
    assert 0.65 < np.mean([test.auc for test in found]) < 0.85
    backwards = held_out(rng, 1.5, sign=-1)
    assert backwards.p == 1.0
    assert backwards.auc < 0.4


def test_constant_features_and_a_lone_arm():
    rng = np.random.default_rng(2)
    x, arm, prompt = made(rng, 20, 1.0)
    flat = np.column_stack([x, np.full(len(x), 7.0)])
    test = classifier_test(flat, arm, prompt, flat, arm, prompt, np.arange(20), n_draws=99, rng=rng)
    assert np.isfinite(test.auc)
    nothing = np.ones((80, 2))
    guess = classifier_test(nothing, arm, prompt, nothing, arm, prompt, np.arange(20), n_draws=99, rng=rng)
    assert guess == (0.5, 1.0)
    with pytest.raises(InputError, match="only one arm"):
        classifier_test(x, arm * 0, prompt, x, arm, prompt, np.arange(20), rng=rng)


def test_refitting_for_every_shuffle_keeps_the_level_and_finds_a_shift():
    rng = np.random.default_rng(3)
    p = np.array([out_of_fold_test(*made(rng, 20, 0.0), n_draws=99, rng=rng).p for _ in range(400)])
    for alpha in (0.05, 0.2):
        assert abs((p <= alpha).mean() - alpha) <= 3.3 * np.sqrt(alpha * (1 - alpha) / 400)
    found = [out_of_fold_test(*made(rng, 60, 1.0), n_draws=99, rng=rng) for _ in range(20)]
    assert np.mean([test.p <= 0.05 for test in found]) >= 0.95
    assert np.mean([test.auc for test in found]) > 0.65


def test_shuffling_scores_without_refitting_would_be_wrong():
    """Out-of-fold AUCs of equal arms vary more than fixed scores could: why `out_of_fold_test` refits."""
    rng = np.random.default_rng(4)
    refitted = [out_of_fold_test(*made(rng, 12, 0.0), n_folds=12, n_draws=1, rng=rng).auc for _ in range(150)]
    _, arm, prompt = made(rng, 12, 0.0)
    fixed = [paired_auc(rng.random(48), arm, prompt) for _ in range(150)]
    assert np.std(refitted) > 1.3 * np.std(fixed)


def test_both_sides_of_the_smoother_agree():
    rng = np.random.default_rng(5)
    train, test = rng.normal(size=(6, 6)), rng.normal(size=(4, 6))
    square = classifier._smoother(train, test, 0.7)
    wide = classifier._smoother(np.pad(train, ((0, 0), (0, 1))), np.pad(test, ((0, 0), (0, 1))), 0.7)
    np.testing.assert_allclose(square, wide, rtol=1e-8)
    labels = rng.normal(size=6)
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=0.7 * (train**2).sum() / 6, fit_intercept=False).fit(train, labels)
    np.testing.assert_allclose(square @ labels, model.predict(test))


def test_folds_must_fit_the_prompts():
    rng = np.random.default_rng(6)
    for n_folds in (1, 9):
        with pytest.raises(ConfigError, match=f"{n_folds} folds of 8 prompts"):
            out_of_fold_test(*made(rng, 8, 0.0), n_folds=n_folds, rng=rng)
