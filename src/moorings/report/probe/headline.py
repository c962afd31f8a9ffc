"""The headline of a report of probes: what the newest round, or each subject, showed, and what changed."""

from __future__ import annotations

from collections.abc import Sequence

from moorings.probes.metrics.cluster_bootstrap import Figure
from moorings.probes.metrics.profile import SubtaskProfile
from moorings.report.probe.live import live_sentence
from moorings.report.probe.rows import Standing, fixed, spread, standing
from moorings.report.probe.view import Change, Entry, ProbeReport, SubtaskView, change, subtasks
from moorings.report.run.view import Headline
from moorings.report.wording import listed

__all__ = ["disposition_line", "headline"]

MAX_TOLD = 8
"""Subjects in the headline."""


def headline(report: ProbeReport) -> Headline:
    """What was shown, and where nothing was, what would have been."""
    if not report.entries:
        return Headline("info", "Δ", "Live track", live_sentence(report.live), "")
    abilities = subtasks(report, "ability")
    last = report.entries[-1]
    now = [cell for view in abilities if (cell := view.cells[last.at]) is not None]
    tone, sign, word = _word(now)
    if len(report.entries) == 1:
        sentence = _told(now)
    elif report.over_rounds:
        sentence = f"In the last round ({last.label[:80]}): {_told(now)}"
    else:
        tone, sign, word = "info", "Δ", f"{len(report.entries)} subjects"
        sentence = " ".join(_of_subject(entry, abilities) for entry in report.entries[:MAX_TOLD])
    changes = _changes(report, abilities) if report.over_rounds and len(report.entries) > 1 else ("", False)
    if changes[1]:
        tone, sign = "warn", "!"
    parts = [changes[0], disposition_line(report), live_sentence(report.live), _alone(now, report)]
    return Headline(tone, sign, word, sentence, "\n".join(part for part in parts if part))


def _word(now: Sequence[SubtaskProfile]) -> tuple[str, str, str]:
    found = [standing(one.accuracy.corrected) for one in now]
    if not found:
        return "info", "Δ", "Dispositions only"
    n_above = found.count("above")
    if n_above:
        return "info", "Δ", f"Above chance on {n_above} of {len(found)}"
    if "below" in found:
        return "warn", "!", f"Below chance on {found.count('below')} of {len(found)}"
    return ("calm", "=", "Nothing shown") if "not told apart" in found else ("warn", "!", "Too little to tell")


def _told(now: Sequence[SubtaskProfile]) -> str:
    """One sentence for each standing."""
    if not now:
        return "No ability was asked."
    by: dict[Standing, list[str]] = {}
    for one in now:
        figure = one.accuracy.corrected
        by.setdefault(standing(figure), []).append(_with_figure(one.subtask[:60], figure))
    openings: tuple[tuple[Standing, str], ...] = (
        ("above", "Above chance"),
        ("below", "Below chance"),
        ("not told apart", "Not told apart from chance"),
        ("too few clusters", "Too few clusters to tell"),
        ("no answer", "Without a usable answer"),
    )
    told = [f"{words}: {listed(by[key])}." for key, words in openings if key in by]
    scale = " On this scale chance is 0 and all right is 1." if {"above", "below"} & by.keys() else ""
    return " ".join(told) + scale


def _with_figure(name: str, figure: Figure | None) -> str:
    if figure is None or figure.interval is None:
        return name
    if standing(figure) == "not told apart":
        seen = "" if figure.detectable is None else f"; a true {fixed(figure.detectable, 2)} would have been found"
        return f"{name} (by {fixed(figure.value, 2, sign=True)}{seen})"
    return f"{name} by {fixed(figure.value, 2, sign=True)} ({spread(figure, 2, sign=True)})"


def _of_subject(entry: Entry, abilities: Sequence[SubtaskView]) -> str:
    found = [cell for view in abilities if (cell := view.cells[entry.at]) is not None]
    above = [one.subtask[:60] for one in found if standing(one.accuracy.corrected) == "above"]
    others = [
        _with_figure(one.subtask[:60], one.accuracy.corrected)
        for one in found
        if standing(one.accuracy.corrected) == "not told apart"
    ]
    rest = f"; not told apart from it on {listed(others)}" if others else ""
    return f"{entry.mark} lies above chance on {listed(above) if above else 'none'} of {len(found)} subtasks{rest}."


def _changes(report: ProbeReport, abilities: Sequence[SubtaskView]) -> tuple[str, bool]:
    """From the first round to the last, and whether anything fell."""
    last = len(report.entries) - 1
    found = [(view.name[:60], change(report, view, last)) for view in abilities]
    told = []
    for outcome, words in (("rose", "rose"), ("fell", "fell"), ("not shown", "no change shown")):
        names = [_moved(name, one) for name, one in found if one.outcome == outcome]
        if names:
            told.append(f"{words}: {listed(names)}")
    opening = f"Since the first round ({report.entries[0].label[:80]}), in the share of right items"
    sentence = f"{opening}, {'; '.join(told)}." if told else f"{opening}, no change can be told from the intervals."
    return sentence, any(one.outcome == "fell" for _, one in found)


def _moved(name: str, one: Change) -> str:
    if one.figure is None:
        return f"{name} (intervals apart)"
    if one.outcome == "not shown":
        found = one.figure.detectable
        return name + ("" if found is None else f" (a true {fixed(found, 2)} would have been found)")
    return f"{name} by {fixed(one.figure.value, 2, sign=True)} ({spread(one.figure, 2, sign=True)})"


def disposition_line(report: ProbeReport) -> str:
    """Dispositions in the newest round or in each subject, told apart from abilities."""
    several = len(report.entries) > 1 and not report.over_rounds
    found = [
        f"{f'{entry.mark} ' if several else ''}{one.subtask[:60]} {fixed(one.accuracy.item.value, 2)} "
        f"({spread(one.accuracy.item, 2)})"
        for entry in (report.entries[:MAX_TOLD] if several else report.entries[-1:])
        for one in entry.profile.subtasks
        if one.kind == "disposition" and one.accuracy.item is not None
    ]
    if not found:
        return ""
    return f"Dispositions have no right answers and are kept apart. Share of items that show it: {listed(found)}."


def _alone(now: Sequence[SubtaskProfile], report: ProbeReport) -> str:
    """What several intervals of one level mean together."""
    several = len(report.entries) > 1 and not report.over_rounds
    n = sum(one.kind == "ability" for e in report.entries for one in e.profile.subtasks) if several else len(now)
    if n < 2:
        return ""
    level = report.entries[-1].profile.level
    return (
        f"Each interval has {level:.0%} confidence on its own: of {n} scores without any skill, one or more would seem to "
        f"differ from chance in about {1.0 - level**n:.0%} of reports."
    ).replace("%", " %")
