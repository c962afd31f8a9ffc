"""What weakens the figures of a report of probes."""

from __future__ import annotations

from itertools import pairwise

from moorings.probes.item import Kind
from moorings.probes.metrics.profile import SubtaskProfile
from moorings.report.probe.rows import fixed, standing
from moorings.report.probe.view import Entry, ProbeReport, SubtaskView, subtasks
from moorings.report.wording import listed

__all__ = ["warnings"]

_BALANCED = 0.9
"""Share of items with balanced orders below which a preference for a place is warned of; a few missing answers are not."""


def warnings(report: ProbeReport) -> tuple[str, ...]:
    """What weakens the figures; read before them."""
    several, kind = len(report.entries) > 1, "round" if report.over_rounds else "subject"
    found, told = [], dict[str, list[str]]()
    for entry in report.entries:
        gone = [
            f"{one.subtask[:60]} {one.n_missing_answers:,} of {one.n_answers:,}"
            for one in entry.profile.subtasks
            if one.n_missing_answers
        ]
        if gone:
            where = f"In {kind} {entry.mark[:40]}, missing" if several else "Missing"
            found.append(f"{where} answers: {listed(gone)}. What they could change stands beside the scores.")
        for one in entry.profile.subtasks:
            for words in _weak(one):
                told.setdefault(f"{one.subtask[:60]}: {words}", []).append(entry.mark[:40])
    for words, marks in told.items():
        where = f" ({kind}{'s' if len(marks) > 1 else ''} {listed(marks)})" if several else ""
        found.append(words + where)
    return (*found, *_unlike(report))


def _weak(one: SubtaskProfile) -> list[str]:
    seen, told = one.accuracy, []
    sure = standing(seen.corrected) == "above" and one.kind == "ability"
    if sure and seen.worst_case is not None and seen.worst_case.low <= (seen.chance or 0.0):
        told.append("the score is above chance among the answers there are, but with all missing ones wrong it is not.")
    if seen.n_keyless:
        told.append(f"{seen.n_keyless:,} items have no right option and are in no figure.")
    if seen.item is not None and seen.item.interval is None:
        told.append(f"clusters are too few for intervals ({seen.item.n_clusters}; 8 are needed).")
    pairs = None if seen.pair is None else seen.pair.interval
    if sure and pairs is not None and pairs.low <= (seen.pair_chance or 0.0):
        told.append(
            "items are above chance, but minimal pairs are not shown to be. The words of an item may give it away; "
            "that answers follow the cause is not shown."
        )
    if (
        one.bias.position is not None
        and one.bias.balanced < _BALANCED
        and standing(one.bias.position) in ("above", "below")
    ):
        told.append(
            f"the first place is preferred by {fixed(one.bias.position.value, sign=True)}, and "
            f"orders are balanced for only {100 * one.bias.balanced:.0f} % of the items. Scores depend on where the keys stand."
        )
    return told


def _unlike(report: ProbeReport) -> list[str]:
    """Neighbouring rounds that were not asked the same."""
    if not report.over_rounds:
        return []
    told = []
    kinds: tuple[Kind, ...] = ("ability", "disposition")
    for kind in kinds:
        for view in subtasks(report, kind):
            framings = {cell.framing for cell in view.cells if cell is not None}
            if len(framings) > 1:
                told.append(
                    f"{view.name[:60]}: rounds were asked under different framings ({', '.join(sorted(framings))})."
                )
            if any(_share_no_item(old, new, view) for old, new in pairwise(report.entries)):
                told.append(
                    f"{view.name[:60]}: some rounds share no item with the round before. A difference between them may "
                    "come from the items; link them by anchors before it is read as a change."
                )
    return told


def _share_no_item(old: Entry, new: Entry, view: SubtaskView) -> bool:
    asked = [
        {item.item_id for item in entry.sheet.items if (item.subtask, item.kind) == (view.name, view.kind)}
        for entry in (old, new)
        if entry.sheet is not None and view.cells[entry.at] is not None
    ]
    return len(asked) == 2 and not asked[0] & asked[1]
