"""What a report of probes is made from: its entries, items, and changes between rounds.

Abilities and dispositions stand in different groups, and no number here is a mean of both, or of several subtasks.
Changes between rounds are paired by item where the answer sheets are given; without them two rounds count as different
only where their intervals do not overlap, which is a stricter rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from moorings.errors import ConfigError, InputError
from moorings.probes.answers import AnswerSheet
from moorings.probes.item import Item, Kind
from moorings.probes.live.track import LiveTrack
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure
from moorings.probes.metrics.detectable import detectable_effect
from moorings.probes.metrics.profile import Profile, SubtaskProfile
from moorings.probes.metrics.table import Table
from moorings.records import content_hash
from moorings.report.probe.live import LiveRecord, live_record
from moorings.report.probe.rows import standing

__all__ = [
    "Change",
    "Entry",
    "ItemMap",
    "ItemSeen",
    "ProbeReport",
    "SubtaskView",
    "assemble",
    "change",
    "items_of",
    "subtasks",
]

MAX_HARDEST = 5
"""Items whose texts are shown."""
_DRAWS = 2000


class Entry(NamedTuple):
    """One profile of the report."""

    at: int
    """Place from 0."""
    label: str
    """Round, or subject. Untrusted text."""
    mark: str
    """What stands for it in drawings: the round's label, or a letter for each subject."""
    profile: Profile
    sheet: AnswerSheet | None


class SubtaskView(NamedTuple):
    """One subtask in all profiles; abilities and dispositions of one name are two."""

    name: str
    kind: Kind
    anchor: str
    cells: tuple[SubtaskProfile | None, ...]
    """By entry."""

    @property
    def last(self) -> SubtaskProfile:
        """What the newest profile that has the subtask says."""
        return next(cell for cell in reversed(self.cells) if cell is not None)


@dataclass(frozen=True)
class ProbeReport:
    """All that a report is made from."""

    title: str
    entries: tuple[Entry, ...]
    over_rounds: bool
    """Whether the entries are rounds in order; else they are different subjects."""
    live: LiveRecord | None = None
    # Every form of the report asks for the same tables and changes.
    _tables: dict[tuple[int, str, str], Table | None] = field(default_factory=dict, repr=False, compare=False)
    _changes: dict[tuple[str, str, int, int], Change] = field(default_factory=dict, repr=False, compare=False)


class Change(NamedTuple):
    """A round less the first one, in the share of items that are right."""

    outcome: Literal["rose", "fell", "not shown", "not known"]
    paired: bool
    """Whether it was taken item by item."""
    figure: Figure | None
    """The paired difference; None where the rounds share no item or the sheets are not there."""


class ItemSeen(NamedTuple):
    """One item and what was made of it."""

    item: Item
    share: float
    """Mean share of the right options."""
    right: float
    options: tuple[float, ...]
    """Mean share of each option."""
    b: float | None
    """Calibrated difficulty."""


class ItemMap(NamedTuple):
    """All items of a subtask that have an answer and a right option, the lowest share first."""

    seen: tuple[ItemSeen, ...]
    hardest: tuple[ItemSeen, ...]
    """For abilities those with the lowest shares, for dispositions those that show it most; one a cluster."""
    n_without: int
    """Items that are not among them."""


def assemble(
    profiles: Sequence[Profile],
    sheets: Sequence[AnswerSheet] = (),
    title: str = "",
    rounds: Sequence[str] = (),
    live: LiveTrack | Mapping[str, Any] | None = None,
) -> ProbeReport:
    """Put a report together.

    Args:
        profiles: One for each subject or round, in order.
        sheets: Answer sheets that profiles were made from, in any order; profiles may be without one.
        title: Of the report; made up from the subjects if empty.
        rounds: Labels of the profiles if they are rounds in order; empty if they are different subjects.
        live: A live track, or what its `as_json` gave.

    Raises:
        ConfigError: No profile and no live track, or not one round a profile.
        InputError: A sheet belongs to no profile, or `live` is not a live track.
    """
    if not profiles and live is None:
        raise ConfigError("there are no profiles; give one or more, or a live track")
    if rounds and len(rounds) != len(profiles):
        raise ConfigError(f"{len(rounds)} rounds are named for {len(profiles)} profiles; name each profile's, or none")
    mine = _matched(profiles, sheets)
    subjects = [profile.subject for profile in profiles]
    labels = list(rounds) or (subjects if len(set(subjects)) == len(subjects) else [])
    entries = tuple(
        Entry(
            at,
            labels[at] if labels else f"{profile.subject} ({at + 1})",
            rounds[at] if rounds else chr(ord("A") + at) if at < 26 else str(at + 1),
            profile,
            mine[at],
        )
        for at, profile in enumerate(profiles)
    )
    return ProbeReport(title or _title(profiles, bool(rounds)), entries, bool(rounds), live_record(live))


def _matched(profiles: Sequence[Profile], sheets: Sequence[AnswerSheet]) -> list[AnswerSheet | None]:
    """The sheet of each profile; of several of one subject each takes the next."""
    waiting = list(sheets)
    found: list[AnswerSheet | None] = []
    for profile in profiles:
        who = (profile.subject, profile.fingerprint)
        at = next((i for i, sheet in enumerate(waiting) if (sheet.subject, sheet.fingerprint) == who), None)
        found.append(None if at is None else waiting.pop(at))
    if waiting:
        raise InputError(
            f"the answers of {waiting[0].subject!a:.120} belong to no profile that is given; give their profile as well"
        )
    return found


def _title(profiles: Sequence[Profile], over_rounds: bool) -> str:
    if len(profiles) == 1:
        return f"Probes of {profiles[0].subject}"
    if not profiles:
        return "Live track"
    return f"Probes over {len(profiles)} rounds" if over_rounds else f"Probes of {len(profiles)} subjects"


def subtasks(report: ProbeReport, kind: Kind) -> tuple[SubtaskView, ...]:
    """All subtasks of a kind, by name."""
    by_entry = [{(one.subtask, one.kind): one for one in entry.profile.subtasks} for entry in report.entries]
    keys = sorted({key for found in by_entry for key in found if key[1] == kind})
    return tuple(
        SubtaskView(name, kind, f"{kind[0]}{at}", tuple(found.get((name, kind)) for found in by_entry))
        for at, (name, _) in enumerate(keys)
    )


def items_of(report: ProbeReport, entry: Entry, one: SubtaskProfile) -> ItemMap | None:
    """What was made of each item; None without the sheet or without an answer."""
    table = _table(report, entry, one)
    if table is None:
        return None
    shares = table.judge(table.mean_shares)
    seen = [
        ItemSeen(
            item,
            float(shares[row]),
            float(table.right[row]),
            tuple(float(share) for share in table.mean_shares[row, : len(item.options)]),
            _difficulty(item),
        )
        for row, item in enumerate(table.items)
        if np.isfinite(shares[row])
    ]
    if not seen:
        return None
    seen.sort(key=lambda one: one.share)
    first: dict[str, ItemSeen] = {}
    for found in seen if one.kind == "ability" else reversed(seen):
        first.setdefault(found.item.cluster_id, found)
    return ItemMap(tuple(seen), tuple(first.values())[:MAX_HARDEST], len(table.items) - len(seen))


def _difficulty(item: Item) -> float | None:
    b = item.irt.get("b")
    return None if b is None or not np.isfinite(b) else b


def _table(report: ProbeReport, entry: Entry, one: SubtaskProfile) -> Table | None:
    """Answers of a subtask under the framing that its figures are about; None without a sheet."""
    key = (entry.at, one.subtask, one.kind)
    if key not in report._tables:
        report._tables[key] = None if entry.sheet is None else _part(entry.sheet, one)
    return report._tables[key]


def _part(sheet: AnswerSheet, one: SubtaskProfile) -> Table:
    items = tuple(item for item in sheet.items if (item.subtask, item.kind) == (one.subtask, one.kind))
    ids = {item.item_id for item in items}
    answers = tuple(a for a in sheet.answers if a.framing == one.framing and a.item_id in ids)
    return Table.of(replace(sheet, items=items, answers=answers))


def change(report: ProbeReport, view: SubtaskView, later: int, earlier: int = 0) -> Change:
    """How much more items are right in one profile than in another, item by item where the same items were asked."""
    key = (view.name, view.kind, later, earlier)
    if key not in report._changes:
        report._changes[key] = _change(report, view, later, earlier)
    return report._changes[key]


def _change(report: ProbeReport, view: SubtaskView, later: int, earlier: int) -> Change:
    new, old = view.cells[later], view.cells[earlier]
    if new is None or old is None:
        return Change("not known", False, None)
    figure = _paired(report, (report.entries[later], new), (report.entries[earlier], old))
    if figure is not None:
        outcome = {"above": "rose", "below": "fell", "not told apart": "not shown"}.get(standing(figure), "not known")
        return Change(outcome, True, figure)  # type: ignore[arg-type]
    ends, before = new.accuracy.item, old.accuracy.item
    if ends is None or before is None or ends.interval is None or before.interval is None:
        return Change("not known", False, None)
    if ends.interval.low > before.interval.high:
        return Change("rose", False, None)
    return Change("fell" if ends.interval.high < before.interval.low else "not known", False, None)


def _paired(report: ProbeReport, new: tuple[Entry, SubtaskProfile], old: tuple[Entry, SubtaskProfile]) -> Figure | None:
    """Mean difference over the items that both were asked, with the difference that would have been found."""
    tables = _table(report, *new), _table(report, *old)
    if tables[0] is None or tables[1] is None:
        return None
    before = {item.item_id: (item, right) for item, right in zip(tables[1].items, tables[1].right, strict=True)}
    d = np.array(
        [
            right - before[item.item_id][1] if before.get(item.item_id, (None,))[0] == item else np.nan
            for item, right in zip(tables[0].items, tables[0].right, strict=True)
        ],
        dtype=np.float64,
    )
    seen = np.isfinite(d)
    clusters = tables[0].clusters
    rng = np.random.default_rng(int(content_hash([new[1].subtask, new[1].kind])[:8], 16))
    level = new[0].profile.level
    figure = ClusterBootstrap(clusters, rng=rng, n_draws=_DRAWS, level=level).mean(d, bounds=(-1.0, 1.0))
    if figure is None:
        return None
    effect = detectable_effect(d[seen], clusters[seen], alpha=1.0 - level)
    return figure.model_copy(update={"detectable": effect})
