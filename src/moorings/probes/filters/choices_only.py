"""Can the key be read off the options alone: learners that never see the stem, cross-validated by clusters.

For an ability this must be at chance. For a disposition it is expected that options betray which one matches, because
they state the stance, so it is measured there and not judged. Sources: Poliak et al. 2018 (arXiv 1805.01042) and
Gururangan et al. 2018 (arXiv 1803.02324) for partial-input baselines; thresholds of the design.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field

from moorings.probes.filters.by_subtask import MAX_EXAMPLES, each_subtask
from moorings.probes.filters.filter import Challenge, FilterConfig, FilterReport, filters
from moorings.probes.filters.learners import FAMILIES, Family, Guess, guess_from_options
from moorings.probes.item import Item

__all__ = ["ChoicesOnly", "Config", "look_with", "usable"]


class Config(FilterConfig):
    """Settings of `choices_only`."""

    margin: float = Field(default=0.03, ge=0, lt=1)
    """Accuracy over chance that does not matter; the design's value."""
    families: tuple[Family, ...] = Field(default=FAMILIES, min_length=1)
    """Learners; each must be at chance."""
    n_folds: int = Field(default=5, ge=2)
    """Folds of the cross-validation."""
    seed: int = 0
    """Of the folds; take another one for a second look."""
    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Chance that a set without a leak fails, over all its subtasks and learners: in a small set an accuracy over the
    margin may be luck."""
    least: int = Field(default=50, ge=10)
    """Fewest items of a subtask that are judged."""


Look = Callable[..., Guess]


def usable(items: Sequence[Item]) -> list[Item]:
    """Items with at least two options of which exactly one is right."""
    return [item for item in items if len(item.options) > 1 and sum(option.key for option in item.options) == 1]


def look_with(guess: Look, config: Config, items: list[Item], n_subtasks: int, what: str) -> FilterReport:
    """Judge the items of one subtask with each family of learners.

    Args:
        guess: Finds keys from a part of the items.
        config: Margins and folds.
        items: Of one subtask, each with one right option.
        n_subtasks: How many are judged.
        what: The part that the learner sees, such as `the options`.
    """
    if len(items) < max(config.least, config.n_folds):
        return FilterReport(len(items), (), "not applicable", f"{len(items)} items are too few to learn from {what}.")
    guesses = {family: guess(items, family, seed=config.seed, n_folds=config.n_folds) for family in config.families}
    alpha = config.alpha / (n_subtasks * len(config.families))
    leaks = {k: g for k, g in guesses.items() if g.accuracy > g.chance + config.margin and g.p < alpha}
    worst = max(guesses, key=lambda family: guesses[family].accuracy - guesses[family].chance)
    best = guesses[worst]
    disposition = all(item.kind == "disposition" for item in items)
    said = f"from {what} alone, {worst} finds {best.accuracy:.2f} of the keys; chance is {best.chance:.2f}"
    figures = {f"{family} accuracy": g.accuracy for family, g in guesses.items()}
    figures |= {f"{family} p": g.p for family, g in guesses.items()}
    return FilterReport(
        n_in=len(items),
        flags=(),
        verdict="not applicable" if disposition else "fail" if leaks else "pass",
        said=said + (", as is expected of a disposition." if disposition and leaks else "."),
        figures={**figures, "chance": best.chance, "over chance": best.accuracy - best.chance},
        examples=_examples(items, best) if leaks else (),
    )


def _examples(items: Sequence[Item], guess: Guess) -> tuple[dict[str, Any], ...]:
    found = [item for item, right in zip(items, guess.right, strict=True) if right == 1]
    return tuple(
        {
            "item_id": item.item_id,
            "key": item.options[item.key_at].text[:200],
            "others": [option.text[:200] for option in item.options if not option.key],
        }
        for item in found[:MAX_EXAMPLES]
    )


class ChoicesOnly:
    """Learners that see the options only."""

    challenge: Challenge = "C3"
    statement = "The key cannot be read off the options alone."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        return each_subtask(
            usable(items), lambda some, n: look_with(guess_from_options, self.config, some, n, "the options")
        )


@filters.register("choices_only", config=Config)
def choices_only(config: Config) -> ChoicesOnly:
    """Try to find the key from the options without the stem."""
    return ChoicesOnly(config)
