"""`moorings probe` as a person uses it, on subjects that need no model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moorings.cli.main import app
from moorings.errors import ConfigError
from moorings.probe import safe_name
from moorings.probes.files import read_items
from moorings.probes.sets import open_set


def probe(*args: str) -> str:
    done = CliRunner().invoke(app, ["probe", *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_subject_is_asked_without_naming_the_command(tmp_path: Path) -> None:
    out = tmp_path / "asked"
    args = ("scripted:lorem", "--set", "S1", "-n", "12", "--out", str(out))
    said = probe(*args)
    assert "S1" in said
    assert str(out) in said
    assert (out / "report.html").read_text().startswith("<!")
    first = json.loads(probe(*args, "--json"))
    assert first["subtasks"][0]["subtask"] == "S1"
    assert first["subtasks"][0]["n_items"] == 12
    assert json.loads(probe("ask", *args, "--json")) == first


def test_a_set_is_built_with_its_card_and_audited(tmp_path: Path) -> None:
    path = tmp_path / "s4.jsonl"
    made = json.loads(probe("build", "-s", "S4", "-n", "120", "--seed", "7", "--out", str(path), "--json"))
    items = read_items(path)
    assert made["n_kept"] == len(items.items) == 120
    assert items.about["filters"]["solver"] == [120, 120]
    assert json.loads(Path(made["card"]).read_text())["@type"] == "sc:Dataset"
    again = tmp_path / "again.jsonl"
    probe("build", "-s", "S4", "-n", "120", "--seed", "7", "--out", str(again))
    assert again.read_bytes() == path.read_bytes()
    assert "choices\\_only" in probe("audit", str(path))


def test_a_set_that_fails_its_audit_ends_with_1(tmp_path: Path) -> None:
    rows = [
        {"question": f"Is it {at}?", "choices": ["surely it is, and for good", "no"], "answer": 0} for at in range(60)
    ]
    path = tmp_path / "leaky.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(app, ["probe", "audit", str(path), "--json"])
    assert done.exit_code == 1, done.output
    failed = [stage["filter"] for stage in json.loads(done.output)["filters"] if stage["verdict"] == "fail"]
    assert failed


def test_a_set_is_given_to_other_harnesses(tmp_path: Path) -> None:
    said = probe("export", "S2", "--to", "inspect", "-n", "6", "--out", str(tmp_path / "inspect"))
    assert "inspect eval" in said
    assert (tmp_path / "inspect" / "task.py").is_file()
    said = probe("export", "S2", "--to", "lm-eval", "-n", "6", "--out", str(tmp_path / "lm"))
    assert "lm_eval --include_path" in said
    assert list((tmp_path / "lm").glob("*.yaml"))
    with pytest.raises(ConfigError, match="tasks cannot be written for 'helm'; allowed: inspect, lm-eval"):
        probe("export", "S2", "--to", "helm", "--out", str(tmp_path))


def test_sets_are_named_or_refused(tmp_path: Path) -> None:
    assert {item.subtask for item in open_set("reflectivity", n=2).items} == {"S1", "S2", "S3", "S4", "S5"}
    path = tmp_path / "own.jsonl"
    probe("build", "-s", "S1", "-n", "6", "--keep", "--out", str(path))
    assert len(open_set(str(path)).items) == 6
    rows = [{"question": "1 + 1?", "answer": "It is two. #### 2"}]
    (tmp_path / "gsm.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match="'gsm8k' is answered in free text"):
        open_set(f"gsm8k:{tmp_path / 'gsm.jsonl'}")
    with pytest.raises(ConfigError, match="no probe set or file 'S9'"):
        open_set("S9")


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "moorings"), "probe", "scripted:lorem", "--set", "S1", "-n", "7"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "moorings: n is 7; items come in minimal pairs, so give an even number of at least 2"
    ]


def test_names_of_folders_are_plain() -> None:
    assert safe_name("hf:/a b/../c+d") == "hf-a-b-..-c-d"
    assert "/" not in safe_name("x/" * 100)
