"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, eq. 7), with two variants.

With h = ln pi/pi_ref (chosen) - ln pi/pi_ref (rejected), log-probabilities summed over response tokens:
sigmoid   -ln s(beta h);
robust    ((1 - e) (-ln s(beta h)) - e (-ln s(-beta h))) / (1 - 2 e), unbiased when a share e of the labels is flipped
          (Chowdhury et al. 2024, arXiv:2403.00409, eq. 12);
ipo       (h - 1 / (2 beta))^2 (Azar et al. 2023, arXiv:2310.12036, eq. 17), with log-probabilities averaged over tokens
          as in TRL, whose authors confirmed it with the paper's; a sum would make the loss depend on length.

pi_ref is the model at the start of the round. Its log-probabilities are computed once, before the first step, by the
very weights that training starts from; so no second copy of the model or the adapter is kept, and each epoch after
the first saves a pass. Logged: mean log-probabilities of both responses (that of the chosen one often falls while the
margin grows), the margin beta h, and the share of pairs with h > 0.

Left out: other divergences than reverse KL, length normalisation. What it must show: pi ~ pi_ref exp(r / beta) where
preferences follow r by Bradley-Terry (tests, on a finite space).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from moorings.improve.train.encode import EncodedRow
from moorings.improve.train.forward import Predictions
from moorings.improve.train.loop import Run, train
from moorings.improve.train.settings import TrainSettings
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers

__all__ = ["LEARNING_RATE", "Dpo", "DpoSettings", "dpo", "pair_losses"]

LEARNING_RATE = 1e-5
"""Ten times the rate of full weights that TRL's DPOConfig has."""

Form = Literal["sigmoid", "robust", "ipo"]


class DpoSettings(TrainSettings):
    """Settings of `dpo`; a learning rate of None is 1e-5 for adapters and 1e-6 for full weights."""

    beta: float = Field(default=0.1, gt=0)
    """How closely the reference is kept to; 0.1 for dialogue in the paper."""
    form: Form = "sigmoid"
    """The loss: of the paper, robust against flipped labels, or squared (ipo)."""
    flip_rate: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of labels that are taken to be the wrong way round; for form robust only."""

    @model_validator(mode="after")
    def _flips_need_robust(self) -> Self:
        if self.flip_rate and self.form != "robust":
            raise ValueError(f"flip_rate={self.flip_rate} has no meaning for form {self.form}; use form: robust")
        return self


def pair_losses(h: Any, *, beta: float, form: Form = "sigmoid", flip_rate: float = 0.0) -> Any:
    """Loss of each pair.

    Args:
        h: Log-ratio to the reference of the chosen response minus that of the rejected one, in nats.
        beta: > 0.
        form: See the module.
        flip_rate: For form robust, below 0.5.
    """
    from torch.nn.functional import logsigmoid

    if form == "ipo":
        return (h - 1 / (2 * beta)) ** 2
    if form == "robust":
        kept, flipped = -logsigmoid(beta * h), -logsigmoid(-beta * h)
        return ((1 - flip_rate) * kept - flip_rate * flipped) / (1 - 2 * flip_rate)
    return -logsigmoid(beta * h)


class Dpo:
    """Mean loss of preference pairs.

    Args:
        beta: See `DpoSettings`.
        form: See `DpoSettings`.
        flip_rate: See `DpoSettings`.
    """

    name = "dpo"
    pairs = True

    def __init__(self, *, beta: float, form: Form, flip_rate: float) -> None:
        self._beta, self._form, self._flip_rate = beta, form, flip_rate
        self._reference: dict[int, Any] = {}

    def prepare(self, run: Run) -> None:
        """Log-probabilities of all pairs under the start weights, a fixed number of rows at a time."""
        import torch

        model = run.session.model
        n_part = run.settings.micro_batch or run.settings.batch_size
        model.eval()
        order = sorted(run.rows, key=lambda row: -row.length)
        with torch.no_grad():
            for at in range(0, len(order), n_part):
                part = order[at : at + n_part]
                _, found = run.forward(model, part)
                for row, pair in zip(part, sequence_logp(found, 2 * len(part)).reshape(2, -1).T, strict=True):
                    self._reference[id(row)] = pair
        model.train()

    def size(self, rows: Sequence[EncodedRow]) -> float:
        """Pairs."""
        return float(len(rows))

    def loss(self, rows: Sequence[EncodedRow], found: Predictions) -> tuple[Any, dict[str, Any]]:
        """See `Objective`."""
        import torch

        chosen, rejected = sequence_logp(found, 2 * len(rows)).reshape(2, -1)
        reference = torch.stack([self._reference[id(row)] for row in rows]).T
        gains = torch.stack([chosen, rejected]) - reference
        if self._form == "ipo":
            lengths = [[len(s.ids) - s.n_prompt for s in row.sequences] for row in rows]
            gains = gains / torch.tensor(lengths, device=gains.device).T
        h = gains[0] - gains[1]
        losses = pair_losses(h, beta=self._beta, form=self._form, flip_rate=self._flip_rate)
        weights = torch.tensor([row.weight for row in rows], device=losses.device)
        return (weights * losses).sum(), {
            "loss": losses.sum(),
            "logp_chosen": chosen.sum(),
            "logp_rejected": rejected.sum(),
            "margin": self._beta * h.sum(),
            "accuracy": (h > 0).float().sum(),
        }


def sequence_logp(found: Predictions, n_sequences: int) -> Any:
    """Log-probability of each sequence's response, in nats."""
    import torch

    total = torch.zeros(n_sequences, device=found.logp.device)
    return total.index_add(0, found.owner, found.logp)


@trainers.register("dpo", DpoSettings)
def dpo(config: DpoSettings) -> Trainer:
    """Learn which of two responses is better."""

    def run(job: TrainJob) -> TrainResult:
        objective = Dpo(beta=config.beta, form=config.form, flip_rate=config.flip_rate)
        return train(job, config, objective, LEARNING_RATE)

    return run
