"""Settings that the trainers by policy gradient share: what is rewarded, how answers are sampled, how KL is held."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from moorings.charter_run import Text, Use
from moorings.feedback.reward import rewards as known_rewards
from moorings.improve.objectives.objective import objectives
from moorings.improve.train.settings import TrainSettings

__all__ = ["PolicyGradientSettings", "RewardUse", "objective_use"]


class RewardUse(Use):
    """One reward by name; what else stands in the entry are the reward's own settings."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: Text | None = None
    """For the objective and the log; the component's name by default. Needed where one component is used twice."""
    weight: float | None = Field(default=None, gt=0)
    """Its weight in the plain sum; 1 by default, and not allowed beside an objective, which has weights of its own."""

    @property
    def known_as(self) -> str:
        """Name of the reward in the objective and the log."""
        return self.name or self.use

    @property
    def component(self) -> Use:
        """The entry as the reward's own factory takes it; `feature` is one whose own settings have a name too."""
        named = (
            {"name": self.name}
            if self.name is not None and "name" in known_rewards.config(self.use).model_fields
            else {}
        )
        return Use(use=self.use, **self.settings, **named)


class PolicyGradientSettings(TrainSettings):
    """What `rloo`, `grpo` and `ppo` share."""

    rewards: tuple[RewardUse, ...] = Field(min_length=1)
    """What is rewarded: registered rewards with their settings."""
    objective: Use | None = None
    """How the rewards are joined: a registered objective with its settings; None takes their weighted sum."""
    standardise: bool = True
    """Take from each reward its mean on the first batch, which the start model answered, and divide by its deviation."""
    group_size: int = Field(default=4, ge=2)
    """Answers a prompt, whose rewards are compared with each other."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Most tokens of an answer."""
    sample_batch: int = Field(default=64, ge=1)
    """Answers that are sampled at once, rounded down to whole prompts; the answers hardly depend on it (rounding)."""
    truncated: Literal["keep", "penalise", "drop"] = "keep"
    """Answers that the token limit cut: rewarded as they are, rewarded less, or not learned from."""
    truncation_penalty: float = Field(default=1.0, ge=0)
    """What `penalise` takes from each reward of an answer that was cut, in standard deviations if those are used."""
    beta: float = Field(default=0.0, ge=0)
    """Weight of the divergence from the model at the start of the round, or where it starts if there is a target."""
    target_kl: float | None = Field(default=None, gt=0)
    """Divergence in nats an answer that beta is steered to; None keeps beta."""
    kl_gain: float = Field(default=0.1, gt=0, le=1)
    """How fast beta follows the target; 0.1 in Ziegler et al. 2019 (arXiv:1909.08593)."""
    exact_kl: bool = True
    """Log the divergence from both models' whole distributions too, which has less noise than sampled estimates."""
    passes: int = Field(default=1, ge=1)
    """Times that each batch of answers is learned."""
    minibatches: int = Field(default=1, ge=1)
    """Optimiser steps in a pass."""
    clip: float = Field(default=0.2, gt=0, lt=1)
    """Probability ratios to the sampling model gain nothing beyond 1 +- this; 0.2 as in PPO (arXiv:1707.06347)."""
    batch_size: int = Field(default=8, ge=1)
    """Prompts in a batch."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Prompts whose answers go through the model at once; the rest of a step is accumulated. None takes all."""
    epochs: int = Field(default=1, ge=1)
    """Times that each prompt is asked."""
    max_steps: int | None = Field(default=None, ge=1)
    """Batches of answers after which training ends, even within an epoch."""
    max_length: int = Field(default=1024, ge=8)
    """Tokens of prompt and answer together; prompts that leave no room for `max_new_tokens` are left out and counted."""
    learn_end: Literal["always"] = "always"
    """The end token is learned wherever it was sampled."""
    save_steps: int = Field(default=1, ge=1)
    """Batches between checkpoints; what was sampled and graded after the last one is done again."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.dropout:
            raise ValueError(f"dropout={self.dropout} would make ratios to the sampling model wrong; leave it at 0")
        if self.max_new_tokens >= self.max_length:
            raise ValueError(f"max_new_tokens={self.max_new_tokens} must be below max_length={self.max_length}")
        if self.target_kl is not None and self.beta == 0:
            raise ValueError("target_kl steers beta by factors, so beta must start above 0")
        if self.minibatches > self.batch_size * self.group_size:
            raise ValueError(f"minibatches={self.minibatches} is more than the answers of a batch")
        names = [use.known_as for use in self.rewards]
        if len(set(names)) < len(names):
            raise ValueError(f"rewards have equal names: {', '.join(names)}; give each a name of its own")
        if self.objective is not None and any(use.weight is not None for use in self.rewards):
            raise ValueError("rewards have weights beside an objective; give the weights to the objective")
        return self

    def check_components(self) -> None:
        """Check rewards and objective as far as that can be done before anything runs.

        Raises:
            ConfigError: An unknown component or setting.
        """
        for use in self.rewards:
            known_rewards.check(use.component)
        objectives.check(objective_use(self))


def objective_use(settings: PolicyGradientSettings) -> Use:
    """The objective's entry; the weighted sum of all rewards if none is named."""
    if settings.objective is not None:
        return settings.objective
    weights = {use.known_as: 1.0 if use.weight is None else use.weight for use in settings.rewards}
    return Use(use="weighted", weights=weights)
