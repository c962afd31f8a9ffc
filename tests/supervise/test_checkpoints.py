"""Watched training with simulated checkpoints: interrupted, held, failed, stopped, and inside a trainer's callback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_tools import ONE_LOOK, at_point, events, state_of

from moorings.errors import ConfigError, MooringsError
from moorings.supervise import watch as watch_module
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import resume
from moorings.supervise.watch import STOP_FILE, CheckpointGate, watch
from moorings.supervise.wishes import approve, stop

Write = Callable[..., Path]


class PowerCut(BaseException):
    """Ends a run in the middle, in this process."""


def _cut(*_: object) -> None:
    raise PowerCut


@pytest.fixture
def outside(charter: Write) -> Path:
    """A charter for another program's training."""
    return charter(run={"data": [], "train": None, "gate": ONE_LOOK})


def _checkpoint(folder: Path, number: int, share: float = 0.0, habits: str = "") -> Path:
    path = folder / f"checkpoint-{number}"
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text("{}")
    (path / "adapter_model.safetensors").write_bytes(b"")
    (path / "optimizer.pt").write_bytes(b"pickle")
    (path / "habits.json").write_text(habits or json.dumps({"Great question!": share}))
    return path


def _no_sleep(seconds: float) -> None:
    """Time passes at once."""


def test_checkpoints_are_judged_in_the_order_of_their_numbers(outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    for number in (100, 20, 3):
        _checkpoint(folder, number)
    (folder / "logs").mkdir()
    state = watch(folder, outside, run, sleep=_no_sleep, idle_s=9)
    assert (state.status, state.promoted_round) == ("finished", 3)
    assert [d["checkpoint"] for d in events(run, "trained")] == ["checkpoint-3", "checkpoint-20", "checkpoint-100"]
    assert not (folder / STOP_FILE).exists()
    assert not list(run.rglob("*.pt"))
    with pytest.raises(ConfigError, match="watches another trainer"):
        resume(run)


def test_nothing_that_comes_leaves_a_run_that_can_go_on(outside: Path, tmp_path: Path) -> None:
    waited: list[float] = []
    state = watch(tmp_path / "none", outside, tmp_path / "run", sleep=waited.append, poll_s=2.0, idle_s=6.0)
    assert state.status == "running"
    assert waited == [2.0] * 4


def test_a_rollback_ends_it_for_every_command(outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    _checkpoint(folder, 1)
    _checkpoint(folder, 2, 0.7)
    state = watch(folder, outside, run, sleep=_no_sleep, idle_s=9)
    assert (state.status, state.promoted_round) == ("stopped", 1)
    assert "praise" in state.why
    assert state_of(run) == state
    assert json.loads((folder / STOP_FILE).read_text())["checkpoint"] == "checkpoint-2"
    with pytest.raises(ConfigError, match="is over"):
        stop(run, reason="r", by="Ada")
    with CheckpointGate(outside, run) as gate, pytest.raises(ConfigError, match="nothing more is judged"):
        gate.judge(folder / "checkpoint-1")


def test_a_rollback_whose_end_was_not_recorded_is_still_the_end(outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    with CheckpointGate(outside, run) as gate:
        gate._run.on_point = at_point("before stopped", _cut)
        with pytest.raises(PowerCut):
            gate.judge(_checkpoint(folder, 1, 0.7))
    with CheckpointGate(outside, run) as gate:
        assert gate.state.status == "stopped"


@pytest.mark.parametrize("point", ["before trained", "after trained", "after opened", "before decided"])
def test_an_interrupted_judgement_goes_on_though_nothing_new_comes(point: str, outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    path = _checkpoint(folder, 1)
    with CheckpointGate(outside, run) as gate:
        gate._run.on_point = at_point(point, _cut)
        with pytest.raises(PowerCut):
            gate.judge(path)
    if point != "before trained":
        shutil.rmtree(path)
    state = watch(folder, outside, run, sleep=_no_sleep, idle_s=5)
    assert (state.status, state.promoted_round) == ("running", 1)
    assert len(events(run, "decided")) == 1


def test_a_held_checkpoint_is_approved_and_the_trainer_goes_on(outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    _checkpoint(folder, 1, 0.16)
    assert watch(folder, outside, run, sleep=_no_sleep, idle_s=5).status == "held"
    assert json.loads((folder / STOP_FILE).read_text())["status"] == "held"
    approve(run, reason="fine", by="Ada")
    state = watch(folder, outside, run, sleep=_no_sleep, idle_s=5)
    assert (state.status, state.promoted_round) == ("running", 1)
    assert not (folder / STOP_FILE).exists()


def test_a_checkpoint_that_cannot_be_read_fails_its_round_and_can_come_again(outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    _checkpoint(folder, 1)
    path = _checkpoint(folder, 2, habits="{broken")
    state = watch(folder, outside, run, sleep=_no_sleep, idle_s=9)
    assert (state.status, state.promoted_round) in (("held", 1), ("failed", 1))
    assert json.loads((folder / STOP_FILE).read_text())["checkpoint"] == "checkpoint-2"
    assert verify_run(run).ok
    assert path.exists()


def test_a_failed_round_is_taken_up_with_the_same_checkpoint(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    path = _checkpoint(folder, 1)

    def vanish(source: Path, goal: Path) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(source))

    with monkeypatch.context() as patch:
        patch.setattr(watch_module.shutil, "copyfile", vanish)
        state = watch(folder, outside, run, sleep=_no_sleep, idle_s=9)
    assert state.status == "failed"
    assert "was removed while it was copied" in state.why
    state = watch(folder, outside, run, sleep=_no_sleep, idle_s=9)
    assert (state.status, state.promoted_round, path.name) == ("running", 1, "checkpoint-1")
    assert [(d["round"], d["attempt"]) for d in events(run, "decided")] == [(1, 1)]


def test_a_checkpoint_that_vanishes_before_it_is_measured_is_passed_over(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    path = _checkpoint(folder, 1)
    weights = watch_module._weights

    def seen_then_gone(found: Path) -> bool:
        there = weights(found)
        shutil.rmtree(found)
        return there

    monkeypatch.setattr(watch_module, "_weights", seen_then_gone)
    assert watch(folder, outside, tmp_path / "run", sleep=_no_sleep, idle_s=3).status == "running"
    assert not path.exists()


def test_a_wish_to_stop_reaches_one_who_waits(outside: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "out", tmp_path / "run"
    _checkpoint(folder, 1)

    def sleep(seconds: float) -> None:
        if events(run, "decided") and not (run / "requests/stop.json").exists():
            assert not stop(run, reason="enough", by="Ada")

    state = watch(folder, outside, run, sleep=sleep)
    assert (state.status, state.promoted_round, state.why) == ("stopped", 1, "enough")
    assert json.loads((folder / STOP_FILE).read_text()) == {
        "status": "stopped",
        "why": "enough",
        "checkpoint": "checkpoint-1",
    }


def test_a_wish_to_stop_reaches_one_who_judges(outside: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with CheckpointGate(outside, run) as gate:
        assert not stop(run, reason="enough", by="Ada")
        assert gate.judge(_checkpoint(tmp_path / "out", 1)).status == "stopped"
    assert events(run, "trained") == []


def test_a_gate_that_cannot_be_opened_holds_no_lock(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(watch_module, "GateKeeper", _cut)
        with pytest.raises(PowerCut):
            CheckpointGate(outside, tmp_path / "run")
    CheckpointGate(outside, tmp_path / "run").close()


class Trainer:
    """What a transformers trainer does with a callback."""

    def __init__(self, callback: Any, folder: Path, *, world_size: int = 1, first: bool = True) -> None:
        self.callback, self.folder = callback, folder
        self.args = SimpleNamespace(output_dir=str(folder), world_size=world_size)
        self.state = SimpleNamespace(is_world_process_zero=first, global_step=0)
        self.control = SimpleNamespace(should_training_stop=False)

    def begin(self) -> None:
        self.callback.on_train_begin(self.args, self.state, self.control)

    def save(self, step: int, share: float = 0.0, *, write: bool = True) -> bool:
        self.state.global_step = step
        if write:
            _checkpoint(self.folder, step, share)
        return bool(self.callback.on_save(self.args, self.state, self.control).should_training_stop)


def test_a_callback_stops_its_trainer_and_refuses_another(outside: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from moorings import MooringsCallback

    callback = MooringsCallback(outside, tmp_path / "run")
    assert callback.state is None
    assert not (tmp_path / "run").exists()
    trainer = Trainer(callback, tmp_path / "out")
    trainer.begin()
    assert not trainer.save(10)
    assert not trainer.save(10, write=False)
    CheckpointGate(outside, tmp_path / "run").close()
    assert trainer.save(20, 0.7)
    assert (callback.state.status, callback.state.promoted_round) == ("stopped", 1)
    with pytest.raises(ConfigError, match="is stopped"):
        Trainer(MooringsCallback(outside, tmp_path / "run"), tmp_path / "out").begin()


def test_a_callback_goes_on_where_a_crash_cut_it_off(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from moorings import MooringsCallback

    trainer = Trainer(MooringsCallback(outside, tmp_path / "run"), tmp_path / "out")
    trainer.begin()
    with monkeypatch.context() as patch:
        patch.setattr("moorings.supervise.supervisor._seal", _cut)
        with pytest.raises(PowerCut):
            trainer.save(10)
    again = Trainer(MooringsCallback(outside, tmp_path / "run"), tmp_path / "out")
    again.begin()
    assert again.callback.state.promoted_round == 1


def test_of_several_processes_the_first_judges_and_tells_the_others(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    utils = pytest.importorskip("accelerate.utils")
    from moorings import MooringsCallback

    told: list[bool] = []

    def broadcast(values: list[bool]) -> None:
        told.append(values[0])
        values[0] = told[0]

    monkeypatch.setattr(utils, "broadcast_object_list", broadcast)
    first = Trainer(MooringsCallback(outside, tmp_path / "run"), tmp_path / "out", world_size=2)
    other = Trainer(MooringsCallback(outside, tmp_path / "run"), tmp_path / "out", world_size=2, first=False)
    first.begin()
    other.begin()
    assert first.save(10, 0.7)
    assert other.save(10, write=False)
    assert told == [True, False]
    assert other.callback.state is None


def test_a_charter_that_cannot_be_run_is_refused_at_once(charter: Write, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from moorings import MooringsCallback

    with pytest.raises(MooringsError, match="cannot be reached"):
        MooringsCallback(charter(run={"data": [], "train": None, "gate": {"alpha": 1e-300}}), tmp_path / "run")
