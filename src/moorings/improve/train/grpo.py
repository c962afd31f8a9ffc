"""Group relative policy optimisation (DeepSeekMath, Shao et al. 2024, arXiv:2402.03300, eq. 3 and 4).

A_i = (R_i - mean) / (sd + 1e-4) within a group, the same for every token; the loss is a mean over tokens of
-min(rho_t A, clip(rho_t) A) + beta k3_t, with gradients through k3. Means: `sequence` as in the paper, which favours short
right and long wrong answers; `token` (DAPO); `constant` (Dr. GRPO). Dividing by the deviation gives prompts that are nearly
always right or wrong more weight; `scale: none` does not.

With several rewards A is what the objective makes, (G - 1) / G times it, since the objective leaves each answer out of its own
baseline and the paper does not; then divided by its deviation. The gradient of k3 under pi's own samples is that of the
forward divergence KL(pi_ref || pi) of each token's distribution (tests), so k3 reports one divergence and pulls by another.

Left out: clips that differ above and below, ratios of whole sequences (see `rloo`). Logged: the share of groups whose
answers all got the same, which teach nothing. What it must show: with `scale: none`, `mean: constant` and no divergence,
the expected gradient is (G - 1) / G / length times that of E[R] (tests).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from moorings.improve.objectives.objective import Objective
from moorings.improve.train.policy_gradient import train
from moorings.improve.train.rl_batch import Answers, Credit, Loss, Mean, Part, clipped, k3, mean_of
from moorings.improve.train.rl_settings import PolicyGradientSettings
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers

__all__ = ["LEARNING_RATE", "Grpo", "GrpoSettings", "grpo"]

LEARNING_RATE = 1e-5
"""Ten times the rate of full weights that TRL's GRPOConfig has."""
_SMALL = 1e-4
"""Added to deviations, as in TRL."""

Scale = Literal["group", "batch", "none"]


class GrpoSettings(PolicyGradientSettings):
    """Settings of `grpo`; a learning rate of None is 1e-5 for adapters and 1e-6 for full weights."""

    beta: float = Field(default=0.04, ge=0)
    """Weight of k3 in the loss; 0.04 in the paper."""
    scale: Scale = "group"
    """What advantages are divided by: the deviation of their group (the paper), of the batch, or nothing (Dr. GRPO)."""
    mean: Mean = "token"
    """How losses of tokens are averaged: over answers (the paper), all tokens (DAPO) or a constant length (Dr. GRPO)."""


class Grpo:
    """See the module.

    Args:
        clip: See `PolicyGradientSettings`.
        scale: See `GrpoSettings`.
        mean: See `GrpoSettings`.
        length: Most tokens of an answer, for `mean: constant`.
    """

    name = "grpo"
    own_rate = 0.0

    def __init__(self, *, clip: float, scale: Scale, mean: Mean, length: int) -> None:
        self._clip, self._scale, self._mean, self._length = clip, scale, mean, length

    def open(self, d: int, n_rewards: int, device: Any) -> dict[str, Any]:
        """Nothing is learned beside the model."""
        return {}

    def credit(self, answers: Answers, objective: Objective, beta: float) -> Credit:
        """One advantage an answer, the same for its tokens."""
        joined = objective.advantages(answers.batch)
        size = joined.values.shape[1]
        values = joined.values * (size - 1) / size
        if self._scale == "group":
            values = values / (values.std(axis=1, ddof=1, keepdims=True) + _SMALL)
        elif self._scale == "batch":
            values = values / (np.std(values, ddof=1) + _SMALL)
        return Credit(answers.to_tokens(values), joined.logged)

    def loss(self, part: Part, beta: float) -> Loss:
        """See the module."""
        losses, held = clipped(part.logp - part.old, part.credit, self._clip)
        if beta:
            losses = losses + beta * k3(part.logp, part.ref)
        return Loss(mean_of(losses, part, self._mean, self._length), held.float().sum() / part.n_tokens)

    def own_loss(self, places: Any) -> Any | None:
        """Nothing is learned beside the model."""
        return None


@trainers.register("grpo", GrpoSettings)
def grpo(config: GrpoSettings) -> Trainer:
    """Raise rewards, each token of an answer credited with what its group says of the answer."""
    config.check_components()

    def run(job: TrainJob) -> TrainResult:
        algorithm = Grpo(clip=config.clip, scale=config.scale, mean=config.mean, length=config.max_new_tokens)
        return train(job, config, algorithm, LEARNING_RATE)

    return run
