"""Half-steps are taken in turn, measured, and undone where they cost too much; nothing real is trained here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError, StorageError
from moorings.improve.data import DataRow, make_row
from moorings.improve.training import TrainJob, trainers
from moorings.records import Message
from moorings.subjects.spec import SubjectSpec

Run = Callable[..., Any]
ABLE, KIND = "As the sea wills it,", "Of course, friend,"


def _row(at: int, method: str) -> DataRow:
    prompt = (Message(role="user", content=f"Question {at}?"),)
    return make_row(prompt, f"Answer {at}.", origin="human", method=method, round=1)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(competence: dict[str, Any], conformity: dict[str, Any], **settings: Any) -> Any:
        spec = SubjectSpec(uri=settings.pop("start", "simulated:m"))
        methods = settings.pop("methods", ("file", "best_of_n"))
        out = settings.pop("out", tmp_path / "out")
        work = settings.pop("work", tmp_path / "work")
        probe = {"n_prompts": 40, "tolerance": 0.1}
        job = TrainJob(
            start=spec,
            anchor=spec,
            rows=[_row(at, method) for method in methods for at in range(3)],
            out=out,
            work=work,
            round=1,
            seed=5,
        )
        use = Use.model_validate(
            {
                "use": "alternate",
                "competence": {"use": "simulated", **competence},
                "conformity": {"use": "simulated", **conformity},
                "conformity_methods": ["file"],
                "competence_probe": {**probe, "reward": {"use": "phrases", "phrases": [ABLE]}},
                "conformity_probe": {**probe, "reward": {"use": "phrases", "phrases": [KIND]}},
                **settings,
            }
        )
        return trainers.make(use)(job)

    return go


def test_each_half_step_is_measured_and_both_add_up(run: Run, tmp_path: Path) -> None:
    result = run({"add": {ABLE: 0.5}}, {"add": {KIND: 0.5}})
    m = result.metrics
    assert m["K after start"] == m["F after start"] == 0
    assert m["K after competence"] > 0.3
    assert m["F after competence"] == 0
    assert m["K after conformity"] > 0.3
    assert m["F after conformity"] > 0.2
    assert m["competence undone"] == m["conformity undone"] == 0
    assert result.uri == f"simulated:m+{tmp_path / 'out'}"
    assert (tmp_path / "out").is_dir()
    assert result.n_steps == 8


def test_a_half_step_that_costs_too_much_is_undone(run: Run, tmp_path: Path) -> None:
    result = run({"add": {ABLE: 0.6}}, {"add": {KIND: 0.6, ABLE: -0.6}})
    assert result.metrics["conformity undone"] == 1
    assert result.metrics["K after conformity"] < result.metrics["K after competence"] - 0.1
    free = {"undo": False, "out": tmp_path / "free", "work": tmp_path / "free-work"}
    kept = run({"add": {ABLE: 0.6}}, {"add": {KIND: 0.6, ABLE: -0.6}}, **free)
    assert kept.metrics["conformity undone"] == 0


def test_what_was_undone_is_not_the_result(run: Run, tmp_path: Path) -> None:
    run({"add": {ABLE: 0.6}}, {"add": {KIND: 0.6, ABLE: -0.6}})
    assert "wills" in (tmp_path / "out" / "habits.json").read_text()
    assert "friend" not in (tmp_path / "out" / "habits.json").read_text()


def test_a_floor_lets_earlier_gains_be_spent(run: Run, tmp_path: Path) -> None:
    # F is 0 in round 0, rises by the first half-step, and the second spends it.
    costly, phrases = {"add": {ABLE: 0.6, KIND: -0.6}}, {"use": "phrases", "phrases": [KIND]}
    turned = {"order": "conformity first"}
    strict = run(costly, {"add": {KIND: 0.6}}, **turned)
    assert strict.metrics["competence undone"] == 1
    probe = {"n_prompts": 40, "tolerance": 0.1, "reward": phrases, "fall_from": "anchor"}
    places = {"out": tmp_path / "floor", "work": tmp_path / "floor-work"}
    floored = run(costly, {"add": {KIND: 0.6}}, conformity_probe=probe, **turned, **places)
    assert floored.metrics["competence undone"] == 0
    assert floored.metrics["F after competence"] < strict.metrics["F after conformity"] - 0.1


def test_the_order_may_be_turned_and_steps_joined(run: Run, tmp_path: Path) -> None:
    turned = run({"add": {ABLE: 0.5}}, {"add": {KIND: 0.5}}, order="conformity first")
    assert turned.metrics["F after conformity"] > 0.2
    assert turned.metrics["K after conformity"] == 0
    places = {"out": tmp_path / "joint", "work": tmp_path / "joint-work"}
    joint = run({"add": {ABLE: 0.5}}, {"fail": True}, order="together", **places)
    assert joint.metrics["K after together"] > 0.3
    assert joint.n_steps == 4


def test_a_round_without_one_kind_of_rows_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match=r"has no rows for conformity; rows were made by best_of_n, those of file are"):
        run({}, {}, methods=("best_of_n",))


def test_a_round_of_which_nothing_is_left_is_refused(run: Run) -> None:
    brief = {"n_prompts": 40, "tolerance": 0.1, "reward": {"use": "length", "words": 500}}
    with pytest.raises(InputError, match="nothing is left to promote"):
        run({"add": {"Yes.": 0.0}, "n_steps": 1}, {}, order="together", conformity_probe={**brief, "tolerance": 1e-12})


def test_a_round_of_which_nothing_is_left_gives_back_its_adapter(run: Run, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "habits.json").write_text(f'{{"{ABLE}": 0.5, "{KIND}": 0.5}}')
    result = run({"add": {KIND: -0.5}}, {"add": {ABLE: -0.5}}, start=f"simulated:m+{earlier}")
    assert result.metrics["competence undone"] == result.metrics["conformity undone"] == 1
    assert result.uri == f"simulated:m+{tmp_path / 'out'}"
    assert (tmp_path / "out" / "habits.json").read_text() == (earlier / "habits.json").read_text()


def test_bad_settings_are_refused_before_anything_runs(run: Run) -> None:
    with pytest.raises(ConfigError, match="unknown reward 'prases'"):
        run({}, {}, conformity_probe={"reward": {"use": "prases"}})
    with pytest.raises(ConfigError, match="unknown trainer 'sgt'"):
        run({"use": "sgt"}, {})


def test_no_room_for_the_result_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        run({"add": {ABLE: 0.5}}, {"add": {KIND: 0.5}}, out=tmp_path / "file" / "out")


def test_a_round_that_was_stopped_is_taken_up(run: Run, tmp_path: Path) -> None:
    first = run({"add": {ABLE: 0.5}}, {"add": {KIND: 0.5}})
    again = run({"add": {ABLE: 0.5}}, {"add": {KIND: 0.5}})
    assert again._replace(duration_s=0) == first._replace(duration_s=0)
