"""The model that a divergence is measured from: round 0 or the round before, without a second copy of the base if possible.

Three ways: the trained adapter is switched off; a frozen second adapter is put beside it; or, where all weights are
trained, a frozen copy of the whole model is opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moorings.improve.training import TrainSession
from moorings.subjects.spec import SubjectSpec, open_subject, parse_uri

__all__ = ["Reference", "adapter_folder", "divergence_nats", "learned_positions", "model_inputs"]


def adapter_folder(uri: str) -> Path | None:
    """Folder of the adapter that a URI names after its last plus sign; None if it names a whole model."""
    scheme, rest = parse_uri(uri)
    if scheme == "hf" and Path(rest).expanduser().is_dir():
        return None
    base, plus, adapter = rest.rpartition("+")
    return Path(adapter).expanduser() if plus and base else None


def model_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """What of a batch goes into the model. Rows are padded at the right, where no causal token looks: no mask is needed."""
    return {"input_ids": batch["input_ids"]}


def learned_positions(batch: dict[str, Any]) -> Any:
    """Mask of the positions whose next token is learned; one shorter than the rows."""
    return batch["labels"][:, 1:] != -100


def divergence_nats(p_logits: Any, q_logits: Any, *, tau: float = 1.0) -> Any:
    """KL(p || q) of softmax distributions over the last axis, at temperature tau, in nats.

    The factor tau^2, which keeps gradients of one size for all temperatures, is left to the caller.
    """
    import torch

    log_p = torch.log_softmax(p_logits.float() / tau, dim=-1)
    log_q = torch.log_softmax(q_logits.float() / tau, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


class Reference:
    """Logits of a frozen model on batches of a training session.

    Args:
        session: Its model is trained.
        spec: The frozen model: the job's anchor or its start.
    """

    def __init__(self, session: TrainSession, spec: SubjectSpec) -> None:
        self._model, self._copy = session.model, None
        self._beside: str | None = None
        folder = adapter_folder(spec.uri)
        if not hasattr(session.model, "peft_config"):
            frozen = spec.model_copy(update={"engine": "transformers", "precision": "auto"})
            model, _ = open_subject(frozen).training_parts()  # type: ignore[attr-defined]
            self._copy = model.to(next(session.model.parameters()).device).requires_grad_(False).eval()
        elif folder is not None:
            # Two defences may each have a reference.
            name = f"reference{len(self._model.peft_config)}"
            with _flags_kept(self._model):
                self._model.load_adapter(str(folder), name, is_trainable=False)
            self._beside = name

    def logits(self, batch: dict[str, Any]) -> Any:
        """Its logits, without gradients and without dropout."""
        import torch

        with torch.no_grad(), self._switched() as model:
            return model(**model_inputs(batch), use_cache=False).logits

    def close(self) -> None:
        """Take away what was put beside the trained weights, so that it is not saved with them."""
        if self._beside:
            with _flags_kept(self._model):
                self._model.delete_adapter(self._beside)
            self._beside = None
        self._copy = None

    @contextlib.contextmanager
    def _switched(self) -> Iterator[Any]:
        if self._copy is not None:
            yield self._copy
            return
        training = self._model.training
        self._model.eval()
        try:
            with _flags_kept(self._model):
                if self._beside:
                    active = list(self._model.base_model.active_adapters)
                    self._model.base_model.set_adapter(self._beside, inference_mode=True)
                    try:
                        yield self._model
                    finally:
                        self._model.base_model.set_adapter(active)
                else:
                    with self._model.disable_adapter():
                        yield self._model
        finally:
            self._model.train(training)


@contextlib.contextmanager
def _flags_kept(model: Any) -> Iterator[None]:
    """Switching adapters makes PEFT say anew which parameters are trained; keep what was said before."""
    before = {name: value.requires_grad for name, value in model.named_parameters()}
    try:
        yield
    finally:
        for name, value in model.named_parameters():
            value.requires_grad_(before.get(name, False))
