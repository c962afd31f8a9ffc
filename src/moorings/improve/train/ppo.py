"""Proximal policy optimisation with value heads (Schulman et al. 2017, arXiv:1707.06347, eq. 7).

Reward of token t: -beta (ln pi - ln pi_ref)(y_t), and at the last token the reward R (Ziegler et al. 2019, arXiv:1909.08593).
delta_t = r_t + gamma V_t+1 - V_t, A_t = delta_t + gamma lambda A_t+1 (GAE, arXiv:1506.02438, eq. 16); loss: mean over tokens of
-min(rho_t A_t, clip(rho_t) A_t); V follows A + V by squares, clipped to +- `value_clip` around its old values. An answer that the
token limit cut ends there, as an answer of a task of that length does.

V is linear in the last hidden state, each state scaled to mean 0 and variance 1. It is read while answers are sampled and no
gradient flows into it: a value loss in the trunk would move the policy by itself, and a model of its own for the values would
double memory. Several rewards: `joined` lets the objective make one reward of them and learns one head; `each` learns a head a
reward and one for the divergence (Moskovitz et al. 2023, arXiv:2310.04373), and the objective joins advantages token by token,
all tokens of the batch as one group. That is for objectives that mix advantages; one that is no mixture (`satisfice`) has no
meaning there. Its `update` always sees whole answers' rewards.

Left out: a value model of its own, bootstrapping of cut answers, gradients of the value loss in the trunk. What it must show:
with lambda = gamma = 1 and no whitening the expected gradient is that of E[R] - beta KL whatever the value heads say (tests).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from moorings.improve.objectives.objective import Objective
from moorings.improve.train.policy_gradient import train
from moorings.improve.train.rl_batch import Answers, Credit, Loss, Part, clipped, mean_of
from moorings.improve.train.rl_settings import PolicyGradientSettings
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers

__all__ = ["LEARNING_RATE", "Ppo", "PpoSettings", "gae", "ppo"]

LEARNING_RATE = 3e-5
"""Ten times the rate of full weights that TRL's PPOConfig had."""
_SMALL = 1e-4
"""Added to deviations; TRL's 1e-8 would blow rounding errors up to advantages of 1 where all rewards are equal."""


class PpoSettings(PolicyGradientSettings):
    """Settings of `ppo`; a learning rate of None is 3e-5 for adapters and 3e-6 for full weights."""

    beta: float = Field(default=0.05, ge=0)
    """Weight of the divergence from the model at the start of the round, in each token's reward; 0.05 as in TRL."""
    passes: int = Field(default=4, ge=1)
    """Times that each batch of answers is learned; 4 as in TRL."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """How much a token's reward counts one token earlier; 1 as in TRL."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """1 credits a token with all that follows, 0 with what the value heads say of the next one; 0.95 as in TRL."""
    whiten: bool = True
    """Scale the advantages of a batch's tokens to mean 0 and variance 1, as in TRL."""
    value_heads: Literal["joined", "each"] = "joined"
    """One head for what the objective makes of the rewards, or one a reward and one for the divergence."""
    value_clip: float = Field(default=0.2, gt=0)
    """New values gain nothing beyond old ones +- this, in the reward's unit; 0.2 as in TRL."""
    value_rate: float = Field(default=1e-3, gt=0)
    """AdamW's rate of the value heads; ours, large since they are linear and start at 0."""


class Ppo:
    """See the module.

    Args:
        config: Its settings.
    """

    name = "ppo"

    def __init__(self, config: PpoSettings) -> None:
        self._config = config
        self.own_rate = config.value_rate
        self._heads: dict[str, Any] = {}
        self._features: Any = None
        self._returns: Any = None
        self._values: Any = None

    def open(self, d: int, n_rewards: int, device: Any) -> dict[str, Any]:
        """Value heads at 0."""
        import torch

        n = 1 if self._config.value_heads == "joined" else n_rewards + 1
        shapes = {"weight": (n, d), "bias": (n,)}
        self._heads = {name: torch.nn.Parameter(torch.zeros(shape, device=device)) for name, shape in shapes.items()}
        return self._heads

    def credit(self, answers: Answers, objective: Objective, beta: float) -> Credit:
        """One advantage a token; remembers what the value heads should have said."""
        import torch

        self._features = torch.nn.functional.layer_norm(answers.hidden, answers.hidden.shape[-1:])
        self._values = self._predict(slice(None)).detach()
        penalty = answers.ref_logp - answers.logp
        if self._config.value_heads == "joined":
            joined = objective.advantages(answers.batch)
            rewards = _at_end(answers, joined.values[None]) + beta * penalty[:, None]
        else:
            rewards = torch.cat([_at_end(answers, answers.batch.rewards), penalty[:, None]], dim=1)
        found = gae(rewards, self._values, answers.lengths, gamma=self._config.gamma, lam=self._config.gae_lambda)
        self._returns = found + self._values
        if self._config.value_heads == "joined":
            tokens = found[:, 0]
        else:
            columns = found.double().cpu().numpy().T
            by_token = replace(answers.batch, rewards=columns[:-1, None], log_ratio=-columns[-1][None])
            joined = objective.advantages(by_token)
            mixed = joined.values[0] + beta * (columns[-1] - columns[-1].mean())
            tokens = torch.tensor(mixed, dtype=found.dtype, device=found.device)
        if self._config.whiten:
            tokens = (tokens - tokens.mean()) / (tokens.std(correction=0) + _SMALL)
        error = (self._returns - self._values).square().mean() / (self._returns.var(correction=0) + _SMALL)
        return Credit(tokens, {**joined.logged, "value_error": float(error)})

    def loss(self, part: Part, beta: float) -> Loss:
        """See the module."""
        losses, held = clipped(part.logp - part.old, part.credit, self._config.clip)
        return Loss(mean_of(losses, part, "token", 1), held.float().sum() / part.n_tokens)

    def own_loss(self, places: Any) -> Any | None:
        """Half the mean squared error of the value heads, clipped."""
        import torch

        values, old, wanted = self._predict(places), self._values[places], self._returns[places]
        held = old + (values - old).clamp(-self._config.value_clip, self._config.value_clip)
        return torch.maximum((values - wanted).square(), (held - wanted).square()).mean() / 2

    def _predict(self, places: Any) -> Any:
        import torch

        return torch.nn.functional.linear(self._features[places], self._heads["weight"], self._heads["bias"])


def gae(rewards: Any, values: Any, lengths: list[int], *, gamma: float, lam: float) -> Any:
    """Generalised advantage estimates of each answer's tokens.

    Args:
        rewards: [tokens, k], answer by answer.
        values: Likewise, of the state before each token; it is 0 after the last one.
        lengths: Tokens of each answer.
        gamma: Discount.
        lam: Lambda.

    Returns:
        [tokens, k].
    """
    import torch

    out = torch.empty_like(rewards)
    ends = np.cumsum(lengths)
    # All answers step back together, each from its own end.
    later = next_value = rewards.new_zeros(len(lengths), rewards.shape[1])
    for back in range(1, max(lengths) + 1):
        here = [i for i, length in enumerate(lengths) if length >= back]
        at = torch.tensor([int(ends[i]) - back for i in here], device=rewards.device)
        rows = torch.tensor(here, device=rewards.device)
        delta = rewards[at] + gamma * next_value[rows] - values[at]
        out[at] = delta + gamma * lam * later[rows]
        later = later.index_copy(0, rows, out[at])
        next_value = next_value.index_copy(0, rows, values[at])
    return out


def _at_end(answers: Answers, values: Any) -> Any:
    """Values of answers, [k, groups, size], at their last tokens and 0 elsewhere: [tokens, k]."""
    import torch

    like = answers.logp
    flat = torch.tensor(np.asarray(values), dtype=like.dtype, device=like.device).flatten(1).T
    out = torch.zeros(len(like), flat.shape[1], dtype=like.dtype, device=like.device)
    last = torch.tensor(answers.lengths, device=flat.device).cumsum(0) - 1
    out[last] = flat
    return out


@trainers.register("ppo", PpoSettings)
def ppo(config: PpoSettings) -> Trainer:
    """Raise rewards, each token credited by what value heads expected before it and after it."""
    config.check_components()

    def run(job: TrainJob) -> TrainResult:
        return train(job, config, Ppo(config), LEARNING_RATE)

    return run
