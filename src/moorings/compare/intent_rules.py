"""How a charter's entries speak of findings: which behaviour, which prompts, which direction, what size."""

from __future__ import annotations

from typing import Literal, NamedTuple

from moorings.charter import Entry, Forbidden, Intended
from moorings.records import Finding

__all__ = [
    "Sizes",
    "against",
    "beyond",
    "effect_text",
    "limit_reason",
    "match",
    "scope_text",
    "scaled",
    "wish_fault",
    "wish_reason",
    "within",
]


def match(entry: Entry, finding: Finding) -> Literal["same", "overlap"] | None:
    """Whether an entry speaks of a finding: of the same behaviour, or of phrases that are most of the finding's."""
    if not covers(entry, finding):
        return None
    wanted, found = entry.predicate, finding.predicate
    if wanted["kind"] != found.get("kind"):
        return None
    if wanted["kind"] != "phrases":
        said = wanted["kind"]
        return "same" if _plain(str(wanted[said])) == _plain(str(found.get(said))) else None
    ours, theirs = ([_plain(phrase) for phrase in predicate["phrases"]] for predicate in (wanted, found))
    if set(ours) == set(theirs) and wanted["min_hits"] == found.get("min_hits", 1):
        return "same"
    # A text with "harbour master" has "harbour" too; one with "the" need not have "the harbour".
    implied = sum(any(f" {phrase} " in f" {longer} " for phrase in ours) for longer in theirs)
    return "overlap" if 2 * implied >= len(theirs) else None


def covers(entry: Entry, finding: Finding) -> bool:
    """Whether the prompts that the finding speaks of lie within the entry's scope."""
    if entry.groups is None:
        return True
    if finding.scope is None:
        return False
    if finding.scope == scope_text(entry):
        return True
    return set(finding.scope.removeprefix(_SCOPE).split(", ")) <= entry.groups


_SCOPE = "prompts of "


def scope_text(entry: Entry) -> str | None:
    """A scope in the words that findings use."""
    return None if entry.groups is None else _SCOPE + ", ".join(sorted(entry.groups))


def against(limit: Entry, finding: Finding) -> bool:
    """Whether a change goes in the direction that a limit guards."""
    rising = finding.effect.estimate > 0
    return limit.direction == "any" or rising == (limit.direction == "more")


def within(limit: Entry, finding: Finding) -> bool:
    """Whether a change is shown to stay inside the limit's own tolerance."""
    interval, tolerance = finding.effect.interval, limit.tolerance
    return tolerance is not None and -tolerance <= interval.low and interval.high <= tolerance


def beyond(limit: Entry, finding: Finding) -> bool:
    """Whether a change is shown to lie outside the tolerance."""
    interval, tolerance = finding.effect.interval, limit.tolerance
    if tolerance is None:
        return finding.exceeds_tolerance
    return interval.low > tolerance or interval.high < -tolerance


class Sizes(NamedTuple):
    """An effect in the scale of a wish, counted in the intended direction."""

    estimate: float
    low: float
    high: float


def scaled(wish: Intended, finding: Finding) -> Sizes | None:
    """An effect in a wish's scale; None where that cannot be told, such as shares of a mean that is 0."""
    effect = finding.effect
    scale = wish.size.scale if wish.size else "unit"
    base = {"unit": 1.0, "sd": effect.estimate, "relative": abs(effect.precursor)}[scale]
    if base == 0:
        return None
    factor = effect.standardised / base if scale == "sd" else 1.0 / base
    less = wish.direction == "less" or (wish.direction == "any" and effect.estimate < 0)
    sign = -factor if less else factor
    low, high = sorted((sign * effect.interval.low, sign * effect.interval.high))
    return Sizes(sign * effect.estimate, low, high)


def wish_fault(wish: Intended, finding: Finding) -> str | None:
    """Why a change that matches a wish is concerning: it is reversed or too large."""
    if not against(wish, finding):
        return f"the opposite of what was intended: {effect_text(finding)}"
    if wish.size is None or wish.size.max is None:
        return None
    sizes = scaled(wish, finding)
    if sizes is None:
        return f"its size cannot be told on the scale '{wish.size.scale}': {effect_text(finding)}"
    if sizes.estimate > wish.size.max:
        return f"larger than intended: {sizes.estimate:.3g} is above {wish.size.max:g} ({wish.size.scale})"
    return None


def wish_reason(wish: Intended, finding: Finding) -> str:
    """Why a change counts as the intended one."""
    sizes = scaled(wish, finding)
    if wish.size and wish.size.min is not None and sizes and sizes.estimate < wish.size.min:
        return f"as intended but smaller: {sizes.estimate:.3g} is below {wish.size.min:g} ({wish.size.scale})"
    return f"as intended: {effect_text(finding)}"


def limit_reason(limit: Entry, finding: Finding) -> str:
    """Why a change breaks a limit."""
    if isinstance(limit, Forbidden):
        return f"forbidden: {effect_text(finding)}"
    shown = "outside" if beyond(limit, finding) else "not shown to be within"
    return f"must not change, and is {shown} the tolerance: {effect_text(finding)}"


def effect_text(finding: Finding) -> str:
    """The effect with its interval and unit."""
    effect = finding.effect
    return f"{effect.estimate:+.3g} ({effect.interval.low:+.3g} to {effect.interval.high:+.3g}) {effect.unit}"


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
