"""A model that labels its own stream, with a replay buffer filled at random or by the model: which buffer leaves the past?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from _digits_learning import (
    SCENARIOS,
    Batches,
    Weights,
    cross_entropy,
    forward,
    fresh_weights,
    pick,
    right,
    stack,
    train,
)
from sklearn.datasets import load_digits

from moorings.statistics.mmd import mmd2_unbiased

N_START, N_STREAM, N_ROUNDS, N_KEPT = 200, 200, 6, 150
STEPS_START, STEPS = 150, 60
SCENARIO = SCENARIOS["permuted"]


class Loop:
    """One way to fill the buffer, all seeds side by side.

    Args:
        seeds: Each decides which images are labelled, streamed and tested.
        fill: `random` (a uniform sample of all the past) or `selected` (where the model is surest).
    """

    def __init__(self, seeds: Sequence[int], fill: str) -> None:
        self.fill = fill
        self.rngs = [np.random.default_rng([seed, 3]) for seed in seeds]
        x, y = load_digits(return_X_y=True)
        order = np.stack([rng.permutation(len(x)) for rng in self.rngs])
        self.x, self.y = torch.as_tensor((x / 16.0).astype(np.float32)[order]), torch.as_tensor(y[order])
        self.labels = self.y.clone()
        self.weights: Weights = stack([fresh_weights(SCENARIO, seed) for seed in seeds])
        self.kept = torch.arange(N_START).repeat(len(seeds), 1)[:, :N_KEPT]

    def run(self) -> list[dict[str, np.ndarray]]:
        """What each round measured, a value a seed."""
        self._learn(torch.arange(N_START).repeat(len(self.rngs), 1), STEPS_START)
        rows = []
        for n_round in range(N_ROUNDS):
            start = N_START + n_round * N_STREAM
            new = torch.arange(start, start + N_STREAM).repeat(len(self.rngs), 1)
            self.labels[:, start : start + N_STREAM] = self._logits(new).argmax(-1)
            self._learn(torch.cat([new, self.kept], dim=1), STEPS)
            self._refill(start + N_STREAM)
            rows.append(self._measure(start + N_STREAM))
        return rows

    def _logits(self, at: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return forward(self.weights, pick(self.x, at), "head")

    def _learn(self, at: torch.Tensor, n_steps: int) -> None:
        x, labels = pick(self.x, at), pick(self.labels, at)
        batches = Batches(at.shape[1], SCENARIO.batch, self.rngs)

        def batch() -> tuple[Any, ...]:
            some = batches.next()
            return pick(x, some), pick(labels, some)

        train(self.weights, SCENARIO, n_steps, batch, lambda w, x, y: cross_entropy(forward(w, x, "head"), y))

    def _refill(self, n_past: int) -> None:
        if self.fill == "random":
            chosen = np.stack([rng.choice(n_past, N_KEPT, replace=False) for rng in self.rngs])
            self.kept = torch.as_tensor(chosen)
            return
        pool = torch.cat([self.kept, torch.arange(n_past - N_STREAM, n_past).repeat(len(self.rngs), 1)], dim=1)
        surest = torch.softmax(self._logits(pool), -1).amax(-1).argsort(dim=1, descending=True)
        self.kept = torch.gather(pool, 1, surest[:, :N_KEPT])

    def _measure(self, n_past: int) -> dict[str, np.ndarray]:
        """Drift of the buffer from the rest of the past; 0 on average for a random one."""
        end = N_START + N_ROUNDS * N_STREAM
        found: dict[str, list[float]] = {"mmd2": [], "chi2": []}
        for member, kept in enumerate(self.kept.numpy()):
            rest = np.setdiff1d(np.arange(n_past), kept)
            x, y = self.x[member].numpy().astype(np.float64), self.y[member].numpy()
            width = float(np.median(np.linalg.norm(x[rest][:-1] - x[rest][1:], axis=1)))
            found["mmd2"].append(mmd2_unbiased(x[kept], x[rest], bandwidth=width))
            past = np.bincount(y[:n_past], minlength=10) / n_past
            share = np.bincount(y[kept], minlength=10) / len(kept)
            found["chi2"].append(float(((share - past) ** 2 / past).sum() * len(kept)))
        test = torch.arange(end, self.x.shape[1]).repeat(len(self.rngs), 1)
        wrong = (pick(self.labels, self.kept) != pick(self.y, self.kept)).float().mean(-1)
        return {
            **{name: np.array(values) for name, values in found.items()},
            "accuracy": right(self._logits(test), pick(self.y, test)),
            "wrong_labels": wrong.numpy(),
        }
