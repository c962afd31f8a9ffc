"""A report from the journal alone, at every stage of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "supervise"))
from run_tools import BREAKS, DOUBTFUL, FAULT, ONE_LOOK, at_point, write_charter

from moorings.errors import StorageError, StorageFullError
from moorings.records import Decision
from moorings.report.run import watching as watching_module
from moorings.report.run.from_run import report_run, story_of
from moorings.report.run.story import RunStory
from moorings.report.run.watching import Watchers, watching
from moorings.store import Run
from moorings.supervise import compared
from moorings.supervise.lineage import Lineage
from moorings.supervise.supervisor import supervise
from moorings.supervise.wishes import approve, take_back


class PowerCut(BaseException):
    """Ends a run in the middle, in this process."""


def _cut() -> None:
    raise PowerCut


def _run(tmp_path: Path, **run: object) -> Path:
    supervise(write_charter(tmp_path / "charter.yaml", run=run), tmp_path / "run")
    return tmp_path / "run"


def _told(run: Path) -> tuple[RunStory, str]:
    story = story_of(run)
    return story, report_run(run)["html"].read_text()


@pytest.mark.parametrize(
    ("point", "parts"),
    [
        ("after collected", (True, False, 0)),
        ("after trained", (True, True, 0)),
        ("after looked", (True, True, 0)),
        ("after weighed", (True, True, 1)),
    ],
)
def test_a_run_that_was_cut_off(point: str, parts: tuple[bool, bool, int], tmp_path: Path) -> None:
    path, run = write_charter(tmp_path / "charter.yaml"), tmp_path / "run"
    with pytest.raises(PowerCut):
        supervise(path, run, on_point=at_point(point, _cut))
    story, html = _told(run)
    (attempt,) = story.rounds[0].attempts
    assert (attempt.data is not None, attempt.training is not None, len(attempt.evidence)) == parts
    assert (story.status, story.promoted_round, attempt.decision) == ("running", 0, None)
    assert "A drill" in html


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    path, run = write_charter(tmp_path / "charter.yaml"), tmp_path / "run"
    with pytest.raises(PowerCut):
        supervise(path, run, on_point=at_point("before collected", _cut))
    story, html = _told(run)
    assert (story.rounds, story.status) == ((), "running")
    assert html


def test_a_finished_run_names_its_seed_version_and_lineage(tmp_path: Path) -> None:
    run = _run(tmp_path, rounds=2, seed=7)
    story, html = _told(run)
    with Run.open(run) as opened:
        lineage = Lineage(opened).hash
        version = opened.config["moorings"]
    assert (story.status, story.promoted_round, story.lineage) == ("finished", 2, lineage)
    assert (story.settings["seed"], story.versions) == (7, {"moorings": version})
    assert lineage in html
    assert story.warnings == ()
    data = story.rounds[0].attempts[0].data
    assert data is not None
    assert data.origins == {"self": data.n_rows}
    assert story.rounds[1].attempts[0].subject == f"simulated:m+{run}/rounds/2.0/model"


def test_a_held_and_then_approved_round_tells_both(tmp_path: Path) -> None:
    run = _run(tmp_path, rounds=2, changes=[DOUBTFUL], gate=ONE_LOOK)
    story, _ = _told(run)
    assert story.status == "held"
    assert story.warnings[0].startswith("Held: 'praise'")
    approve(run, reason="praise <b>is</b> fine", by="Ada")
    story, html = _told(run)
    attempt = story.rounds[1].attempts[0]
    assert (attempt.decision.action, attempt.decision.by) == ("promote", "Ada")  # type: ignore[union-attr]
    assert [one.action for one in attempt.earlier] == ["hold"]
    assert "praise &lt;b&gt;is&lt;/b&gt; fine" in html


def test_a_failed_round_tells_its_error_and_a_refusal_its_reason(tmp_path: Path) -> None:
    run = _run(tmp_path, changes=[BREAKS])
    story, html = _told(run)
    assert story.status == "failed"
    assert "not a number" in (story.rounds[1].attempts[0].error or "")
    assert "not a number" in html
    take_back(run, to=0, reason="back to the start", by="Ada")
    story, html = _told(run)
    assert story.warnings == ("Ada took back the anchor in round 2: back to the start",)
    assert "back to the start" in html


def test_a_run_that_ended_in_a_rollback_is_called_so(tmp_path: Path) -> None:
    run = _run(tmp_path, changes=[FAULT], gate={"retries": 0})
    story, _ = _told(run)
    assert (story.status, story.promoted_round) == ("rolled back", 1)


def test_what_was_discovered_is_watched_and_compared(tmp_path: Path) -> None:
    gate = {"look": 64, "budget": 128, "discover": True, "compare": True, "unknown_tolerance": 0.3}
    train = {"use": "simulated", "add": {"As the sea wills it,": 0.5}}
    run = _run(tmp_path, rounds=1, train=train, gate=gate)
    story, html = _told(run)
    attempt = story.rounds[0].attempts[0]
    assert any(monitor.since == 1 for monitor in story.monitors)
    assert attempt.discovered
    assert attempt.diff_report == "reports/1.0-anchor/report.html"
    assert (run / attempt.diff_report).read_text().startswith("<!")
    assert any("sea" in finding.statement for finding in attempt.findings)
    assert attempt.diff_report in html


def test_a_comparison_that_breaks_does_not_cost_the_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ValueError("no such matrix")

    monkeypatch.setattr(compared, "compare_runs", broken)
    run = _run(tmp_path, rounds=1, gate={"compare": True})
    story, html = _told(run)
    assert (story.status, story.promoted_round) == ("finished", 1)
    assert story.warnings == ("Round 1, try 1, could not be compared: ValueError: no such matrix",)
    assert not story.rounds[0].attempts[0].discovered
    assert html


def test_too_few_answers_are_not_compared(tmp_path: Path) -> None:
    gate = {"look": 32, "budget": 32, "compare": True}
    assert not _told(_run(tmp_path, rounds=1, gate=gate))[0].rounds[0].attempts[0].discovered


def test_no_run_no_report(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run"):
        report_run(tmp_path)
    with Run.create(tmp_path / "plain", {"rounds": 1}) as run:
        run.finish()
    with pytest.raises(StorageError, match="no supervised run"):
        report_run(tmp_path / "plain")


def test_a_report_that_cannot_be_written_now_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []

    def full(folder: Path) -> None:
        calls.append(folder)
        raise StorageFullError("no room to write")

    monkeypatch.setattr(watching_module, "report_run", full)
    said: list[str] = []

    class View:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args: said.append(str(args[0])) if name == "message" else None

    run = _run(tmp_path, rounds=1)
    watchers = Watchers(run, View(), View())  # type: ignore[arg-type]
    watchers.decided(Decision(round=1, action="promote", rule="r"))
    assert calls == [run]
    assert said == ["the report could not be written: no room to write"]
    with pytest.raises(StorageFullError):
        watchers.write_report()


def test_watching_leaves_a_report_and_none_where_nothing_began(tmp_path: Path) -> None:
    with watching(tmp_path / "none", ()):
        pass
    assert not (tmp_path / "none").exists()
    path, run = write_charter(tmp_path / "charter.yaml", run={"rounds": 1}), tmp_path / "run"
    with watching(run, ()) as observer:
        supervise(path, run, observer=observer)
    assert (run / "report.html").is_file()
