"""Direct preference optimisation on a finite policy.

Rafailov et al. 2023 (arXiv:2305.18290), eq. 7: with h = beta [(ln pi / pi0)(y+) - (ln pi / pi0)(y-)], minimise
-ln sigma(h). A pair may be labelled with a probability that its first answer is better. Variants: `ipo`
(Azar et al. 2023, arXiv:2310.12036), (h / beta - 1 / (2 beta))^2; `robust` (Chowdhury et al. 2024, arXiv:2403.00409),
unbiased if a share `flip_rate` of labels is flipped.

What it must show: with all pairs, labelled sigma(r(y+) - r(y-)), it ends at pi0 exp(r / beta) / Z, the optimum of
E[r] - beta KL(pi || pi0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from moorings.errors import ConfigError
from moorings.improve.exact.sampled import Moved

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from moorings.improve.exact.policy import SoftmaxPolicy

__all__ = ["Dpo", "DpoLoss", "Pairs", "all_pairs", "draw_pairs", "fit_dpo"]

DpoLoss = Literal["sigmoid", "ipo", "robust"]


class Pairs(NamedTuple):
    """Pairs of answers to the same prompt, by index."""

    prompt: Int[np.ndarray, " pairs"]
    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    label: Float[np.ndarray, " pairs"]
    """Probability that the first is better; 1 for a plain choice."""


def all_pairs(reward: Float[np.ndarray, "prompts answers"]) -> Pairs:
    """Every pair of different answers once, labelled by Bradley-Terry: sigma(r_first - r_second)."""
    n_prompts, n_answers = reward.shape
    first, second = np.triu_indices(n_answers, k=1)
    prompt = np.repeat(np.arange(n_prompts), len(first))
    first, second = np.tile(first, n_prompts), np.tile(second, n_prompts)
    return Pairs(prompt, first, second, expit(reward[prompt, first] - reward[prompt, second]))


def draw_pairs(
    reward: Float[np.ndarray, "prompts answers"], n: int, rng: np.random.Generator, *, flip_rate: float = 0.0
) -> Pairs:
    """Pairs of two answers drawn at random, the better one first, a share of them turned round.

    Answers of equal reward are put in random order.

    Args:
        reward: What decides.
        n: How many pairs.
        rng: Randomness.
        flip_rate: Probability that a pair is turned round.
    """
    prompt = rng.integers(0, reward.shape[0], n)
    one = rng.integers(0, reward.shape[1], n)
    other = (one + rng.integers(1, reward.shape[1], n)) % reward.shape[1]
    turned = (reward[prompt, one] < reward[prompt, other]) ^ (rng.random(n) < flip_rate)
    return Pairs(prompt, np.where(turned, other, one), np.where(turned, one, other), np.ones(n))


@dataclass(frozen=True)
class Dpo:
    """Settings, loss and step of DPO."""

    pairs: Pairs
    beta: float = 0.1
    """Weight of the implied KL; the paper's value for dialogue."""
    loss: DpoLoss = "sigmoid"
    """Which one."""
    flip_rate: float = 0.0
    """For `robust`: share of labels that are wrong, below 0.5."""
    learning_rate: float = 1.0
    """Of `step`."""

    def __post_init__(self) -> None:
        if self.beta <= 0 or not 0 <= self.flip_rate < 0.5 or (self.flip_rate > 0) != (self.loss == "robust"):
            raise ConfigError(
                f"beta is {self.beta}, flip_rate {self.flip_rate}, loss '{self.loss}'; give a beta above 0, and a flip_rate "
                "above 0 and below 0.5 for robust and for nothing else"
            )

    @property
    def kl_weight(self) -> float:
        """beta, for the record."""
        return self.beta

    def step(
        self, policy: SoftmaxPolicy, reward: Float[np.ndarray, "prompts answers"], rng: np.random.Generator
    ) -> Moved:
        """One step down the loss over all pairs; the reward and the rng are not looked at."""
        loss, gradient = self.loss_and_gradient(policy)
        ratio = policy.log_p - policy.log_base
        prompt, first, second, label = self.pairs
        chosen = label * ratio[prompt, first] + (1 - label) * ratio[prompt, second]
        rejected = label * ratio[prompt, second] + (1 - label) * ratio[prompt, first]
        logged = {
            "loss": loss,
            "chosen_log_ratio": float(chosen.mean()),
            "rejected_log_ratio": float(rejected.mean()),
            "margin": float((chosen - rejected).mean()),
        }
        return Moved(policy.moved(-self.learning_rate * gradient), logged)

    def loss_and_gradient(self, policy: SoftmaxPolicy) -> tuple[float, Float[np.ndarray, ...]]:
        """Mean loss over pairs and its gradient."""
        prompt, first, second, label = self.pairs
        ratio = policy.log_p - policy.log_base
        gap = ratio[prompt, first] - ratio[prompt, second]
        value, slope = self._of_gap(gap, label)
        # The normaliser of pi cancels within a pair, so d gap = phi(first) - phi(second).
        pull = np.zeros(ratio.shape)
        np.add.at(pull, (prompt, first), slope / len(gap))
        np.add.at(pull, (prompt, second), -slope / len(gap))
        gradient = pull if policy.features is None else np.tensordot(pull, policy.features, axes=2)
        return float(value.mean()), np.asarray(gradient)

    def _of_gap(self, gap: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss of each pair and its derivative."""
        if self.loss == "ipo":
            aim = (2 * label - 1) / (2 * self.beta)
            return (gap - aim) ** 2, 2 * (gap - aim)
        as_labelled, turned = label, 1 - label
        if self.loss == "robust":
            e = self.flip_rate
            as_labelled, turned = (
                ((1 - e) * label - e * (1 - label)) / (1 - 2 * e),
                ((1 - e) * (1 - label) - e * label) / (1 - 2 * e),
            )
        h = self.beta * gap
        value = as_labelled * np.logaddexp(0, -h) + turned * np.logaddexp(0, h)
        return value, self.beta * (turned * expit(h) - as_labelled * expit(-h))


def fit_dpo(policy: SoftmaxPolicy, dpo: Dpo, *, max_steps: int = 1000) -> SoftmaxPolicy:
    """The policy at the least loss, found by L-BFGS from the given one.

    Plain choices (labels of 1) have no least loss without features that tie answers together: it falls without end.
    """
    shape = policy.theta.shape

    def goal(theta: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = dpo.loss_and_gradient(policy.moved(theta.reshape(shape) - policy.theta))
        return loss, gradient.ravel()

    found = minimize(
        goal,
        policy.theta.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_steps, "ftol": 1e-15, "gtol": 1e-10},
    )
    return policy.moved(found.x.reshape(shape) - policy.theta)
