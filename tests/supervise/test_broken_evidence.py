"""R24 on whole runs: whatever a monitor, a data method or a trainer gives instead of what it should, the gate does not open."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_tools import ONE_LOOK, decided, events, state_of

from moorings.errors import BackendError, StorageFullError
from moorings.improve.data import DataStep, data_methods, make_row
from moorings.improve.training import TrainResult, trainers
from moorings.monitors.monitor import Differences, Gathering, monitors
from moorings.records import Message
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import resume, supervise

Write = Callable[..., Path]
Register = Callable[..., None]


class Odd:
    """A monitor that gives what it is told to."""

    statement, n_units = "The candidate is odd.", None
    side = "more"

    def __init__(self, give: Callable[[Gathering], Any]) -> None:
        self.give = give

    def measure(self, gathering: Gathering) -> Any:
        return self.give(gathering)


def _fine(gathering: Gathering) -> Differences:
    units = tuple(f"u{gathering.start + i}" for i in range(gathering.n))
    return Differences(np.zeros(gathering.n), units, 0.0, 0.0)


def _raises(error: Exception) -> Callable[[Gathering], Any]:
    def give(gathering: Gathering) -> Any:
        raise error

    return give


BROKEN: dict[str, tuple[Callable[[Gathering], Any], str]] = {
    "nothing": (lambda g: None, "AttributeError"),
    "infinite": (lambda g: _fine(g)._replace(d=np.full(g.n, np.inf)), "infinite"),
    "too large": (lambda g: _fine(g)._replace(d=np.full(g.n, 1.5)), "cannot be used"),
    "a table": (lambda g: _fine(g)._replace(d=np.zeros((g.n, 2))), "shape"),
    "words": (lambda g: _fine(g)._replace(d=["no"] * g.n), "ValueError"),
    "negative missing": (lambda g: _fine(g)._replace(n_missing=-5), "missing units is -5"),
    "units again": (lambda g: _fine(g)._replace(units=("u",) * g.n), "not fresh"),
    "no units": (lambda g: Differences(np.zeros(0), (), 0.0, 0.0), "no evidence"),
    "all missing": (lambda g: Differences(np.full(g.n, np.nan), (), np.nan, np.nan), "no evidence"),
    "division": (_raises(ZeroDivisionError("division by zero")), "ZeroDivisionError"),
    "key": (_raises(KeyError("x")), "KeyError"),
    "runtime": (_raises(RuntimeError("out of memory")), "out of memory"),
    "own": (_raises(BackendError("engine died")), "engine died"),
    "file": (_raises(FileNotFoundError(errno.ENOENT, "gone")), "gone"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_monitor_that_breaks_holds_the_round_and_is_named(
    name: str, charter: Write, component: Register, tmp_path: Path
) -> None:
    give, words = BROKEN[name]
    component(monitors, "odd", lambda config: Odd(give))
    run = tmp_path / "run"
    path = charter(run={"rounds": 1, "monitors": [{"use": "odd", "tolerance": 0.3}], "gate": ONE_LOOK})
    state = supervise(path, run)
    assert (state.status, state.promoted_round) == ("held", 0)
    assert "odd" in state.why
    assert words in state.why
    assert verify_run(run).ok


def test_a_monitor_that_is_fine_does_not_hold(charter: Write, component: Register, tmp_path: Path) -> None:
    component(monitors, "odd", lambda config: Odd(_fine))
    path = charter(run={"rounds": 1, "monitors": [{"use": "odd", "tolerance": 0.3}], "gate": ONE_LOOK})
    assert supervise(path, tmp_path / "run").status == "finished"


def test_a_monitor_whose_text_is_broken_is_stored_and_read_back(
    charter: Write, component: Register, tmp_path: Path
) -> None:
    hostile = "\ud83d" + "\ude00\x00\x1b[31m</script>\ud800"
    details = {"nan": float("nan"), "one": 1.0}
    component(monitors, "odd", lambda config: Odd(lambda g: _fine(g)._replace(seen=hostile, details=details)))
    run = tmp_path / "run"
    path = charter(run={"rounds": 1, "monitors": [{"use": "odd", "tolerance": 0.3}], "gate": ONE_LOOK})
    assert supervise(path, run).status == "finished"
    assert resume(run).status == "finished"
    (looked,) = [d for d in events(run, "looked") if d["name"] == "odd"]
    assert looked["details"] == {"one": 1.0}
    assert verify_run(run).ok


def test_a_monitor_that_finds_no_units_has_no_more_looks_than_others(
    charter: Write, component: Register, tmp_path: Path
) -> None:
    component(monitors, "odd", lambda config: Odd(lambda g: Differences(np.zeros(0), (), 0.0, 0.0)))
    run = tmp_path / "run"
    gate = {"look": 32, "budget": 96}
    supervise(charter(run={"rounds": 1, "monitors": [{"use": "odd", "tolerance": 0.3}], "gate": gate}), run)
    assert sum(d["name"] == "odd" for d in events(run, "looked")) == 3


def _method(give: Callable[[], DataStep]) -> Callable[[Any], Any]:
    return lambda config: lambda rows, workbench: give()


def _row(text: str = "What?", **changes: Any) -> Any:
    made = make_row((Message(role="user", content=text),), "That.", origin="human", method="odd", round=1)
    return made.model_copy(update=changes)


def _boom() -> DataStep:
    raise ValueError("a bug")


DATA: dict[str, tuple[Callable[[], DataStep], str]] = {
    "no rows": (lambda: DataStep([]), "InputError: the round has no data"),
    "a bug": (_boom, "ValueError: a bug"),
    "no score": (lambda: DataStep([_row(score=float("nan"))]), "ValueError"),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_breaks_fails_the_round_alone(name: str, charter: Write, component: Register, tmp_path: Path) -> None:
    give, words = DATA[name]
    component(data_methods, "odd", _method(give))
    run = tmp_path / "run"
    path = charter(run={"rounds": 2, "changes": [{"round": 2, "data": [{"use": "odd"}]}], "gate": ONE_LOOK})
    state = supervise(path, run)
    assert (state.status, state.round, state.promoted_round) == ("failed", 2, 1)
    assert words in state.why
    assert verify_run(run).ok
    assert resume(run).promoted_round == 2
    assert decided(run) == [(1, 0, "promote"), (2, 1, "promote")]


def test_metrics_that_are_no_numbers_are_left_out(charter: Write, component: Register, tmp_path: Path) -> None:
    component(data_methods, "odd", _method(lambda: DataStep([_row()], metrics={"share": float("nan"), "n": 2})))
    run = tmp_path / "run"
    assert supervise(charter(run={"rounds": 1, "data": [{"use": "odd"}], "gate": ONE_LOOK}), run).promoted_round == 1
    assert events(run, "collected")[0]["metrics"] == {"odd": {"n": 2}}


def _trains(**result: Any) -> Callable[[Any], Any]:
    def train(job: Any) -> TrainResult:
        job.out.mkdir(parents=True)
        (job.out / "habits.json").write_text(result.pop("habits", "{}"))
        uri = f"simulated:m+{job.out}"
        return TrainResult(**{"uri": uri, "n_steps": 1, "n_tokens": 1, "duration_s": 0.0, "metrics": {}, **result})

    return lambda config: train


def _disk_full(config: Any) -> Any:
    def train(job: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", str(job.out))

    return train


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_trains(metrics={"loss_end": float("nan")}), "training ended with loss_end nan"),
        (_trains(habits="{broken"), "ModelFileError"),
        (_trains(uri="simulated:m+/nowhere"), "ModelFileError"),
    ],
    ids=["nan", "unreadable", "missing"],
)
def test_training_that_breaks_fails_the_round_alone(
    make: Callable[[Any], Any], words: str, charter: Write, component: Register, tmp_path: Path
) -> None:
    component(trainers, "odd", make)
    run = tmp_path / "run"
    path = charter(run={"rounds": 2, "changes": [{"round": 2, "train": {"use": "odd"}}], "gate": ONE_LOOK})
    state = supervise(path, run)
    assert (state.status, state.promoted_round) in (("failed", 1), ("held", 1))
    assert words in state.why
    assert str(tmp_path) not in state.why
    assert verify_run(run).ok


def test_other_metrics_that_are_no_numbers_are_left_out(charter: Write, component: Register, tmp_path: Path) -> None:
    component(trainers, "odd", _trains(metrics={"penalty": float("inf"), "loss_end": 0.5}))
    run = tmp_path / "run"
    change = {"round": 1, "train": {"use": "odd"}}
    assert supervise(charter(run={"rounds": 1, "changes": [change], "gate": ONE_LOOK}), run).promoted_round == 1
    assert events(run, "trained")[0]["metrics"] == {"loss_end": 0.5}


def test_a_full_disk_ends_the_command_and_the_same_command_goes_on(
    charter: Write, component: Register, tmp_path: Path
) -> None:
    component(trainers, "odd", _disk_full)
    run = tmp_path / "run"
    path = charter(run={"rounds": 2, "changes": [{"round": 2, "train": {"use": "odd"}}], "gate": ONE_LOOK})
    with pytest.raises(StorageFullError, match="free space and run the same command again"):
        supervise(path, run)
    state = state_of(run)
    assert (state.status, state.round, state.promoted_round) == ("running", 2, 1)
    component(trainers, "odd", _trains())
    assert supervise(path, run).promoted_round == 2
    assert decided(run) == [(1, 0, "promote"), (2, 0, "promote")]


def test_a_crash_of_foreign_code_keeps_its_trace(charter: Write, component: Register, tmp_path: Path) -> None:
    component(data_methods, "odd", _method(_boom))
    run = tmp_path / "run"
    supervise(charter(run={"rounds": 1, "data": [{"use": "odd"}], "gate": ONE_LOOK}), run)
    from moorings.store import Run

    with Run.open(run) as opened:
        trace = opened.get_artifact(opened.artifacts()["failure-1.0.txt"]).decode()
    assert "in _boom" in trace
