"""What a training did to the traits of a model: more, less, the same, or too unclear to be a truth.

Answers to the same held-out prompts before and after; for each prompt the difference of the trait, averaged over
answers and over training seeds. `more` or `less` where the bootstrap interval over prompts leaves out 0, `same` only
where both one-sided tests (TOST) reject a change of the trait's margin, else the pair is left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from moorings.compare.battery import Text, features
from moorings.probes.live.training_sets import Trait
from moorings.records import Interaction
from moorings.statistics.equivalence import tost

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Outcome", "Truth", "measure_trait", "outcome_of"]

Truth = Literal["more", "less", "same", "unclear"]
_DRAWS = 2000
_LEVEL = 0.95


class Outcome(NamedTuple):
    """What happened to one trait."""

    truth: Truth
    effect: float
    """Mean difference after the training, in the feature's unit."""
    low: float
    high: float
    """Bootstrap interval over prompts, 95 %."""
    n_prompts: int
    """Prompts with a value on both sides."""
    by_seed: tuple[float, ...]
    """Mean difference of each training seed."""


def measure_trait(trait: Trait, answers: Sequence[Sequence[Interaction]]) -> Float[np.ndarray, " prompts"]:
    """Mean of a trait over the answers to each prompt; NaN where none can be measured."""
    measure = features.get(trait.feature)
    found = np.full(len(answers), np.nan)
    for at, rows in enumerate(answers):
        values = [
            measure(Text(row.response, row.messages[-2].content if len(row.messages) > 1 else "")) for row in rows
        ]
        kept = [value for value in values if np.isfinite(value)]
        if kept:
            found[at] = float(np.mean(kept))
    return found


def outcome_of(
    trait: Trait,
    before: Float[np.ndarray, " prompts"],
    after: Float[np.ndarray, "seeds prompts"],
    rng: np.random.Generator,
) -> Outcome:
    """Judge what training did to a trait.

    Args:
        trait: With the margin of `same`.
        before: Value of each prompt under the model before.
        after: The same under each trained model.
        rng: Of the bootstrap.
    """
    by_seed = after - before
    d = by_seed[:, np.isfinite(by_seed).all(axis=0)]
    n = d.shape[1]
    if n < 2:
        return Outcome("unclear", float("nan"), float("nan"), float("nan"), n, tuple(by_seed.mean(axis=1)))
    mean = d.mean(axis=0)
    means = mean[rng.integers(n, size=(_DRAWS, n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    effect, se = float(mean.mean()), float(mean.std(ddof=1) / np.sqrt(n))
    same = float(tost(effect, se, n - 1, trait.margin)) < 1 - _LEVEL
    # A change that is shown, yet shown to be too small to matter, is the same for whoever asks.
    truth: Truth = "same" if same else "more" if low > 0 else "less" if high < 0 else "unclear"
    return Outcome(truth, effect, float(low), float(high), n, tuple(float(x) for x in d.mean(axis=1)))
