"""What probes showed as Markdown, for pull requests and logs. Untrusted text is quoted so that none of it is markup."""

from __future__ import annotations

from functools import partial

from moorings.probes.item import Item
from moorings.probes.metrics.profile import SubtaskProfile
from moorings.report.markdown_parts import plain
from moorings.report.markdown_parts import table as any_table
from moorings.report.probe.headline import headline
from moorings.report.probe.html import says
from moorings.report.probe.live import foretold, live_scores, live_traits
from moorings.report.probe.rows import Row, all_rows, fixed, spread, structure_rows
from moorings.report.probe.view import Entry, ProbeReport, SubtaskView, change, items_of, subtasks
from moorings.report.probe.warnings import warnings

__all__ = ["render_probe_markdown"]

_ITEM_CHARS = 240
_MAX_ROWS = 200
_MAX_WARNINGS = 24
_table = partial(any_table, most=_MAX_ROWS, rest_in="profile.json")


def render_probe_markdown(report: ProbeReport) -> str:
    """Write the report as GitHub-flavoured Markdown; it holds only characters that UTF-8 can encode."""
    head = headline(report)
    lines = [f"# {plain(report.title)}", "", f"**{head.sign} {plain(head.word)}.** {plain(head.sentence, 4000)}", ""]
    for part in head.why.split("\n"):
        lines += [plain(part, 4000), ""] if part else []
    weak = warnings(report)
    if weak:
        lines += ["## Read this first", "", *(f"- {plain(words)}" for words in weak[:_MAX_WARNINGS])]
        lines += [f"- {len(weak) - _MAX_WARNINGS} more like these"] if len(weak) > _MAX_WARNINGS else []
        lines.append("")
    lines += _who(report)
    abilities, dispositions = subtasks(report, "ability"), subtasks(report, "disposition")
    if abilities:
        lines += ["## Abilities", "", *(line for view in abilities for line in _subtask(report, view))]
    if dispositions:
        lines += ["## Dispositions", "", "No answer is right here; nothing is averaged with abilities.", ""]
        lines += [line for view in dispositions for line in _subtask(report, view)]
    return "\n".join([*lines, *_live(report)]).rstrip() + "\n"


def _who(report: ProbeReport) -> list[str]:
    rows = [
        (plain(entry.mark, 80), plain(entry.profile.subject), plain(entry.profile.fingerprint, 80))
        for entry in report.entries
    ]
    return _table("## Who was asked", ("Round" if report.over_rounds else "", "Subject", "Fingerprint"), rows)


def _subtask(report: ProbeReport, view: SubtaskView) -> list[str]:
    lines = [f"### {plain(view.name)}", ""]
    if len(report.entries) > 1:
        lines += _rounds(report, view)
    shown = [entry for entry in report.entries if view.cells[entry.at] is not None]
    for entry in shown[-1:] if report.over_rounds else shown:
        one = view.cells[entry.at]
        if one is not None:
            lines += _figures(report, entry, one, named=len(report.entries) > 1)
    return lines


def _rounds(report: ProbeReport, view: SubtaskView) -> list[str]:
    rows = []
    for entry in report.entries:
        one = view.cells[entry.at]
        if one is None:
            rows.append((plain(entry.mark, 80), "not asked", "", "", ""))
            continue
        seen = one.accuracy.item
        moved = change(report, view, entry.at) if entry.at else None
        told: str = "" if moved is None else moved.outcome
        figure = None if moved is None else moved.figure
        if figure is not None:
            told = f"{fixed(figure.value, sign=True)} ({spread(figure, sign=True)}), {told}"
        found = fixed(figure.detectable) if figure is not None and figure.detectable is not None else ""
        rows.append((plain(entry.mark, 80), fixed(seen.value if seen else None), spread(seen), told, found))
    first = "Round" if report.over_rounds else "Subject"
    share = "Right" if view.kind == "ability" else "Shows it"
    return _table("", (first, share, "Interval", "Less the first", "Would have been found"), rows)


def _figures(report: ProbeReport, entry: Entry, one: SubtaskProfile, *, named: bool) -> list[str]:
    opening = f"{plain(entry.label)}: " if named else ""
    missing = f"{one.n_missing_answers:,} of them missing"
    lines = [
        f"{opening}{says(one)} {one.n_answers:,} answers under {plain(one.framing, 80)}, {missing}.",
        "",
        *_rows("Figure", all_rows(one)),
        *_rows("Structure type", structure_rows(one)),
    ]
    seen = items_of(report, entry, one)
    if seen is not None:
        rows = [
            (plain(i.item.item_id, 80), fixed(i.share), plain(i.item.prompt, _ITEM_CHARS), plain(_key(i.item), 120))
            for i in seen.hardest
        ]
        what = "Hardest items" if one.kind == "ability" else "Items that show it most"
        lines += _table("", (what, "Share", "Question", "Key"), rows)
    return lines


def _key(item: Item) -> str:
    return "; ".join(option.text for option in item.options if option.key)


def _rows(title: str, rows: tuple[Row, ...]) -> list[str]:
    cells = [
        (
            plain(row.label, 120),
            fixed(row.figure.value),
            spread(row.figure),
            "" if row.reference is None else fixed(row.reference),
            f"{row.figure.n_items:,} in {row.figure.n_clusters:,}",
            plain(row.note),
        )
        for row in rows
        if row.figure is not None
    ]
    return _table("", (title, "Value", "Interval", "Held against", "Items in clusters", ""), cells)


def _live(report: ProbeReport) -> list[str]:
    if report.live is None:
        return []
    lines = ["## Live track", "", *_rows("Right foretellings", live_scores(report.live))]
    rows = []
    for trait in live_traits(report.live):
        for row, outcome, own, other, surface in trait.rows:
            rows.append(
                (
                    plain(trait.name, 80),
                    plain(row.label, 80),
                    outcome.truth,
                    f"{fixed(outcome.effect, sign=True)} ({fixed(outcome.low, sign=True)} to "
                    f"{fixed(outcome.high, sign=True)})",
                    foretold(own),
                    foretold(other),
                    plain(surface, 40),
                )
            )
    header = ("Trait", "Training set", "Truth", "Change", "Foretold of itself", "Of another", "By the words")
    return lines + _table("", header, rows)
