"""A set-level filter looks at each subtask by itself: a leak in one must not drown in four clean ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moorings.probes.filters.filter import FilterReport
from moorings.probes.item import Item

__all__ = ["MAX_EXAMPLES", "each_subtask", "grouped"]

MAX_EXAMPLES = 10
_MAX_SAID = 3


def grouped(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items by subtask, in the order in which the subtasks first occur."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.subtask, []).append(item)
    return found


def each_subtask(items: Sequence[Item], look: Callable[[list[Item], int], FilterReport]) -> FilterReport:
    """Let a filter judge each subtask, and join what it says.

    Args:
        items: The whole set.
        look: Judges the items of one subtask; the second argument is the number of subtasks, to correct for it.

    Returns:
        A report that fails if a subtask fails, with each figure under `SUBTASK: figure`.
    """
    parts = grouped(items)
    reports = {name: look(some, len(parts)) for name, some in parts.items()}
    judged = {name: report for name, report in reports.items() if report.verdict != "not applicable"}
    failed = {name: report for name, report in judged.items() if report.verdict == "fail"}
    shown = failed or judged or reports
    said = " ".join(f"{name}: {report.said}" for name, report in list(shown.items())[:_MAX_SAID])
    if len(shown) > _MAX_SAID:
        said += f" And {len(shown) - _MAX_SAID} more."
    return FilterReport(
        n_in=sum(report.n_in for report in reports.values()),
        flags=tuple(flag for report in reports.values() for flag in report.flags),
        verdict="fail" if failed else "pass" if judged else "not applicable",
        said=said,
        figures={f"{name}: {key}": value for name, report in reports.items() for key, value in report.figures.items()},
        examples=tuple(example for report in shown.values() for example in report.examples)[:MAX_EXAMPLES],
    )
