"""Training of simulated models, for drills and dry runs: habits move towards their share of the rows, or by a set step."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from pydantic import Field

from moorings.errors import BackendError, ConfigError
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers
from moorings.method import MethodConfig
from moorings.store.disk import storage_error
from moorings.subjects.simulated import HABITS, read_habits

__all__ = ["SimulatedConfig", "simulated"]


class SimulatedConfig(MethodConfig):
    """What a round of training does to a simulated model."""

    learn: tuple[str, ...] = ()
    """Phrases whose share follows their share of the rows' openings."""
    rate: float = Field(default=1.0, ge=0, le=1)
    """How far a learned habit moves towards the rows in one round."""
    add: dict[str, float] = Field(default_factory=dict)
    """Phrase to what is added to its share in a round; shares stay in [0, 1]."""
    n_steps: int = Field(default=4, ge=1)
    """Steps that the training pretends to take."""
    fail: bool = False
    """Fail as a trainer that emits NaN does."""


@trainers.register("simulated", SimulatedConfig)
def simulated(config: SimulatedConfig) -> Trainer:
    """Write the folder of the next simulated model."""

    def train(job: TrainJob) -> TrainResult:
        start = time.monotonic()
        base, _, folder = job.start.uri.partition("+")
        if not base.startswith("simulated:"):
            raise ConfigError(f"trainer 'simulated' trains simulated: models only, not {base}; use sft or dpo")
        habits = read_habits(Path(folder)) if folder else {}
        for step in range(config.n_steps):
            job.on_point("step")
            job.tick(step + 1, config.n_steps)
        if config.fail:
            raise BackendError("training stopped at step 1: the loss is not a number")
        for phrase in config.learn:
            share = sum(row.response.startswith(phrase) for row in job.rows) / len(job.rows)
            habits[phrase] = habits.get(phrase, 0.0) + config.rate * (share - habits.get(phrase, 0.0))
        for phrase, step_size in config.add.items():
            habits[phrase] = min(max(habits.get(phrase, 0.0) + step_size, 0.0), 1.0)
        try:
            shutil.rmtree(job.work, ignore_errors=True)
            job.work.mkdir(parents=True)
            (job.work / HABITS).write_text(json.dumps(habits, sort_keys=True), encoding="utf-8")
            job.on_point("before_rename")
            job.work.rename(job.out)
            job.on_point("after_rename")
        except OSError as error:
            raise storage_error(error, job.out, 0) from error
        n_tokens = sum(len(row.response.split()) for row in job.rows)
        metrics = {"loss_start": 1.0, "loss_end": 0.5}
        return TrainResult(f"{base}+{job.out}", config.n_steps, n_tokens, time.monotonic() - start, metrics)

    return train
