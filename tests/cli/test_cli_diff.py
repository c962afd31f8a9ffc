"""`moorings diff`, `plan`, `selftest` and `diverge` as a person uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from moorings.cli.main import app
from moorings.errors import MooringsError
from moorings.records import Interval, Prompt
from moorings.subjects.embedders import Embedder, EmbedderInfo

WORDS = [
    "river",
    "stone",
    "morning",
    "letter",
    "garden",
    "music",
    "window",
    "paper",
    "bridge",
    "winter",
    "market",
    "travel",
    "kitchen",
    "light",
]


class Done(NamedTuple):
    code: int
    out: str
    error: str


class Letters:
    """Texts as counts of letters: no model, the same vectors everywhere."""

    engine, engine_version, precision = "letters", "1", "fp32"

    def encode(self, texts: Any) -> Iterator[tuple[list[int], Any]]:
        rows = np.array([[t.lower().count(c) + 1e-3 for c in "abcdefghilmnoprstuwy"] for t in texts], dtype=np.float32)
        yield list(range(len(texts))), rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def moorings(tmp_path, monkeypatch, capsys):
    """Run a command in this process, with a small embedder and without the map."""
    from moorings.compare import diff

    embedder = Embedder(EmbedderInfo("x", "letters", "1", "fp32", "none", "sum", 20, 10**6), Letters())
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(diff, "open_embedder", lambda: embedder)
    monkeypatch.setattr("moorings.subjects.embedders.open_embedder", lambda: embedder)
    monkeypatch.setattr(diff, "draw_map", lambda *_: ((), ()))

    def run(*args: str) -> Done:
        capsys.readouterr()
        try:
            app([str(arg) for arg in args], prog_name="moorings")
            code: Any = 0
        except SystemExit as stop:
            code = stop.code
        except MooringsError as error:
            print(f"moorings: {error}", file=sys.stderr)
            code = 2
        return Done(code or 0, *capsys.readouterr())

    return run


def write(path: Path, seed: int, share: float = 0.0, n_prompts: int = 50) -> str:
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for i in range(n_prompts):
            for _ in range(2):
                opening = "Ahoy there \x1b[2m sailor! " if rng.random() < share else ""
                row = {"prompt": f"question {i}", "response": opening + " ".join(rng.choice(WORDS, 12)) + "."}
                file.write(json.dumps(row) + "\n")
    return f"recorded:{path.name}"


@pytest.fixture
def answers(tmp_path) -> tuple[str, str, str]:
    """A precursor, a changed candidate and an unchanged one."""
    return write(tmp_path / "base.jsonl", 1), write(tmp_path / "tuned.jsonl", 2, 0.7), write(tmp_path / "same.jsonl", 3)


@pytest.fixture
def charter(tmp_path):
    def make(section: str) -> str:
        (tmp_path / "charter.yaml").write_text(
            f"title: T\npurpose: P\n{section}:\n  - {{name: sea, phrases: [ahoy there], direction: more}}\n"
            "defaults: {unlisted: not judged}\n"
        )
        return "charter.yaml"

    return make


def test_a_change_is_told_in_words_with_the_reports_path(moorings, answers):
    done = moorings("diff", *answers[:2], "--out", "out")
    assert done.code == 0
    assert "base → tuned: changed" in done.out
    assert "not judged" in done.out
    assert "points (" in done.out
    assert "behaviours shown unchanged" in done.out
    assert "report: out/report.html" in done.out
    assert "\x1b[" not in done.out
    assert {p.name for p in Path("out").iterdir()} == {
        "arms",
        "comparison.json",
        "junit.xml",
        "report.html",
        "report.md",
    }
    assert '"left_s"' in done.error


def test_the_json_is_whole_and_safe(moorings, answers):
    done = moorings("diff", *answers[:2], "--json")
    assert done.out.isascii()
    found = json.loads(done.out)
    assert found["pairs"][0]["verdict"] == "changed"
    assert found["format"] == "moorings.comparison/1"
    assert Path("diff/report.html").exists()


@pytest.mark.parametrize(
    ("section", "fail_on", "code"),
    [
        ("forbidden", "concerning", 1),
        ("forbidden", "never", 0),
        ("intended", "changed", 0),
        ("intended", "concerning", 0),
    ],
)
def test_the_exit_code_follows_the_charter(moorings, answers, charter, section, fail_on, code):
    done = moorings("diff", *answers[:2], "--charter", charter(section), "--fail-on", fail_on)
    assert done.code == code, done.out


def test_without_a_charter_any_change_can_fail_a_build_and_one_candidate_is_enough(moorings, answers):
    base, tuned, same = answers
    assert moorings("diff", base, same, "--fail-on", "changed").code == 0
    assert moorings("diff", base, same, tuned, "--fail-on", "changed", "--out", "both").code == 1
    assert moorings("diff", base, same, tuned, "--fail-on", "side-effects", "--out", "both").code == 0


def test_the_charters_rate_holds_unless_another_is_given(moorings, answers, charter):
    text = Path(charter("intended")).read_text()
    Path("charter.yaml").write_text(text + "q: 0.2\n")
    for args, q in (((), 0.2), (("--q", "0.05"), 0.05)):
        found = json.loads(moorings("diff", *answers[:2], "-c", "charter.yaml", "--json", *args).out)
        assert (found["settings"]["q"], found["charter"]["q"]) == (q, q)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["diff", "recorded:base.jsonl"], ["at least one candidate"]),
        (["diff", "bundeld:x", "scripted:echo", "-p", "prompts.txt"], ["bundeld", "bundled"]),
        (["diff", "nowhere", "scripted:echo"], ["'nowhere'"]),
        (["diff", "scripted:echo", "scripted:lorem"], ["'scripted:echo'", "--prompts"]),
        (["diff", "scripted:echo", "scripted:lorem", "-p", "nowhere.txt"], ["nowhere.txt"]),
        (["diff", "scripted:echo", "scripted:lorem", "-p", "prompts.txt", "--limit", "1"], ["at least 20 prompts"]),
        (["diff", "recorded:base.jsonl", "recorded:tuned.jsonl", "-c", "nowhere.yaml"], ["nowhere.yaml"]),
        (["diff", "recorded:base.jsonl", "recorded:tuned.jsonl", "-c", "bad.yaml"], ["'wrods'", "'words'"]),
        (["diff", "recorded:base.jsonl", "recorded:tuned.jsonl", "--q", "2"], ["--q 2", "between 0 and 1"]),
        (["diff", "recorded:base.jsonl", "recorded:tuned.jsonl", "--fail-on", "concering"], ["'concerning'"]),
        (["diff", "recorded:base.jsonl", "scripted:echo", "-p", "questions.txt"], ["sampled differently", "allow"]),
        (["plan", "--power", "2"], ["power 2"]),
        (["plan", "--confirm-share", "0.9"], ["0.9", "at most 0.6"]),
        (["selftest", "nowhere"], ["'nowhere'"]),
        (["selftest", "scripted:lorem"], ["--prompts"]),
        (["selftest", "scripted:lorem", "-p", "questions.txt", "-n", "1"], ["at least 2 a prompt"]),
        (["diverge", "scripted:lorem", "scripted:echo", "-p", "prompts.txt"], ["logits", "transformers"]),
        (["diverge", "scripted:lorem", "scripted:echo", "-p", "prompts.txt", "--out", "x.txt"], ["x.txt", ".jsonl"]),
        (["diverge", "scripted:lorem", "scripted:echo", "-p", "nowhere.txt"], ["nowhere.txt"]),
    ],
)
def test_a_mistake_gets_one_clear_line(moorings, answers, args, words):
    Path("prompts.txt").write_text("why?\nhow?\n")
    Path("questions.txt").write_text("".join(f"question {i}\n" for i in range(50)))
    Path("bad.yaml").write_text("title: T\npurpose: P\nintended:\n  - {name: x, feature: wrods, direction: less}\n")
    done = moorings(*args)
    assert done.code == 2
    (line,) = [text for text in done.error.splitlines() if not text.startswith("{")]
    assert line.startswith("moorings: ")
    for word in words:
        assert word in line


def test_plan_says_what_would_be_found_and_what_it_takes(moorings):
    told = moorings("plan", "--prompts", "400", "--samples", "4", "--base-rate", "0.02", "--effect", "0.05").out
    found = json.loads(
        moorings("plan", "--prompts", "400", "--samples", "4", "--base-rate", "0.02", "--effect", "0.05", "--json").out
    )
    assert f"{100 * found['mde_discovered']:.1f} points" in told
    assert f"needs {found['prompts_needed']} prompts" in told
    assert found["mde_registered"] < found["mde_discovered"] < 0.05
    more = json.loads(moorings("plan", "--prompts", "1600", "--base-rate", "0.02", "--json").out)
    less = json.loads(moorings("plan", "--prompts", "400", "--base-rate", "0.02", "--json").out)
    assert more["mde_discovered"] == pytest.approx(less["mde_discovered"] / 2)


def test_selftest_prints_the_rate_and_fails_where_the_promise_does(moorings, monkeypatch):
    Path("questions.txt").write_text("".join(f"question {i}\n" for i in range(40)))
    args = ("selftest", "scripted:lorem", "-p", "questions.txt", "-n", "4", "--runs", "10")
    done = moorings(*args)
    assert done.code == 0
    assert "of 10 comparisons of" in done.out
    assert "promised: at most 10.0 %; holds" in done.out
    found = json.loads(moorings(*args, "--json").out)
    assert found["n_runs"] == 10
    assert 0 <= found["interval"]["low"] <= found["rate"] <= found["interval"]["high"]

    from moorings.compare import selftest

    often = {**found, "n_with_findings": 9, "rate": 0.9, "holds": False, "findings": {"clusters": 9}}
    failed = selftest.SelfTest(**{**often, "interval": Interval(low=0.6, high=0.98)})
    monkeypatch.setattr(selftest, "selftest", lambda *_, **__: failed)
    done = moorings(*args)
    assert done.code == 1
    assert "DOES NOT HOLD" in done.out
    assert "9 clusters" in done.out


def test_diverge_writes_prompts_and_says_where(moorings, monkeypatch):
    from moorings.sampling import divergent_prompts

    Path("pool.txt").write_text("why?\nhow?\n")
    asked: dict[str, Any] = {}

    def find(precursor: str, candidate: str, pool: Any, **settings: Any) -> list[Prompt]:
        asked.update(settings, subjects=(precursor, candidate))
        facts = {"divergence": 0.25, "found_by": "pool"}
        return [pool.prompts[0].model_copy(update={"group": "divergent", "metadata": facts})][: settings["n"]]

    monkeypatch.setattr(divergent_prompts, "find_divergent_prompts", find)
    done = moorings("diverge", "hf:a", "hf:b", "-p", "pool.txt", "-o", "d.jsonl", "-n", "7", "--systems", "", "Arr")
    assert done.code == 0, done.error
    assert "1 prompts written to d.jsonl" in done.out
    assert "0.2500" in done.out
    assert json.loads(Path("d.jsonl").read_text())["group"] == "divergent"
    assert (asked["subjects"], asked["n"], asked["n_rounds"]) == (("hf:a", "hf:b"), 7, 4)
    assert asked["personas"][0] is None
    assert asked["personas"][1].system == "Arr"
    monkeypatch.setattr(divergent_prompts, "find_divergent_prompts", lambda *_, **__: [])
    done = moorings("diverge", "hf:a", "hf:b", "-p", "pool.txt", "-o", "none.jsonl")
    assert "differ on no prompt" in done.out
    assert not Path("none.jsonl").exists()


@pytest.mark.parametrize("command", ["diff", "plan", "selftest", "diverge"])
def test_help_teaches_with_worked_examples(moorings, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "140")
    done = moorings(command, "--help")
    assert done.code == 0
    assert done.out.count(f"moorings {command} ") >= (3 if command == "diff" else 2)


@pytest.mark.model
def test_the_whole_program_with_the_bundled_embedder(tmp_path, answers, charter):
    binary = Path(sys.executable).parent / "moorings"
    args = [str(binary), "diff", *answers[:2], "--charter", charter("forbidden"), "--jobs", "1", "--out", "out"]
    env = {**os.environ, "COLUMNS": "300"}
    done = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True, timeout=280, env=env)
    assert done.returncode == 1, done.stderr
    assert "base → tuned: concerning" in done.stdout
    assert "Traceback" not in done.stderr
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "ahoy" in page.lower()
    assert len(json.loads((tmp_path / "out" / "comparison.json").read_text())["map"]) == 200
