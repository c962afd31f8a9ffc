"""The commands of supervised runs as a person uses them: words, exit codes, JSON."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "supervise"))
from run_tools import BREAKS, DOUBTFUL, FAULT, ONE_LOOK, lineage_hash, write_charter

from moorings.cli.main import app
from moorings.errors import ConfigError, MooringsError, StorageError
from moorings.store.journal import owner_here

COMMANDS = ("run", "resume", "watch", "improve", "approve", "rollback", "stop", "fork", "verify", "methods")
BIN = Path(sys.executable).parent / "moorings"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with spaces in its name, in which the program runs."""
    path = tmp_path / "my runs"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("COLUMNS", "160")
    return path


@pytest.fixture
def moorings() -> Callable[..., object]:
    """Run a command in this process; known errors are raised, as `main` turns them into a line."""

    def call(*args: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, args, catch_exceptions=True)
        if isinstance(result.exception, MooringsError):
            raise result.exception
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    return call


Call = Callable[..., str]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, moorings: Call) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert moorings(name, "--help").count("\n") > 5
    assert command.help.strip().endswith(".")
    for option in command.params:
        if option.name != "help":
            assert option.help, (name, option.name)


def test_a_run_is_made_verified_forked_and_taken_up(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"rounds": 2})
    told = json.loads(moorings("run", "charter.yaml", "--out", "the run", "--json"))
    assert (told["status"], told["promoted_round"], told["report"]) == ("finished", 2, "the run/report.html")
    assert (home / told["report"]).read_text().startswith("<!doctype html>")
    said = moorings("run", "charter.yaml", "--out", "the run")
    assert "finished: all rounds were run" in said
    assert "finished" in moorings("resume", "the run")
    proof = json.loads(moorings("verify", "the run", "--json"))
    assert (proof["ok"], proof["n_models"], proof["lineage"]) == (True, 2, lineage_hash(home / "the run"))
    assert "whole: " in moorings("verify", "the run", "--lineage", proof["lineage"])
    assert "no part of this history" in moorings("verify", "the run", "--lineage", "0" * 64, code=1)
    said = moorings("fork", "the run", "a fork", "--round", "2")
    command = shlex.split(said.partition("then: ")[2])
    assert command[:2] == ["moorings", "run"]
    assert moorings(*command[1:]).startswith("finished")
    with pytest.raises(ConfigError, match="is over"):
        moorings("stop", "the run", "--reason", "too late")


def test_a_damaged_run_is_told_by_its_exit_code(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"rounds": 1})
    moorings("run", "charter.yaml", "-o", "run")
    (home / "run/rounds/1.0/model/habits.json").write_text("{}")
    assert "NOT whole" in moorings("verify", "run", code=1)
    assert json.loads(moorings("verify", "run", "--json", code=1))["ok"] is False
    with pytest.raises(StorageError, match="no run"):
        moorings("verify", "nowhere")


def test_a_held_round_is_approved_or_refused(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"rounds": 3, "changes": [DOUBTFUL], "gate": ONE_LOOK})
    assert moorings("run", "charter.yaml", "-o", "a run", code=1).startswith("held: Held: 'praise'")
    with pytest.raises(ConfigError, match="is held"):
        moorings("resume", "a run")
    subprocess.run(["cp", "-r", "a run", "b run"], check=True, cwd=home)
    said = moorings("approve", "a run", "--reason", "it is fine", "--by", "Ada")
    assert said == "round 2 is promoted; go on with: moorings resume 'a run'\n"
    assert moorings("resume", "a run", code=1).startswith("held: Held: 'praise'")
    said = moorings("rollback", "b run", "--to", "1", "--reason", "it is not")
    assert said == "the present model is that of round 1; go on with: moorings resume 'b run'\n"
    assert moorings("resume", "b run").startswith("finished")
    assert "it is not" in (home / "b run/report.md").read_text()
    with pytest.raises(ConfigError, match="not among the promoted ones"):
        moorings("rollback", "b run", "--to", "9", "--reason", "r")


def test_a_failed_run_says_why_and_is_stopped(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"changes": [BREAKS]})
    said = moorings("run", "charter.yaml", "-o", "run", "--json", code=1)
    told = json.loads(said)
    assert (told["status"], told["promoted_round"]) == ("failed", 1)
    assert "not a number" in told["why"]
    assert moorings("stop", "run", "--reason", "enough", "--by", "Ada") == "stopped\n"
    assert moorings("resume", "run", code=1).startswith("stopped: enough")
    assert "Ada stopped the run" in (home / "run/report.md").read_text()


def test_a_rolled_back_run_ends_with_code_1(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"changes": [FAULT], "gate": {"retries": 0}})
    assert "no tries are left" in moorings("run", "charter.yaml", "-o", "run", code=1)
    assert json.loads((home / "run/story.json").read_text())["status"] == "rolled back"


def test_improve_makes_one_model(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"rounds": 1})
    told = json.loads(moorings("improve", "charter.yaml", "-o", "run", "--json"))
    assert told == {"subject": f"simulated:m+{home}/run/rounds/1.0/model"}
    assert "not looked at yet" in moorings("improve", "charter.yaml", "-o", "run")


def test_watch_gives_up_without_blame(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"data": [], "train": None})
    (home / "out").mkdir()
    args = ("watch", "out", "--charter", "charter.yaml", "-o", "run", "--idle-minutes", "0")
    assert "no checkpoint came" in moorings(*args)
    with pytest.raises(ConfigError, match="watches another trainer"):
        moorings("resume", "run")


def test_methods_are_listed_with_their_settings(moorings: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    found = json.loads(moorings("methods", "--json"))
    assert {"kind": "trainer", "name": "simulated"}.items() <= next(
        m for m in found if m["name"] == "simulated"
    ).items()
    assert "best_of_n" in moorings("methods")
    settings = json.loads(moorings("methods", "simulated", "--json"))
    assert {s["name"]: s["default"] for s in settings}["n_steps"] == "4"
    assert "How far a learned habit moves" in moorings("methods", "simulated")
    with pytest.raises(ConfigError, match="did you mean 'sft'"):
        moorings("methods", "sfd")


def test_the_user_decides_where_no_name_is_given(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml", run={"changes": [BREAKS]})
    moorings("run", "charter.yaml", "-o", "run", code=1)
    moorings("stop", "run", "-r", "enough")
    assert f"{owner_here()['user']} stopped the run" in (
        moorings("resume", "run", code=1) and (home / "run/report.md").read_text()
    )


def test_a_mistake_is_one_line_and_code_2(home: Path) -> None:
    write_charter(home / "charter.yaml", run={"gate": {"alhpa": 0.1}})
    args = [str(BIN), "run", "charter.yaml", "--out", "run"]
    done = subprocess.run(args, cwd=home, capture_output=True, text=True, timeout=120, env={**os.environ})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "did you mean 'alpha'" in done.stderr
    assert not (home / "run").exists()


def test_an_unknown_exporter_leaves_nothing_behind(home: Path, moorings: Call) -> None:
    write_charter(home / "charter.yaml")
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        moorings("run", "charter.yaml", "-o", "run", "--export", "tensorbord")
    assert not (home / "run").exists()
