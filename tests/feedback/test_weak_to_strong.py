"""Losses against their formulae, and the share of a gap against planted ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from moorings.errors import ConfigError
from moorings.feedback.weak_to_strong import (
    StudentConfig,
    imitation,
    performance_gap_recovered,
    student_loss,
    train_student,
)

LOGITS = torch.linspace(-2, 2, 80, requires_grad=True)
WEAK = torch.tensor(np.random.default_rng(0).random(80), dtype=torch.float32)


def test_the_confidence_target_mixes_weak_and_hard_labels() -> None:
    config = StudentConfig(loss="confidence")
    n_positive = round(80 * float(WEAK.mean()))
    hard = (torch.arange(80) >= 80 - n_positive).float()
    late = student_loss(LOGITS, WEAK, config, 0.5)
    assert float(late) == pytest.approx(float(cross_entropy(LOGITS, 0.5 * WEAK + 0.5 * hard)), rel=1e-2)
    early = student_loss(LOGITS, WEAK, config, 0.04)
    assert float(early) == pytest.approx(float(cross_entropy(LOGITS, 0.98 * WEAK + 0.02 * hard)), rel=1e-2)
    assert float(student_loss(LOGITS, WEAK, config, 0.0)) == pytest.approx(float(cross_entropy(LOGITS, WEAK)))


def test_the_product_target_is_the_normalised_product_and_has_no_gradient() -> None:
    config = StudentConfig(loss="product", alpha=2.0, beta=0.5)
    p = torch.sigmoid(LOGITS).detach()
    one, other = p**0.5 * WEAK**2, (1 - p) ** 0.5 * (1 - WEAK) ** 2
    target = one / (one + other)
    loss = student_loss(LOGITS, WEAK, config, 1.0)
    assert float(loss) == pytest.approx(float(cross_entropy(LOGITS, target)))
    (gradient,) = torch.autograd.grad(loss, LOGITS)
    torch.testing.assert_close(gradient, (p - target) / 80)


def test_small_batches_bear_no_threshold() -> None:
    with pytest.raises(ConfigError, match="a batch has 8 rows; the threshold of loss 'confidence'"):
        student_loss(LOGITS[:8], WEAK[:8], StudentConfig(loss="confidence"), 1.0)


def test_a_gap_that_may_be_nothing_bounds_nothing() -> None:
    rng = np.random.default_rng(1)
    weak, student, ceiling = (rng.random(2000) < p for p in (0.6, 0.75, 0.9))
    found = performance_gap_recovered(weak, student, ceiling, rng)
    assert found.low < 0.5 < found.high
    assert found.pgr == pytest.approx((found.student - found.weak) / (found.ceiling - found.weak))
    same = performance_gap_recovered(weak, student, weak, rng)
    assert (same.low, same.high) == (-np.inf, np.inf)


def test_imitation_counts_shared_errors_only() -> None:
    gold, teacher = np.zeros(4), np.array([1.0, 1, 0, 0])
    assert imitation(teacher, np.array([1.0, 0, 1, 0]), gold) == 0.5
    assert np.isnan(imitation(gold, teacher, gold))


def test_a_student_is_better_than_its_noisy_teacher_and_deterministic() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3000, 10))
    gold = (x[:, 0] + x[:, 1] > 0).astype(float)
    noisy = np.where(rng.random(3000) < 0.25, 1 - gold, gold)
    config = StudentConfig(epochs=8)
    found = train_student(x[:2000], noisy[:2000], x[2000:], config)
    assert ((found > 0.5) == gold[2000:]).mean() > 0.88
    np.testing.assert_array_equal(found, train_student(x[:2000], noisy[:2000], x[2000:], config))
