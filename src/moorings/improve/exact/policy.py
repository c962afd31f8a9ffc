"""A softmax policy over a finite set of answers to each prompt: every expectation, gradient and KL is exact.

pi(a | q) = pi0(a | q) exp(phi(q, a) . theta) / Z(q). With `features` None theta has one entry an answer (tabular); else
it is shared among prompts, so that what is learned on some prompts changes the answers to others, as in a real model.
Stored answers are draws of pi0, so pi0 is uniform over them, texts that were drawn twice counting twice.

With S = grad ln pi = phi - E[phi]: grad E[A] = E[A S] for any fixed A, and KL(pi || pi0) = E[ln pi / pi0].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SoftmaxPolicy"]


@dataclass(frozen=True)
class SoftmaxPolicy:
    """The policy at one theta; `moved` gives the next one."""

    theta: Float[np.ndarray, ...]
    """[d] with features, [prompts, answers] without."""
    features: Float[np.ndarray, "prompts answers d"] | None = None
    base: Float[np.ndarray, "prompts answers"] | None = None
    """ln pi0; uniform if None. Need not be normalised."""

    @staticmethod
    def uniform(
        n_prompts: int, n_answers: int, features: Float[np.ndarray, "prompts answers d"] | None = None
    ) -> SoftmaxPolicy:
        """The start policy over stored answers."""
        shape = (n_prompts, n_answers) if features is None else (features.shape[-1],)
        return SoftmaxPolicy(np.zeros(shape), features)

    def moved(self, step: Float[np.ndarray, ...]) -> SoftmaxPolicy:
        """The policy at theta + step."""
        return SoftmaxPolicy(self.theta + step, self.features, self.base)

    @cached_property
    def log_base(self) -> Float[np.ndarray, "prompts answers"]:
        """ln pi0."""
        shape = self.theta.shape if self.features is None else self.features.shape[:2]
        base = np.zeros(shape) if self.base is None else self.base
        return np.asarray(base - logsumexp(base, axis=1, keepdims=True))

    @cached_property
    def log_p(self) -> Float[np.ndarray, "prompts answers"]:
        """ln pi."""
        tilt = self.theta if self.features is None else self.features @ self.theta
        raw = self.log_base + tilt
        return np.asarray(raw - logsumexp(raw, axis=1, keepdims=True))

    def mean(self, values: Float[np.ndarray, "prompts answers"]) -> Float[np.ndarray, " prompts"]:
        """E[values] of each prompt."""
        return np.asarray((np.exp(self.log_p) * values).sum(axis=1))

    def kl(self) -> Float[np.ndarray, " prompts"]:
        """KL(pi || pi0) of each prompt, in nats."""
        log_p = self.log_p
        return np.asarray((np.exp(log_p) * (log_p - self.log_base)).sum(axis=1))

    def gradient(self, advantages: Float[np.ndarray, "prompts answers"]) -> Float[np.ndarray, ...]:
        """Gradient of the mean over prompts of E[advantages], which are held fixed."""
        p = np.exp(self.log_p)
        pull = p * (advantages - (p * advantages).sum(axis=1, keepdims=True)) / len(p)
        return pull if self.features is None else np.asarray(np.tensordot(pull, self.features, axes=2))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of n answers to each prompt, with replacement: [prompts, n]."""
        edges = np.exp(self.log_p).cumsum(axis=1)
        draws = rng.random((len(edges), n))
        return np.asarray(np.minimum((draws[:, :, None] > edges[:, None, :]).sum(axis=2), edges.shape[1] - 1))
