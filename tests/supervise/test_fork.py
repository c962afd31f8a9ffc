"""A fork begins with a round's model, elsewhere, and asks nothing that chose that model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from run_tools import ONE_LOOK, events

from moorings.errors import ConfigError, InputError, StorageError
from moorings.store import Run
from moorings.supervise.fork import fork
from moorings.supervise.proof import nested_runs, verify_run
from moorings.supervise.supervisor import supervise

Write = Callable[..., Path]


def _asked(run: Path) -> set[str]:
    """Gate prompts that a run has asked."""
    found: set[str] = set()
    for path in nested_runs(run / "rounds"):
        if "gate" in path.parts:
            with Run.open(path) as opened:
                found |= {row.prompt_id for row in opened.interactions()}
    return found


def test_no_prompt_that_chose_the_model_is_asked_again(finished: Path, tmp_path: Path) -> None:
    path = fork(finished, tmp_path / "new", round=2)
    assert supervise(path, tmp_path / "forked").status == "finished"
    before, after = _asked(finished), _asked(tmp_path / "forked")
    assert len(before) >= 128
    assert len(after) >= 128
    assert not before & after
    again = fork(tmp_path / "forked", tmp_path / "newer", round=1)
    assert yaml.safe_load(again.read_text())["run"]["gate"]["spent"] == len(before) + len(after)


def test_monitors_of_their_own_questions_pass_over_those_too(charter: Write, tmp_path: Path) -> None:
    monitor = {"use": "forgetting", "tolerance": 0.3, "max_new_tokens": 8}
    supervise(charter(run={"rounds": 1, "monitors": [monitor], "gate": ONE_LOOK}), tmp_path / "run")
    path = fork(tmp_path / "run", tmp_path / "new", round=1)
    supervise(path, tmp_path / "forked")
    first, second = (
        {unit for d in events(tmp_path / name, "looked") if d["name"] == "forgetting" for unit in d["units"]}
        for name in ("run", "forked")
    )
    assert first
    assert second
    assert not first & second


def test_files_of_the_charter_are_named_in_full(charter: Write, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "rows.jsonl").write_text(json.dumps({"prompt": "Why?", "response": "So."}) + "\n")
    (home / "sealed.jsonl").write_text("".join(json.dumps({"prompt": f"Question {i}?"}) + "\n" for i in range(400)))
    data = [{"use": "file", "path": "rows.jsonl", "origin": "human"}]
    path = charter(
        "home/charter.yaml", run={"rounds": 1, "data": data, "gate_prompts": "sealed.jsonl", "gate": ONE_LOOK}
    )
    supervise(path, tmp_path / "run")
    forked = fork(tmp_path / "run", tmp_path / "new", round=1)
    run = yaml.safe_load(forked.read_text())["run"]
    assert run["data"][0]["path"] == str(home / "rows.jsonl")
    assert run["gate_prompts"] == str(home / "sealed.jsonl")
    assert (run["gate"]["spent"], run["seed"]) == (64, 0)
    assert supervise(forked, tmp_path / "forked").status == "finished"
    assert verify_run(tmp_path / "forked").ok


def test_a_fork_from_within_the_folder_names_its_model_in_full(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    path = fork(".", "../new fork", round=1)
    subject = yaml.safe_load(path.read_text())["run"]["subject"]
    assert subject == f"simulated:m+{finished.parent}/new fork/start"
    assert json.loads((finished.parent / "new fork/start/habits.json").read_text())


def test_another_charter_keeps_the_seed_by_which_prompts_are_dealt(
    finished: Path, charter: Write, tmp_path: Path
) -> None:
    other = charter("other.yaml", title="Another", run={"seed": 9, "rounds": 1})
    run = yaml.safe_load(fork(finished, tmp_path / "new", round=1, charter=other).read_text())
    assert run["title"] == "Another"
    assert (run["run"]["seed"], run["run"]["rounds"]) == (0, 1)
    assert run["run"]["gate"]["spent"] >= 128


def test_what_cannot_be_forked(finished: Path, charter: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has made no model; there are models of rounds 1, 2"):
        fork(finished, tmp_path / "new", round=9)
    plain = tmp_path / "plain.yaml"
    plain.write_text("{title: t, purpose: p}")
    with pytest.raises(ConfigError, match="no section 'run'"):
        fork(finished, tmp_path / "new", round=1, charter=plain)
    with pytest.raises(InputError, match="cannot read"):
        fork(finished, tmp_path / "new", round=1, charter=tmp_path / "none.yaml")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        fork(finished, tmp_path / "file" / "new", round=1)
    (finished / "rounds/1.0/model/habits.json").write_text("{}")
    with pytest.raises(StorageError, match=r"was altered since it was recorded \(first habits\.json\)"):
        fork(finished, tmp_path / "new", round=1)
    assert not (tmp_path / "new").exists()
