"""The report as Markdown, for pull requests and logs. Model text is quoted so that none of it is markup."""

from __future__ import annotations

from moorings.compare.comparison import Comparison, PairResult
from moorings.records import Finding
from moorings.report.markdown_parts import plain, table
from moorings.report.view import Card, charter_lines, groups
from moorings.report.wording import (
    VERDICTS,
    amount,
    change,
    direction,
    interval_text,
    number,
    p_value,
    percent,
    seconds,
)

__all__ = ["render_markdown"]


def render_markdown(comparison: Comparison) -> str:
    """Write the report as GitHub-flavoured Markdown; it holds only characters that UTF-8 can encode."""
    lines = [f"# {plain(comparison.title)}", ""]
    for pair in comparison.pairs:
        tone_sign = VERDICTS[pair.verdict][1]
        lines += [f"**{tone_sign} {plain(pair.candidate)}: {pair.verdict}.** {plain(pair.headline)}", ""]
    if comparison.warnings:
        lines += ["## Read this first", "", *(f"- {plain(w)}" for w in comparison.warnings), ""]
    lines += _charter(comparison)
    for i, pair in enumerate(comparison.pairs):
        lines += _pair(pair, i, len(comparison.pairs) > 1)
    lines += _facts(comparison)
    return "\n".join(lines).rstrip() + "\n"


def _charter(comparison: Comparison) -> list[str]:
    rows = [
        (
            plain(line.entry),
            plain(line.status),
            plain(line.candidate),
            _difference(line.finding) if line.finding else "no confirmed change",
        )
        for line in charter_lines(comparison)
    ]
    return table("## What the charter asked for", ("Entry", "Outcome", "Candidate", "Evidence"), rows)


def _pair(pair: PairResult, i: int, several: bool) -> list[str]:
    lines = [f"## {plain(pair.candidate)} against {plain(pair.precursor)}" if several else "## What changed", ""]
    found = groups(pair, i)
    if not found:
        lines += ["No change was confirmed. What could have been found is listed below.", ""]
    for group in found:
        lines += [f"### {group.title}", "", f"{group.meaning}", ""]
        for card in group.cards:
            lines += _card(card)
    lines += _topics(pair)
    lines += table(
        "### Shown to be the same within the tolerance",
        ("Behaviour", "Difference (interval)"),
        [(plain(f.statement), _difference(f)) for f in pair.equivalent],
    )
    lines += table(
        "### Looked for and not found",
        ("Behaviour", "Difference (interval)", "Could detect"),
        [(plain(f.statement), _difference(f), plain(change(f.effect.mde, f.effect.unit))) for f in pair.undecided],
    )
    lines += table(
        "### Dropped: the sentence failed its checks",
        ("Sentence", "Failed checks"),
        [(plain(f.statement), plain(", ".join(c.name for c in f.checks if c.passed is False))) for f in pair.dropped],
    )
    return lines + table(
        "### What was missing",
        ("Arm", "What happened", "Responses", "Share, interval"),
        [
            (plain(m.arm), plain(m.status), str(m.n), f"{percent(m.share.low)} to {percent(m.share.high)}")
            for m in pair.missing
        ],
    )


def _card(card: Card) -> list[str]:
    finding, effect = card.finding, card.finding.effect
    arrow, word = direction(effect)
    facts = [
        _difference(finding),
        f"adjusted p {p_value(effect.p_adjusted)}",
        f"standardised {number(effect.standardised, sign=True)}",
        f"could detect {plain(change(effect.mde, effect.unit))}",
        "guaranteed" if finding.guaranteed else "exploratory",
    ]
    levels = f"{plain(amount(effect.precursor, effect.unit))} → {plain(amount(effect.candidate, effect.unit))}"
    lines = [f"- {arrow} **{plain(finding.statement)}** ({word}): {levels}; " + ", ".join(facts)]
    if finding.intent.rule:
        lines.append(f"  - {finding.intent.verdict} by {plain(finding.intent.by)}: {plain(finding.intent.rule)}")
    lines += [f"  - explains: {plain(m.statement)} ({_difference(m)})" for m in card.members]
    if finding.examples:
        example = finding.examples[0]
        lines.append(f"  - on “{plain(example.prompt, 120)}”")
        lines.append(f"    - precursor: {plain(example.precursor, 240)}")
        lines.append(f"    - candidate: {plain(example.candidate, 240)}")
    return [*lines, ""]


def _topics(pair: PairResult) -> list[str]:
    rows = [
        (
            plain(t.name),
            f"{number(t.volume, sign=True)} ({interval_text(t.volume_interval)})",
            "too few to say"
            if t.stance is None or t.stance_interval is None
            else f"{number(t.stance, sign=True)} ({interval_text(t.stance_interval)})",
        )
        for t in pair.topics
    ]
    return table("### Topics: how often, and how spoken of", ("Topic", "Volume (log odds)", "Stance (-2 to 2)"), rows)


def _facts(comparison: Comparison) -> list[str]:
    cost = "not known" if comparison.cost_usd is None else f"${comparison.cost_usd:,.2f}"
    tokens = "not known" if comparison.tokens is None else f"{comparison.tokens:,}"
    lines = ["## How this was measured", "", f"- Cost {cost}, tokens {tokens}"]
    for title, facts in (
        ("Prompts", comparison.n_prompts),
        ("Time", {k: seconds(v) for k, v in comparison.duration_s.items()}),
        ("Settings", comparison.settings),
        ("Versions", comparison.versions),
    ):
        if facts:
            lines.append(f"- {title}: " + ", ".join(f"{plain(str(k))} {plain(str(v))}" for k, v in facts.items()))
    return lines


def _difference(finding: Finding) -> str:
    effect = finding.effect
    return plain(f"{change(effect.estimate, effect.unit)} ({interval_text(effect.interval, effect.unit)})")
