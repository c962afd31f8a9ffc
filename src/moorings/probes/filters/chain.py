"""The filters one after the other, each on what the ones before left, with the counts in and out.

After the last filter the learners look once more at what is left, with fresh folds and with the other family: a set
that is clean to one learner need not be so to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from moorings.charter_run import Use
from moorings.probes.files import ItemSet
from moorings.probes.filters.filter import Filter, FilterReport, filters
from moorings.probes.filters.learners import FAMILIES
from moorings.probes.item import Item

__all__ = ["ORDER", "ChainReport", "Stage", "run_chain"]

ORDER = (
    "well_formed",
    "solver",
    "round_trip",
    "answerable",
    "duplicates",
    "minimal_pairs",
    "coverage",
    "artefacts",
    "choices_only",
    "context_only",
)
"""Validity first, so that what follows may rely on it; learners last, since they take longest."""

_AGAIN = ("choices_only", "context_only")
_FIRST: dict[str, dict[str, Any]] = {name: {"families": ("naive bayes",)} for name in _AGAIN}
"""The first look is with the quick learner alone; the second one is with all."""


class Stage(NamedTuple):
    """One filter's turn."""

    name: str
    """The filter; with ` again` for a second look at the end."""
    challenge: str
    statement: str
    """What a passing set has."""
    n_in: int
    """Items before it."""
    n_out: int
    """Items after it: without the flagged ones and their minimal pairs."""
    report: FilterReport


@dataclass(frozen=True)
class ChainReport:
    """What all filters said of one set."""

    name: str
    n_in: int
    stages: tuple[Stage, ...]
    clean: ItemSet
    """The set without flagged items; its `about` has the counts of each filter."""

    @property
    def passed(self) -> bool:
        """Whether no filter fails the set; single flagged items within a filter's tolerance do not fail it."""
        return all(stage.report.verdict != "fail" for stage in self.stages)

    def by_filter(self) -> dict[str, FilterReport]:
        """Reports by name of the stage."""
        return {stage.name: stage.report for stage in self.stages}

    def flagged(self) -> dict[str, tuple[str, str]]:
        """Filter and reason of each item that was flagged, by its id."""
        return {flag.item_id: (stage.name, flag.reason) for stage in self.stages for flag in stage.report.flags}

    def counts(self) -> dict[str, dict[str, Any]]:
        """Counts and verdict of each stage, for the set's first line."""
        return {
            stage.name: {
                "in": stage.n_in,
                "looked at": stage.report.n_in,
                "flagged": len(stage.report.flags),
                "out": stage.n_out,
                "verdict": stage.report.verdict,
            }
            for stage in self.stages
        }


def run_chain(items: ItemSet, uses: Sequence[Use] | None = None) -> ChainReport:
    """Let each filter look at what the ones before it left.

    Args:
        items: The set; it is not changed.
        uses: Filters with their settings, in this order; None takes all with their defaults.

    Raises:
        ConfigError: An unknown filter or setting.
    """
    plan = [Use(use=name, **_FIRST.get(name, {})) for name in ORDER] if uses is None else list(uses)
    made = [(use.use, filters.make(use)) for use in plan]
    made += [(f"{use.use} again", _fresh(use)) for use in plan if use.use in _AGAIN]
    left, stages = list(items.items), list[Stage]()
    for name, one in made:
        if any(f"{stage.name} again" == name and stage.report.verdict == "not applicable" for stage in stages):
            continue
        report = one.look(left)
        rest = _without(left, {flag.item_id for flag in report.flags}) if report.flags else left
        stages.append(Stage(name, one.challenge, one.statement, len(left), len(rest), report))
        left = rest
    chain = ChainReport(items.name, len(items.items), tuple(stages), replace(items, items=tuple(left)))
    about = {**items.about, "filters": chain.counts()}
    return replace(chain, clean=replace(chain.clean, about=about))


def _fresh(use: Use) -> Filter:
    """The same filter with other folds and all families of learners."""
    settings = filters.check(use).model_dump()
    changed = {**use.settings, "seed": settings["seed"] + 1, "families": FAMILIES}
    return filters.make(Use.model_validate({"use": use.use, **changed}))


def _without(items: Sequence[Item], ids: set[str]) -> list[Item]:
    """Items that are neither flagged nor the minimal pair of one that is."""
    return [item for item in items if item.item_id not in ids and item.pair not in ids]
