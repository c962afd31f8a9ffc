"""R1 and R2: a run killed at named points ends as one that was not, and never has two writers."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from run_tools import FAULT, ONE_LOOK, all_events, child, lineage_hash, state_of

from moorings.errors import RunLockedError
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import resume, supervise
from moorings.supervise.wishes import approve, stop

Write = Callable[..., Path]

KILLS = (
    ("before collected", 1),
    ("after collected", 1),
    ("after audited", 1),
    ("before_rename", 1),
    ("after_rename", 1),
    ("before trained", 1),
    ("after trained", 1),
    ("before opened", 1),
    ("after opened", 1),
    ("before looked", 1),
    ("after looked", 1),
    ("before sealed", 1),
    ("after weighed", 1),
    ("before decided", 1),
    ("after decided", 1),
    ("step", 1),
    ("after opened", 1),
    ("after decided", 1),
    ("before stopped", 1),
)
"""In the order in which a run comes to them: round 1 is promoted, round 2 rolled back, and no tries are left."""


@pytest.fixture(scope="module")
def start() -> Callable[..., multiprocessing.process.BaseProcess]:
    """Start a run in a process of its own, forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "torch",
            "moorings.compare.battery.measure",
            "moorings.compare.diff",
            "sklearn.cluster",
            "moorings.supervise.supervisor",
            "run_tools",
        ]
    )

    def begin(*args: object) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=child, args=args)
        process.start()
        return process

    return begin


def test_a_run_killed_at_every_phase_ends_with_the_same_lineage(
    start: Callable[..., multiprocessing.process.BaseProcess], charter: Write, tmp_path: Path
) -> None:
    path = charter(run={"rounds": 2, "changes": [FAULT], "gate": {**ONE_LOOK, "retries": 0}})
    whole, run = tmp_path / "whole", tmp_path / "killed"
    assert supervise(path, whole).status == "stopped"
    known: list[object] = []
    for point, nth in KILLS:
        process = start(str(path), str(run), point, nth, signal.SIGKILL)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, (point, process.exitcode)
        if (run / "run.json").exists():
            after = all_events(run)
            assert after[: len(known)] == known, point
            known = list(after)
            assert verify_run(run).ok, point
    state = resume(run)
    assert (state.status, state.promoted_round) == ("stopped", 1)
    assert lineage_hash(run) == lineage_hash(whole)
    assert len(known) == len(all_events(run)) - 1
    proof = verify_run(run)
    assert proof.ok, proof.problems


def test_a_run_killed_while_it_discovers_ends_with_the_same_lineage(
    start: Callable[..., multiprocessing.process.BaseProcess], charter: Write, tmp_path: Path
) -> None:
    gate = {"look": 48, "budget": 96, "discover": True, "unknown_tolerance": 0.3}
    train = {"use": "simulated", "add": {"As the sea wills it,": 0.4}}
    quiet = [{"name": "never", "phrases": ["never said"], "direction": "more", "tolerance": 0.3}]
    path = charter(forbidden=quiet, run={"rounds": 1, "train": train, "gate": gate})
    whole, run = tmp_path / "whole", tmp_path / "killed"
    supervise(path, whole)
    assert [event for event in all_events(whole) if event.kind == "discovered" and event.data["found"]]
    n_kills = 0
    for point in ("before discovered", "after discovered") * 8:
        process = start(str(path), str(run), point, 1, signal.SIGKILL)
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL, point
        n_kills += 1
    assert n_kills >= 4
    assert lineage_hash(run) == lineage_hash(whole)


def test_a_second_writer_is_refused_and_a_stopped_one_goes_on(
    start: Callable[..., multiprocessing.process.BaseProcess], charter: Write, tmp_path: Path
) -> None:
    path, run = charter(run={"rounds": 2, "gate": ONE_LOOK}), tmp_path / "run"
    process = start(str(path), str(run), "after trained", 1, signal.SIGSTOP)
    pid = process.pid
    assert pid is not None
    _wait_stopped(pid)
    for again in (lambda: supervise(path, run), lambda: resume(run), lambda: approve(run, reason="r", by="Ada")):
        with pytest.raises(RunLockedError, match=f"process {pid} of"):
            again()
    assert not stop(run, reason="enough", by="Ada")
    os.kill(pid, signal.SIGCONT)
    process.join(60)
    assert process.exitcode == 0
    state = state_of(run)
    assert (state.status, state.promoted_round, state.why) == ("stopped", 1, "enough")
    assert verify_run(run).ok


def _wait_stopped(pid: int) -> None:
    """Until the system shows the process as stopped; it is a child of the fork server, not of this process."""
    import psutil

    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        os.sched_yield()
