"""What people ask of a run: stop, approve, take back; at rest and while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from run_tools import BREAKS, DOUBTFUL, FAULT, ONE_LOOK, at_point, decided, events, state_of

from moorings.errors import ConfigError, StorageError
from moorings.store import Run
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import resume, supervise
from moorings.supervise.wishes import approve, stop, take_back

Write = Callable[..., Path]


class PowerCut(BaseException):
    """Ends a run in the middle, in this process."""


def _cut() -> None:
    raise PowerCut


def _cut_run(path: Path, run: Path, point: str, nth: int) -> None:
    with pytest.raises(PowerCut):
        supervise(path, run, on_point=at_point(point, _cut, nth))


def test_nobody_decides_in_the_gates_name(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"changes": [DOUBTFUL], "gate": ONE_LOOK}), run)
    for by, words in (("gate", "the gate's own name"), (" ", "by is empty")):
        with pytest.raises(ConfigError, match=words):
            approve(run, reason="fine", by=by)
    with pytest.raises(ConfigError, match="reason and by is empty"):
        stop(run, reason="", by="")
    assert state_of(run).status == "held"


def test_a_round_taken_back_while_it_is_made_begins_anew_on_the_other_model(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut_run(charter(run={"rounds": 2}), run, "after trained", 2)
    state = take_back(run, to=0, reason="start over", by="Ada")
    assert (state.status, state.round, state.attempt, state.promoted_round) == ("running", 2, 1, 0)
    state = resume(run)
    assert (state.status, [one.round for one in state.promoted]) == ("finished", [2])
    assert decided(run) == [(1, 0, "promote"), (2, 1, "promote")]
    assert verify_run(run).ok


def test_a_round_taken_back_in_the_middle_of_its_looks_begins_anew(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut_run(charter(run={"rounds": 2}), run, "after looked", 2)
    assert take_back(run, to=0, reason="start over", by="Ada").attempt == 1
    assert resume(run).status == "finished"
    starts = [d["start"] for d in events(run, "opened")]
    assert len(set(starts)) == len(starts)


def test_a_model_taken_back_between_rounds_costs_no_round(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut_run(charter(run={"rounds": 2}), run, "after decided", 1)
    state = take_back(run, to=0, reason="not that one", by="Ada")
    assert (state.status, state.round, state.attempt) == ("running", 2, 0)
    state = resume(run)
    assert (state.status, [one.round for one in state.promoted]) == ("finished", [2])


def test_an_anchor_taken_back_after_a_rollback_is_tried_again_as_any_other(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut_run(charter(run={"rounds": 2, "changes": [FAULT]}), run, "after decided", 2)
    assert take_back(run, to=0, reason="from the start", by="Ada").attempt == 1
    assert resume(run).status == "finished"
    assert decided(run) == [(1, 0, "promote"), (2, 0, "rollback"), (2, 1, "promote")]


def test_a_round_that_broke_can_be_passed_over(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"changes": [BREAKS]}), run)
    state = take_back(run, to=1, reason="skip it", by="Ada")
    assert (state.status, state.round) == ("running", 3)
    assert [one.round for one in resume(run).promoted] == [1, 3]


def test_a_broken_round_is_tried_again_with_its_own_methods_and_a_rolled_back_one_with_those_of_retry(
    charter: Write, tmp_path: Path
) -> None:
    retry = {"train": {"use": "simulated", "add": {"Well,": 0.1}}}
    broken, rolled = tmp_path / "broken", tmp_path / "rolled"
    supervise(charter(run={"rounds": 2, "changes": [BREAKS], "retry": retry}), broken)
    assert resume(broken).status == "finished"
    assert "Well," not in (broken / "rounds/2.1/model/habits.json").read_text()
    assert supervise(charter(run={"rounds": 2, "changes": [FAULT], "retry": retry}), rolled).status == "finished"
    assert "Well," in (rolled / "rounds/2.1/model/habits.json").read_text()


def test_a_run_that_is_over_is_not_taken_back(finished: Path) -> None:
    with pytest.raises(ConfigError, match="is over"):
        take_back(finished, to=1, reason="r", by="Ada")
    with pytest.raises(ConfigError, match="is over"):
        stop(finished, reason="r", by="Ada")
    with pytest.raises(ConfigError, match="no round is held"):
        approve(finished, reason="r", by="Ada")


def test_an_approved_last_round_ends_the_run(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert supervise(charter(run={"rounds": 2, "changes": [DOUBTFUL], "gate": ONE_LOOK}), run).status == "held"
    approve(run, reason="fine", by="Ada")
    state = resume(run)
    assert (state.status, state.promoted_round) == ("finished", 2)


def test_a_held_run_is_stopped_for_good(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"rounds": 2, "changes": [DOUBTFUL], "gate": ONE_LOOK}), run)
    assert stop(run, reason="no more", by="Ada")
    assert (resume(run).status, state_of(run).promoted_round) == ("stopped", 1)


@pytest.mark.parametrize("text", ["{", "[]", '{"reason": "x"}'])
def test_a_wish_that_cannot_be_read_still_stops(text: str, charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def wish() -> None:
        (run / "requests").mkdir()
        (run / "requests/stop.json").write_text(text)

    state = supervise(charter(), run, on_point=at_point("after trained", wish))
    assert (state.status, state.promoted_round) == ("stopped", 1)
    assert "could not be read" in state.why
    assert not (run / "requests/stop.json").exists()


def test_a_plain_run_has_nothing_to_approve(tmp_path: Path) -> None:
    with Run.create(tmp_path / "plain", {"rounds": 3}) as run:
        run.finish()
    with pytest.raises(StorageError, match="no supervised run"):
        approve(tmp_path / "plain", reason="r", by="Ada")


def test_a_promotion_of_what_was_never_made_is_refused(charter: Write, tmp_path: Path) -> None:
    from moorings.supervise.lineage import Lineage

    run = tmp_path / "run"
    supervise(charter(run={"rounds": 2, "changes": [BREAKS]}), run)
    with Run.open(run, write=True) as opened:
        made_up = {"round": 2, "attempt": 5, "action": "promote", "rule": "r", "by": "Ada"}
        Lineage(opened).add("2.5 decided", "decided", made_up)
    with pytest.raises(StorageError, match="made no model"):
        resume(run)
