"""Supervised fine-tuning: the likelihood of responses after their prompts.

loss = sum_i w_i sum_t -ln pi(y_it | x_i, y_i<t) / number of response tokens of the step, with LoRA (Hu et al. 2021,
arXiv:2106.09685) on all linear layers or full weights, AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101).

Prompt tokens are not learned. Every token of a step weighs alike however it is split into parts, so long responses weigh
more than short ones. Left out: packing of rows into one sequence, which on a CPU costs more attention than it saves
padding. What it must show: at least the speed of TRL's SFTTrainer at the same settings (benchmarks/training_throughput.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moorings.improve.train.encode import EncodedRow
from moorings.improve.train.forward import Predictions
from moorings.improve.train.loop import Run, train
from moorings.improve.train.settings import TrainSettings
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers

__all__ = ["LEARNING_RATE", "Sft", "SftSettings", "sft"]

LEARNING_RATE = 2e-4
"""Ten times the rate of full weights that TRL's SFTConfig has."""


class SftSettings(TrainSettings):
    """Settings of `sft`; a learning rate of None is 2e-4 for adapters and 2e-5 for full weights."""


class Sft:
    """Mean negative log-likelihood of response tokens, in nats."""

    name = "sft"
    pairs = False

    def prepare(self, run: Run) -> None:
        """Nothing is needed beforehand."""

    def size(self, rows: Sequence[EncodedRow]) -> float:
        """Response tokens."""
        return float(sum(row.n_learned for row in rows))

    def loss(self, rows: Sequence[EncodedRow], found: Predictions) -> tuple[Any, dict[str, Any]]:
        """See `Objective`."""
        import torch

        weights = torch.tensor([row.weight for row in rows], device=found.logp.device)
        return -(weights[found.owner] * found.logp).sum(), {"loss": -found.logp.sum()}


@trainers.register("sft", SftSettings)
def sft(config: SftSettings) -> Trainer:
    """Learn the responses."""

    def run(job: TrainJob) -> TrainResult:
        return train(job, config, Sft(), LEARNING_RATE)

    return run
