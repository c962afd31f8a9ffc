"""What makes two starts the same run, wherever it lies and from wherever it is taken up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from run_tools import BREAKS, FAULT, ONE_LOOK, at_point, events, lineage_hash

from moorings.errors import ConfigError, InputError, StorageError
from moorings.report.run.from_run import report_run
from moorings.store import Run
from moorings.supervise.kept import open_plan
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import improve, resume, supervise

Write = Callable[..., Path]


class PowerCut(BaseException):
    """Ends a run in the middle, in this process."""


def _cut() -> None:
    raise PowerCut


def test_the_first_key_in_which_a_charter_differs_is_named(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"rounds": 1, "gate": ONE_LOOK}), run)
    with pytest.raises(StorageError, match=r"charter\.run\.gate\.promote_alpha was 0\.05, now 0\.2"):
        supervise(charter(run={"rounds": 1, "gate": {**ONE_LOOK, "promote_alpha": 0.2}}), run)
    with pytest.raises(StorageError, match=r'charter\.title was "A drill", now "Another"'):
        supervise(charter(title="Another", run={"rounds": 1, "gate": ONE_LOOK}), run)
    assert verify_run(run).ok


def test_comments_and_order_make_no_other_charter(charter: Write, tmp_path: Path) -> None:
    path, run = charter(run={"rounds": 1, "gate": ONE_LOOK}), tmp_path / "run"
    supervise(path, run)
    path.write_text("# as it was\n" + path.read_text())
    assert supervise(path, run).status == "finished"
    assert (run / "charter.yaml").read_text().startswith("# as it was")
    assert verify_run(run).ok


def test_a_prompt_file_that_changed_is_refused(charter: Write, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed.jsonl"
    sealed.write_text("".join(json.dumps({"prompt": f"Question {i}?"}) + "\n" for i in range(200)))
    path = charter(run={"rounds": 2, "changes": [BREAKS], "gate_prompts": "sealed.jsonl", "gate": ONE_LOOK})
    run = tmp_path / "run"
    assert supervise(path, run).status == "failed"
    sealed.write_text(sealed.read_text() + json.dumps({"prompt": "One more?"}) + "\n")
    with pytest.raises(StorageError, match=r"run\.gate_prompts names .* was changed"):
        resume(run)
    with pytest.raises(StorageError, match=r"inputs\.gate_prompts was"):
        supervise(path, run)
    sealed.unlink()
    with pytest.raises(InputError, match=r"sealed\.jsonl"):
        resume(run)


@pytest.mark.parametrize("point", ["after opened", "after trained", "before compared", "after decided"])
def test_a_run_is_moved_and_taken_up(point: str, charter: Write, tmp_path: Path) -> None:
    gate = {**ONE_LOOK, "compare": point == "before compared"}
    path = charter(run={"rounds": 2, "gate": gate})
    whole, run = tmp_path / "whole", tmp_path / "first place" / "run"
    supervise(path, whole)
    with pytest.raises(PowerCut):
        supervise(path, run, on_point=at_point(point, _cut, nth=2))
    moved = tmp_path / "a 'second' place" / "other name"
    moved.parent.mkdir()
    run.rename(moved)
    assert resume(moved).status == "finished"
    assert lineage_hash(moved) == lineage_hash(whole)
    proof = verify_run(moved)
    assert proof.ok, proof.problems
    assert report_run(moved)["html"].is_file()
    texts = [p.read_bytes() for p in (moved / "rounds").rglob("run.json")]
    assert texts
    assert not any(str(tmp_path).encode() in text for text in texts)


def test_a_run_is_named_by_a_relative_path(charter: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charter(run={"rounds": 2, "changes": [BREAKS], "gate": ONE_LOOK})
    monkeypatch.chdir(tmp_path)
    assert supervise("charter.yaml", "run").status == "failed"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume("../run").status == "finished"
    monkeypatch.chdir(tmp_path / "run")
    assert verify_run(".").ok
    supervise("../charter.yaml", ".")
    assert lineage_hash(Path()) == lineage_hash(tmp_path / "run")


@pytest.mark.parametrize("name", ["file:///tmp/run", "s3://bucket/run", "a+b"])
def test_a_place_that_no_uri_could_name_is_refused(
    name: str, charter: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = charter()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="cannot hold a supervised run"):
        supervise(path, name)
    assert not Path(name).exists()


def test_a_folder_of_another_kind_is_refused(charter: Write, tmp_path: Path) -> None:
    with Run.create(tmp_path / "plain", {"kind": "sample"}) as run:
        run.finish()
    with pytest.raises(StorageError, match="run of another kind"):
        supervise(charter(), tmp_path / "plain")
    with pytest.raises(StorageError, match="no supervised run"):
        resume(tmp_path / "plain")
    assert not verify_run(tmp_path / "plain").ok


def test_a_run_can_be_read_where_nothing_can_be_written(finished: Path) -> None:
    (finished / "charter.yaml").unlink()
    with Run.open(finished) as run:
        plan = open_plan(run)
    assert plan.charter.title == "A drill"
    assert not (finished / "charter.yaml").exists()


def test_a_version_that_decides_otherwise_does_not_go_on(
    charter: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"changes": [FAULT], "gate": {"retries": 0}}), run)
    from moorings.supervise import gate

    monkeypatch.setattr(gate, "threshold", lambda *args, **kwargs: 1e9)
    with pytest.raises(StorageError, match="take the run up with the version of Moorings that began it"):
        resume(run)


def test_improve_makes_a_candidate_and_the_run_goes_on_from_there(charter: Write, tmp_path: Path) -> None:
    path, run = charter(run={"rounds": 2, "gate": ONE_LOOK}), tmp_path / "run"
    uri = improve(path, run)
    assert uri == f"simulated:m+{run}/rounds/1.0/model"
    assert improve(path, run) == uri
    assert supervise(path, run).status == "finished"
    assert len(events(run, "trained")) == 2
    with pytest.raises(ConfigError, match="is finished"):
        improve(path, run)
    shutil.rmtree(run / "reports", ignore_errors=True)
