"""Whether each entry of a charter is met, told from all findings of a pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from moorings.charter import Charter, Entry, Forbidden, Intended
from moorings.compare.intent_rules import (
    against,
    beyond,
    effect_text,
    limit_reason,
    match,
    scaled,
    scope_text,
    wish_fault,
    wish_reason,
    within,
)
from moorings.records import Finding

__all__ = ["EntryStatus", "charter_results"]

EntryStatus = Literal["met", "not met", "undecided", "violated"]


class _Decision(NamedTuple):
    status: EntryStatus
    reason: str
    finding: Finding | None = None


def charter_results(
    findings: Iterable[Finding], charter: Charter, *, candidate: str | None = None
) -> tuple[dict[str, object], ...]:
    """Say of each entry whether it is met.

    `met`: shown. For a limit that takes proof of equivalence; for a wish its direction, and its size where the
    whole interval lies in the range. `violated`: the opposite is shown, or a limit broken. `not met`: the wish is
    shown to be missed, or a limited behaviour changed without proof that it left the tolerance. Else `undecided`.

    Args:
        findings: All of a pair: changed, equivalent and undecided.
        charter: The charter.
        candidate: Name to put on each row.

    Returns:
        One row an entry, in the charter's order: `entry`, `list`, `status`, `finding_id` (None where nothing
        speaks of it), `candidate`, `reason`.
    """
    given = tuple(findings)
    rows: list[dict[str, object]] = []
    for entry in charter.entries():
        decision = _decide_entry(entry, given, charter.tolerance.share)
        rows.append(
            {
                "entry": entry.name,
                "list": entry.section,
                "status": decision.status,
                "finding_id": decision.finding.finding_id if decision.finding else None,
                "candidate": candidate,
                "reason": decision.reason,
            }
        )
    return tuple(rows)


def _decide_entry(entry: Entry, findings: Sequence[Finding], share: float) -> _Decision:
    matched = [(f, match(entry, f)) for f in findings]
    scope = scope_text(entry)
    exact = [f for f, how in matched if how == "same" and f.scope == scope]
    # The charter's own test of an entry has the error rate that the charter asked for.
    exact = [f for f in exact if f.origin == "charter"] or exact
    if isinstance(entry, Intended):
        return _decide_wish(entry, exact)
    broken = [f for f, how in matched if how and f.verdict == "changed" and against(entry, f) and not within(entry, f)]
    return _decide_limit(entry, exact, broken, share)


def _decide_wish(wish: Intended, exact: Sequence[Finding]) -> _Decision:
    if not exact:
        return _unmeasured(wish)
    changed = next((f for f in exact if f.verdict == "changed"), None)
    if changed is None:
        same = next((f for f in exact if f.verdict == "equivalent"), None)
        if same is not None and len({f.verdict for f in exact}) == 1:
            return _Decision("not met", f"shown to be equivalent: {effect_text(same)}", same)
        return _open(exact)
    if not against(wish, changed):
        return _Decision("violated", str(wish_fault(wish, changed)), changed)
    if wish.size is None:
        return _Decision("met", wish_reason(wish, changed), changed)
    sizes = scaled(wish, changed)
    if sizes is None:
        return _Decision("undecided", f"its size cannot be told on the scale '{wish.size.scale}'", changed)
    least, most = wish.size.min or 0.0, wish.size.max if wish.size.max is not None else float("inf")
    said = f"{sizes.estimate:.3g} ({sizes.low:.3g} to {sizes.high:.3g}, {wish.size.scale})"
    if sizes.high < least:
        return _Decision("not met", f"smaller than intended: {said}", changed)
    if sizes.low > most:
        return _Decision("violated", f"larger than intended: {said}", changed)
    if least <= sizes.low and sizes.high <= most:
        return _Decision("met", f"as intended: {said}", changed)
    return _Decision("undecided", f"the direction is as intended, the size is not settled: {said}", changed)


def _decide_limit(limit: Entry, exact: Sequence[Finding], broken: Sequence[Finding], share: float) -> _Decision:
    for finding in sorted(broken, key=lambda f: (not beyond(limit, f), f not in exact)):
        hard = isinstance(limit, Forbidden) or beyond(limit, finding)
        return _Decision("violated" if hard else "not met", limit_reason(limit, finding), finding)
    if not exact:
        return _unmeasured(limit)
    kept = [f for f in exact if _kept(limit, f, share)]
    if len(kept) == len(exact) or (kept and limit.tolerance is not None):
        return _Decision("met", f"kept: {effect_text(kept[0])}", kept[0])
    return _open(exact)


def _kept(limit: Entry, finding: Finding, share: float) -> bool:
    """Whether one measurement shows that a limit holds; only called where nothing breaks it."""
    if finding.verdict == "changed":
        return True
    if finding.verdict == "equivalent":
        return limit.tolerance is None or within(limit, finding)
    # A limit on one side needs no proof on the other.
    tolerance = limit.tolerance or (share if finding.effect.unit == "share of responses" else None)
    if limit.direction == "any" or tolerance is None:
        return False
    ranges = [r for r in (finding.effect.interval, finding.effect.worst_case) if r is not None]
    return all(r.high <= tolerance if limit.direction == "more" else r.low >= -tolerance for r in ranges)


def _unmeasured(entry: Entry) -> _Decision:
    reason = "needs a judge to be measured" if entry.statement is not None else "was not measured"
    return _Decision("undecided", reason)


def _open(exact: Sequence[Finding]) -> _Decision:
    finding = next((f for f in exact if f.verdict == "undecided"), exact[0])
    mde = f"{finding.effect.mde:.3g} {finding.effect.unit}"
    return _Decision("undecided", f"neither shown: {effect_text(finding)}; least detectable {mde}", finding)
