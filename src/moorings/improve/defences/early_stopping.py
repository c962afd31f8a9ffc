"""Early stopping on rows that are not trained on (Prechelt 1998, "Early stopping - but when?", doi:10.1007/3-540-49430-8_3).

A share of the rows is held out. Every `every` steps their mean loss is measured; when it has not been below its best
for `patience` checks in a row, training ends. The weights of the best check are the result, also when all steps ran.
The start counts as a check, so a round whose training only harms gives back what it started from.

What it must show: on labels that are partly wrong, the held-out loss of the result is that of the best check.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from moorings.errors import ConfigError
from moorings.improve.data import DataRow
from moorings.improve.defences.reference import learned_positions, model_inputs
from moorings.improve.defences.tensors import pack, trained, unpack
from moorings.improve.training import BaseDefence, TrainSession, defences
from moorings.method import MethodConfig
from moorings.store.disk import Disk, write_atomic

__all__ = ["EarlyStopping", "EarlyStoppingConfig", "HeldOut", "checks_without_gain", "hold_out"]

_BATCH = 8


class EarlyStoppingConfig(MethodConfig):
    """Settings of `early_stopping`."""

    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the rows that is held out and never trained on; at least one row."""
    every: int = Field(default=10, ge=1)
    """Optimiser steps between checks."""
    patience: int = Field(default=3, ge=1)
    """Checks without a new best after which training ends."""


class HeldOut(NamedTuple):
    """Rows divided."""

    kept: list[DataRow]
    held: list[DataRow]


def hold_out(rows: Sequence[DataRow], share: float, seed: int) -> HeldOut:
    """Divide rows at random, both parts in their order.

    Rows with the same prompt go to the same side, so that no answer is checked whose prompt was trained on. With a
    single prompt nothing is held out.
    """
    import numpy as np

    prompts = [tuple((message.role, message.content) for message in row.prompt) for row in rows]
    distinct = list(dict.fromkeys(prompts))
    n_held = max(0, min(max(1, round(share * len(distinct))), len(distinct) - 1))
    order = np.random.default_rng([seed, 0xE5]).permutation(len(distinct))
    out = {distinct[at] for at in order[:n_held].tolist()}
    paired = list(zip(rows, prompts, strict=True))
    return HeldOut([row for row, p in paired if p not in out], [row for row, p in paired if p in out])


def checks_without_gain(losses: Sequence[float]) -> int:
    """Checks since the lowest loss.

    >>> checks_without_gain([3.0, 2.0, 2.5, 2.0])
    2
    """
    return len(losses) - 1 - min(range(len(losses)), key=losses.__getitem__)


class EarlyStopping(BaseDefence):
    """Ends training when held-out rows stop to gain, and gives the best weights."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        self._config = config

    def start(self, session: TrainSession) -> None:
        """Take the held-out rows away from the session's job, and read the checks that were made before a stop."""
        job = session.job
        kept, self._held = hold_out(job.rows, self._config.share, job.seed)
        session.job = dataclasses.replace(job, rows=kept)
        self._folder = job.work / "defences"
        self._losses = self._read()
        if 0 not in self._losses:
            self._check(session, 0)

    def should_stop(self, session: TrainSession) -> bool:
        """Measure the loss at every so many steps; True once it has not fallen for long enough."""
        if session.step % self._config.every:
            return False
        if session.step not in self._losses:
            self._check(session, session.step)
        seen = [loss for step, loss in sorted(self._losses.items()) if step <= session.step]
        session.metrics["early_stopping.held_out_loss"] = seen[-1]
        return checks_without_gain(seen) >= self._config.patience

    def finish(self, session: TrainSession) -> None:
        """Put the best weights in place.

        Raises:
            ConfigError: Another defence has changed the shape of the weights before.
        """
        import torch

        best = min(self._losses, key=lambda step: (self._losses[step], step))
        path = self._weights(best)
        kept = unpack(path.read_bytes(), str(path))
        now = trained(session.model)
        if any(name not in kept or kept[name].shape != value.shape for name, value in now.items()):
            raise ConfigError(
                "the best weights do not fit the model any more, as another defence (stacked columns) has joined its adapters "
                "before; use early_stopping without it, or routed columns"
            )
        with torch.no_grad():
            for name, value in now.items():
                value.copy_(kept[name])
        session.metrics["early_stopping.best_step"] = float(best)
        session.metrics["early_stopping.best_loss"] = self._losses[best]
        session.metrics["early_stopping.rows_held_out"] = float(len(self._held))

    def _check(self, session: TrainSession, step: int) -> None:
        loss = held_out_loss(session, self._held)
        best = min(self._losses.values(), default=float("inf"))
        if loss < best or step == 0:
            write_atomic(self._weights(step), pack(trained(session.model)), Disk())
        self._losses[step] = loss
        text = json.dumps(sorted(self._losses.items()))
        write_atomic(self._folder / "early_stopping.json", text.encode(), Disk())
        if step > 0 and loss < best:
            for path in self._folder.glob("early_stopping-*.safetensors"):
                if path != self._weights(step):
                    path.unlink()

    def _read(self) -> dict[int, float]:
        """Losses by step. Those of steps after the checkpoint stand: training from there gives the same again."""
        path = self._folder / "early_stopping.json"
        return {int(step): float(loss) for step, loss in json.loads(path.read_text())} if path.is_file() else {}

    def _weights(self, step: int) -> Path:
        return self._folder / f"early_stopping-{step:08d}.safetensors"


def held_out_loss(session: TrainSession, rows: Sequence[DataRow]) -> float:
    """Mean loss in nats over the learned tokens of rows; 0 without rows."""
    import torch

    training = session.model.training
    session.model.eval()
    total, n = 0.0, 0
    try:
        with torch.no_grad():
            for at in range(0, len(rows), _BATCH):
                batch = session.encode(rows[at : at + _BATCH])
                mask = learned_positions(batch)
                logits = session.model(**model_inputs(batch), use_cache=False).logits[:, :-1][mask].float()
                labels = batch["labels"][:, 1:][mask]
                total += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
                n += int(mask.sum())
    finally:
        session.model.train(training)
    return total / max(n, 1)


@defences.register("early_stopping", EarlyStoppingConfig)
def early_stopping(config: EarlyStoppingConfig) -> EarlyStopping:
    """End training when rows that are not trained on stop to gain; keep the best weights."""
    return EarlyStopping(config)
