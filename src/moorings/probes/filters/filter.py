"""What a filter is: it looks at a whole set and says which items are faulty and whether the set as a whole passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from moorings.method import MethodConfig, Methods
from moorings.probes.item import Item

__all__ = ["Challenge", "Filter", "FilterConfig", "FilterReport", "Flag", "filters"]


Challenge = Literal["C1", "C2", "C3", "C4"]
"""Validity, coverage, phrasing, causal structure."""


class FilterConfig(MethodConfig):
    """Settings that every filter has; subclass it."""


class Flag(NamedTuple):
    """One item that a filter would leave out."""

    item_id: str
    reason: str
    """In a few words; may quote untrusted text."""


class FilterReport(NamedTuple):
    """What one filter saw."""

    n_in: int
    """Items that it could look at; items without what it needs, such as a graph, do not count."""
    flags: tuple[Flag, ...]
    """Faulty items, each once; they are left out of what follows."""
    verdict: Literal["pass", "fail", "not applicable"] = "pass"
    """Of the set as a whole, for filters that judge sets; `not applicable` where nothing could be judged."""
    said: str = ""
    """What was seen, in one plain sentence."""
    figures: dict[str, float] = {}  # noqa: RUF012 - never changed
    """Numbers for the report: accuracies, shares, z-values."""
    examples: tuple[dict[str, Any], ...] = ()
    """What shows it: item ids with texts, at most ten."""


class Filter(Protocol):
    """One test of a set."""

    challenge: Challenge
    """Which of the four it answers."""
    statement: str
    """What a passing set has, as a sentence for reports."""

    def look(self, items: Sequence[Item]) -> FilterReport:
        """Judge a set. Equal sets give equal reports; the items are not changed."""
        ...


filters: Methods[Filter] = Methods(
    "filter",
    builtin={
        name: f"moorings.probes.filters.{name}"
        for name in (
            "well_formed",
            "solver",
            "round_trip",
            "answerable",
            "duplicates",
            "coverage",
            "choices_only",
            "context_only",
            "artefacts",
            "minimal_pairs",
        )
    },
)
