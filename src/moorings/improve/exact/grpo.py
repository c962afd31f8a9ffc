"""Group-relative policy optimisation on a finite policy.

DeepSeekMath (Shao et al. 2024, arXiv:2402.03300): A_i = (R_i - mean) / std within the group of answers to a prompt, the
same for each token of an answer. One update a batch, so the ratio to the policy that drew is 1 and nothing is clipped.

Choices that the sources differ in:
- `scale`: dividing by std, as the paper, or not, as Dr. GRPO (Liu et al. 2025, arXiv:2503.20783). Without it the expected
  gradient is (G - 1) / G times the exact one; with it prompts that are nearly always right or wrong weigh more.
- `length`: mean over an answer's tokens, then over answers (the paper; long answers are pushed less a token, for better
  or worse); mean over all tokens of the batch (DAPO, Yu et al. 2025, arXiv:2503.14476); sum over tokens divided by a
  constant (Dr. GRPO). An answer's gradient is that of its log-probability, the sum over its tokens.
- KL: as a loss, beta k3 with k3 = pi0 / pi - ln (pi0 / pi) - 1, through which the gradient flows as in the paper.
  The expectation of that gradient is the gradient of KL(pi0 || pi), not of KL(pi || pi0), although k3 estimates the
  latter; with `kl_in_reward` -beta ln pi / pi0 is part of the reward instead, whose gradient is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from moorings.improve.exact.optimise import score_gradient
from moorings.improve.exact.sampled import Estimate, Moved

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from moorings.improve.exact.policy import SoftmaxPolicy

__all__ = ["Grpo"]


@dataclass(frozen=True)
class Grpo:
    """Settings and step of GRPO."""

    learning_rate: float
    group_size: int = 8
    """Answers drawn for each prompt, >= 2; the paper used 64."""
    scale: bool = True
    """Divide by the group's standard deviation."""
    length: Literal["answer", "batch", "constant"] = "answer"
    """What the sum over tokens is divided by; see the module."""
    n_tokens: Int[np.ndarray, "prompts answers"] | None = None
    """Length of each answer; None counts each as one token."""
    kl_weight: float = 0.0
    """beta; the paper's is 0.04, newer code leaves it out."""
    kl_in_reward: bool = False
    """Where the KL enters; see the module."""
    epsilon: float = 1e-4
    """Added to the standard deviation; trl's value."""

    def step(
        self, policy: SoftmaxPolicy, reward: Float[np.ndarray, "prompts answers"], rng: np.random.Generator
    ) -> Moved:
        """Draw groups and take one gradient step."""
        made = self.estimate(policy, policy.sample(self.group_size, rng), reward)
        return Moved(policy.moved(self.learning_rate * made.gradient), made.logged)

    def estimate(
        self,
        policy: SoftmaxPolicy,
        drawn: Int[np.ndarray, "prompts draws"],
        reward: Float[np.ndarray, "prompts answers"],
    ) -> Estimate:
        """Gradient from groups; `zero_variance` is the share of groups whose rewards are equal, which teach nothing."""
        rows = np.arange(len(drawn))[:, None]
        ratio = (policy.log_p - policy.log_base)[rows, drawn]
        got = np.asarray(reward, dtype=np.float64)[rows, drawn]
        same = np.ptp(got, axis=1) == 0
        if self.kl_in_reward:
            got = got - self.kl_weight * ratio
        advantages = got - got.mean(axis=1, keepdims=True)
        if self.scale:
            advantages = advantages / (got.std(axis=1, ddof=1, keepdims=True) + self.epsilon)
        factors = advantages
        if self.kl_weight and not self.kl_in_reward:
            # d k3 = (1 - pi0 / pi) d ln pi.
            factors = advantages + self.kl_weight * np.expm1(-ratio)
        gradient = score_gradient(policy, drawn, factors * self._token_weights(drawn))
        return Estimate(gradient, {"zero_variance": float(same.mean())})

    def _token_weights(self, drawn: Int[np.ndarray, "prompts draws"]) -> Float[np.ndarray, "prompts draws"]:
        if self.n_tokens is None:
            return np.full(drawn.shape, 1 / drawn.size)
        lengths = self.n_tokens[np.arange(len(drawn))[:, None], drawn].astype(np.float64)
        if self.length == "answer":
            return np.asarray(1 / (lengths * drawn.size))
        if self.length == "batch":
            return np.full(drawn.shape, 1 / lengths.sum())
        return np.full(drawn.shape, 1 / (float(self.n_tokens.max()) * drawn.size))
