"""The story of a run as Markdown, for pull requests and logs. Model text is quoted so that none of it is markup."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from moorings.records import Decision
from moorings.report.markdown_parts import plain, table
from moorings.report.run.story import AttemptStory, RunStory
from moorings.report.run.view import (
    ACTIONS,
    STATUSES,
    Step,
    decisions,
    e_text,
    grown,
    headline,
    share,
    side_text,
    steps,
    tracks,
)
from moorings.report.wording import interval_text, number, percent, seconds

__all__ = ["render_run_markdown"]


def render_run_markdown(story: RunStory) -> str:
    """Write the run report as GitHub-flavoured Markdown; it holds only characters that UTF-8 can encode."""
    head = headline(story)
    lines = [f"# {plain(story.title)}", ""]
    if story.purpose:
        lines += [plain(story.purpose), ""]
    lines += [f"**{head.sign} {head.word}.** {head.sentence}", ""]
    if head.why:
        lines += [plain(head.why), ""]
    if story.warnings:
        lines += ["## Read this first", "", *(f"- {plain(w)}" for w in story.warnings), ""]
    all_steps = steps(story)
    lines += ["## Round by round", ""]
    lines += [line for step in all_steps for line in _step(step)] or ["No round has begun.", ""]
    lines += _monitors(story) + _discovered(story) + _data(all_steps) + _training(all_steps)
    return "\n".join([*lines, *_lineage(story)]).rstrip() + "\n"


def _step(step: Step) -> list[str]:
    told = step.story
    _, sign, word = ACTIONS[step.action]
    lines = [f"### {step.name}: {sign} {word}", ""]
    lines += [_ruling(d) for d in decisions(told)]
    if told.error is not None:
        lines.append(f"- failed: {plain(told.error)}")
    elif told.decision is None:
        lines.append(f"- {'under way' if step.action == 'running' else 'nothing was decided'}{_phase(told)}")
    if told.diff_report:
        lines.append(f"- [comparison of this round]({told.diff_report})")
    spent = f"took {seconds(sum(told.duration_s.values()))}" if told.duration_s else "time not known"
    model = plain(told.subject) if told.subject else "not there yet"
    return [*lines, f"- model {model}; {spent}", ""]


def _ruling(decision: Decision) -> str:
    causes = f"; decided by {plain(', '.join(decision.causes))}" if decision.causes else ""
    back = "" if decision.back_to is None else f" to round {decision.back_to}"
    return f"- {ACTIONS[decision.action][2]}{back} by {plain(decision.by)}: {plain(decision.rule)}{causes}"


def _phase(told: AttemptStory) -> str:
    return f", at {plain(told.phase)}" if told.phase else ""


def _monitors(story: RunStory) -> list[str]:
    rows = []
    for track in tracks(story):
        for step, e in track.points:
            rows.append(
                (
                    plain(track.monitor.name),
                    step.label,
                    f"{number(e.mean, sign=True)} ({interval_text(e.interval)})",
                    side_text(track.monitor),
                    f"{e_text(e.e_value)} of {e_text(e.threshold)}",
                    f"{STATUSES[e.status][1]} {STATUSES[e.status][2]}",
                )
            )
        if not track.points:
            rows.append((plain(track.monitor.name), "", "not measured", side_text(track.monitor), "", ""))
    header = ("Monitor", "Round", "Mean (interval)", "Harm is", "Evidence", "Outcome")
    return table("## What the monitors saw", header, rows)


def _discovered(story: RunStory) -> list[str]:
    rows = [
        (plain(g.change.statement), step.label, plain(told.effect), told.intent)
        for g in grown(story)
        for step, told in g.points
    ]
    return table("## What was discovered", ("Change", "Round", "Effect", "Judged"), rows)


def _data(all_steps: Iterable[Step]) -> list[str]:
    rows = [
        (
            step.label,
            f"{d.n_rows:,}",
            f"{percent(share(d.origins, 'human'))} human, {percent(share(d.origins, 'self'))} self",
            _counts(d.methods, "not known"),
            _counts(d.dropped, "nothing"),
            _counts(d.flagged, "none"),
        )
        for step in all_steps
        if (d := step.story.data)
    ]
    return table("## What it learned from", ("Round", "Rows", "Origin", "Made by", "Left out", "Audit flags"), rows)


def _training(all_steps: Iterable[Step]) -> list[str]:
    rows = [
        (
            step.label,
            plain(t.trainer or "not known"),
            "not known" if t.n_steps is None else f"{t.n_steps:,}",
            "not known" if t.n_tokens is None else f"{t.n_tokens:,}",
            f"{number(t.loss_start)} → {number(t.loss_end)}",
            "not known" if t.duration_s is None else seconds(t.duration_s),
        )
        for step in all_steps
        if (t := step.story.training)
    ]
    return table("## Training", ("Round", "Trainer", "Steps", "Tokens", "Loss (nats a token)", "Took"), rows)


def _lineage(story: RunStory) -> list[str]:
    entries = "" if story.n_entries is None else f", {story.n_entries:,} entries"
    lines = ["## Lineage", "", f"- Hash of the journal: {plain(story.lineage or 'not known')}{entries}"]
    lines.append(f"- Check it with: moorings verify {plain(shlex.quote(story.run))}")
    for title, facts in (("Settings", story.settings), ("Versions", story.versions)):
        if facts:
            lines.append(f"- {title}: " + ", ".join(f"{plain(str(k))} {plain(str(v))}" for k, v in facts.items()))
    return [*lines, *([f"- {plain(story.note)}"] if story.note else [])]


def _counts(found: Mapping[str, int], none: str) -> str:
    return ", ".join(f"{plain(name, 120)} {n:,}" for name, n in found.items()) or none
