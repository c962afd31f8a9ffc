"""The result of a comparison: a record that a report, a test or a gate can be made from."""

from __future__ import annotations

import html
import unicodedata
from typing import Literal

from pydantic import Field

from moorings.records import Finding, Interval, Record, SubjectInfo

__all__ = ["ArmSummary", "Comparison", "MapPoint", "MissingCount", "Omnibus", "PairResult", "Topic"]


class ArmSummary(Record):
    """One subject of a comparison."""

    name: str
    info: SubjectInfo | None = None
    """None where the run does not say."""
    run: str | None = None
    """Where its responses are stored."""
    fingerprint: str | None = None
    n_responses: int
    statuses: dict[str, int]
    """Responses by status (completed, truncated, empty, refused, too_long, failed)."""
    n_distinct: int
    """Different texts among the responses."""
    mean_words: float


class Omnibus(Record):
    """A test of whether anything at all differs, on held-out prompts."""

    name: str
    """Such as `MMD (sentence embeddings)` or `classifier`."""
    statistic: float
    p: float
    note: str = ""


class MissingCount(Record):
    """Responses that could not be looked at."""

    arm: str
    status: str
    n: int
    share: Interval
    """Wilson interval of their share."""


class Topic(Record):
    """A topic on which volume and stance were measured apart."""

    name: str
    """Its phrases. Untrusted text."""
    volume: float
    """Log odds ratio that a response of the candidate is about it."""
    volume_interval: Interval
    stance: float | None
    """Mean stance difference (-2 to 2) among responses about it; None where too few are."""
    stance_interval: Interval | None
    n_precursor: int
    n_candidate: int


class MapPoint(Record):
    """A response on the map; positions are for looking only, nothing is tested on them."""

    x: float
    y: float
    arm: int
    cluster: int
    prompt: str
    text: str
    """Opening of the response. Untrusted."""


class PairResult(Record):
    """A candidate against the precursor."""

    precursor: str
    candidate: str
    headline: str
    """One sentence with the main result."""
    verdict: Literal["no change found", "changed as intended", "changed", "side effects", "concerning"]
    findings: tuple[Finding, ...]
    """Confirmed changes, strongest first; those explained by another have `part_of`."""
    equivalent: tuple[Finding, ...] = ()
    """Shown to lie within the tolerance."""
    undecided: tuple[Finding, ...] = ()
    """Neither shown; each with the least effect that would have been found."""
    dropped: tuple[Finding, ...] = ()
    """Candidates whose statement failed its checks; never reported as findings."""
    omnibus: tuple[Omnibus, ...]
    topics: tuple[Topic, ...] = ()
    missing: tuple[MissingCount, ...] = ()
    n_hypotheses: dict[str, int]
    """Hypotheses tested, by origin."""


class Comparison(Record):
    """All that a comparison found, and how."""

    format: Literal["moorings.comparison/1"] = "moorings.comparison/1"
    title: str
    arms: tuple[ArmSummary, ...]
    pairs: tuple[PairResult, ...]
    charter: dict[str, object] | None = None
    """The charter as given."""
    charter_results: tuple[dict[str, object], ...] = ()
    """One a charter entry: `entry`, `status` (met, not met, undecided, violated), `finding_id`, `candidate`."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before trusting the numbers, such as different engines or chat templates."""
    n_prompts: dict[str, int]
    """Prompts by part: discover, confirm, reserve."""
    settings: dict[str, object]
    """Error rate, tolerance, seed, split, embedder and the rest, enough to repeat the analysis."""
    versions: dict[str, str]
    duration_s: dict[str, float] = Field(default_factory=dict)
    """By phase."""
    tokens: int | None = None
    cost_usd: float | None = None
    map: tuple[MapPoint, ...] = ()
    map_clusters: tuple[str, ...] = ()
    """Name of each cluster on the map. Untrusted text."""

    def _repr_html_(self) -> str:
        """A compact table for notebooks, every text escaped; `write_report` writes the full page."""
        notes = "".join(f"<p>note: {_shown(warning)}</p>" for warning in self.warnings)
        pairs = "".join(_pair_html(pair) for pair in self.pairs)
        return f"<div><h4>{_shown(self.title)}</h4>{notes}{pairs}</div>"


_MOST_ROWS = 10
_MOST_CHARACTERS = 300
_COLUMNS = ("intent", "what the candidate does", "precursor", "candidate", "change", "interval", "adjusted p")


def _pair_html(pair: PairResult) -> str:
    leading = [finding for finding in pair.findings if finding.part_of is None]
    head = "".join(f"<th style='text-align:left'>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row_html(finding) for finding in leading[:_MOST_ROWS])
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if leading else ""
    more = f"{len(leading) - _MOST_ROWS} more changes; " if len(leading) > _MOST_ROWS else ""
    return (
        f"<p><b>{_shown(pair.precursor)} → {_shown(pair.candidate)}: {pair.verdict}</b><br>{_shown(pair.headline)}</p>"
        f"{table}<p>{more}{len(pair.equivalent)} behaviours shown unchanged, {len(pair.undecided)} undecided</p>"
    )


def _row_html(finding: Finding) -> str:
    effect, share = finding.effect, finding.effect.unit == "share of responses"
    scale, unit = (100.0, "%") if share else (1.0, _shown(effect.unit))
    low, high = scale * effect.interval.low, scale * effect.interval.high
    cells = (
        finding.intent.verdict,
        _shown(finding.statement),
        f"{scale * effect.precursor:.3g} {unit}",
        f"{scale * effect.candidate:.3g} {unit}",
        f"{scale * effect.estimate:+.3g}{' points' if share else ''}",
        f"{low:+.3g} to {high:+.3g} ({effect.interval.level:.1%})",
        f"{effect.p_adjusted:.2g}",
    )
    return "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"


def _shown(text: str) -> str:
    r"""Untrusted text as HTML that acts on nothing: markup escaped, controls and direction marks visible.

    >>> _shown("<b>\x1b\u202e")
    '&lt;b&gt;⟨U+001B⟩⟨U+202E⟩'
    """
    cut = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
    return html.escape("".join(_mark(c) for c in cut))


def _mark(char: str) -> str:
    acts = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\n\t"
    return f"⟨U+{ord(char):04X}⟩" if acts else char
