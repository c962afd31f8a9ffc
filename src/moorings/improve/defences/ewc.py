"""Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv:1612.00796), online form (Schwarz et al. 2018, arXiv:1805.06370).

loss + strength / 2 * sum_j F_j (theta_j - theta*_j)^2, with theta* the weights after the round before and
F_j = E_x E_{y ~ p(y | x)} [(d ln p(y | x) / d theta_j)^2] at theta*. Labels are the model's own (all of them weighted by
their probability, or sampled), never the true ones, which would give the empirical Fisher; gradients are squared
example by example. Online: F <- gamma F_old + F_new, with one theta*.

Language models. What is penalised is the change of the weights, not of LoRA's factors: two factors may each move
little while their product moves a lot, or much while it stays. With W + s B A, the gradient of a weight is found by
hooks at each adapted layer, squared for one row at a time, and kept as its sums over rows and columns, of which the
rank-one product with the same sums (Shazeer & Stern 2018, arXiv:1804.04235) stands for the diagonal. The penalty on
the change of the product then needs no matrix of the layer's size. Each response token's label is sampled once, after the real
tokens before it. Other trained parameters (full weights, norms) have the plain diagonal; files are then twice the
model's size. The first round has nothing to hold to: combine with `kl_anchor`.

Left out: one penalty a task (the offline form). What it must show: a strength between none and freezing at which
forgetting is less than without; it depends on the strength over decades, and new classes under one head are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from moorings.improve.defences.lora import LoraFactors, lora_factors, lora_layers, product_change_squared
from moorings.improve.defences.tensors import pack, past_file, trained, unpack
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.method import MethodConfig

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Ewc", "EwcConfig", "fisher_diagonal", "language_model_fisher", "quadratic_penalty"]

_FILE = "ewc.safetensors"


class EwcConfig(MethodConfig):
    """Settings of `ewc`."""

    strength: float = Field(default=1000.0, ge=0)
    """Weight of the penalty; no value fits all, so try several decades (see the benchmark's sweep)."""
    gamma: float = Field(default=1.0, ge=0, le=1)
    """How much of the older rounds' importance is kept each round."""
    n_rows: int = Field(default=64, ge=1)
    """Rows of the round whose gradients make the Fisher information."""


def fisher_diagonal(
    logits: Callable[[Mapping[str, Any], Any], Any],
    parameters: Mapping[str, Any],
    inputs: Any,
    *,
    labels: Literal["all", "sample"] = "all",
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Diagonal of the Fisher information, the mean over inputs, one example at a time.

    Args:
        logits: Takes parameters and one input, gives its class logits.
        parameters: Where it is taken, such as theta*.
        inputs: One a row.
        labels: Every label weighted by its probability (exact, one backward pass a class), or one drawn an input.
        rng: Draws the labels.
    """
    import torch
    from torch.func import grad, vmap

    fixed = {name: value.detach() for name, value in parameters.items()}
    with torch.no_grad():
        p = torch.softmax(vmap(lambda x: logits(fixed, x))(inputs), dim=-1)

    def log_p(weights: Mapping[str, Any], x: Any, label: Any) -> Any:
        return torch.log_softmax(logits(weights, x), dim=-1).gather(-1, label[None])[0]

    gradients = vmap(grad(log_p), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(value) for name, value in fixed.items()}
    if labels == "sample":
        edges = p.cumsum(-1)
        draws = torch.as_tensor(rng.random((len(p), 1)), dtype=p.dtype) * edges[:, -1:]
        passes = [((edges < draws).sum(-1).clamp(max=p.shape[-1] - 1), torch.ones(len(p), dtype=p.dtype))]
    else:
        passes = [(torch.full((len(p),), label), p[:, label]) for label in range(p.shape[-1])]
    for label, share in passes:
        for name, g in gradients(fixed, inputs, label).items():
            total[name] += torch.einsum("n,n...->...", share, g.square()) / len(p)
    return total


def quadratic_penalty(parameters: Mapping[str, Any], centre: Mapping[str, Any], importance: Mapping[str, Any]) -> Any:
    """Sum over all weights of importance * (weight - centre)^2; 0 for no parameters."""
    return sum((importance[name] * (value - centre[name]).square()).sum() for name, value in parameters.items())


def language_model_fisher(session: TrainSession, *, n_rows: int, seed: int) -> dict[str, Any]:
    """Fisher information of the trained weights on rows of the round.

    Args:
        session: Its model is evaluated as it stands.
        n_rows: Rows that are drawn without replacement; all if there are fewer.
        seed: Of rows and labels.

    Returns:
        `LAYER.rows` and `LAYER.columns` for adapted layers, sums of the diagonal over a weight matrix's columns and
        rows; the diagonal itself under a parameter's name for others.
    """
    import numpy as np
    import torch

    rng = np.random.default_rng([seed, 0xF15])
    rows = session.job.rows
    chosen = np.sort(rng.choice(len(rows), min(n_rows, len(rows)), replace=False))
    generator = torch.Generator().manual_seed(seed)
    layers = lora_layers(session.model)
    inside = {f"{name}." for name in layers}
    others = {n: v for n, v in trained(session.model).items() if not any(n.startswith(start) for start in inside)}
    sums: dict[str, Any] = {name: torch.zeros_like(value) for name, value in others.items()}
    handles = [module.register_forward_hook(_collector(sums, name)) for name, module in layers.items()]
    training = session.model.training
    session.model.eval()
    try:
        for at in chosen:
            log_p = _own_labels_log_p(session, session.encode([rows[int(at)]]), generator)
            wanted = [*others.values()] or [value for value in trained(session.model).values()]
            gradients = torch.autograd.grad(log_p, wanted, allow_unused=True)
            for name, g in zip(others, gradients, strict=False):
                sums[name] += 0.0 if g is None else g.square()
    finally:
        session.model.train(training)
        for handle in handles:
            handle.remove()
    return {name: value / len(chosen) for name, value in sums.items()}


def _own_labels_log_p(session: TrainSession, batch: dict[str, Any], generator: Any) -> Any:
    """Summed log-probability of labels drawn from the model, one for each learned position."""
    import torch

    from moorings.improve.defences.reference import learned_positions, model_inputs

    output = session.model(**model_inputs(batch), use_cache=False).logits[:, :-1]
    log_p = torch.log_softmax(output[learned_positions(batch)].float(), dim=-1)
    drawn = torch.multinomial(log_p.detach().exp().cpu(), 1, generator=generator).to(log_p.device)
    return log_p.gather(-1, drawn).sum()


def _collector(sums: dict[str, Any], name: str) -> Callable[[Any, Any, Any], None]:
    """A hook that adds the squared gradient of a layer's merged weight, as row and column sums."""
    import torch

    def hook(module: Any, inputs: Any, output: Any) -> None:
        x = inputs[0].detach().flatten(0, -2).float()

        def add(g: Any) -> None:
            squared = (g.flatten(0, -2).float().T @ x).square()
            for side, axis in (("rows", 1), ("columns", 0)):
                key = f"{name}.{side}"
                sums[key] = sums.get(key, torch.zeros(1, device=x.device)) + squared.sum(axis)

        output.register_hook(add)

    return hook


class Ewc(BaseDefence):
    """Holds weights that earlier rounds need."""

    def __init__(self, config: EwcConfig) -> None:
        self._config = config
        self._kept: dict[str, Any] = {}
        self._files: dict[str, bytes] = {}

    def start(self, session: TrainSession) -> None:
        """Read what the round before left: its weights and their importance."""
        path = past_file(session.job, _FILE)
        device = next(session.model.parameters()).device
        found = unpack(path.read_bytes(), str(path)) if path else {}
        self._kept = {name: value.to(device) for name, value in found.items()}
        self._files = {}

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """strength / 2 * F * change^2, summed over the weights."""
        if not self._kept:
            return None
        total = _penalty(session.model, self._kept)
        session.metrics["ewc.penalty"] = float(total.detach()) * self._config.strength / 2
        return self._config.strength / 2 * total

    def finish(self, session: TrainSession) -> None:
        """Take the Fisher information of this round and join it with that of the rounds before."""
        job = session.job
        fresh = language_model_fisher(session, n_rows=self._config.n_rows, seed=job.seed)
        kept = {f"fisher.{name}": value for name, value in fresh.items()}
        for name, value in kept.items():
            old = self._kept.get(name)
            kept[name] = value if old is None else value + self._config.gamma * old
        for name, factors in lora_factors(session.model).items():
            kept[f"centre.{name}.a"], kept[f"centre.{name}.b"] = factors.a, factors.b
        for name, value in trained(session.model).items():
            if f"fisher.{name}" in kept:
                kept[f"centre.{name}"] = value
        self._files = {_FILE: pack(kept)}

    def files(self) -> dict[str, bytes]:
        """Importance and weights for the next round."""
        return self._files


def _penalty(model: Any, kept: Mapping[str, Any]) -> Any:
    total: Any = 0.0
    for name, now in lora_factors(model).items():
        if f"centre.{name}.a" in kept:
            then = LoraFactors(kept[f"centre.{name}.a"], kept[f"centre.{name}.b"])
            rows, columns = kept[f"fisher.{name}.rows"], kept[f"fisher.{name}.columns"]
            total = total + product_change_squared(now, then, rows, columns)
    plain = {name: value for name, value in trained(model).items() if f"centre.{name}" in kept}
    centre = {name: kept[f"centre.{name}"] for name in plain}
    return total + quadratic_penalty(plain, centre, {name: kept[f"fisher.{name}"] for name in plain})


@defences.register("ewc", EwcConfig)
def ewc(config: EwcConfig) -> Ewc:
    """Hold the weights that earlier rounds need, in proportion to how much their outputs depend on them."""
    return Ewc(config)
