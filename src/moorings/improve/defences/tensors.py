"""What defences share: the trained parameters of a model, and tensors kept as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moorings.errors import StorageError
from moorings.improve.training import TrainJob
from moorings.store.disk import Disk, write_atomic

__all__ = ["StepState", "pack", "past_file", "trained", "unpack"]


def trained(model: Any) -> dict[str, Any]:
    """Parameters that training changes, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def pack(tensors: Mapping[str, Any]) -> bytes:
    """Tensors as the bytes of a safetensors file; plain numbers become tensors without dimensions."""
    import torch
    from safetensors.torch import save

    found = {}
    for name, value in tensors.items():
        tensor = value if isinstance(value, torch.Tensor) else torch.tensor(float(value), dtype=torch.float64)
        found[name] = tensor.detach().cpu().contiguous().clone()
    return bytes(save(found))


def unpack(data: bytes, source: str) -> dict[str, Any]:
    """Tensors of a safetensors file.

    Args:
        data: Its bytes.
        source: Where they came from, for the message.

    Raises:
        StorageError: They are not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(data))
    except SafetensorError as error:
        raise StorageError(f"{source} is not a safetensors file ({error}); train that round again") from error


def past_file(job: TrainJob, name: str) -> Path | None:
    """A file that a defence left beside the last promoted round's result; None if there is none."""
    if not job.past:
        return None
    path = job.past[-1] / "defences" / name
    return path if path.is_file() else None


class StepState:
    """State of a defence after each of the last optimiser steps, kept in the work folder.

    Training that is taken up again goes on from its last checkpoint, so the states back to there must still be kept.

    Args:
        job: The work folder is its.
        name: The defence.
        keep: States that are kept; at least the trainer's steps between checkpoints.
    """

    def __init__(self, job: TrainJob, name: str, *, keep: int) -> None:
        self._folder, self._name, self._keep = job.work / "defences", name, keep
        self._step = 0

    def save(self, step: int, tensors: Mapping[str, Any]) -> None:
        """Keep the state after a step."""
        write_atomic(self._path(step), pack(tensors), Disk())
        self._step = step
        if step > self._keep:
            self._path(step - self._keep - 1).unlink(missing_ok=True)

    def missed(self, step: int) -> dict[str, Any] | None:
        """State after the step where training goes on, if that is not the one that was saved last here; else None.

        A defence is started before the trainer's checkpoint is put in place, so ask before anything is done in a step.

        Raises:
            StorageError: It was not kept.
        """
        if step == self._step:
            return None
        self._step = step
        path = self._path(step)
        if not path.is_file():
            raise StorageError(
                f"defence '{self._name}' kept no state of step {step} in {self._folder}; set its keep_states to at least "
                "the trainer's save_steps, remove the work folder and train this round from its start"
            )
        return unpack(path.read_bytes(), str(path))

    def _path(self, step: int) -> Path:
        return self._folder / f"{self._name}-{step:08d}.safetensors"
