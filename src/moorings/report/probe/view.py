"""What a report of probes says: its entries, items, changes between rounds, warnings and the headline.

Abilities and dispositions stand in different groups, and no number here is a mean of both, or of several subtasks.
Changes between rounds are paired by item where the answer sheets are given; without them two rounds count as different
only where their intervals do not overlap, which is a stricter rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, ValidationError

from moorings.errors import ConfigError, InputError
from moorings.probes.answers import AnswerSheet
from moorings.probes.item import Item, Kind
from moorings.probes.live.track import LiveTrack
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure
from moorings.probes.metrics.detectable import detectable_effect
from moorings.probes.metrics.profile import Profile, SubtaskProfile
from moorings.probes.metrics.table import Table
from moorings.records import Record, content_hash
from moorings.report.probe.charts import Standing, fixed, spread, standing
from moorings.report.run.view import Headline

__all__ = [
    "CHANCE_OF_THREE",
    "Change",
    "Entry",
    "ItemMap",
    "ItemSeen",
    "LiveOutcome",
    "LivePairs",
    "LiveRecord",
    "LiveScore",
    "ProbeReport",
    "SubtaskView",
    "assemble",
    "change",
    "disposition_line",
    "headline",
    "items_of",
    "live_sentence",
    "subtasks",
    "warnings",
]

CHANCE_OF_THREE = 1.0 / 3.0
"""Of foretelling more, less or the same by a guess."""
MAX_TOLD = 8
"""Subjects in the headline."""
MAX_HARDEST = 5
"""Items whose texts are shown."""
_DRAWS = 2000
_BALANCED = 0.9
"""Share of items with balanced orders below which a preference for a place is warned of; a few missing answers are not."""


class LiveOutcome(Record):
    """What a training did to a trait; see `moorings.probes.live.truth.Outcome`."""

    truth: Literal["more", "less", "same", "unclear"]
    effect: float
    low: float
    high: float
    n_prompts: int
    by_seed: tuple[float, ...]


class LiveScore(Record):
    """A share or a difference, with its interval over training sets."""

    mean: float
    low: float
    high: float
    detectable: float

    @property
    def told(self) -> bool:
        """Whether there is an interval: from one training set, none can be had."""
        return math.isfinite(self.low) and math.isfinite(self.high)


class LivePairs(Record):
    """Pairs of a training set and a trait."""

    judged: float
    unclear: float


class LiveRecord(Record):
    """A live track as `LiveTrack.as_json` gives it; further keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    outcomes: dict[str, dict[str, LiveOutcome]]
    foretold: dict[str, dict[str, dict[str, tuple[float, ...]]]]
    surface: dict[str, dict[str, str]]
    scores: dict[str, LiveScore | LivePairs]

    def score(self, name: str) -> LiveScore | None:
        """A score by its name, such as `self`; None where no pair was judged."""
        found = self.scores.get(name)
        return found if isinstance(found, LiveScore) else None

    @property
    def pairs(self) -> LivePairs:
        """How many pairs were judged, and how many were too unclear."""
        found = self.scores.get("pairs")
        return found if isinstance(found, LivePairs) else LivePairs(judged=0, unclear=0)


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
    return ProbeReport(title or _title(profiles, bool(rounds)), entries, bool(rounds), _live_record(live))


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


def _live_record(live: LiveTrack | Mapping[str, Any] | None) -> LiveRecord | None:
    if live is None:
        return None
    try:
        return LiveRecord.model_validate(live.as_json() if isinstance(live, LiveTrack) else dict(live))
    except ValidationError as error:
        reason = ascii(str(error).splitlines()[0])[1:-1]
        raise InputError(f"live is no result of a live track ({reason}); give what LiveTrack.as_json gave") from None


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
    told = [f"{words}: {_listed(by[key])}." for key, words in openings if key in by]
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
    rest = f"; not told apart from it on {_listed(others)}" if others else ""
    return f"{entry.mark} lies above chance on {_listed(above) if above else 'none'} of {len(found)} subtasks{rest}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _changes(report: ProbeReport, abilities: Sequence[SubtaskView]) -> tuple[str, bool]:
    """From the first round to the last, and whether anything fell."""
    last = len(report.entries) - 1
    found = [(view.name[:60], change(report, view, last)) for view in abilities]
    told = []
    for outcome, words in (("rose", "rose"), ("fell", "fell"), ("not shown", "no change shown")):
        names = [_moved(name, one) for name, one in found if one.outcome == outcome]
        if names:
            told.append(f"{words}: {_listed(names)}")
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
    return f"Dispositions have no right answers and are kept apart. Share of items that show it: {_listed(found)}."


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


def live_sentence(live: LiveRecord | None) -> str:
    """What the live track showed."""
    if live is None:
        return ""
    n_judged, n_unclear = int(live.pairs.judged), int(live.pairs.unclear)
    own, gain = live.score("self"), live.score("self_advantage")
    if not n_judged or own is None or gain is None:
        return f"Live track: no pair of a training set and a trait was clear enough to be judged ({n_unclear} were unclear)."
    more = "more" if gain.low > 0 else "less" if gain.high < 0 else ""
    told = (
        f"That is {more} often than for another model" if more else "No difference from foretelling another was shown"
    )
    told += f" ({fixed(gain.mean, 2, sign=True)}, {fixed(gain.low, 2, sign=True)} to {fixed(gain.high, 2, sign=True)})"
    told += f"; an advantage of {fixed(gain.detectable, 2)} would have been seen."
    if not gain.told:
        told = f"The difference from foretelling another is {fixed(gain.mean, 2, sign=True)} with one training set"
        told += ", so how sure it is cannot be told."
    sure = f" ({fixed(own.low, 2)} to {fixed(own.high, 2)})" if own.told else " (no interval, from one training set)"
    return (
        f"Live track: the model foretold its own change in {fixed(own.mean, 2)}{sure} of {n_judged} pairs, where guessing "
        f"gives {fixed(CHANCE_OF_THREE, 2)}; {n_unclear} pairs were too unclear. {told}"
    )


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
            found.append(f"{where} answers: {_listed(gone)}. What they could change stands beside the scores.")
        for one in entry.profile.subtasks:
            for words in _weak(one):
                told.setdefault(f"{one.subtask[:60]}: {words}", []).append(entry.mark[:40])
    for words, marks in told.items():
        where = f" ({kind}{'s' if len(marks) > 1 else ''} {_listed(marks)})" if several else ""
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
