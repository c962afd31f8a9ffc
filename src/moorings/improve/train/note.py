"""Tells one training from another, and remembers a result that its caller may not have heard of."""

from __future__ import annotations

import contextlib
import json
import math

from moorings.errors import StorageError
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.settings import TrainSettings
from moorings.improve.train.start_model import start_files
from moorings.improve.training import TrainJob, TrainResult
from moorings.records import canonical_json, content_hash
from moorings.store.disk import Disk, write_atomic

__all__ = ["check_weights", "job_hash", "read_note", "write_note"]


def job_hash(job: TrainJob, settings: TrainSettings, objective: str) -> str:
    """Content hash of all that must be equal for a stopped training to be taken up."""
    files, _ = start_files(job.start)
    return content_hash(
        {
            "objective": objective,
            "settings": settings.model_dump(exclude={"save_steps"}),
            "start": [files.weights_sha256, files.adapter_sha256, files.template_sha256],
            "rows": [[row.row_id, row.weight] for row in job.rows],
            "round": job.round,
            "seed": job.seed,
            "defences": [type(one).__qualname__ for one in job.defences],
        }
    )


def check_weights(job: TrainJob) -> None:
    """Refuse rows whose weight is no factor of a loss.

    Raises:
        TrainingError: A weight is negative or not finite; the row is named.
    """
    for row in job.rows:
        if not (math.isfinite(row.weight) and row.weight >= 0):
            raise TrainingError(f"row {row.row_id[:12]} has weight {row.weight}; allowed: 0 or a positive number")


def read_note(job: TrainJob, wanted: str) -> TrainResult | None:
    """The result of a training that ended before; None if there is none.

    Raises:
        StorageError: The output folder is there, but not from this training.
    """
    if not job.out.exists():
        return None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((job.work / "result.json").read_text("utf-8"))
        if kept["job"] == wanted:
            return TrainResult(**kept["result"])
    raise StorageError(
        f"the output folder {job.out} is there already, not from this training; remove it or name another"
    )


def write_note(job: TrainJob, found: str, result: TrainResult) -> None:
    """Keep the result beside the checkpoint, before the output folder appears.

    Raises:
        StorageError: It cannot be written.
    """
    text = canonical_json({"job": found, "result": result._asdict()})
    write_atomic(job.work / "result.json", text.encode(), Disk())
