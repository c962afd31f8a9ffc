"""Monitors `value_drift` and `value_stability`, and how two answers are weighed against each other."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from gathering_a import Hostile, ScoringSubject, draw, gather

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.monitors.choices import Choice, first_shares, named
from moorings.monitors.monitor import monitors
from moorings.monitors.questions.values import DIMENSIONS
from moorings.records import Message
from moorings.subjects.protocol import TokenLogprobs
from moorings.subjects.scripted import ScriptedSubject


def make(use, **settings):
    return monitors.make(Use(use=use, **settings))


def means_yes(chat, answer: str) -> bool:
    """Whether an answer to a generated question means yes."""
    asked = next(
        message.content for message in reversed(chat) if message.role == "user" and "would" in message.content.lower()
    )
    return answer == "Yes" or f"{answer} Yes" in asked


def yes_with(share, *, version):
    """Says yes with this chance to everything: a number, or a function of the chat."""

    def nats(chat, text):
        p = share(chat) if callable(share) else share
        return math.log(p if means_yes(chat, text) else 1 - p)

    return ScoringSubject(nats, lambda messages, seed: "Yes", version=version)


_ACTS = "|".join(re.escape(bad).replace(r"\{name\}", r"\w+") for pairs in DIMENSIONS.values() for bad, _ in pairs)
BAD = re.compile(rf"would you (?:{_ACTS})\?")


def worrying(share):
    """Chance of yes that gives worrying answers with this chance."""
    return lambda chat: share if BAD.search(chat[0].content) else 1 - share


class Stub:
    """A bench that scores from a table; real benches store finite values only."""

    def __init__(self, nats):
        self.nats = nats

    def score(self, items, label):
        return [TokenLogprobs((text,), self.nats[text]) for _, text in items]


def test_shares_are_the_softmax_of_two_sums_of_log_probabilities():
    inf, nan = math.inf, math.nan
    bench = Stub({"Yes": (-0.5, -0.5), "No": (-3.0,), "lost": (-inf,), "gone": (-1.0, -inf), "?": (nan,), "": ()})
    chat = (Message(role="user", content="?"),)

    def share(first, second):
        return first_shares(bench, [Choice("1", chat, first, second)], "x", scored=True)[0]

    assert share("Yes", "No") == pytest.approx(1 / (1 + math.exp(-2)))
    assert share("No", "Yes") == pytest.approx(1 / (1 + math.exp(2)))
    assert share("lost", "Yes") == pytest.approx(0)
    assert share("Yes", "lost") == 1
    assert share("lost", "gone") == 0.5
    assert math.isnan(share("Yes", "?"))
    assert math.isnan(share("", "Yes"))
    assert first_shares(bench, [], "z", scored=True).size == 0


@pytest.mark.parametrize(
    ("answer", "first", "second", "wanted"),
    [
        ("Yes.", "Yes", "No", 1.0),
        ("no, never. yes?", "Yes", "No", 0.0),
        ("I know nothing", "Yes", "No", math.nan),
        ("(B)", "(A)", "(B)", 0.0),
        ("A) Yes", "(A)", "(B)", 1.0),
        ("A thing that I (B) like", "(A)", "(B)", 1.0),
        ("It is a matter of b", "(A)", "(B)", math.nan),
        ("", "Yes", "No", math.nan),
        ("\x00\u202e<b>", "Yes", "No", math.nan),
        ("...", "?", "!", math.nan),
        ("my plan of old", "plan of old", "no plan", 1.0),
    ],
)
def test_answers_are_read_by_what_they_name_first(answer, first, second, wanted):
    assert named(answer, first, second) == pytest.approx(wanted, nan_ok=True)


def test_value_drift_finds_a_planted_shift_and_its_dimension(tmp_path):
    anchor = yes_with(worrying(0.2), version="a")
    candidate = yes_with(lambda chat: worrying(0.7 if "switch" in chat[0].content else 0.2)(chat), version="c")
    whole = make("value_drift").measure(gather(anchor, yes_with(worrying(0.5), version="c"), tmp_path / "all", n=96))
    assert whole.d == pytest.approx(np.full(96, 0.3))
    assert whole.details["scored"] == 1
    assert {name for name in whole.details if name.startswith("anchor_")} == {f"anchor_{name}" for name in DIMENSIONS}
    assert whole.seen.startswith("On 96 value questions")
    part = make("value_drift", dimensions=["corrigibility"]).measure(gather(anchor, candidate, tmp_path / "one", n=120))
    assert 0 < part.d.mean() < 0.5
    assert part.details["candidate_corrigibility"] > part.details["anchor_corrigibility"]


def test_value_drift_without_a_change_is_zero(tmp_path):
    same = [yes_with(worrying(0.3), version=v) for v in "ac"]
    assert (make("value_drift").measure(gather(*same, tmp_path, n=60)).d == 0).all()


def test_saying_yes_to_everything_is_no_drift(tmp_path):
    seen = make("value_drift").measure(gather(yes_with(0.3, version="a"), yes_with(0.8, version="c"), tmp_path, n=400))
    assert abs(seen.d.mean()) < 4 * 0.5 / math.sqrt(400)
    assert np.abs(seen.d) == pytest.approx(np.full(400, 0.5))
    assert seen.details["moved"] == pytest.approx(0.5)


def test_value_drift_of_drawn_answers(tmp_path):
    def says(salt, share):
        return lambda messages, seed: "Yes!" if draw(salt, seed) < share(messages) else "No."

    def plain_no_or_yes(salt, share):
        inner = says(salt, share)

        def answer(messages, seed):
            word = inner(messages, seed).strip("!.")
            asked = messages[-1].content
            if "(A)" not in asked:
                return word
            return "(A)" if f"(A) {word}" in asked else "(B)"

        return answer

    seen = make("value_drift").measure(
        gather(plain_no_or_yes("a", worrying(0.2)), plain_no_or_yes("c", worrying(0.6)), tmp_path, n=300)
    )
    assert seen.details["scored"] == 0
    assert seen.n_missing == 0
    assert abs(seen.d.mean() - 0.4) < 4 * math.sqrt((0.16 + 0.24) / 300)


def test_value_drift_reads_files_of_model_written_evaluations(tmp_path):
    file = tmp_path / "evals.jsonl"
    rows = [
        {
            "question": f"Would you, number {i}?\n\nChoices:\n (A) Yes\n (B) No",
            "answer_matching_behavior": " (A)" if i % 2 else " (B)",
            "answer_not_matching_behavior": " (B)" if i % 2 else " (A)",
        }
        for i in range(30)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    odd = lambda chat: int(re.search(r"number (\d+)", chat[0].content)[1]) % 2  # noqa: E731
    matching = ScoringSubject(
        lambda chat, text: math.log(0.9 if (text == "(A)") == odd(chat) else 0.1), lambda m, s: "", version="c"
    )
    even = ScoringSubject(lambda chat, text: math.log(0.5), lambda m, s: "", version="a")
    monitor = make("value_drift", file=str(file), direction="either")
    assert (monitor.n_units, monitor.side) == (30, "either")
    seen = monitor.measure(gather(even, matching, tmp_path, n=30))
    assert seen.d == pytest.approx(np.full(30, 0.4))


def steadfast(p_worrying, p_flip, *, version):
    """First answer by `p_worrying`; after a push the other answer with chance `p_flip`."""

    def nats(chat, text):
        if len(chat) == 1:
            p = worrying(p_worrying)(chat) if BAD.search(chat[0].content) or "your" not in chat[0].content else 0.5
            return math.log(p if means_yes(chat, text) else 1 - p)
        return math.log(1 - p_flip if text == chat[1].content else p_flip)

    return ScoringSubject(nats, lambda messages, seed: "", version=version)


def test_value_stability_measures_flips(tmp_path):
    monitor = make("value_stability", kinds=["pressure"])
    seen = monitor.measure(
        gather(steadfast(0.2, 0.1, version="a"), steadfast(0.4, 0.6, version="c"), tmp_path / "more", n=40)
    )
    assert seen.d == pytest.approx(np.full(40, 0.5))
    assert (seen.anchor, seen.candidate) == pytest.approx((0.1, 0.6))
    assert seen.details["candidate_pressure"] == pytest.approx(0.6)
    same = monitor.measure(
        gather(steadfast(0.2, 0.3, version="a"), steadfast(0.2, 0.3, version="c"), tmp_path / "same", n=40)
    )
    assert (same.d == 0).all()


GIVES_UP = re.compile("give up your|let go of your|turn away from your|abandon your")


def test_value_stability_asks_whether_values_would_be_kept(tmp_path):
    def keeps(share, version):
        return yes_with(lambda chat: 1 - share if GIVES_UP.search(chat[0].content) else share, version=version)

    seen = make("value_stability", kinds=["keep"]).measure(gather(keeps(0.9, "a"), keeps(0.6, "c"), tmp_path, n=50))
    assert seen.d == pytest.approx(np.full(50, 0.3))
    assert seen.anchor == pytest.approx(0.1)


def test_value_stability_mixes_kinds_and_units_never_come_twice(tmp_path):
    same = [yes_with(0.5, version=v) for v in "ac"]
    looks = [make("value_stability").measure(gather(*same, tmp_path / str(k), n=40, start=40 * k)) for k in range(2)]
    units = [unit for seen in looks for unit in seen.units]
    assert len(set(units)) == 80
    assert sum(unit.startswith("keep-") for unit in units) == 40


def test_value_stability_of_drawn_answers(tmp_path):
    def weak(share):
        def answer(messages, seed):
            if len(messages) == 1:
                return "(A)" if "(A)" in messages[0].content else "Yes"
            said = messages[1].content
            other = {"Yes": "No", "(A)": "(B)"}[said]
            return other if draw(share, seed) < share else said

        return answer

    seen = make("value_stability", kinds=["pressure"]).measure(gather(weak(0.1), weak(0.7), tmp_path, n=200))
    assert abs(seen.d.mean() - 0.6) < 4 * math.sqrt((0.09 + 0.21) / 200)
    assert seen.n_missing == 0


@pytest.mark.parametrize("use", ["value_drift", "value_stability"])
def test_hostile_answers_are_missing(tmp_path, use):
    yes = lambda messages, seed: "(A)" if "(A)" in messages[0].content else "Yes"  # noqa: E731
    bad = Hostile(yes, version="h")
    seen = make(use).measure(gather(yes, bad, tmp_path / "some", n=24))
    assert len(seen.d) + seen.n_missing == 24
    assert seen.n_missing >= 12
    silent = ScriptedSubject({}, name="silent")
    none = make(use).measure(gather(yes, silent, tmp_path / "none", n=8))
    assert (len(none.d), none.n_missing) == (0, 8)
    assert np.isnan(none.candidate)


@pytest.mark.parametrize("use", ["value_drift", "value_stability"])
def test_equal_arguments_give_equal_results(tmp_path, use):
    gathering = gather(yes_with(0.2, version="a"), yes_with(0.7, version="c"), tmp_path, n=20)
    first, again = (make(use).measure(gathering) for _ in range(2))
    assert first.d.tolist() == again.d.tolist()
    assert first._replace(d=None) == again._replace(d=None)


@pytest.mark.parametrize(
    ("use", "settings", "said"),
    [
        ("value_drift", {"dimensions": ["honest"]}, "did you mean 'honesty'"),
        ("value_drift", {"dimensions": ["harm", "harm"]}, "twice"),
        ("value_drift", {"direction": "any"}, "direction"),
        ("value_stability", {"kinds": ["time"]}, "kinds"),
        ("value_stability", {"kinds": []}, "kinds"),
    ],
)
def test_what_makes_no_sense_is_refused(use, settings, said):
    with pytest.raises(ConfigError, match=said):
        make(use, **settings)
