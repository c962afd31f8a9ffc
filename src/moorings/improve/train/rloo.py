"""REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, arXiv:2402.14740; Kool et al. 2019).

r_i = R_i - beta sum_t ln(pi / pi_ref)(y_it), A_i = r_i - mean of the other answers' r, and the loss is the mean over answers of
-min(rho_i A_i, clip(rho_i) A_i) with rho_i = pi(y_i) / pi_old(y_i) of the whole answer, which is 1 in the first step of a
batch. The divergence is part of the reward: no gradient flows through it, none is needed, since E[grad ln pi] = 0.
With several rewards the objective makes A, and the divergence's part, which is linear, is taken off.

Left out: normalised advantages. What it must show: the expected gradient is that of E[R] - beta KL (tests, on a model
whose answers can all be listed).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from moorings.improve.objectives.objective import Objective, leave_one_out
from moorings.improve.train.policy_gradient import train
from moorings.improve.train.rl_batch import Answers, Credit, Loss, Part, clipped
from moorings.improve.train.rl_settings import PolicyGradientSettings
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers

__all__ = ["LEARNING_RATE", "Rloo", "RlooSettings", "rloo"]

LEARNING_RATE = 1e-5
"""Ten times the rate of full weights that TRL's RLOOConfig has."""


class RlooSettings(PolicyGradientSettings):
    """Settings of `rloo`; a learning rate of None is 1e-5 for adapters and 1e-6 for full weights."""

    beta: float = Field(default=0.05, ge=0)
    """Weight of the divergence from the model at the start of the round, within the reward; 0.05 as in TRL."""


class Rloo:
    """See the module.

    Args:
        clip: See `PolicyGradientSettings`.
    """

    name = "rloo"
    own_rate = 0.0

    def __init__(self, clip: float) -> None:
        self._clip = clip

    def open(self, d: int, n_rewards: int, device: Any) -> dict[str, Any]:
        """Nothing is learned beside the model."""
        return {}

    def credit(self, answers: Answers, objective: Objective, beta: float) -> Credit:
        """One advantage an answer."""
        joined = objective.advantages(answers.batch)
        values = joined.values - beta * leave_one_out(answers.batch.log_ratio)
        return Credit(answers.to_tokens(values), joined.logged)

    def loss(self, part: Part, beta: float) -> Loss:
        """See the module."""
        log_ratio = part.logp.new_zeros(len(part.lengths)).index_add(0, part.owner, part.logp - part.old)
        first = part.lengths.cumsum(0) - part.lengths
        losses, held = clipped(log_ratio, part.credit[first], self._clip)
        return Loss((part.weights * losses).sum() / part.n_answers, held.float().sum() / part.n_answers)

    def own_loss(self, places: Any) -> Any | None:
        """Nothing is learned beside the model."""
        return None


@trainers.register("rloo", RlooSettings)
def rloo(config: RlooSettings) -> Trainer:
    """Raise rewards, each answer compared with the others to its prompt."""
    config.check_components()

    def run(job: TrainJob) -> TrainResult:
        return train(job, config, Rloo(config.clip), LEARNING_RATE)

    return run
