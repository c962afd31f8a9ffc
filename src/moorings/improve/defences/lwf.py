"""Learning without forgetting (Li & Hoiem 2017, arXiv:1606.09282).

Before a round, the old model's soft outputs on the new inputs are what the new model should still say:
loss + strength * tau^2 * KL(softmax(z_old / tau) || softmax(z / tau)), the mean over positions. The factor tau^2 is
Hinton's and keeps the gradient's size alike for all tau (van de Ven's continual_learner.py does the same).
For a language model the old model is that of the round before, the inputs are the new rows, and the positions are those
of the response. Old outputs are computed as batches come, not stored, since a row of logits is as long as the
vocabulary.

Left out: the paper's warm-up of new heads. What it must show: less forgetting than plain training on split and
permuted digits, far from enough when classes are new and share one head.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from moorings.improve.defences.reference import Reference, divergence_nats, learned_positions
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.method import MethodConfig

__all__ = ["LearningWithoutForgetting", "LwfConfig", "distillation"]


class LwfConfig(MethodConfig):
    """Settings of `lwf`."""

    strength: float = Field(default=1.0, ge=0)
    """Weight of the old outputs against the new labels; 1 in the paper."""
    tau: float = Field(default=2.0, gt=0)
    """Temperature; 2 in the paper."""
    where: Literal["response", "all"] = "response"
    """Positions that are held: those of the response, or the prompt's as well."""


def distillation(old_logits: Any, logits: Any, *, tau: float = 2.0) -> Any:
    """Divergence of each position from the old outputs, times tau^2, in nats.

    Args:
        old_logits: Of the frozen model, classes last.
        logits: Of the model in training, same shape.
        tau: Temperature.
    """
    return tau**2 * divergence_nats(old_logits.detach(), logits, tau=tau)


class LearningWithoutForgetting(BaseDefence):
    """The language model's form: KL from the model that the round started from."""

    def __init__(self, config: LwfConfig) -> None:
        self._config = config
        self._reference: Reference | None = None

    def start(self, session: TrainSession) -> None:
        """Take the round's first model as the old one."""
        self.finish(session)
        self._reference = Reference(session, session.job.start)

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """The mean divergence over the positions of the batch."""
        if self._reference is None:
            return None
        mask = learned_positions(batch) if self._config.where == "response" else batch["attention_mask"][:, 1:] > 0
        old = self._reference.logits(batch)[:, :-1][mask]
        held = distillation(old, output.logits[:, :-1][mask], tau=self._config.tau).mean()
        session.metrics["lwf.nats"] = float(held.detach())
        return self._config.strength * held

    def finish(self, session: TrainSession) -> None:
        """Let the old model go."""
        if self._reference is not None:
            self._reference.close()
        self._reference = None


@defences.register("lwf", LwfConfig)
def lwf(config: LwfConfig) -> LearningWithoutForgetting:
    """Hold the new model's outputs on the new rows near those of the round before."""
    return LearningWithoutForgetting(config)
