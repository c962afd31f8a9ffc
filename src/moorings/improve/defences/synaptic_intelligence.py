"""Synaptic intelligence (Zenke, Poole & Ganguli 2017, arXiv:1703.04200).

While a round trains, each weight gathers how much of the loss's fall was its doing: omega_j += -g_j * (step of theta_j).
After the round, Omega_j += omega_j / (Delta_j^2 + xi), with Delta_j the change over the round; the next rounds add
c * sum_j Omega_j (theta_j - theta*_j)^2 to the loss. A negative omega counts as 0, as in the authors' code.
g is the gradient of everything but this penalty: the penalty's own part, 2 c Omega (theta - theta*), is taken out.

For a LoRA adapter the weights are its factors: what is held is each factor, not their product, so directions that
leave the product alone are held as well. That is stricter than holding the weights, never laxer where both
factors matter; use `ewc` where the product should be held. An adapter of another shape than the round before (as with
`columns`) starts anew.

Left out: importance from the optimiser's momentum. What it must show: less forgetting than plain training, at no
extra passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from moorings.improve.defences.ewc import quadratic_penalty
from moorings.improve.defences.tensors import StepState, pack, past_file, trained, unpack
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.method import MethodConfig

__all__ = ["PathIntegral", "SiConfig", "SynapticIntelligence"]

_FILE = "synaptic_intelligence.safetensors"


class SiConfig(MethodConfig):
    """Settings of `synaptic_intelligence`."""

    c: float = Field(default=0.1, ge=0)
    """Weight of the penalty; no value fits all, so try several decades (see the benchmark's sweep)."""
    xi: float = Field(default=0.1, gt=0)
    """Keeps the importance of weights that hardly moved finite; 0.1 in van de Ven's code."""
    keep_states: int = Field(default=64, ge=1)
    """Steps back to which the path is remembered; at least the trainer's `save_steps`."""


class PathIntegral:
    """Importance of parameters, gathered along a training path.

    Args:
        parameters: As they stand at the start of a round.
        xi: See `SiConfig`.
    """

    def __init__(self, parameters: Mapping[str, Any], *, xi: float = 0.1) -> None:
        import torch

        self._xi = xi
        self._first = {name: value.detach().clone() for name, value in parameters.items()}
        self._last = dict(self._first)
        self._omega = {name: torch.zeros_like(value) for name, value in self._first.items()}

    def add(self, gradients: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """One step: the gradients that were taken before it, and the parameters after it."""
        now = {name: value.detach().clone() for name, value in parameters.items()}
        for name, value in now.items():
            if name in gradients:
                self._omega[name] -= gradients[name] * (value - self._last[name])
        self._last = now

    @property
    def last(self) -> dict[str, Any]:
        """Parameters after the last step."""
        return self._last

    def importance(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Omega of this round, added to that of the rounds before."""
        found = {}
        for name, omega in self._omega.items():
            moved = (self._last[name] - self._first[name]).square()
            found[name] = omega.clamp(min=0) / (moved + self._xi)
            if before is not None and name in before:
                found[name] = found[name] + before[name]
        return found

    def state(self) -> dict[str, Any]:
        """What cannot be read off the parameters: omega so far."""
        return dict(self._omega)

    def restore(self, state: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Go on from a `state`, with the parameters as they were then."""
        self._omega = {name: state[name].to(value.device) for name, value in self._omega.items()}
        self._last = {name: value.detach().clone() for name, value in parameters.items()}


class SynapticIntelligence(BaseDefence):
    """Holds the parameters that earlier rounds' progress came from."""

    def __init__(self, config: SiConfig) -> None:
        self._config = config
        self._handles: list[Any] = []

    def start(self, session: TrainSession) -> None:
        """Read the importance so far and watch the gradients."""
        self._unhook()
        parameters = trained(session.model)
        path = past_file(session.job, _FILE)
        found = unpack(path.read_bytes(), str(path)) if path else {}
        fits = {n: v for n, v in parameters.items() if getattr(found.get(f"centre.{n}"), "shape", None) == v.shape}
        self._centre = {name: found[f"centre.{name}"].to(value.device) for name, value in fits.items()}
        self._importance = {name: found[f"importance.{name}"].to(value.device) for name, value in fits.items()}
        self._path = PathIntegral(parameters, xi=self._config.xi)
        self._states = StepState(session.job, "synaptic_intelligence", keep=self._config.keep_states)
        self._gradients: dict[str, Any] = {}
        self._handles = [value.register_hook(self._gather(name)) for name, value in parameters.items()]

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """c * Omega * change^2, summed over the parameters."""
        self._catch_up(session)
        if not self._centre:
            return None
        held = {name: value for name, value in trained(session.model).items() if name in self._centre}
        total = self._config.c * quadratic_penalty(held, self._centre, self._importance)
        session.metrics["synaptic_intelligence.penalty"] = float(total.detach())
        return total

    def should_stop(self, session: TrainSession) -> bool:
        """Never stops; a step has ended, so it joins the path."""
        for name, centre in self._centre.items():
            if name in self._gradients:
                own = 2 * self._config.c * self._importance[name] * (self._path.last[name] - centre)
                self._gradients[name] = self._gradients[name] - own
        self._path.add(self._gradients, trained(session.model))
        self._gradients = {}
        self._states.save(session.step, self._path.state())
        return False

    def finish(self, session: TrainSession) -> None:
        """Stop watching."""
        self._catch_up(session)
        self._unhook()

    def files(self) -> dict[str, bytes]:
        """Importance and weights for the next round."""
        importance = self._path.importance(self._importance)
        centre = {f"centre.{name}": value for name, value in self._path.last.items()}
        return {_FILE: pack({**{f"importance.{name}": value for name, value in importance.items()}, **centre})}

    def _catch_up(self, session: TrainSession) -> None:
        state = self._states.missed(session.step)
        if state is not None:
            self._path.restore(state, trained(session.model))

    def _gather(self, name: str) -> Any:
        def hook(gradient: Any) -> None:
            before = self._gradients.get(name)
            self._gradients[name] = gradient.detach().clone() if before is None else before + gradient.detach()

        return hook

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []


@defences.register("synaptic_intelligence", SiConfig)
def synaptic_intelligence(config: SiConfig) -> SynapticIntelligence:
    """Hold the trained parameters that earlier rounds' progress came from."""
    return SynapticIntelligence(config)
