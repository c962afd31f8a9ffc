"""PAMA: several rewards by the convex combination of advantages that is closest to zero, in O(number of rewards).

Source: He and Maghsudi 2025, Pareto Multi-Objective Alignment for Language Models (arXiv:2508.07768). Noon advantages
A_i = max(A'_i, 0); the norm of the joint gradient is bounded by one on advantages, min over the simplex of
(sum c_i A_i)^2, whose value is the projection of 0 on [min A_i, max A_i] (theorem 1).

The source leaves the granularity open; both readings are here:
answer   the closed form for each answer: it is reinforced only where every reward has a positive advantage, by the
         weakest of them (starves where rewards conflict: `active` is logged);
batch    a_i = mean of A_i over the batch where pi / pi_ref <= 1 + clip; this batch trains the rewards that the weights
         of the closed form name, that with the least positive advantage left.
A third reading, one scalar for every answer of a batch, has zero expected gradient on policy and is left out.
With `noon: false` negative advantages stay, so that the effect of clipping and of weighting can be told apart.
Left out: value heads; groups of answers give the baseline. Each advantage is divided by its root mean square, else
units decide. What it must show: closed form against a solver to 1e-9; the worse reward gains (benchmarks/pareto.py).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from moorings.improve.objectives.min_norm import closest_to_zero, weights_to_zero
from moorings.improve.objectives.objective import (
    Advantages,
    Batch,
    LearnsNothing,
    Objective,
    ObjectiveConfig,
    leave_one_out,
    objectives,
    standardised,
)

__all__ = ["Pama", "PamaConfig"]


class PamaConfig(ObjectiveConfig):
    """Settings of `pama`."""

    granularity: Literal["answer", "batch"] = "answer"
    """Where the closed form is solved; on stored answers `batch` gives one reward nearly all updates (benchmarks/pareto.py)."""
    noon: bool = True
    """Set negative advantages to zero, as the source does."""
    equal: bool = False
    """Take equal weights instead of the closed form: the ablation that isolates the clipping."""
    clip: float = Field(default=0.2, gt=0)
    """Largest pi / pi_ref minus 1 of answers that count for the weights."""
    kl_weight: float = Field(default=0.0, ge=0)
    """Of ln(pi / pi_ref), taken off every reward; the source has 0.2 for tokens."""


class Pama(LearnsNothing):
    """See the module."""

    def __init__(self, config: PamaConfig) -> None:
        self.config = config

    def advantages(self, batch: Batch) -> Advantages:
        """See `Objective`."""
        rewards = batch.rewards - self.config.kl_weight * batch.log_ratio
        each = standardised(leave_one_out(rewards, batch.weights), batch.weights)
        each = np.maximum(each, 0.0) if self.config.noon else each
        shares = np.full(batch.log_ratio.shape, 1 / batch.log_ratio.size)
        if batch.weights is not None:
            shares = batch.weights / len(batch.weights)
        if self.config.equal:
            weights = np.full(len(each), 1.0 / len(each))
            values = each.mean(axis=0)
        elif self.config.granularity == "answer":
            values = closest_to_zero(each)
            weights = np.array([(shares * (one == values)).sum() for one in each])
        else:
            counted = shares * (batch.log_ratio <= np.log1p(self.config.clip))
            weights = weights_to_zero((each * counted).sum(axis=(1, 2)))
            values = np.tensordot(weights, each, axes=1)
        logged = {f"weight {name}": float(x) for name, x in zip(batch.names, weights, strict=True)}
        return Advantages(np.asarray(values), {**logged, "active": float((shares * (values != 0)).sum())})


@objectives.register("pama", PamaConfig)
def pama(config: PamaConfig) -> Objective:
    """Several rewards at once, by the combination of advantages closest to zero."""
    return Pama(config)
