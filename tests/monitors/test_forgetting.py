"""Monitor `forgetting`."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from gathering_a import FakeGathering, Hostile, draw, gather

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.monitors.monitor import monitors
from moorings.monitors.questions.knowledge import KINDS, Known, is_correct, make_known, space
from moorings.sampling.bench import Bench
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec


def make(**settings):
    return monitors.make(Use(use="forgetting", **settings))


def solver(salt: str, share: float):
    """Solves sums, rightly in a share of them."""

    def answer(messages, seed):
        a, sign, b = re.search(r"(\d+) ([+-]) (\d+)", messages[-1].content).groups()
        right = int(a) + int(b) if sign == "+" else int(a) - int(b)
        return f"That is {right if draw(salt, seed) < share else right + 1}."

    return answer


def test_no_change_has_mean_zero_and_forgetting_its_size(tmp_path):
    monitor = make(kinds=["sum"])
    same = monitor.measure(gather(solver("a", 0.8), solver("c", 0.8), tmp_path / "same", n=300))
    assert abs(same.d.mean()) < 4 * np.sqrt(2 * 0.16 / 300)
    worse = monitor.measure(gather(solver("a", 0.8), solver("c", 0.5), tmp_path / "worse", n=300))
    assert abs(worse.d.mean() - 0.3) < 4 * np.sqrt((0.16 + 0.25) / 300)
    assert worse.d.mean() == pytest.approx(worse.anchor - worse.candidate)
    assert abs(worse.details["lost"] - 0.5) < 0.15
    assert worse.details["anchor_sum"] == worse.anchor
    assert "300 questions" in worse.seen
    whole = monitor.measure(gather(solver("a", 1.0), solver("c", 0.0), tmp_path / "whole", n=20))
    assert whole.d.tolist() == [1.0] * 20


def test_kinds_are_asked_in_equal_parts_and_units_never_twice(tmp_path):
    monitor = make()
    units: list[str] = []
    for look in range(3):
        seen = monitor.measure(
            gather(
                lambda m, s: "?", lambda m, s: "?", tmp_path / str(look), n=2 * len(KINDS), start=2 * len(KINDS) * look
            )
        )
        units += seen.units
    assert len(set(units)) == 6 * len(KINDS)
    assert {kind: sum(unit.startswith(f"{kind}-") for unit in units) for kind in KINDS} == dict.fromkeys(KINDS, 6)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_answers_are_right_when_said_and_not_otherwise(kind):
    drawn = space(kind).draw(range(200), np.random.default_rng(0))
    for known in (make_known(kind, one) for one in drawn):
        for right in known.right:
            assert is_correct(f"I think it is {right.upper()}!", known)
            assert is_correct(f" {right}\n", known, exact=True)
            assert not is_correct(f"It is {right}", known, exact=True)
        assert not is_correct("I do not know.", known)
        assert not is_correct("", known)
        for wrong in known.wrong:
            assert not is_correct(f"{wrong}, not {known.right[0]}", known)


def test_only_whole_words_count():
    assert not is_correct("17 apples", Known("", "", "", ("7",)))
    assert not is_correct("The romantic city", Known("", "", "", ("Rome", "roma")))
    assert is_correct("Bogotá, of course", Known("", "", "", ("Bogota",)))


def test_a_file_of_questions(tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"What is item {i}?", "answer": f"thing {i}"}) for i in range(40)))

    def knows(limit):
        def answer(messages, seed):
            i = int(re.search(r"\d+", messages[-1].content)[0])
            return f"It is thing {i}." if i < limit else "No idea."

        return answer

    monitor = make(file=str(file))
    assert monitor.n_units == 40
    looks = [
        monitor.measure(gather(knows(40), knows(10), tmp_path / str(look), n=20, start=20 * look)) for look in range(2)
    ]
    assert sum(seen.d.sum() for seen in looks) == 30
    assert len({unit for seen in looks for unit in seen.units}) == 40
    with pytest.raises(ConfigError, match="holds 40 different rows"):
        monitor.measure(gather(knows(40), knows(10), tmp_path / "over", n=20, start=40))


def test_hostile_answers_are_missing_or_wrong(tmp_path):
    bad = Hostile(solver("a", 1.0), version="h")
    seen = make(kinds=["sum"]).measure(gather(solver("a", 1.0), bad, tmp_path, n=24))
    assert seen.n_missing == 6
    assert len(seen.d) == 18
    assert set(seen.d.tolist()) == {0.0, 1.0}
    silent = ScriptedSubject({}, name="silent")
    none = make(kinds=["sum"]).measure(gather(solver("a", 1.0), silent, tmp_path / "none", n=14))
    assert (len(none.d), none.n_missing) == (0, 14)
    assert none.seen == "None of 14 questions had an answer from both sides."


def test_equal_arguments_give_equal_results(tmp_path):
    gathering = gather(solver("a", 0.5), solver("c", 0.5), tmp_path, n=30)
    first, again = (make(kinds=["sum"]).measure(gathering) for _ in range(2))
    assert first.d.tolist() == again.d.tolist()
    assert first._replace(d=None) == again._replace(d=None)


@pytest.mark.parametrize("kinds", [["sums"], ["sum", "sum"], []])
def test_unknown_kinds_are_refused(kinds):
    with pytest.raises(ConfigError, match="kinds"):
        make(kinds=kinds)


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_model_knows_something_and_has_values(tmp_path):
    spec = SubjectSpec(uri="bundled:smollm2-135m", threads=1)
    # One bench as both sides: levels are looked at, and every difference must be 0.
    bench = Bench(spec, tmp_path)
    gathering = FakeGathering(bench, bench, n=63)
    known = make().measure(gathering)
    print(known.seen, known.details)
    assert 0.15 <= known.anchor <= 0.95
    assert (known.d == 0).all()
    values = monitors.make(Use(use="value_drift")).measure(FakeGathering(bench, bench, n=48, look=1))
    print(values.seen, values.details)
    assert values.details["scored"] == 1.0
    assert 0.2 <= values.anchor <= 0.8
    assert (values.d == 0).all()
    assert values.n_missing == 0
    bench.close()
