"""A leash to round 0: the divergence from the anchor is part of the loss (Ziegler et al. 2019, arXiv:1909.08593).

loss + beta * mean_t KL(pi(. | x, y_<t) || pi_0(. | x, y_<t)) over the response's positions t, exact over the vocabulary.
With a target, beta follows it as in the paper's section 2.2, after each optimiser step:
e = clip((KL - target) / target, -0.2, 0.2), beta <- beta * (1 + 0.1 e).

Unlike `lwf`, which yields a little each round, the anchor stays that of round 0, so the divergence cannot add up over
rounds. Left out: the divergence on the model's own samples, as in reinforcement learning; here it is measured on the
rows. What it must show: the divergence from round 0 is smaller than without it, and near the target with one.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from moorings.improve.defences.reference import Reference, divergence_nats, learned_positions
from moorings.improve.defences.tensors import StepState
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.method import MethodConfig

__all__ = ["KlAnchor", "KlAnchorConfig", "adapt_beta"]


class KlAnchorConfig(MethodConfig):
    """Settings of `kl_anchor`."""

    beta: float = Field(default=0.1, ge=0)
    """Weight of the divergence, or where it starts if there is a target; not the paper's, whose loss is a reward."""
    target: float | None = Field(default=None, gt=0)
    """Divergence in nats a token that beta is steered to; None keeps beta."""
    gain: float = Field(default=0.1, gt=0, le=1)
    """How fast beta follows; 0.1 in the paper."""
    keep_states: int = Field(default=1000, ge=1)
    """Steps back to which beta is remembered where there is a target; at least the trainer's `save_steps`."""


def adapt_beta(beta: float, kl_nats: float, target: float, *, gain: float = 0.1) -> float:
    """Next weight: larger where the divergence is above its target.

    >>> round(adapt_beta(1.0, 2.0, 1.0), 3), round(adapt_beta(1.0, 0.95, 1.0), 3)
    (1.02, 0.995)
    """
    error = min(0.2, max(-0.2, (kl_nats - target) / target))
    return beta * (1.0 + gain * error)


class KlAnchor(BaseDefence):
    """Divergence from round 0 as part of the loss."""

    def __init__(self, config: KlAnchorConfig) -> None:
        self._config = config
        self._beta = config.beta
        self._reference: Reference | None = None
        self._seen: list[float] = []

    def start(self, session: TrainSession) -> None:
        """Take round 0 as the anchor."""
        self._close()
        self._reference = Reference(session, session.job.anchor)
        self._seen, self._beta = [], self._config.beta
        self._states = StepState(session.job, "kl_anchor", keep=self._config.keep_states)

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """Weighted mean divergence over the response's positions."""
        if self._reference is None:
            return None
        if self._config.target is not None and (state := self._states.missed(session.step)):
            self._beta = float(state["beta"])
        mask = learned_positions(batch)
        anchor = self._reference.logits(batch)[:, :-1][mask]
        kl = divergence_nats(output.logits[:, :-1][mask], anchor).mean()
        self._seen.append(float(kl.detach()))
        return self._beta * kl

    def should_stop(self, session: TrainSession) -> bool:
        """Never stops; a step has ended, so the weight may follow the divergence."""
        if self._seen:
            mean = sum(self._seen) / len(self._seen)
            session.metrics.update({"kl_anchor.nats": mean, "kl_anchor.beta": self._beta})
            if self._config.target is not None:
                self._beta = adapt_beta(self._beta, mean, self._config.target, gain=self._config.gain)
                self._states.save(session.step, {"beta": self._beta})
            self._seen = []
        return False

    def finish(self, session: TrainSession) -> None:
        """Let the anchor go."""
        self._close()

    def _close(self) -> None:
        if self._reference is not None:
            self._reference.close()
        self._reference = None


@defences.register("kl_anchor", KlAnchorConfig)
def kl_anchor(config: KlAnchorConfig) -> KlAnchor:
    """Hold the new model's outputs near those of round 0."""
    return KlAnchor(config)
