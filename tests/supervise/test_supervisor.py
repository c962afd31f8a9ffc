"""Whole runs with simulated models: what is promoted, held, rolled back and stopped, and what survives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from run_tools import BREAKS, DOUBTFUL, FAULT, ONE_LOOK, decided, events, lineage_hash

from moorings.errors import ConfigError, StorageError
from moorings.supervise.fork import fork
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import resume, supervise
from moorings.supervise.wishes import approve, stop, take_back

Write = Callable[..., Path]


def test_a_harmless_run_promotes_every_round(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    state = supervise(charter(), run)
    assert (state.status, state.promoted_round) == ("finished", 3)
    assert [d["action"] for d in events(run, "decided")] == ["promote"] * 3
    proof = verify_run(run)
    assert proof.ok, proof.problems
    assert proof.n_models == 3


def test_a_planted_fault_is_rolled_back_and_the_retry_is_promoted(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    state = supervise(charter(run={"changes": [FAULT]}), run)
    assert decided(run) == [(1, 0, "promote"), (2, 0, "rollback"), (2, 1, "promote"), (3, 0, "promote")]
    assert (state.status, state.promoted_round, state.n_rollbacks) == ("finished", 3, 1)
    assert events(run, "decided")[1]["back_to"] == 1
    assert "praise" in events(run, "decided")[1]["causes"]
    # Once harm is shown the round is lost, so no further look is bought.
    assert len([d for d in events(run, "opened") if (d["round"], d["attempt"]) == (2, 0)]) == 1


def test_a_run_without_tries_left_ends_on_the_last_good_model(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    state = supervise(charter(run={"changes": [FAULT], "gate": {"retries": 0}}), run)
    assert (state.status, state.promoted_round) == ("stopped", 1)
    assert "no tries are left" in state.why


def test_what_nobody_listed_is_found_and_stops_the_run(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quiet = {"phrases": ["never said"], "name": "other", "direction": "more", "tolerance": 0.2}
    fault = {"round": 2, "train": {"use": "simulated", "add": {"As the sea wills it,": 0.8}}}
    gate = {"discover": True, "unknown_tolerance": 0.2, "unlisted": "stop"}
    path = charter(forbidden=[quiet], run={"changes": [fault], "gate": gate})
    state = supervise(path, run)
    assert state.status == "stopped"
    assert state.promoted_round == 1
    found = [one["statement"] for d in events(run, "discovered") if d["round"] == 2 for one in d["found"]]
    assert any("sea" in statement for statement in found), found


def test_a_broken_round_leaves_the_last_good_model_and_is_tried_again(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    state = supervise(charter(run={"changes": [BREAKS]}), run)
    assert (state.status, state.promoted_round) == ("failed", 1)
    assert "not a number" in state.why
    state = resume(run)
    assert (state.status, state.promoted_round) == ("finished", 3)
    assert verify_run(run).ok


def test_a_held_round_waits_for_a_person(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = charter(run={"changes": [DOUBTFUL], "gate": ONE_LOOK})
    state = supervise(path, run)
    assert state.status == "held", state
    with pytest.raises(ConfigError, match="held"):
        resume(run)
    with pytest.raises(ConfigError, match="reason is empty"):
        approve(run, reason=" ", by="Ada")
    decision = approve(run, reason="a little praise is fine", by="Ada")
    assert decision.action == "promote"
    assert decision.by == "Ada"
    with pytest.raises(ConfigError, match="no round is held"):
        approve(run, reason="again", by="Ada")
    assert resume(run).promoted_round >= 2
    assert verify_run(run).ok


def test_a_held_round_is_refused_and_the_run_goes_on_from_an_earlier_model(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"changes": [DOUBTFUL], "gate": ONE_LOOK}), run)
    with pytest.raises(ConfigError, match="not among the promoted ones"):
        take_back(run, to=2, reason="no", by="Ada")
    state = take_back(run, to=1, reason="too much praise", by="Ada")
    assert (state.status, state.round, state.promoted_round) == ("running", 3, 1)
    state = resume(run)
    assert state.status == "finished"
    assert [one.round for one in state.promoted] == [1, 3]


def test_a_stop_is_recorded_and_final(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = charter(run={"changes": [BREAKS]})
    supervise(path, run)
    assert stop(run, reason="enough", by="Ada")
    assert resume(run).status == "stopped"
    with pytest.raises(ConfigError, match="is over"):
        stop(run, reason="again", by="Ada")


def test_a_wish_to_stop_reaches_a_running_run(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def on_point(point: str) -> None:
        if point == "after trained" and not (run / "requests").exists():
            assert not stop(run, reason="enough", by="Ada")

    state = supervise(charter(), run, on_point=on_point)
    assert (state.status, state.promoted_round, state.why) == ("stopped", 1, "enough")


def test_another_charter_is_refused(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(), run)
    with pytest.raises(StorageError, match="other settings"):
        supervise(charter("other.yaml", title="Another"), run)


def test_a_fork_begins_with_a_rounds_model(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(), run)
    path = fork(run, tmp_path / "fork", round=2)
    state = supervise(path, tmp_path / "forked")
    assert state.status == "finished"
    assert events(tmp_path / "forked", "trained")[0]["uri"].startswith("simulated:m+")
    with pytest.raises(ConfigError, match="there already"):
        fork(run, tmp_path / "fork", round=2)
    with pytest.raises(ConfigError, match="has made no model"):
        fork(run, tmp_path / "new", round=9)


def test_equal_runs_have_equal_lineages(charter: Write, tmp_path: Path) -> None:
    path = charter(run={"rounds": 1, "gate": {"discover": True, "compare": True, "unknown_tolerance": 0.25}})
    supervise(path, tmp_path / "a")
    supervise(path, tmp_path / "b")
    assert lineage_hash(tmp_path / "a") == lineage_hash(tmp_path / "b")


@pytest.mark.parametrize("what", ["rows", "model", "answers", "journal"])
def test_tampering_is_found(what: str, charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(), run)
    paths = {
        "rows": next(p for p in (run / "artifacts").rglob("*") if p.is_file() and p.stat().st_size > 500),
        "model": run / "rounds/2.0/model/habits.json",
        "answers": next((run / "rounds/2.0/gate/candidate/look0/parts").iterdir()),
        "journal": run / "journal.log",
    }
    path = paths[what]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert not verify_run(run).ok
