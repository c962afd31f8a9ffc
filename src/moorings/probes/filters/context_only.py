"""Can the place of the key be read off the stem alone: learners that never see the options.

Where the place of the key is drawn by a balanced rotation this is at chance whatever the stem says. Guessing gets the
share of the commonest place; that this share is itself near one over the options is what `artefacts` looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from moorings.probes.filters import choices_only
from moorings.probes.filters.by_subtask import each_subtask
from moorings.probes.filters.choices_only import look_with, usable
from moorings.probes.filters.filter import Challenge, FilterReport, filters
from moorings.probes.filters.learners import guess_from_context
from moorings.probes.item import Item

__all__ = ["Config", "ContextOnly"]


class Config(choices_only.Config):
    """Settings of `context_only`."""


class ContextOnly:
    """Learners that see the stem only."""

    challenge: Challenge = "C3"
    statement = "The place of the key cannot be read off the stem alone."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        return each_subtask(usable(items), self._look)

    def _look(self, items: list[Item], n_subtasks: int) -> FilterReport:
        sizes = Counter(len(item.options) for item in items)
        commonest = max(sizes, key=lambda size: (sizes[size], -size))
        some = [item for item in items if len(item.options) == commonest]
        return look_with(guess_from_context, self.config, some, n_subtasks, "the stem")


@filters.register("context_only", config=Config)
def context_only(config: Config) -> ContextOnly:
    """Try to find the place of the key from the stem without the options."""
    return ContextOnly(config)
