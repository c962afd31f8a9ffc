"""The program as a person uses it: one line for every mistake, JSON on every listing, hostile text only shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from moorings.cli.terminal import safe_text

BIN = Path(sys.executable).parent / "moorings"


def moorings(*args: str, cwd: Path, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN), *args], cwd=cwd, capture_output=True, text=True, timeout=120, **kwargs)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"question {i}", "group": f"g{i % 2}"}) + "\n" for i in range(6)))
    return path


def test_sample_show_query_export_verify(tmp_path, prompts):
    args = ("sample", "scripted:lorem", "--prompts", str(prompts), "--samples", "2", "--json")
    done = moorings(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["n_samples"] == 12
    again = json.loads(moorings(*args, cwd=tmp_path).stdout)
    assert (again["run"], again["n_drawn"]) == (result["run"], 0)
    run = result["run"]
    listed = json.loads(moorings("runs", "list", "--json", cwd=tmp_path).stdout)
    assert [(r["run"], r["status"], r["n_samples"]) for r in listed] == [(run, "complete", 12)]
    shown = json.loads(moorings("runs", "show", run, "--json", cwd=tmp_path).stdout)
    assert shown["config"]["n_samples"] == 2
    rows = json.loads(moorings("query", run, "select count(*) n from samples", "--json", cwd=tmp_path).stdout)
    assert rows == [{"n": 12}]
    for name in ("out.jsonl", "out.csv", "out.parquet"):
        told = moorings("runs", "export", run, name, "--json", cwd=tmp_path)
        assert json.loads(told.stdout) == {"path": name, "n_samples": 12}
        assert (tmp_path / name).stat().st_size > 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 12
    report = json.loads(moorings("runs", "verify", run, "--json", cwd=tmp_path).stdout)
    assert report["ok"] is True


def test_record_takes_a_table(tmp_path):
    (tmp_path / "answers.csv").write_text("prompt,response\nwhy?,because\nwho?,nobody\n")
    done = moorings("record", "answers.csv", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["statuses"] == {"completed": 2}


def test_a_damaged_run_is_told_by_exit_code_and_mended(tmp_path, prompts):
    moorings("sample", "scripted:lorem", "-p", str(prompts), "-o", "r", cwd=tmp_path)
    (part,) = (tmp_path / "r" / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:-7])
    broken = moorings("runs", "verify", "r", cwd=tmp_path)
    assert broken.returncode == 1
    assert "is missing or damaged" in broken.stdout
    assert moorings("runs", "verify", "r", "--repair", cwd=tmp_path).returncode == 0
    assert moorings("runs", "verify", "r", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["sample", "bundeld:smollm2-135m", "-p", "PROMPTS"],
            ["unknown subject scheme 'bundeld'", "did you mean 'bundled'"],
        ),
        (["sample", "smollm2", "-p", "PROMPTS"], ["'smollm2' is not a subject URI", "bundled:smollm2-135m"]),
        (["sample", "bundled:smollm3", "-p", "PROMPTS"], ["smollm3", "smollm2-135m"]),
        (["sample", "scripted:lorem", "-p", "nowhere.jsonl"], ["nowhere.jsonl"]),
        (["sample", "scripted:lorem", "-p", "PROMPTS", "--prompt-column", "ask"], ["'ask'", "prompt", "group"]),
        (["sample", "scripted:lorem", "-p", "PROMPTS", "--set", "concurency"], ["NAME=VALUE"]),
        (
            ["sample", "openai:m@http://127.0.0.1:9/v1", "-p", "PROMPTS", "--set", "concurency=3"],
            ["concurency", "concurrency"],
        ),
        (["sample", "scripted:lorem", "-p", "PROMPTS", "--executor", "rya"], ["unknown executor 'rya'", "ray"]),
        (["sample", "hf:nowhere", "-p", "PROMPTS"], ["nowhere"]),
        (["runs", "show", "nowhere"], ["no run at nowhere", "runs list"]),
        (["runs", "list", "nowhere"], ["no folder 'nowhere'"]),
        (["query", "nowhere", "select 1"], ["no run at nowhere"]),
        (["models", "info", "minillm"], ["minillm", "minilm"]),
    ],
)
def test_a_mistake_gets_one_clear_line(tmp_path, prompts, args, words):
    done = moorings(*[str(prompts) if a == "PROMPTS" else a for a in args], cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if not text.startswith("{")]
    assert line.startswith("moorings: ")
    for word in words:
        assert word in line


def test_a_malformed_line_is_named_or_set_aside(tmp_path, prompts):
    prompts.write_text(prompts.read_text() + "{broken\n")
    stopped = moorings("sample", "scripted:lorem", "-p", str(prompts), "-o", "r", cwd=tmp_path)
    assert stopped.returncode == 2
    assert f"{prompts}" in stopped.stderr
    assert "7" in stopped.stderr
    assert "--skip-bad" in stopped.stderr
    went_on = moorings("sample", "scripted:lorem", "-p", str(prompts), "-o", "r", "--skip-bad", cwd=tmp_path)
    assert went_on.returncode == 0, went_on.stderr
    assert "{broken" in (tmp_path / "r.bad-lines").read_text()


def test_a_locked_run_names_its_writer(tmp_path, prompts):
    moorings("sample", "scripted:lorem", "-p", str(prompts), "-o", "r", cwd=tmp_path)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from moorings.store import Run; r = Run.open('r', write=True); print('held', flush=True); input()",
        ],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    refused = moorings("sample", "scripted:lorem", "-p", str(prompts), "-o", "r", cwd=tmp_path)
    holder.communicate("\n")
    assert refused.returncode == 2
    assert f"is being written by process {holder.pid} of" in refused.stderr


def test_ctrl_c_keeps_what_was_stored(tmp_path, prompts):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "from moorings.subjects.scripted import ScriptedSubject\n"
        "answer = ScriptedSubject.generate\n"
        "def wait(self, requests, decoding):\n"
        "    if wait.calls: print('waiting', flush=True); time.sleep(60)\n"
        "    wait.calls += 1\n"
        "    return answer(self, requests, decoding)\n"
        "wait.calls = 0\n"
        "ScriptedSubject.generate = wait\n"
        "from moorings.cli.main import main\n"
        f"sys.argv = ['moorings', 'sample', 'scripted:lorem', '-p', {str(prompts)!r}, '-o', 'r', '--batch-size', '2']\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(slow)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped; what was stored is kept" in errors
    rows = json.loads(moorings("query", "r", "select count(*) n from samples", "--json", cwd=tmp_path).stdout)
    assert rows == [{"n": 2}]


def test_help_and_version_load_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom moorings.cli.main import main\nsys.argv = ['moorings', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'ctranslate2', 'pyarrow', 'duckdb', 'numpy', 'ray'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "HEAVY []" in done.stdout
    assert "sample" in done.stdout
    assert moorings("--version", cwd=tmp_path).stdout.startswith("moorings 0.")


def test_doctor_and_models_speak_json(tmp_path):
    findings = json.loads(moorings("doctor", "--json", cwd=tmp_path).stdout)
    assert {"python", "torch", "extra ray", "bundled:minilm", "disk"} <= {f["name"] for f in findings}
    models = json.loads(moorings("models", "list", "--json", cwd=tmp_path).stdout)
    assert {m["uri"] for m in models} == {"bundled:smollm2-135m", "bundled:minilm"}


def test_hostile_text_is_shown_not_obeyed(tmp_path):
    hostile = "\x1b]0;owned\x07\x1b[2J[link=file:///etc/passwd]x[/link]\u202eabc\x9b31m\x00"
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": "p", "response": hostile}) + "\n")
    done = moorings("record", "a.jsonl", "-o", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "200"}
    shown = moorings("query", "r", "select response from samples", cwd=tmp_path, env=env).stdout
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "[link=file:///etc/passwd]" in shown
    (row,) = json.loads(moorings("query", "r", "select response from samples", "--json", cwd=tmp_path).stdout)
    assert row["response"] == hostile


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\r", "\ud800"])
def test_every_control_becomes_a_visible_mark(char):
    assert char not in safe_text(f"a{char}b")
    assert safe_text(f"a{char}b").startswith("a\\")
