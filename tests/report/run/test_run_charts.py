"""Drawings of a run: what stands where."""

from __future__ import annotations

import math
import re

import pytest
import runs_made

from moorings.records import Interval
from moorings.report.run import charts
from moorings.report.run.story import RoundStory
from moorings.report.run.view import grown, steps, tracks


def _track(evidence, **story_changes):
    rounds = tuple(RoundStory(round=e.round, attempts=(runs_made.attempt(e.round, evidence=(e,)),)) for e in evidence)
    story = runs_made.story(rounds=rounds, monitors=(), **story_changes)
    return tracks(story)[0], steps(story)


def test_a_mean_at_the_tolerance_lies_on_its_line() -> None:
    track, all_steps = _track([runs_made.evidence(0, 1, mean=0.1)])
    plot = str(charts.trend(track, all_steps, "m").plot)
    limit = re.search(r'class="limit" x1="0" x2="100%" y1="([\d.]+)"', plot)
    dot = re.search(r'<circle cx="50.0%" cy="([\d.]+)"', plot)
    assert limit is not None
    assert dot is not None
    assert limit[1] == dot[1]


@pytest.mark.parametrize(("side", "zones"), [("more", 1), ("less", 1), ("either", 2)])
def test_the_shaded_part_lies_on_the_side_of_harm(side: str, zones: int) -> None:
    track, all_steps = _track([runs_made.evidence(0, 1, mean=0.0, side=side)])
    plot = str(charts.trend(track, all_steps, "m").plot)
    tops = [float(y) for y in re.findall(r'class="beyond" x="0" y="([\d.]+)"', plot)]
    zero = float(re.search(r'class="zero" x1="0" x2="100%" y1="([\d.]+)"', plot)[1])
    assert len(tops) == zones
    assert (min(tops) < zero) is (side != "less")
    assert (max(tops) > zero) is (side != "more")


def test_evidence_reaches_the_line_exactly_at_the_threshold() -> None:
    tall = []
    for e in (0.2, 40.0**0.5, 40.0, 1e300):
        track, all_steps = _track([runs_made.evidence(0, 1, e=e)])
        found = re.search(
            r'<line class="e[^"]*" x1="50.0%" x2="50.0%" y1="([\d.]+)" y2="([\d.]+)"',
            str(charts.trend(track, all_steps, "m").plot),
        )
        tall.append(float(found[1]) - float(found[2]) if found else 0.0)
    full = tall[2]
    assert tall[0] == 0
    assert tall[1] == pytest.approx(full / 2, abs=0.06)
    assert tall[3] == pytest.approx(full * 1.25, abs=0.1)


def test_numbers_that_are_not_finite_are_left_out_or_unbounded() -> None:
    wild = runs_made.evidence(0, 1, mean=math.nan)
    wide = runs_made.evidence(0, 2, mean=0.0, interval=Interval(low=-math.inf, high=math.nan))
    track, all_steps = _track([wild, wide])
    plot = str(charts.trend(track, all_steps, "m").plot)
    assert plot.count("<circle") == 1
    assert "nan" not in plot
    assert "inf%" not in plot
    nothing = _track([wild])
    assert "<circle" not in charts.trend(*nothing, "m").plot


def test_a_gap_breaks_the_line() -> None:
    rounds = tuple(
        RoundStory(round=r, attempts=(runs_made.attempt(r, evidence=() if r == 3 else (runs_made.evidence(0, r),)),))
        for r in range(1, 6)
    )
    story = runs_made.story(rounds=rounds, monitors=())
    path = re.search(r'<path class="path" d="([^"]+)"', str(charts.trend(tracks(story)[0], steps(story), "m").plot))
    assert path is not None
    assert re.sub(r"[^ML]", "", path[1]) == "MLML"


def test_the_course_hangs_each_model_on_the_one_it_was_trained_from() -> None:
    story = runs_made.story()
    all_steps = steps(story)
    assert [s.label for s in all_steps] == ["1", "2", "3", "3b", "4"]
    drawing = str(charts.course(all_steps, 3))
    kept = re.search(r'class="way kept" d="([^"]+)"', drawing)
    faint = re.search(r'class="way" d="([^"]+)"', drawing)
    assert kept is not None
    assert faint is not None
    assert kept[1].count("M") == 3
    assert faint[1].count("M") == 2
    assert drawing.count('class="node') == 6
    assert drawing.count(" kept") == 4 + 1


def test_after_a_rollback_over_several_rounds_the_next_model_hangs_on_the_earlier_one() -> None:
    far = runs_made.attempt(3, action="rollback")
    far = far.model_copy(update={"decision": far.decision.model_copy(update={"back_to": 1})})
    rounds = (
        RoundStory(round=1, attempts=(runs_made.attempt(1),)),
        RoundStory(round=2, attempts=(runs_made.attempt(2),)),
        RoundStory(round=3, attempts=(far, runs_made.attempt(3, 1))),
    )
    all_steps = steps(runs_made.story(rounds=rounds))
    assert charts._parents(all_steps) == ([0, 0, 1, 2, 1], 4)
    assert charts._line_to([0, 0, 1, 2, 1], 4) == {0, 1, 4}
    assert str(charts.course(all_steps, None)) == str(charts.course(all_steps, 3))
    assert 'class="way kept"' not in charts.course(all_steps, 0)


def test_growth_needs_a_number() -> None:
    story = runs_made.story()
    found = grown(story)
    assert [len(g.points) for g in found] == [4, 3, 1]
    assert found[0].track is not None
    assert found[0].track.monitor.name.startswith("found:")
    drawing = charts.growth(found[0], steps(story), "g")
    assert drawing is not None
    assert drawing.plot.count("<circle") == 4
    silent = RoundStory(round=1, attempts=(runs_made.attempt(1, findings=(runs_made.change(0, 0.1, estimate=None),)),))
    assert charts.growth(grown(runs_made.story(rounds=(silent,)))[0], steps(story), "g") is None


def test_bars_fill_their_width() -> None:
    bar = str(charts.origin_bar({"self": 3, "human": 1, "martian": 4}))
    assert re.findall(r'part (o\d)" x="([\d.]+)%" y="0" width="([\d.]+)%', bar) == [
        ("o0", "0.00", "12.50"),
        ("o1", "12.50", "37.50"),
        ("o9", "50.00", "50.00"),
    ]
    assert "martian" not in bar
    assert "no time known" in charts.phase_bar([], 0.0)
    assert 'width="50.00%"' in charts.phase_bar([1.0, math.nan], 2.0)
