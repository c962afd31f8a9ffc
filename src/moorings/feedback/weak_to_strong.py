"""Weak-to-strong supervision: how much of a strong student's ability a weak teacher's labels bring out.

Source: Burns et al. 2023, Weak-to-Strong Generalization (arXiv:2312.09390) and openai/weak-to-strong. A weak teacher is
trained on gold labels of one half and labels the other; a strong student learns from those labels; its ceiling learns
from gold labels of that other half. PGR = (student - weak) / (ceiling - weak): it divides by a small number where the
teacher is nearly as good as the ceiling, may exceed 1 or be negative, and is given with the three accuracies and a
bootstrap interval over test examples.

Losses of the student, for two classes, with p its probability of class 1, w the weak label in [0, 1]:
plain       cross-entropy with w
confidence  cross-entropy with (1 - c) w + c [p > threshold], c = `weight` after the first `warm_up` of the steps, before
            that half of the share of steps done (as the released code has it, so it jumps); the threshold is the
            quantile of p that matches the labels' balance; the hard label gets no gradient
product     cross-entropy with target proportional to p^beta w^alpha, no gradient through it
What is left out: per-batch thresholds are noisy, so batches below 64 are refused for `confidence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from moorings.errors import ConfigError
from moorings.method import MethodConfig

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Recovered", "StudentConfig", "imitation", "performance_gap_recovered", "student_loss", "train_student"]

_LEAST_BATCH = 64
_DRAWS = 2000


class Recovered(NamedTuple):
    """Accuracies, and the share of the gap that was recovered."""

    weak: float
    student: float
    ceiling: float
    pgr: float
    low: float
    high: float
    """Bootstrap interval of pgr over test examples, 95 %; infinite ends where the gap may be 0."""


def performance_gap_recovered(
    weak: Bool[np.ndarray, " n"],
    student: Bool[np.ndarray, " n"],
    ceiling: Bool[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Recovered:
    """PGR from who was right on which test example.

    >>> right = np.arange(10) < np.array([[5], [7], [9]])
    >>> round(performance_gap_recovered(*right, np.random.default_rng(0)).pgr, 3)
    0.5
    """
    right = np.stack([weak, student, ceiling]).astype(float)
    means = right.mean(axis=1)
    drawn = rng.integers(right.shape[1], size=(_DRAWS, right.shape[1]))
    w, s, c = (row[drawn].mean(axis=1) for row in right)
    gap = c - w
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (s - w) / gap
        pgr = float((means[1] - means[0]) / (means[2] - means[0]))
    # A gap that may have either sign bounds nothing.
    sure = np.quantile(gap, 0.025) > 0
    low, high = np.quantile(ratios, [0.025, 0.975]) if sure else (-np.inf, np.inf)
    return Recovered(float(means[0]), float(means[1]), float(means[2]), pgr, float(low), float(high))


def imitation(
    teacher: Float[np.ndarray, " n"], student: Float[np.ndarray, " n"], gold: Float[np.ndarray, " n"]
) -> float:
    """Share of the teacher's errors that the student makes as well; NaN where the teacher makes none.

    >>> imitation(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([0, 0, 0]))
    0.5
    """
    wrong = teacher != gold
    return float((student[wrong] == teacher[wrong]).mean()) if wrong.any() else float("nan")


class StudentConfig(MethodConfig):
    """How a student is trained."""

    loss: Literal["plain", "confidence", "product"] = "plain"
    """See the module."""
    weight: float = Field(default=0.5, ge=0, le=1)
    """c of `confidence`; the released code's."""
    warm_up: float = Field(default=0.1, ge=0, lt=1)
    """Share of steps before c is reached; the released code's."""
    alpha: float = Field(default=1.0, gt=0)
    """Power of the weak label in `product`."""
    beta: float = Field(default=1.0, ge=0)
    """Power of the student in `product`."""
    hidden: int = Field(default=64, ge=1)
    """Units of the one hidden layer."""
    epochs: int = Field(default=20, ge=1)
    """Passes over the rows."""
    batch_size: int = Field(default=128, ge=2)
    """Rows a step."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, with a cosine schedule."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Of AdamW."""
    seed: int = 0
    """Of weights and order."""


def student_loss(logits: Any, weak: Any, config: StudentConfig, progress: float) -> Any:
    """Mean loss of a batch.

    Args:
        logits: Of class 1, shape [n].
        weak: Labels in [0, 1], shape [n].
        config: Which loss.
        progress: Share of the steps done, 0 to 1.

    Raises:
        ConfigError: `confidence` with fewer than 64 rows.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    if config.loss == "plain":
        return cross_entropy(logits, weak)
    with torch.no_grad():
        p = torch.sigmoid(logits)
        if config.loss == "product":
            one, other = p**config.beta * weak**config.alpha, (1 - p) ** config.beta * (1 - weak) ** config.alpha
            target = one / (one + other).clamp_min(1e-12)
        else:
            if len(logits) < _LEAST_BATCH:
                raise ConfigError(
                    f"a batch has {len(logits)} rows; the threshold of loss 'confidence' is a quantile of the batch and "
                    f"needs at least {_LEAST_BATCH}; raise batch_size or take loss 'plain'"
                )
            c = config.weight if progress >= config.warm_up else 0.5 * progress
            hard = (p > torch.quantile(p, 1 - weak.mean())).to(weak.dtype)
            target = (1 - c) * weak + c * hard
    return cross_entropy(logits, target)


def train_student(
    inputs: Float[np.ndarray, "n d"],
    labels: Float[np.ndarray, " n"],
    test: Float[np.ndarray, "m d"],
    config: StudentConfig,
) -> Float[np.ndarray, " m"]:
    """Train a small network on labels of two classes.

    Args:
        inputs: Features of the training rows.
        labels: Probability of class 1, or 0 and 1.
        test: Features of the test rows.
        config: How.

    Returns:
        Probability of class 1 of each test row.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        mean, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
        x, x_test = (torch.tensor((part - mean) / scale, dtype=torch.float32) for part in (inputs, test))
        y = torch.tensor(labels, dtype=torch.float32)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], config.hidden), torch.nn.GELU(), torch.nn.Linear(config.hidden, 1)
        )
        # The last batch of an epoch is left out if it is not full: a quantile of few rows says little.
        size = min(config.batch_size, len(x))
        n_steps = config.epochs * (len(x) // size)
        optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        step = 0
        for _ in range(config.epochs):
            for batch in torch.randperm(len(x))[: len(x) // size * size].split(size):
                loss = student_loss(net(x[batch])[:, 0], y[batch], config, step / n_steps)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                step += 1
        with torch.no_grad():
            found = torch.sigmoid(net(x_test)[:, 0])
    return np.asarray(found.numpy(), dtype=np.float64)
