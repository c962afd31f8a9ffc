"""What probes showed as one self-contained HTML file, under the same policy as the report of a comparison.

It shares that report's style sheet, script, escaping and content-security policy; see `moorings.report.page`. Texts of
items, names of structure types, options, framings, subjects and rounds are untrusted: they stand in text nodes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from moorings.probes.metrics.profile import SubtaskProfile
from moorings.report.drawing import Drawing
from moorings.report.forest import Scale
from moorings.report.page import render_page
from moorings.report.probe import charts
from moorings.report.probe.headline import headline
from moorings.report.probe.live import foretold, is_told, live_scores, live_sentence, live_traits
from moorings.report.probe.rows import (
    TONES,
    Row,
    accuracy_rows,
    all_rows,
    consistency_rows,
    corrected_rows,
    fixed,
    gap_rows,
    overview_row,
    preference_rows,
    spread,
    standing,
    structure_rows,
)
from moorings.report.probe.view import Change, Entry, ItemMap, ProbeReport, SubtaskView, change, items_of, subtasks
from moorings.report.probe.warnings import warnings

__all__ = ["GLOSSARY", "render_probe_html", "says"]

GLOSSARY = {
    "interval": "The range in which the true value lies with the stated confidence. Whole clusters of items are drawn "
    "again and again for it, never single items.",
    "cluster": "Items that are variants of each other, such as wordings of one question. They count as one independent "
    "piece of evidence.",
    "chance": "What somebody would score who guesses: the mean share of options that are right.",
    "corrected": "The score on a scale on which guessing is 0 and all right is 1.",
    "averaged": "Each item is asked in several orders of its options, and the shares that an option gets are averaged "
    "before one is chosen. Somebody who always takes the first place then scores chance.",
    "pair": "Two items with the same words but for one cause, and so with other answers. Both must be right, which "
    "somebody who goes by the words cannot achieve.",
    "detectable": "The smallest true effect that this many clusters would have shown four times out of five. Larger "
    "effects are unlikely, smaller ones are not ruled out.",
    "calibration": "How far confidence lies from the share that is right, on average over bins. It is above 0 even for "
    "somebody perfectly calibrated, because bins are noisy; the range beside it is where they would be.",
    "theta": "Ability on the scale on which the difficulties of the items were measured; 0 is the middle.",
    "observation": "How much more is right, or shows a disposition, where it is said that answers are watched.",
    "self_other": "How much more is right about oneself than about somebody else in the same place.",
    "disposition": "A tendency, with answers that show it and none that is right. It is never averaged with abilities.",
    "missing": "Answers that failed or name no option. They are counted, and the score is given for all that they could "
    "have been.",
    "live": "The model is asked what a training would do to it, is trained, and is measured. Its answers are compared "
    "with what happened.",
}
"""Terms of a report of probes, explained."""

MAX_FULL = 4
"""Profiles of which a subtask is drawn in full; of more, the tables over rounds and profile.json tell."""
MAX_OVERVIEW = 8
"""Subjects in the overview."""
MAX_WARNINGS = 24
ITEM_CHARS = 700
"""Characters of an item's text that are shown."""
_GLOSSARY_ORDER = (
    ("interval", "Interval"),
    ("cluster", "Cluster"),
    ("chance", "Chance"),
    ("corrected", "Above chance"),
    ("averaged", "Averaged over orders"),
    ("pair", "Minimal pair"),
    ("detectable", "Would have been found"),
    ("calibration", "Calibration error"),
    ("theta", "Ability (theta)"),
    ("observation", "Observed less unobserved"),
    ("self_other", "Self less other"),
    ("disposition", "Disposition"),
    ("missing", "Missing"),
)
_DRAWN = (
    "Minimal pairs",
    "Calibration error",
    "Prefers the first place",
    "Items on oneself less on others",
    "Same option in other orders",
    "Ability (theta)",
)
"""Figures that are drawn over rounds beside the first, and gaps between framings."""
_OUTCOMES = {"more": ("info", "↑"), "less": ("info", "↓"), "same": ("calm", "="), "unclear": ("warn", "?")}


class Group(NamedTuple):
    """Rows on one scale."""

    title: str
    hint: str
    rows: tuple[Row, ...]
    scale: Scale


class Block(NamedTuple):
    """One subtask of one profile."""

    entry: Entry
    one: SubtaskProfile
    tone: str
    groups: tuple[Group, ...]
    curve: Drawing | None
    items: ItemMap | None
    drawn_items: Drawing | None
    by_difficulty: bool
    rows: tuple[Row, ...]
    """Every figure."""
    structures: tuple[Row, ...]


class Move(NamedTuple):
    """One profile and what changed since the first."""

    entry: Entry
    one: SubtaskProfile | None
    change: Change | None


class Section(NamedTuple):
    """One subtask in all profiles."""

    view: SubtaskView
    blocks: tuple[Block, ...]
    """The newest first, or the subjects in order."""
    n_left_out: int
    trends: tuple[tuple[str, Drawing], ...]
    moves: tuple[Move, ...]
    table: tuple[tuple[str, tuple[Row | None, ...]], ...]
    """Each figure with its rows by entry."""


class Line(NamedTuple):
    """One row of the overview."""

    anchor: str
    entry: Entry
    row: Row


def render_probe_html(report: ProbeReport, versions: str = "") -> str:
    """Write the report as one HTML file.

    Args:
        report: See `view.assemble`.
        versions: Version of Moorings that is named in the footer.

    Returns:
        The document; it holds only characters that UTF-8 can encode.
    """
    abilities, dispositions = (
        [_section(report, view) for view in subtasks(report, "ability")],
        [_section(report, view) for view in subtasks(report, "disposition")],
    )
    lines, scores = _overview(report), live_scores(report.live)
    values = {
        "r": report,
        "version": versions,
        "head": headline(report),
        "warnings": warnings(report),
        "abilities": abilities,
        "dispositions": dispositions,
        "several": len(report.entries) > 1,
        "overview": lines,
        "overview_scale": charts.share_scale([line.row for line in lines]),
        "live_traits": live_traits(report.live),
        "live_scores": scores,
        "score_scale": charts.share_scale(scores),
        "live_told": live_sentence(report.live),
        **_WORDS,
    }
    return render_page("probe/report.html.j2", ("style.css", "run/run.css", "probe/probe.css"), values)


def _overview(report: ProbeReport) -> tuple[Line, ...]:
    """Chance-corrected scores of all abilities: of the last round, or of each subject."""
    entries = report.entries[-1:] if report.over_rounds else report.entries[:MAX_OVERVIEW]
    return tuple(
        Line(view.anchor, entry, overview_row(one))
        for view in subtasks(report, "ability")
        for entry in entries
        if (one := view.cells[entry.at]) is not None
    )


def _section(report: ProbeReport, view: SubtaskView) -> Section:
    with_it = [entry for entry in report.entries if view.cells[entry.at] is not None]
    shown = with_it[::-1] if report.over_rounds else with_it
    table = _table(report, view)
    several = len(report.entries) > 1
    return Section(
        view,
        tuple(_block(report, entry, one, view.anchor) for entry in shown[:MAX_FULL] if (one := view.cells[entry.at])),
        len(shown[MAX_FULL:]),
        _trends(report, view, table) if several else (),
        tuple(
            Move(entry, view.cells[entry.at], change(report, view, entry.at) if entry.at else None)
            for entry in report.entries
        )
        if several
        else (),
        table if several else (),
    )


def _block(report: ProbeReport, entry: Entry, one: SubtaskProfile, anchor: str) -> Block:
    name = f"{anchor}-{entry.at}"
    seen = items_of(report, entry, one)
    drawn = None if seen is None else charts.item_map(seen, one.ability, f"{name}-items")
    curve = None
    if one.calibration is not None and one.kind == "ability":
        curve = charts.reliability(one.calibration, f"{name}-curve")
    return Block(
        entry,
        one,
        TONES[standing(one.accuracy.corrected)] if one.kind == "ability" else "info",
        _groups(one),
        curve,
        seen,
        drawn,
        seen is not None and all(item.b is not None for item in seen.seen),
        all_rows(one),
        structure_rows(one),
    )


def _groups(one: SubtaskProfile) -> tuple[Group, ...]:
    ability = one.kind == "ability"
    told = (
        (
            "How often it is right" if ability else "How often it shows the disposition",
            "The dashed line is chance for each row." if ability else "The dashed line is where guessing would lie.",
            accuracy_rows(one),
            charts.share_scale,
        ),
        ("Above chance", "Guessing is 0, all right is 1.", corrected_rows(one), charts.share_scale),
        ("By structure type", "Chance is the dashed line.", structure_rows(one), charts.share_scale),
        ("Preferences and gaps", "0 is none.", preference_rows(one), charts.gap_scale),
        ("Consistency", "1 is always the same.", consistency_rows(one), charts.share_scale),
    )
    return tuple(Group(title, hint, rows, scale(rows)) for title, hint, rows, scale in told if rows)


def _table(report: ProbeReport, view: SubtaskView) -> tuple[tuple[str, tuple[Row | None, ...]], ...]:
    """Each figure by entry, structure types included."""
    found: dict[str, list[Row | None]] = {}
    for at, cell in enumerate(view.cells):
        if cell is not None:
            types = [row._replace(label=f"Structure type {row.label}") for row in structure_rows(cell)]
            for row in (*all_rows(cell), *types):
                found.setdefault(row.label, [None] * len(report.entries))[at] = row
    return tuple((label, tuple(rows)) for label, rows in found.items())


def _trends(
    report: ProbeReport, view: SubtaskView, table: Sequence[tuple[str, tuple[Row | None, ...]]]
) -> tuple[tuple[str, Drawing], ...]:
    """The first figure over rounds, and the others that are drawn."""
    marks = [entry.mark for entry in report.entries]
    gaps = {row.label for cell in view.cells if cell is not None for row in gap_rows(cell)}
    drawn = []
    for at, (label, rows) in enumerate(table):
        if at and label not in _DRAWN and label not in gaps:
            continue
        reference = next((row.reference for row in rows if row is not None), None)
        figures = [None if row is None else row.figure for row in rows]
        name = f"{view.anchor}-t{at}"
        drawing = charts.over_rounds(figures, marks, reference, name, joined=report.over_rounds)
        if drawing is not None:
            drawn.append((label, drawing))
    return tuple(drawn)


def says(one: SubtaskProfile) -> str:
    """One sentence on a subtask, in fixed words and numbers."""
    seen = one.accuracy
    if seen.item is None:
        return "No item has a usable answer and a right option."
    base = f"{fixed(seen.item.value)} of {seen.item.n_items:,} items in {seen.item.n_clusters:,} clusters"
    if one.kind == "disposition":
        return f"It shows the disposition on {base} ({spread(seen.item)})."
    figure, chance = seen.corrected, fixed(seen.chance)
    where = {
        "above": "It is above chance",
        "below": "It is below chance",
        "not told apart": "It is not told apart from chance",
        "too few clusters": "There are too few clusters to tell it from chance",
        "no answer": "Nothing was answered",
    }[standing(figure)]
    detectable = None if figure is None else figure.detectable
    found = ""
    if standing(figure) == "not told apart" and detectable is not None:
        found = f" A true distance of {fixed(detectable, 2)} would have been found with 80 % power."
    by = "" if figure is None else f": {fixed(figure.value, sign=True)} ({spread(figure, sign=True)})"
    return f"{where}{by}. It is right on {base}, where guessing gives {chance}.{found}"


_WORDS = {
    "GLOSSARY": GLOSSARY,
    "GLOSSARY_ORDER": _GLOSSARY_ORDER,
    "ITEM_CHARS": ITEM_CHARS,
    "MAX_OVERVIEW": MAX_OVERVIEW,
    "MAX_WARNINGS": MAX_WARNINGS,
    "OUTCOMES": _OUTCOMES,
    "choice_bar": charts.choice_bar,
    "fixed": fixed,
    "foretold": foretold,
    "is_told": is_told,
    "row_axis": charts.row_axis,
    "row_strip": charts.row_strip,
    "says": says,
    "share_scale": charts.share_scale,
    "spread": spread,
}
