"""R23: a supervised run that an earlier version wrote opens, verifies, is reported and goes on, or is refused with the reason."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from run_tools import decided, events, state_of

from moorings.report.run.from_run import report_run, story_of
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import resume

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("supervised-*.tar.xz"))


@pytest.fixture(params=HISTORIES, ids=lambda path: path.name.partition(".")[0])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "run"


def test_there_is_a_history_and_it_is_small() -> None:
    assert HISTORIES
    assert all(path.stat().st_size < 100_000 for path in HISTORIES)


def test_an_old_run_verifies_and_is_reported(history: Path) -> None:
    proof = verify_run(history)
    assert proof.ok, proof.problems
    assert (proof.n_models, proof.n_events) == (3, 27)
    assert proof.lineage.startswith("ca8c33d207d4c15e")
    state = state_of(history)
    assert (state.status, state.round, state.promoted_round) == ("running", 3, 1)
    story = story_of(history)
    assert [len(one.attempts) for one in story.rounds] == [1, 1, 1]
    assert story.warnings == ("Ada took back the model of round 1 in round 2: a drill",)
    assert "a drill" in report_run(history)["markdown"].read_text()


def test_an_old_run_goes_on(history: Path) -> None:
    assert [action for _, _, action in decided(history)] == ["promote", "hold"]
    before = len(events(history, "looked"))
    state = resume(history)
    assert state.status in ("finished", "held")
    assert len(events(history, "looked")) > before
    assert verify_run(history).ok
