"""A model whose answers can all be listed, rewards, and jobs for the tests of training by policy gradient.

As a script like `tiny_training.py`: `python tiny_rl.py MODEL FOLDER TRAINER:POINT:N ...`.
"""

from __future__ import annotations

import importlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tiny_training import forked, killed_at, make_job, make_rows

from moorings.charter_run import Use
from moorings.feedback.reward import RewardConfig, rewards
from moorings.feedback.scored import ScoredBy
from moorings.improve.objectives.objective import Advantages, ObjectiveConfig, leave_one_out, objectives
from moorings.improve.training import TrainJob, TrainResult, trainers

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SETTINGS: dict[str, Any] = {
    "r": 4,
    "rewards": [{"use": "test_letters", "letters": LETTERS}],
    "objective": {"use": "test_sum"},
    "batch_size": 3,
    "group_size": 4,
    "max_new_tokens": 8,
    "max_length": 128,
    "learning_rate": 0.01,
    "warmup_share": 0.0,
}


class LettersConfig(RewardConfig):
    letters: str
    missing: str = ""
    everywhere: bool = False
    infinite: bool = False


@rewards.register("test_letters", LettersConfig)
def letters(config: LettersConfig) -> ScoredBy:
    """How many of some letters an answer has; missing where another one is in it."""

    def score(items, tools):
        counts = np.array([float(sum(letter in config.letters for letter in item.response)) for item in items])
        lost = np.array([bool(config.missing) and config.missing in item.response for item in items])
        lost = np.ones_like(lost) if config.everywhere else lost
        return np.where(lost, np.nan, np.inf if config.infinite else counts)

    return ScoredBy("letters", "letters", "higher", score)


class SumConfig(ObjectiveConfig):
    pass


@objectives.register("test_sum", SumConfig)
class Sum:
    """The plain sum; counts batches, as an objective that learns would."""

    def __init__(self, config: SumConfig) -> None:
        self.n = 0

    def advantages(self, batch):
        return Advantages(leave_one_out(batch.rewards.sum(axis=0), batch.weights), {"n": float(self.n)})

    def update(self, batch) -> None:
        self.n += 1

    def state(self) -> dict[str, Any]:
        return {"n": self.n}

    def restore(self, state: dict[str, Any]) -> None:
        self.n = state["n"]


def learn(trainer: str, job: TrainJob, **changes: Any) -> TrainResult:
    """Train with the tests' settings."""
    return trainers.make(Use(use=trainer, **(SETTINGS | changes)))(job)


RESUMED: dict[str, dict[str, Any]] = {
    "rloo": {"target_kl": 0.5, "micro_batch": 2},
    "grpo": {"save_steps": 2},
    "ppo": {"passes": 2, "minibatches": 2, "value_heads": "each"},
}


def main() -> None:
    """For each TRAINER:POINT:N, train in a child that is killed there, then in another one; print both statuses."""
    # What is imported here need not be imported by each child; nothing is computed before the forks.
    for name in ("peft", "accelerate", "moorings.improve.train.ppo", "moorings.subjects.transformers_load"):
        importlib.import_module(name)
    model, folder, *cases = sys.argv[1:]
    for case in cases:
        trainer, point, n = case.split(":")
        place = Path(folder) / case.replace(":", "-")
        rows = make_rows(5)
        job = make_job(Path(model), place, rows)
        deadly = make_job(Path(model), place, rows, on_point=killed_at(point, int(n)))
        again = partial(learn, trainer, **RESUMED[trainer])
        statuses = forked(partial(again, deadly)), forked(partial(again, job))
        print(json.dumps([case, *statuses]), flush=True)


if __name__ == "__main__":
    main()
