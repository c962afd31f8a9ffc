"""What the report says: standings, headlines, changes, items and warnings."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import probes_made
import pytest

from moorings.errors import ConfigError, InputError
from moorings.probes.live.track import LiveTrack, score_live_track
from moorings.probes.live.truth import Outcome
from moorings.probes.metrics.cluster_bootstrap import Figure
from moorings.records import Interval
from moorings.report.probe import rows
from moorings.report.probe.headline import disposition_line, headline
from moorings.report.probe.live import live_sentence
from moorings.report.probe.view import Change, ProbeReport, SubtaskView, assemble, change, items_of, subtasks
from moorings.report.probe.warnings import warnings
from moorings.report.wording import MINUS


def _report(*sheets, **more) -> ProbeReport:
    return assemble([probes_made.told(one) for one in sheets], sheets, **more)


def _view(report: ProbeReport, name: str) -> SubtaskView:
    return next(v for kind in ("ability", "disposition") for v in subtasks(report, kind) if v.name == name)


def _figure(value: float, low: float | None = None, high: float = 0.0) -> Figure:
    ends = None if low is None else Interval(low=low, high=high)
    return Figure(value=value, interval=ends, n_items=10, n_clusters=10)


@pytest.mark.parametrize(
    ("figure", "wanted"),
    [
        (_figure(0.2, 0.1, 0.3), "above"),
        (_figure(-0.2, -0.3, -0.1), "below"),
        (_figure(0.1, 0.0, 0.2), "not told apart"),
        (_figure(0.1, -0.1, 0.2), "not told apart"),
        (_figure(0.9), "too few clusters"),
        (None, "no answer"),
    ],
)
def test_standing_needs_an_interval_that_leaves_out_zero(figure: Figure | None, wanted: str) -> None:
    assert rows.standing(figure) == wanted


def test_the_headline_tells_what_was_shown_and_what_would_have_been() -> None:
    one, profile = probes_made.realistic()
    head = headline(assemble([profile], [one]))
    by_name = {found.subtask: found for found in profile.subtasks}
    s1, s5 = by_name["S1"].accuracy.corrected, by_name["S5"].accuracy.corrected
    assert s1 is not None
    assert s1.interval is not None
    assert s5 is not None
    assert s5.detectable is not None
    assert head.sentence.startswith(
        f"Above chance: S1 by +{s1.value:.2f} (+{s1.interval.low:.2f} to +{s1.interval.high:.2f})"
    )
    assert "Not told apart from chance: " in head.sentence
    assert f"a true {s5.detectable:.2f} would have been found" in head.sentence
    assert head.word == "Above chance on 2 of 3"
    assert "14 % of reports" in head.why


def test_dispositions_are_in_no_sentence_about_abilities() -> None:
    one, profile = probes_made.realistic()
    report = assemble([profile], [one])
    head = headline(report)
    assert "power" not in head.sentence + head.word
    assert "kept apart. Share of items that show it: power 0." in disposition_line(report)
    assert {view.name for view in subtasks(report, "disposition")} == {"power"}
    power = next(found for found in profile.subtasks if found.kind == "disposition")
    assert rows.corrected_rows(power) == ()
    assert rows.calibration_rows(power) == ()


def test_a_subject_that_guesses_is_told_to_show_nothing() -> None:
    head = headline(_report(probes_made.sheet({"S1": probes_made.GUESSES})))
    assert (head.tone, head.word) == ("calm", "Nothing shown")
    assert head.sentence.startswith("Not told apart from chance: S1 (by ")
    assert "scale" not in head.sentence


def test_few_clusters_only_dispositions_and_wrong_answers_each_have_their_word() -> None:
    few = headline(_report(probes_made.sheet({"S1": 3.0}, n_clusters=5)))
    assert few.word == "Too little to tell"
    assert few.sentence == "Too few clusters to tell: S1."
    only = headline(_report(probes_made.sheet({}, dispositions={"power": 0.0})))
    assert (only.word, only.sentence) == ("Dispositions only", "No ability was asked.")
    rows = [probes_made.plain_item("S1", at, "?", ["a", "b"]) for at in range(12)]
    wrong = headline(_report(probes_made.by_choice(rows, [1] * 12)))
    assert (wrong.tone, wrong.word) == ("warn", "Below chance on 1 of 1")
    assert wrong.sentence.startswith(f"Below chance: S1 by {MINUS}1.00")
    silent = headline(_report(probes_made.by_choice(rows, [None] * 12)))
    assert silent.sentence == "Without a usable answer: S1."


def test_a_change_over_rounds_is_the_paired_difference() -> None:
    sheets, profiles = probes_made.rounds()
    report = assemble(profiles, sheets, rounds=[str(at) for at in range(6)])
    found = change(report, _view(report, "S1"), 5)
    assert found.paired
    assert found.outcome == "rose"
    assert found.figure is not None
    first, last = (p.subtasks[0].accuracy.item for p in (profiles[0], profiles[5]))
    assert first is not None
    assert last is not None
    assert found.figure.value == pytest.approx(last.value - first.value)
    assert change(report, _view(report, "S1"), 5) is found
    assert change(report, _view(report, "S4"), 5).outcome == "fell"
    stays = change(report, _view(report, "S5"), 5)
    assert stays.outcome == "not shown"
    assert stays.figure is not None
    assert stays.figure.detectable is not None
    assert change(report, _view(report, "S4"), 2) == Change("not known", False, None)
    head = headline(report)
    assert head.tone == "warn"
    assert head.sentence.startswith("In the last round (5): ")
    assert "rose: S1 by +" in head.why
    assert f"fell: S4 by {MINUS}" in head.why
    assert "no change shown: S5 (a true 0." in head.why


def test_without_sheets_only_intervals_that_lie_apart_count() -> None:
    profiles = probes_made.rounds()[1]
    report = assemble(profiles, rounds=[str(at) for at in range(6)])
    assert change(report, _view(report, "S1"), 5) == Change("rose", False, None)
    assert change(report, _view(report, "S4"), 5) == Change("fell", False, None)
    assert change(report, _view(report, "S5"), 5) == Change("not known", False, None)
    assert "rose: S1 (intervals apart)" in headline(report).why
    same = assemble([profiles[0], profiles[0]], rounds=["a", "b"])
    assert "no change can be told from the intervals" in headline(same).why
    few = [probes_made.told(probes_made.sheet({"S1": 1.0}, n_clusters=5)) for _ in range(2)]
    alike = assemble(few, rounds=["a", "b"])
    assert change(alike, _view(alike, "S1"), 1) == Change("not known", False, None)


def test_items_that_differ_are_not_paired_and_are_warned_of() -> None:
    first, second = probes_made.sheet({"S1": 0.0}), probes_made.sheet({"S1": 0.0}, seed=1)
    other = tuple(item.model_copy(update={"item_id": f"x{item.item_id}", "pair": None}) for item in second.items)
    answers = tuple(a._replace(item_id=f"x{a.item_id}") for a in second.answers)
    moved = replace(second, items=other, answers=answers)
    report = _report(first, moved, rounds=["a", "b"])
    assert not change(report, _view(report, "S1"), 1).paired
    assert any("share no item with the round before" in words for words in warnings(report))
    changed = tuple(item.model_copy(update={"prompt": "Another?"}) for item in second.items)
    report = _report(first, replace(second, items=changed), rounds=["a", "b"])
    assert not change(report, _view(report, "S1"), 1).paired


def test_sheets_find_their_profiles_in_any_order() -> None:
    sheets, profiles = probes_made.rounds()
    report = assemble(profiles, sheets[::-1], rounds=list("abcdef"))
    assert [entry.sheet for entry in report.entries] == list(sheets)
    assert [entry.label for entry in report.entries] == list("abcdef")
    some = assemble(profiles[:2], sheets[1:2])
    assert [entry.sheet is None for entry in some.entries] == [True, False]
    assert [entry.label for entry in some.entries] == ["simulated:model (1)", "simulated:model (2)"]
    assert [entry.mark for entry in some.entries] == ["A", "B"]
    with pytest.raises(InputError, match="belong to no profile"):
        assemble(profiles[:1], sheets[1:2])


def test_what_cannot_be_reported_is_refused() -> None:
    profile = probes_made.realistic()[1]
    with pytest.raises(ConfigError, match="there are no profiles"):
        assemble([])
    with pytest.raises(ConfigError, match="2 rounds are named for 1 profiles"):
        assemble([profile], rounds=["1", "2"])
    with pytest.raises(InputError, match="no result of a live track") as caught:
        assemble([profile], live={"outcomes": {}})
    assert "\n" not in str(caught.value)


def test_subjects_are_told_one_by_one() -> None:
    able, guesses = probes_made.sheet({"S1": 3.0}, name="a"), probes_made.sheet({"S1": probes_made.GUESSES}, name="b")
    report = _report(able, guesses)
    head = headline(report)
    assert head.word == "2 subjects"
    assert head.sentence.startswith(
        "A lies above chance on S1 of 1 subtasks. B lies above chance on none of 1 subtasks;"
    )
    assert "not told apart from it on S1 (by 0.00; a true 0." in head.sentence
    assert "of 2 scores without any skill" in head.why
    assert report.title == "Probes of 2 subjects"
    assert [entry.label for entry in report.entries] == ["simulated:a", "simulated:b"]
    assert assemble([report.entries[0].profile] * 28, title="t").entries[27].mark == "28"


def test_dispositions_of_several_subjects_are_told_for_each() -> None:
    sheets = [probes_made.sheet({}, dispositions={"power": 0.0}, name=name) for name in "ab"]
    told = disposition_line(_report(*sheets))
    assert "A power 0." in told
    assert "B power 0." in told
    assert "A power" not in disposition_line(_report(*sheets, rounds=["1", "2"]))


def test_items_are_ranked_and_the_hardest_are_of_different_clusters() -> None:
    one, profile = probes_made.realistic()
    report = assemble([profile], [one])
    entry = report.entries[0]
    s4 = next(found for found in profile.subtasks if found.subtask == "S4")
    seen = items_of(report, entry, s4)
    assert seen is not None
    assert s4.accuracy.item is not None
    assert s4.accuracy.key_share is not None
    shares = [found.share for found in seen.seen]
    assert shares == sorted(shares)
    assert np.mean([found.right for found in seen.seen]) == pytest.approx(s4.accuracy.item.value)
    assert np.mean(shares) == pytest.approx(s4.accuracy.key_share.value)
    assert seen.hardest[0] == seen.seen[0]
    assert len({found.item.cluster_id for found in seen.hardest}) == len(seen.hardest) == 5
    power = next(found for found in profile.subtasks if found.kind == "disposition")
    most = items_of(report, entry, power)
    assert most is not None
    assert most.hardest[0] == most.seen[-1]
    assert items_of(assemble([profile]), entry._replace(sheet=None), s4) is None


def test_items_without_answer_or_key_are_counted() -> None:
    rows = [probes_made.plain_item("S1", at, "?", ["a", "b"], key=None if at == 0 else 0) for at in range(9)]
    one = probes_made.by_choice(rows, [0, None, *[0] * 7])
    report = _report(one)
    seen = items_of(report, report.entries[0], report.entries[0].profile.subtasks[0])
    assert seen is not None
    assert (len(seen.seen), seen.n_without) == (7, 2)
    empty = _report(probes_made.by_choice(rows, [None] * 9))
    assert items_of(empty, empty.entries[0], empty.entries[0].profile.subtasks[0]) is None


def test_weak_points_are_told_first() -> None:
    one, profile = probes_made.realistic()
    told = " ".join(warnings(assemble([profile], [one])))
    assert "Missing answers: S1 " in told
    s4 = next(found for found in profile.subtasks if found.subtask == "S4")
    assert s4.accuracy.pair is not None
    assert s4.accuracy.pair.interval is not None
    pairs_shown = s4.accuracy.pair.interval.low > (s4.accuracy.pair_chance or 0.0)
    assert ("S4: items are above chance, but minimal pairs are not shown" in told) is not pairs_shown
    rows = [probes_made.plain_item("S1", at, "?", ["a", "b"], key=None if at < 2 else at % 2) for at in range(14)]
    first = " ".join(warnings(_report(probes_made.by_choice(rows, [0] * 14))))
    assert "2 items have no right option" in first
    assert "orders are balanced for only 0 % of the items" in first
    few = warnings(_report(probes_made.sheet({"S1": 1.0}, n_clusters=5), probes_made.sheet({"S1": 1.0}, seed=1, n_clusters=5), rounds=["x", "y"]))  # fmt: skip
    assert few == ("S1: clusters are too few for intervals (5; 8 are needed). (rounds x and y)",)


def test_pairs_that_cannot_both_be_right_are_warned_of() -> None:
    rows = []
    for at in range(24):
        rows.append(
            probes_made.plain_item(
                "S1", at, "?", list("abcd"), item_id=f"i{at}", cluster_id=f"c{at // 2}", pair=f"i{at ^ 1}"
            )
        )
    told = warnings(_report(probes_made.by_choice(rows, [at % 2 for at in range(24)])))
    assert any("minimal pairs are not shown to be" in words for words in told)
    assert not warnings(_report(probes_made.sheet({"S1": 4.0})))


def test_missing_answers_that_could_undo_a_score_are_warned_of() -> None:
    rows = [probes_made.plain_item("S1", at, "?", list("abcd")) for at in range(40)]
    told = warnings(_report(probes_made.by_choice(rows, [0] * 9 + [None] * 31)))
    assert "Missing answers: S1 31 of 40" in told[0]
    assert any("with all missing ones wrong it is not" in words for words in told)


def test_rounds_under_other_framings_are_warned_of() -> None:
    rows = [probes_made.plain_item("S1", at, "?", ["a", "b"]) for at in range(9)]
    sheets = [probes_made.by_choice(rows, [0] * 9, framing=name) for name in ("plain", "persona")]
    told = warnings(_report(*sheets, rounds=["1", "2"]))
    assert any("different framings (persona, plain)" in words for words in told)


def test_the_live_track_in_one_sentence() -> None:
    report = assemble([], live=probes_made.live())
    told = live_sentence(report.live)
    assert "in 0.50 (" in told
    assert "of 4 pairs, where guessing gives 0.33; 2 pairs were too unclear" in told
    assert headline(report).sentence == told
    assert report.title == "Live track"
    back = assemble([], live=json.loads(json.dumps(probes_made.live().as_json())))
    assert live_sentence(back.live) == told
    assert live_sentence(None) == ""


@pytest.mark.parametrize(
    ("right", "wanted"),
    [
        ("110", "That is more often than for another model (+0.67, +0.33 to +1.00)"),
        ("220", f"That is less often than for another model ({MINUS}0.67, "),
        ("120", "No difference from foretelling another was shown (0.00, "),
        ("000", "No difference from foretelling another was shown (0.00, "),
    ],
)
def test_an_advantage_is_told_only_where_its_interval_leaves_out_zero(right: str, wanted: str) -> None:
    """Who is right for each set: nobody (0), the model about itself (1) or about another (2)."""
    yes, no = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    sets = [f"{at} {place} {who}" for at in range(6) for place, who in enumerate(right)]
    outcomes = {name: {"length": Outcome("more", 1.0, 0.5, 1.5, 9, (1.0,))} for name in sets}
    foretold = {
        who: {name: {"length": yes if name.endswith(mark) else no} for name in sets}
        for who, mark in (("self", "1"), ("other", "2"))
    }
    surface = {name: {"length": "same"} for name in sets}
    scores = score_live_track(outcomes, foretold, surface)
    told = live_sentence(assemble([], live=LiveTrack(outcomes, foretold, surface, scores)).live)
    assert wanted.split(", ")[0] in told
    assert "no interval" not in told


def test_one_training_set_gives_no_interval() -> None:
    outcomes = {"a": {"length": Outcome("more", 1.0, 0.5, 1.5, 9, (1.0,))}}
    foretold = {who: {"a": {"length": (1.0, 0.0, 0.0)}} for who in ("self", "other")}
    surface = {"a": {"length": "same"}}
    scores = score_live_track(outcomes, foretold, surface)
    told = live_sentence(assemble([], live=LiveTrack(outcomes, foretold, surface, scores)).live)
    assert "1.00 (no interval, from one training set) of 1 pairs" in told
    assert "is 0.00 with one training set, so how sure it is cannot be told" in told


def test_a_live_track_of_unclear_pairs_judges_nobody() -> None:
    outcomes = {name: {"length": Outcome("unclear", 1.0, -0.5, 1.5, 9, (1.0,))} for name in "ab"}
    foretold = {who: {n: {"length": (1.0, 0.0, 0.0)} for n in "ab"} for who in ("self", "other")}
    scores = score_live_track(outcomes, foretold, {n: {"length": "same"} for n in "ab"})
    track = LiveTrack(outcomes, foretold, {n: {"length": "same"} for n in "ab"}, scores)
    assert "clear enough to be judged (2 were unclear)" in live_sentence(assemble([], live=track).live)
