"""Variational continual learning (Nguyen et al. 2018, arXiv:1710.10628).

The weights are a mean-field Gaussian; the posterior of one round is the prior of the next:
q_t = argmin -E_q[ln p(D_t | theta)] + KL(q || q_{t-1}), with, for each weight,
KL = 1/2 [ln(s0^2 / s^2) + (s^2 + (m - m0)^2) / s0^2 - 1]. A step draws weights m + s * noise, and its loss is divided by
the number of things learned, so that it has the size of a mean loss.

The means are the parameters that the trainer optimises; the standard deviations are kept and optimised here (Adam). As
the trainer's own forward pass is at the means, the penalty is (loss at drawn weights - loss at the means) + KL / N, which
adds up to the loss above for a second pass. The result is the means. For LoRA the factors are the Gaussian
weights, so what is held is each factor, as in `synaptic_intelligence`. `kl_weight` below 1 tempers the prior (generalised
VCL, Loo et al. 2020, arXiv:2011.12328): with many more weights than data the plain bound learns nothing.

Left out: coresets (use the data method `replay`), and averaging predictions over drawn weights for language models.
One process only. What it must show: less forgetting than plain training on permuted digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from moorings.errors import ConfigError
from moorings.improve.defences.reference import learned_positions, model_inputs
from moorings.improve.defences.tensors import StepState, pack, past_file, trained, unpack
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.method import MethodConfig

__all__ = ["Variational", "VariationalConfig", "draw_weights", "gaussian_kl"]

_FILE = "variational.safetensors"


class VariationalConfig(MethodConfig):
    """Settings of `variational`."""

    kl_weight: float = Field(default=0.01, ge=0)
    """Weight of the divergence from the round before; 1 is the paper's bound, less is for adapters of large models."""
    prior_std: float = Field(default=0.1, gt=0)
    """Spread of the first round's prior around the fresh weights; the paper has 1 for small networks."""
    initial_std: float = Field(default=1e-3, gt=0)
    """Spread of the first posterior when its training starts; the paper's code has exp(-3)."""
    std_learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's rate for the logarithms of the spreads; 1e-3 in the paper's code."""
    keep_states: int = Field(default=64, ge=1)
    """Steps back to which the spreads are remembered; at least the trainer's `save_steps`."""


def gaussian_kl(
    mean: Mapping[str, Any], log_std: Mapping[str, Any], prior_mean: Mapping[str, Any], prior_log_std: Mapping[str, Any]
) -> Any:
    """KL(q || prior) of mean-field Gaussians, summed over all weights, in nats."""
    total: Any = 0.0
    for name, m in mean.items():
        ratio = (2.0 * (log_std[name] - prior_log_std[name])).exp()
        moved = ((m - prior_mean[name]) / prior_log_std[name].exp()).square()
        total = total + 0.5 * (ratio + moved - 1.0 - ratio.log()).sum()
    return total


def draw_weights(mean: Mapping[str, Any], log_std: Mapping[str, Any], generator: Any) -> dict[str, Any]:
    """One draw of all weights, through which gradients reach mean and spread. The generator is torch's, on the CPU."""
    import torch

    found = {}
    for name, m in mean.items():
        noise = torch.randn(m.shape, generator=generator, dtype=torch.float32).to(m)
        found[name] = m + log_std[name].exp() * noise
    return found


class Variational(BaseDefence):
    """Weights as Gaussians, held to the posterior of the round before."""

    def __init__(self, config: VariationalConfig) -> None:
        self._config = config

    def start(self, session: TrainSession) -> None:
        """Read the posterior of the round before as the prior.

        Raises:
            ConfigError: Several processes train together.
        """
        import math

        import torch

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise ConfigError("defence 'variational' trains in one process only; start one, or use ewc or lwf")
        parameters = trained(session.model)
        path = past_file(session.job, _FILE)
        found = unpack(path.read_bytes(), str(path)) if path else {}
        self._states = StepState(session.job, "variational", keep=self._config.keep_states)
        self._prior_mean, self._prior_log_std, self._log_std = {}, {}, {}
        for name, value in parameters.items():
            fits = getattr(found.get(f"mean.{name}"), "shape", None) == value.shape
            mean = found[f"mean.{name}"] if fits else value.detach().clone()
            spread = found[f"log_std.{name}"] if fits else torch.full_like(mean, math.log(self._config.prior_std))
            begin = spread if fits else torch.full_like(spread, math.log(self._config.initial_std))
            self._prior_mean[name], self._prior_log_std[name] = mean.to(value), spread.to(value)
            self._log_std[name] = begin.to(value).clone().requires_grad_()
        self._optimizer = torch.optim.Adam(self._log_std.values(), lr=self._config.std_learning_rate)
        self._n_learned = _count_learned(session)
        self._n_draws = 0

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """Loss at drawn weights less the loss at the means, plus the divergence from the prior."""
        import torch

        self._catch_up(session)
        means = trained(session.model)
        generator = torch.Generator().manual_seed((session.job.seed * 1_000_003 + session.step) * 1_009 + self._n_draws)
        self._n_draws += 1
        weights = draw_weights(means, self._log_std, generator)
        drawn = torch.func.functional_call(session.model, weights, (), {**model_inputs(batch), "use_cache": False})
        difference = _loss(drawn.logits, batch) - _loss(output.logits, batch)
        kl = gaussian_kl(means, self._log_std, self._prior_mean, self._prior_log_std)
        session.metrics["variational.kl_nats"] = float(kl.detach())
        return difference + self._config.kl_weight * kl / self._n_learned

    def should_stop(self, session: TrainSession) -> bool:
        """Never stops; a step has ended, so the spreads take theirs."""
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._n_draws = 0
        self._states.save(session.step, self._state())
        return False

    def finish(self, session: TrainSession) -> None:
        """Keep the posterior for the next round."""
        self._catch_up(session)
        tensors = {f"log_std.{name}": value for name, value in self._log_std.items()}
        tensors.update({f"mean.{name}": value for name, value in trained(session.model).items()})
        self._files = {_FILE: pack(tensors)}

    def files(self) -> dict[str, bytes]:
        """Means and spreads."""
        return self._files

    def _state(self) -> dict[str, Any]:
        found = {}
        for name, value in self._log_std.items():
            found[f"log_std.{name}"] = value
            for key in ("exp_avg", "exp_avg_sq"):
                if value in self._optimizer.state:
                    found[f"{key}.{name}"] = self._optimizer.state[value][key]
        return found

    def _catch_up(self, session: TrainSession) -> None:
        import torch

        state = self._states.missed(session.step)
        if state is None:
            return
        for name, value in self._log_std.items():
            with torch.no_grad():
                value.copy_(state[f"log_std.{name}"])
            moments = {key: state[f"{key}.{name}"].to(value) for key in ("exp_avg", "exp_avg_sq")}
            self._optimizer.state[value] = {"step": torch.tensor(float(session.step)), **moments}


def _loss(logits: Any, batch: dict[str, Any]) -> Any:
    import torch

    mask = learned_positions(batch)
    return torch.nn.functional.cross_entropy(logits[:, :-1][mask].float(), batch["labels"][:, 1:][mask])


def _count_learned(session: TrainSession) -> int:
    return max(1, sum(int(learned_positions(session.encode([row])).sum()) for row in session.job.rows))


@defences.register("variational", VariationalConfig)
def variational(config: VariationalConfig) -> Variational:
    """Learn Gaussians over the weights, each round's posterior being the next one's prior."""
    return Variational(config)
