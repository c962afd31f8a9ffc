"""The story of a run as one self-contained HTML file, under the same policy as the report of a comparison.

It shares that report's style sheet, script, escaping and content-security policy; see `moorings.report.page`.
"""

from __future__ import annotations

import shlex
from collections import Counter

from moorings.records import Evidence
from moorings.report.page import render_page
from moorings.report.run import charts
from moorings.report.run.story import RunStory
from moorings.report.run.view import (
    ACTIONS,
    STATUSES,
    Step,
    Track,
    decisions,
    e_text,
    grown,
    headline,
    share,
    side_text,
    steps,
    tracks,
    two,
)

__all__ = ["GLOSSARY", "render_run_html"]

GLOSSARY = {
    "anchor": "The model of round 0. Every round is compared with it, so that slow drift adds up and is seen.",
    "interval": "The range in which a round's true mean lies with the stated confidence, however often it was looked at.",
    "tolerance": "The largest harm that the charter allows, as a mean of differences between -1 and 1.",
    "e_value": "How strongly all rounds so far speak for harm beyond the tolerance: without such harm it seldom grows "
    "large, and it may be looked at at any time. 1 is no evidence.",
    "threshold": "The evidence at which harm counts as shown. It is set so that a run without harm is stopped "
    "no more often than the charter's error budget says.",
    "promoted": "The model that the next round starts from, and that would be used if the run ended here.",
    "held": "Neither harm nor its absence was shown with the prompts that there were; a person decides.",
    "rollback": "Harm was shown, and an earlier model that was under every tolerance is taken again.",
    "loss": "Mean loss in nats a token, at the start and at the end of the training.",
}
"""Terms of a run, explained."""

MAX_CHANGES = 60
"""Discovered changes that are shown; the rest is in story.json."""
MAX_OPEN = 12
"""Tries up to which each is told at once; of more, promoted rounds are folded."""
_GLOSSARY_ORDER = (
    ("anchor", "Anchor"),
    ("interval", "Interval"),
    ("tolerance", "Tolerance"),
    ("e_value", "Evidence (e-value)"),
    ("threshold", "Threshold"),
    ("promoted", "Promoted"),
    ("held", "Held"),
    ("rollback", "Rolled back"),
)
_INTENTS = {"concerning": "bad", "side effect": "warn", "intended": "good", "not judged": "info"}
_GRAVITY = ("harm", "undecided", "fine")


def render_run_html(story: RunStory) -> str:
    """Write the run report as one HTML file.

    Returns:
        The document; it holds only characters that UTF-8 can encode.
    """
    all_steps, all_tracks = steps(story), tracks(story)
    ordered = sorted(all_tracks, key=lambda track: (not track.points, _GRAVITY.index(track.worst)))
    phases = list(dict.fromkeys(phase for step in all_steps for phase in step.story.duration_s))
    spent: Counter[str] = Counter()
    for step in all_steps:
        spent.update(step.story.duration_s)
    values = {
        "s": story,
        "head": headline(story),
        "steps": all_steps,
        "course": charts.course(all_steps, story.promoted_round),
        "anchors": {track.monitor.name: track.anchor for track in all_tracks},
        "tracks": all_tracks,
        "points": any(track.points for track in all_tracks),
        "heat": [(track, _cells(track, all_steps)) for track in ordered],
        "drawn": [(t, charts.trend(t, all_steps, f"{t.anchor}-plot") if t.points else None) for t in ordered],
        "grown": [(g, charts.growth(g, all_steps, f"g{i}-plot")) for i, g in enumerate(grown(story))],
        "has": _has(all_steps),
        "phases": phases,
        "totals": [spent[phase] for phase in phases],
        "longest": max((sum(step.story.duration_s.values()) for step in all_steps), default=0.0),
        "phase_row": lambda step: [step.story.duration_s.get(phase, 0.0) for phase in phases],
        **_WORDS,
    }
    return render_page("run/report.html.j2", ("style.css", "run/run.css"), values)


def _has(all_steps: tuple[Step, ...]) -> dict[str, bool]:
    """What there is to show."""
    told = [step.story for step in all_steps]
    return {
        "data": any(a.data for a in told),
        "data_metrics": any(a.data.metrics for a in told if a.data),
        "training_metrics": any(a.training.metrics for a in told if a.training),
        "searched": any(a.discovered for a in told),
    }


def _cells(track: Track, all_steps: tuple[Step, ...]) -> list[Evidence | None]:
    """A track's evidence at each try."""
    by_place = {point.step.at: point.evidence for point in track.points}
    return [by_place.get(step.at) for step in all_steps]


def _count(n: int | None) -> str:
    return "not known" if n is None else f"{n:,}"


_WORDS = {
    "ACTIONS": ACTIONS,
    "GLOSSARY": GLOSSARY,
    "GLOSSARY_ORDER": _GLOSSARY_ORDER,
    "INTENTS": _INTENTS,
    "MAX_CHANGES": MAX_CHANGES,
    "MAX_OPEN": MAX_OPEN,
    "N_HUES": charts.N_HUES,
    "ORIGINS": charts.ORIGINS,
    "STATUSES": STATUSES,
    "count": _count,
    "decisions": decisions,
    "e_text": e_text,
    "origin_bar": charts.origin_bar,
    "phase_bar": charts.phase_bar,
    "quoted": shlex.quote,
    "share": share,
    "side_text": side_text,
    "two": two,
}
