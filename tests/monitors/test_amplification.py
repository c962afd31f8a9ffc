"""Monitor `amplification`."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from gathering_a import Hostile, ScoringSubject, draw, gather

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.monitors.amplification import signs_of_past
from moorings.monitors.monitor import monitors
from moorings.monitors.questions.words import WOMEN
from moorings.subjects.scripted import ScriptedSubject


def make(**settings):
    return monitors.make(Use(use="amplification", **settings))


def is_woman(messages) -> bool:
    return messages[-1].content.split()[0] in WOMEN


def treats(salt: str, women: float, men: float, good: str = "Wonderful, great!", bad: str = "Terrible, awful!"):
    return lambda messages, seed: good if draw(salt, seed) < (women if is_woman(messages) else men) else bad


def test_equal_subjects_have_mean_zero_even_if_both_are_biased(tmp_path):
    seen = make(outcome="refusal").measure(
        gather(
            treats("a", 0.8, 0.2, "I can't help with that."),
            treats("c", 0.8, 0.2, "I can't help with that."),
            tmp_path,
            n=300,
        )
    )
    assert abs(seen.d.mean()) < 4 * np.sqrt(4 * 0.16 / 4 / 300)
    assert seen.anchor == pytest.approx(0.6, abs=0.1)
    assert seen.seen.startswith("Over 300 pairs the gap in refusal between women's names and men's names")


def test_a_grown_gap_has_its_sign_and_half_its_size(tmp_path):
    refuses = "I can't help with that."
    gathering = gather(treats("a", 0.5, 0.5, refuses), treats("c", 0.3, 0.7, refuses), tmp_path, n=300)
    monitor = make(outcome="refusal", direction="second")
    assert monitor.side == "less"
    seen = monitor.measure(gathering)
    assert abs(seen.d.mean() + 0.2) < 4 * np.sqrt((0.5 + 0.42) / 4 / 300)
    assert seen.d.mean() == pytest.approx((seen.candidate - seen.anchor) / 2)
    assert seen.details["candidate_second"] > seen.details["candidate_first"]


@pytest.mark.parametrize(("outcome", "side"), [("sentiment", 1), ("words", 1)])
def test_counted_outcomes_are_bounded(tmp_path, outcome, side):
    gathering = gather(
        treats("a", 0.5, 0.5, "Wonderful, great, " * 20),
        treats("c", 1.0, 0.0, "Wonderful, great, " * 20),
        tmp_path,
        n=60,
    )
    seen = make(outcome=outcome).measure(gathering)
    assert seen.d.mean() * side > 0.1
    assert (np.abs(seen.d) <= 1).all()
    assert 0 <= seen.details["candidate_second"] < seen.details["candidate_first"] <= 1


def test_agreement_is_the_chance_of_yes(tmp_path):
    def decides(women, men, version):
        def nats(chat, text):
            p = women if is_woman(chat) else men
            return math.log(p if text == "Yes" else 1 - p)

        return ScoringSubject(nats, lambda m, s: "", version=version)

    seen = make(outcome="agreement").measure(gather(decides(0.5, 0.6, "a"), decides(0.3, 0.8, "c"), tmp_path, n=20))
    assert seen.d == pytest.approx(np.full(20, (-0.5 + 0.1) / 2))
    drawn = make(outcome="agreement").measure(
        gather(treats("a", 0.5, 0.5, "Yes.", "No."), treats("c", 1, 0, "Yes.", "No."), tmp_path / "drawn", n=100)
    )
    assert drawn.n_missing == 0
    assert abs(drawn.d.mean() - 0.5) < 4 * np.sqrt(0.5 / 4 / 100)


def test_growth_along_the_anchors_own_gap(tmp_path):
    refuses = "I can't help with that."
    monitor = make(outcome="refusal", direction="anchor")
    for name, women, men in (("women", 0.7, 0.3), ("men", 0.3, 0.7)):
        grown = {True: (0.9, 0.1), False: (0.1, 0.9)}[women > men]
        seen = monitor.measure(
            gather(treats("a", women, men, refuses), treats("c", *grown, refuses), tmp_path / name, n=200)
        )
        assert seen.d.mean() > 0.1, "harm is positive whichever side the anchor favours"
    assert monitor.side == "more"


def test_signs_come_from_earlier_pairs_only():
    gaps = np.array([-1.0, 0.5, np.nan, 2.0, -9.0])
    assert signs_of_past(gaps).tolist() == [1, -1, -1, -1, 1]
    changed = gaps.copy()
    changed[3:] = 7.0
    assert signs_of_past(changed)[:4].tolist() == [1, -1, -1, -1]


def test_pairs_of_a_file(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps({"a": f"Left {i}?", "b": f"Right {i}?"}) for i in range(20)))
    script = lambda messages, seed: "I can't help with that." if "Left" in messages[-1].content else "Fine."  # noqa: E731
    monitor = make(file=str(file), outcome="refusal")
    assert monitor.n_units == 20
    seen = monitor.measure(gather(lambda m, s: "Fine.", script, tmp_path, n=10))
    assert seen.d.tolist() == [0.5] * 10
    assert "column a" in seen.seen


@pytest.mark.parametrize("attribute", ["dialect", "origin", "politics"])
@pytest.mark.parametrize("outcome", ["words", "agreement"])
def test_every_attribute_can_be_asked(tmp_path, attribute, outcome):
    script = lambda messages, seed: "Yes, certainly."  # noqa: E731
    seen = make(attribute=attribute, outcome=outcome).measure(gather(script, script, tmp_path, n=8))
    assert seen.d.tolist() == [0.0] * 8


@pytest.mark.parametrize("outcome", ["sentiment", "words", "refusal", "agreement"])
def test_hostile_answers_are_missing_or_bounded(tmp_path, outcome):
    bad = Hostile(treats("a", 0.5, 0.5), version="h")
    seen = make(outcome=outcome).measure(gather(treats("a", 0.5, 0.5), bad, tmp_path / "some", n=24))
    assert len(seen.d) + seen.n_missing == 24
    assert (np.abs(seen.d) <= 1).all()
    silent = ScriptedSubject({}, name="silent")
    none = make(outcome=outcome).measure(gather(treats("a", 0.5, 0.5), silent, tmp_path / "none", n=4))
    assert (len(none.d), none.n_missing) == (0, 4)


def test_equal_arguments_give_equal_results(tmp_path):
    gathering = gather(treats("a", 0.5, 0.5), treats("c", 0.6, 0.5), tmp_path, n=20)
    first, again = (make().measure(gathering) for _ in range(2))
    assert first.d.tolist() == again.d.tolist()
    assert first._replace(d=None) == again._replace(d=None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"attribute": "age"}, "unknown attribute 'age'"),
        ({"outcome": "mood"}, "outcome"),
        ({"max_words": 0}, "max_words"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make(**settings)
