"""Whether a change was meant: the charter's rules first, then judges, and never more than the statistics show.

A confirmed change that an entry speaks of is decided by that entry alone. Judges are asked only about changes that no
entry speaks of. A limit counts as kept only if the behaviour was shown to be equivalent: not seeing a
change is not evidence that there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from moorings.charter import Charter, Entry, Intended
from moorings.compare.entry_status import EntryStatus, charter_results
from moorings.compare.intent_rules import against, effect_text, limit_reason, match, wish_fault, wish_reason, within
from moorings.records import Finding, IntentJudgement, IntentVerdict

if TYPE_CHECKING:
    from moorings.compare.judge.ask import Judge

__all__ = [
    "EntryStatus",
    "PairVerdict",
    "charter_results",
    "headline",
    "judge_finding",
    "judge_findings",
    "overall_verdict",
]

PairVerdict = Literal["no change found", "changed as intended", "changed", "side effects", "concerning"]
_STATUSES: tuple[EntryStatus, ...] = ("met", "violated", "not met", "undecided")


def judge_finding(finding: Finding, charter: Charter | None, *, parent: Finding | None = None) -> IntentJudgement:
    """Judge one finding by the charter's rules.

    Limits come before wishes: a change that an `unchanged` or `forbidden` entry rules out is concerning whatever else
    it matches. A change that no entry speaks of shares the judgement of the finding that explains it, if any.

    Args:
        finding: Only a confirmed one (`changed`) can be judged.
        charter: None leaves everything not judged.
        parent: The finding that `part_of` names, judged before.

    Returns:
        The judgement, with the entry and the numbers that decided in `rule`.
    """
    if charter is None:
        return IntentJudgement(rule="no charter was given")
    if finding.verdict != "changed":
        return IntentJudgement(rule=f"the change is {finding.verdict}; only a confirmed one can be judged")
    ruled = _by_rule(charter, finding)
    if ruled is not None:
        return ruled
    if parent is not None and parent.verdict == "changed" and _may_inherit(finding, parent):
        return parent.intent.model_copy(update={"rule": f"part of {parent.finding_id}: {parent.intent.rule}"})
    return IntentJudgement(verdict=charter.defaults.unlisted, rule="no entry of the charter speaks of it")


def _may_inherit(finding: Finding, parent: Finding) -> bool:
    """A wanted change of style does not make a change of content wanted, even where the one explains the other."""
    return finding.kind == parent.kind or finding.kind == "style" or parent.intent.verdict != "intended"


def _by_rule(charter: Charter, finding: Finding) -> IntentJudgement | None:
    """The judgement of a confirmed change that an entry speaks of."""
    entries = [entry for entry in charter.entries() if match(entry, finding) is not None]
    for limit in entries:
        if not isinstance(limit, Intended) and against(limit, finding) and not within(limit, finding):
            return _rule("concerning", limit, limit_reason(limit, finding))
    wishes = [(wish, wish_fault(wish, finding)) for wish in entries if isinstance(wish, Intended)]
    for wish, fault in sorted(wishes, key=lambda pair: pair[1] is not None):
        if fault is None:
            return _rule("intended", wish, wish_reason(wish, finding))
        return _rule("concerning", wish, fault)
    return None


def judge_findings(
    findings: Iterable[Finding], charter: Charter | None, *, judges: Sequence[Judge] = ()
) -> tuple[Finding, ...]:
    """Judge all findings of a pair, each after the one that explains it.

    Args:
        findings: Of one pair, in any order and of any verdict.
        charter: None leaves everything not judged.
        judges: Asked about confirmed changes that no entry speaks of. Two that disagree leave `not judged`,
            for a person to decide; without a readable answer from each the charter's default stays.

    Returns:
        The findings in the order given, with `intent` set.

    Raises:
        BackendError: A judge cannot be reached.
    """
    given = tuple(findings)
    by_id = {finding.finding_id: finding for finding in given}
    judged: dict[int, Finding] = {}
    unlisted = [
        f
        for f in given
        if charter is not None and f.verdict == "changed" and f.part_of not in by_id and _by_rule(charter, f) is None
    ]
    asked: dict[int, IntentJudgement] = {}
    if judges and charter is not None and unlisted:
        from moorings.compare.judge.verdicts import ask_judges

        asked = {id(f): j for f, j in zip(unlisted, ask_judges(judges, unlisted, charter), strict=True) if j}

    def decide(finding: Finding, above: frozenset[str]) -> Finding:
        if id(finding) not in judged:
            parent = by_id.get(finding.part_of or "")
            if parent is not None and parent.finding_id not in above:
                parent = decide(parent, above | {finding.finding_id})
            else:
                parent = None
            intent = asked.get(id(finding)) or judge_finding(finding, charter, parent=parent)
            judged[id(finding)] = finding.model_copy(update={"intent": intent})
        return judged[id(finding)]

    return tuple(decide(finding, frozenset({finding.finding_id})) for finding in given)


def overall_verdict(findings: Iterable[Finding], results: Iterable[Mapping[str, object]] = ()) -> PairVerdict:
    """Sum up a pair.

    `changed as intended` needs every entry met and every finding intended; an undecided limit is not a kept one.

    Args:
        findings: Confirmed changes, judged.
        results: Rows of `charter_results`.

    >>> overall_verdict([])
    'no change found'
    """
    verdicts: set[IntentVerdict] = {f.intent.verdict for f in findings if f.verdict == "changed"}
    statuses = {row["status"] for row in results}
    if "concerning" in verdicts or "violated" in statuses:
        return "concerning"
    if "side effect" in verdicts:
        return "side effects"
    if not verdicts:
        return "no change found"
    return "changed as intended" if verdicts == {"intended"} and statuses == {"met"} else "changed"


def headline(
    precursor: str,
    candidate: str,
    findings: Sequence[Finding],
    results: Sequence[Mapping[str, object]] = (),
    verdict: PairVerdict | None = None,
) -> str:
    """One plain sentence with the main result. It may quote untrusted text: escape it where it is shown.

    Args:
        precursor: Name of the first arm.
        candidate: Name of the second arm.
        findings: Confirmed changes, judged, strongest first.
        results: Rows of `charter_results`.
        verdict: None works it out.

    >>> headline("base", "tuned", [])
    'No change from base to tuned was found, which does not show that there is none.'
    """
    verdict = verdict or overall_verdict(findings, results)
    pair = f"from {_one_line(precursor, 60)} to {_one_line(candidate, 60)}"
    leading = [f for f in findings if f.part_of is None] or list(findings)
    tail = _charter_tail(results)
    match verdict:
        case "no change found":
            return f"No change {pair} was found, which does not show that there is none{tail}."
        case "changed as intended":
            return f"The change {pair} is the intended one, and nothing else was found: {_main(leading)}{tail}."
        case "concerning":
            worrying = [f for f in leading if f.intent.verdict == "concerning"] or [
                f for f in findings if f.intent.verdict == "concerning"
            ]
            said = _main(worrying) if worrying else "an entry of the charter is violated"
            return f"The change {pair} is concerning: {said}{tail}."
        case "side effects":
            aside = [f for f in leading if f.intent.verdict == "side effect"] or list(findings)
            return f"The change {pair} has {_count(len(aside), 'side effect')}: {_main(aside)}{tail}."
        case "changed":
            return f"{_count(len(leading), 'change')} {pair} {_were(len(leading))} found: {_main(leading)}{tail}."


def _rule(verdict: IntentVerdict, entry: Entry, reason: str) -> IntentJudgement:
    return IntentJudgement(verdict=verdict, rule=f"{entry.section} '{entry.name}': {reason}")


def _main(findings: Sequence[Finding]) -> str:
    """The strongest finding, and how many there are besides."""
    first = f"“{_one_line(findings[0].statement, 160)}”, {effect_text(findings[0])}"
    return first if len(findings) == 1 else f"{first}, and {len(findings) - 1} more"


def _charter_tail(results: Sequence[Mapping[str, object]]) -> str:
    counts = Counter(row["status"] for row in results)
    said = ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status])
    return f"; of the charter's entries {said}" if said else ""


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _one_line(text: str, most: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
