"""What a report shows and in which order, whatever it is written in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from moorings.compare.comparison import Comparison, PairResult
from moorings.records import Finding, IntentVerdict, canonical_json, content_hash

__all__ = ["Card", "CharterLine", "Group", "MatrixRow", "charter_lines", "groups", "matrix", "worst_pair"]

_SEVERITY = ("no change found", "changed as intended", "changed", "side effects", "concerning")
_GROUPS: tuple[tuple[IntentVerdict, str, str, str], ...] = (
    ("concerning", "bad", "Concerning", "Ruled out by the charter, or judged harmful."),
    ("side effect", "warn", "Side effects", "Changes that nobody asked for."),
    ("not judged", "info", "Not judged", "Changes on whose intent the charter says nothing."),
    ("intended", "good", "Intended", "Changes that the charter asked for."),
)
_ENTRY_KEYS = ("statement", "behaviour", "behavior", "change", "name", "text")


class Card(NamedTuple):
    """A finding and the findings that it explains."""

    anchor: str
    finding: Finding
    members: tuple[Finding, ...]


class Group(NamedTuple):
    """Findings of one intent, strongest first."""

    tone: str
    title: str
    meaning: str
    cards: tuple[Card, ...]


class MatrixRow(NamedTuple):
    """One behaviour across candidates; None where it is not a finding."""

    statement: str
    cells: tuple[Card | None, ...]


class CharterLine(NamedTuple):
    """One entry of the charter and what became of it."""

    entry: str
    status: str
    candidate: str
    anchor: str | None
    finding: Finding | None


def groups(pair: PairResult, number: int) -> tuple[Group, ...]:
    """Findings of a pair by intent, most serious first; empty groups are left out.

    Args:
        pair: The pair.
        number: Its place in the comparison, from 0; part of the anchors.
    """
    known: set[str | None] = {f.finding_id for f in pair.findings}
    members: dict[str, list[Finding]] = defaultdict(list)
    for finding in pair.findings:
        if _is_member(finding, known):
            members[str(finding.part_of)].append(finding)
    cards: dict[str, list[Card]] = defaultdict(list)
    for i, finding in enumerate(pair.findings):
        if not _is_member(finding, known):
            card = Card(f"p{number}-f{i}", finding, tuple(members[finding.finding_id]))
            cards[finding.intent.verdict].append(card)
    return tuple(Group(tone, title, meaning, tuple(cards[v])) for v, tone, title, meaning in _GROUPS if cards[v])


def worst_pair(comparison: Comparison) -> PairResult | None:
    """The pair with the most serious verdict, the first of several; None if there is no pair."""
    return max(comparison.pairs, key=lambda p: _SEVERITY.index(p.verdict), default=None)


def matrix(comparison: Comparison) -> tuple[MatrixRow, ...]:
    """Findings against candidates; the same predicate and scope is the same behaviour."""
    rows: dict[str, list[Card | None]] = {}
    for column, pair in enumerate(comparison.pairs):
        for group in groups(pair, column):
            for card in group.cards:
                key = content_hash([card.finding.predicate, card.finding.scope])
                rows.setdefault(key, [None] * len(comparison.pairs))[column] = card
    found = [tuple(cells) for cells in rows.values()]
    found.sort(key=lambda cells: -max(abs(c.finding.effect.standardised) for c in cells if c))
    return tuple(MatrixRow(_statement(cells), cells) for cells in found)


def charter_lines(comparison: Comparison) -> tuple[CharterLine, ...]:
    """Results of the charter's entries, in the charter's order."""
    cards: dict[tuple[str, str], Card] = {}
    for number, pair in enumerate(comparison.pairs):
        for group in groups(pair, number):
            for card in group.cards:
                for finding in (card.finding, *card.members):
                    cards[pair.candidate, finding.finding_id] = card
    return tuple(_charter_line(result, cards) for result in comparison.charter_results)


def _charter_line(result: Mapping[str, object], cards: Mapping[tuple[str, str], Card]) -> CharterLine:
    candidate = str(result.get("candidate") or "")
    wanted = result.get("finding_id")
    card = cards.get((candidate, str(wanted)))
    finding = next((f for f in (card.finding, *card.members) if f.finding_id == wanted), None) if card else None
    return CharterLine(
        entry=_entry_text(result.get("entry")),
        status=str(result.get("status") or "undecided"),
        candidate=candidate,
        anchor=card.anchor if card else None,
        finding=finding,
    )


def _entry_text(entry: Any) -> str:
    """An entry as its statement, or as JSON if it has none."""
    if isinstance(entry, Mapping):
        named = next((entry[key] for key in _ENTRY_KEYS if isinstance(entry.get(key), str)), None)
        return named if named is not None else canonical_json(dict(entry))
    return str(entry)


def _is_member(finding: Finding, known: Collection[str | None]) -> bool:
    return finding.part_of in known and finding.part_of != finding.finding_id


def _statement(cells: Sequence[Card | None]) -> str:
    return next(c.finding.statement for c in cells if c)
