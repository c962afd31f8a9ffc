"""State of a stopped training, in one safetensors file: trained weights, AdamW's moments, torch's random state.

Numbers and the order of data stand as JSON in the file's header. Nothing is pickled. The file is replaced by rename, so
there is always a whole one or none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from moorings.improve.train.errors import TrainingError
from moorings.store.disk import Disk, storage_error

__all__ = ["Checkpoint", "read_checkpoint", "restore_checkpoint", "save_checkpoint"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Checkpoint(NamedTuple):
    """Where training stands."""

    job: str
    """Content hash of what is trained on what; a checkpoint of another training is refused."""
    step: int
    ended: bool
    """Whether no step is left; a defence may have ended training early."""
    order: dict[str, Any]
    """See `Order.state`."""
    log: list[dict[str, float]]
    """What each step measured."""
    metrics: dict[str, float]
    """What defences logged so far."""
    n_tokens: int
    duration_s: float


def save_checkpoint(
    path: Path, found: Checkpoint, weights: dict[str, Any], optimizer: Any, on_point: Callable[[str], None]
) -> None:
    """Write the checkpoint in place of the last one.

    Raises:
        StorageError: A system call failed; the last checkpoint is unchanged.
    """
    import torch
    from safetensors.torch import save_file

    tensors = {f"weights/{name}": weight.detach().contiguous() for name, weight in weights.items()}
    for name, weight in weights.items():
        # A weight that no loss has touched yet has no moments.
        moments = optimizer.state.get(weight, {})
        tensors.update({f"{moment}/{name}": moments[moment].contiguous() for moment in _MOMENTS if moments})
    tensors["random/cpu"] = torch.random.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        Disk().make_folder(path.parent)
        save_file(tensors, temporary, metadata={"state": json.dumps(found._asdict(), allow_nan=False)})
        fd = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        on_point("checkpoint_before_rename")
        os.replace(temporary, path)
        Disk().fsync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path, sum(t.numel() * t.element_size() for t in tensors.values())) from error
    on_point("checkpoint_written")


def read_checkpoint(path: Path, job: str) -> Checkpoint | None:
    """Where a stopped training stands; None if there is no checkpoint.

    Raises:
        TrainingError: The file is damaged or belongs to another training.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            found = Checkpoint(**json.loads(stream.metadata()["state"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if found.job != job:
        raise TrainingError(f"the checkpoint {path} is of another training; remove it, or use an empty work folder")
    return found


def restore_checkpoint(path: Path, found: Checkpoint, weights: dict[str, Any], optimizer: Any) -> None:
    """Put a checkpoint's weights, moments and random state in place.

    Raises:
        TrainingError: It lacks a weight, or one has another shape.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(tensors[f"weights/{name}"])
                moments = {m: tensors[f"{m}/{name}"].to(weight.device) for m in _MOMENTS if f"{m}/{name}" in tensors}
                if moments:
                    step = torch.tensor(float(found.step), device=weight.device)
                    optimizer.state[weight] = {"step": step, **moments}
        torch.random.set_rng_state(tensors["random/cpu"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random/cuda"])
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> TrainingError:
    said = " ".join(str(error).split())[:200]
    return TrainingError(f"the checkpoint {path} cannot be read: {said}; remove it to train this round from its start")
