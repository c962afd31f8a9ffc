"""Rewards of sampled answers: graded, checked, standardised on the start model's answers, and joined to a batch.

A missing value (NaN) is never the worst: it becomes the mean of its group, or of the batch where a whole group is
missing, and the answer is not learned from. Texts are model output and untrusted; they are handed to rewards only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moorings.feedback.reward import Graded, Reward, rewards
from moorings.feedback.standardise import Scale, Scales
from moorings.improve.data import DataRow
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.rl_settings import PolicyGradientSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["GradedBatch", "Grader", "RewardTools", "distinct_share", "graded", "reward_values", "scale_of"]

_LEAST_SPREAD = 1e-12
"""Rounding gives equal values a tiny spread."""


@dataclass(frozen=True)
class RewardTools:
    """What rewards may use while a model is trained."""

    folder: Path
    """See `moorings.feedback.reward.Tools`."""
    kept: Path

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit rows of the bundled embedding model, loaded once."""
        rows: Float[np.ndarray, "n d"] = self._embedder.embed_texts(texts)
        return rows

    @cached_property
    def _embedder(self) -> Any:
        from moorings.subjects.embedders import open_embedder

        return open_embedder(threads=1)


@dataclass(frozen=True)
class GradedBatch:
    """Rewards of a batch."""

    values: Float[np.ndarray, "rewards groups size"]
    """Oriented and, if wanted, standardised; no NaN."""
    missing: Bool[np.ndarray, "groups size"]
    """Answers that some reward had no value for."""
    logged: dict[str, float]
    """Mean of each reward in its own unit and direction, and the share of missing values."""


@dataclass
class Grader:
    """The rewards of a training.

    Args:
        settings: Which rewards, and whether they are standardised.
        tools: What rewards may use.
    """

    settings: PolicyGradientSettings
    tools: RewardTools
    scales: Scales | None = None
    """Of each reward on the start model's answers, once they are known."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rewards, in order."""
        return tuple(use.known_as for use in self.settings.rewards)

    @cached_property
    def _rewards(self) -> list[Reward]:
        return [rewards.make(use.component) for use in self.settings.rewards]

    def grade(self, items: Sequence[Graded], ended: Bool[np.ndarray, " n"], size: int) -> GradedBatch:
        """Grade answers, `size` a prompt; the first batch sets the scales.

        Raises:
            TrainingError: A reward gave infinity, another number of values, or a value to no answer.
        """
        named = list(zip(self.names, self._rewards, strict=True))
        raw = np.stack([reward_values(name, one, items, self.tools) for name, one in named])
        logged = {f"reward.{name}": float(np.nanmean(row)) for name, row in zip(self.names, raw, strict=True)}
        if self.scales is None:
            wanted = self.settings.standardise
            kept = [scale_of(name, one, row, wanted=wanted) for (name, one), row in zip(named, raw, strict=True)]
            self.scales = Scales(members=tuple(kept))
        values = self.scales.apply(raw).reshape(len(raw), -1, size)
        missing = np.isnan(values)
        values = _filled(values)
        if self.settings.truncated == "penalise":
            values = values - self.settings.truncation_penalty * ~ended.reshape(-1, size)
        return GradedBatch(values, missing.any(axis=0), {**logged, "missing": float(missing.mean())})


def reward_values(name: str, reward: Reward, items: Sequence[Graded], tools: RewardTools) -> Float[np.ndarray, " n"]:
    """Raw values of answers, checked.

    Raises:
        TrainingError: Infinity, another number of values, or a value for no answer.
    """
    values = np.asarray(reward(items, tools), dtype=np.float64)
    if values.shape != (len(items),):
        raise TrainingError(f"reward {name!a} gave values of shape {values.shape} for {len(items)} answers")
    if np.isinf(values).any() or np.isnan(values).all():
        n = int(np.isnan(values).sum())
        raise TrainingError(
            f"reward {name!a} gave infinity or no value at all ({n} of {len(values)} are missing); "
            "allowed: numbers, and NaN for some answers; look at the reward and the prompts' columns"
        )
    return values


def scale_of(name: str, reward: Reward, values: Float[np.ndarray, " n"], *, wanted: bool) -> Scale:
    """Mean and deviation; the latter 1 where answers do not tell it, which a first batch may well not.

    Args:
        name: Of the reward.
        reward: Whose direction counts.
        values: Its raw values on the start model's answers.
        wanted: Whether to standardise at all.
    """
    known = values[~np.isnan(values)]
    facts: dict[str, Any] = {"name": name, "direction": reward.direction, "n": known.size}
    if not wanted:
        return Scale(location=0.0, spread=1.0, **facts)
    spread = float(known.std())
    least = _LEAST_SPREAD * max(1.0, float(np.abs(known).max()))
    return Scale(location=float(known.mean()), spread=spread if spread > least else 1.0, **facts)


def graded(row: DataRow, texts: Sequence[str]) -> list[Graded]:
    """Answers to a row's prompt; its own response is given as the column `response`."""
    metadata = {"response": row.response} if row.response else {}
    return [Graded(row.prompt, text, metadata) for text in texts]


def distinct_share(texts: Sequence[str], n: int) -> float:
    """Share of distinct n-grams of words among all of them, over all texts; 0 if there are none.

    >>> distinct_share(["a b a b", "A b"], 2)
    0.5
    """
    grams = []
    for text in texts:
        words = text.casefold().split()
        grams += list(zip(*(words[at:] for at in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else 0.0


def _filled(values: Float[np.ndarray, "rewards groups size"]) -> Float[np.ndarray, "rewards groups size"]:
    known = ~np.isnan(values)
    plain = np.where(known, values, 0.0)
    n = known.sum(axis=2, keepdims=True)
    all_mean = plain.sum(axis=(1, 2), keepdims=True) / known.sum(axis=(1, 2), keepdims=True)
    mean = np.where(n > 0, plain.sum(axis=2, keepdims=True) / np.maximum(n, 1), all_mean)
    return np.asarray(np.where(known, values, mean))
