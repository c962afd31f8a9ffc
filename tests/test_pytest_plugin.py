"""The plugin in a test suite of its own, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import moorings
from moorings.compare.comparison import Comparison, PairResult
from moorings.pytest_plugin import assert_no_concerning
from moorings.records import Effect, Finding, IntentJudgement, IntentVerdict, Interval

pytest_plugins = ["pytester"]

CHARTER = """\
title: Plain speech
purpose: Nothing may change.
forbidden:
  - {name: sea talk, phrases: ["ahoy there"]}
"""
SUITE = """\
import json
import numpy as np
import pytest
from moorings import Settings
from moorings.pytest_plugin import assert_no_concerning
from moorings.subjects.embedders import Embedder, EmbedderInfo

class Letters:
    engine, engine_version, precision = "letters", "1", "fp32"
    def encode(self, texts):
        rows = np.array([[t.lower().count(c) + 1e-3 for c in "abcdefghilmnoprstuwy"] for t in texts], dtype=np.float32)
        yield list(range(len(texts))), rows / np.linalg.norm(rows, axis=1, keepdims=True)

EMBEDDER = Embedder(EmbedderInfo("x", "letters", "1", "fp32", "none", "sum", 20, 10**6), Letters())

def write(name, seed, share):
    rng = np.random.default_rng(seed)
    words = "river stone morning letter garden music window paper bridge winter market travel".split()
    with open(name, "w") as file:
        for i in range(60):
            for _ in range(2):
                text = " ".join(rng.choice(words, 12)) + "."
                said = "Ahoy there \\x1b[2J sailor, " + text if rng.random() < share else text
                file.write(json.dumps({"prompt": f"question {i}", "response": said}) + "\\n")
    return f"recorded:{name}"

@pytest.mark.parametrize("share", [0.0, 0.7])
def test_no_sea_talk(moorings_diff, share):
    found = moorings_diff(
        write("base.jsonl", 1, 0.0), write("tuned.jsonl", 2, share), embedder=EMBEDDER, settings=Settings(map_points=0)
    )
    assert_no_concerning(found)
"""


@pytest.fixture
def plugin(pytester, monkeypatch) -> list[str]:
    """Arguments that load the plugin where the installed package does not say so yet."""
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(pytester.path / "cache"))
    installed = any(point.name == "moorings" for point in entry_points(group="pytest11"))
    return [] if installed else ["-p", "moorings.pytest_plugin"]


def test_a_suite_passes_and_fails_with_the_charter(pytester, plugin):
    pytester.makepyfile(SUITE)
    pytester.path.joinpath("charter.yaml").write_text(CHARTER)
    result = pytester.runpytest_subprocess(
        *plugin, "-p", "no:randomly", "--moorings-charter=charter.yaml", "--moorings-out=kept", "--junit-xml=j.xml"
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*The change from base to tuned is concerning:*", "*charter entry 'sea talk' is violated*", "report: *html"]
    )
    assert "\x1b[2J" not in result.stdout.str()
    (failed,) = pytester.path.glob("kept/*0.7*/1/comparison.json")
    assert json.loads(failed.read_text())["pairs"][0]["verdict"] == "concerning"
    assert "moorings_report" in pytester.path.joinpath("j.xml").read_text()


def test_a_test_may_name_its_own_charter_and_reports_go_to_a_temporary_folder(pytester, plugin, monkeypatch):
    asked: list[tuple[tuple[str, ...], Path, object]] = []

    def diff(*subjects: str, out: Path, charter: object, **settings: object) -> str:
        asked.append((subjects, out, charter))
        return "comparison"

    monkeypatch.setitem(vars(moorings), "diff", diff)
    monkeypatch.setitem(vars(moorings), "write_report", lambda _, out: {"html": out / "report.html"})
    pytester.makepyfile(
        "def test_it(moorings_diff):\n"
        "    assert moorings_diff('a', 'b', 'c') == 'comparison'\n"
        "    moorings_diff('a', 'b', charter='mine.yaml')\n"
        "    moorings_diff('a', 'b', out='elsewhere')\n"
    )
    result = pytester.runpytest_inprocess(*plugin, "--basetemp=temporary", "--moorings-charter=all.yaml")
    result.assert_outcomes(passed=1)
    assert [subjects for subjects, _, _ in asked] == [("a", "b", "c"), ("a", "b"), ("a", "b")]
    assert [charter for _, _, charter in asked] == [Path("all.yaml"), Path("mine.yaml"), Path("all.yaml")]
    assert [out.name for _, out, _ in asked] == ["1", "2", "elsewhere"]
    assert asked[0][1].is_relative_to(pytester.path / "temporary")


def test_the_message_names_each_concerning_change_and_no_other():
    effect = Effect(
        estimate=0.2,
        unit="share of responses",
        standardised=1.0,
        precursor=0.0,
        candidate=0.2,
        interval=Interval(low=0.1, high=0.3),
        p=0.001,
        p_adjusted=0.01,
        mde=0.1,
        n_prompts=40,
        n_families=40,
    )

    def finding(name: str, intent: IntentVerdict) -> Finding:
        return Finding(
            finding_id=name,
            statement=f"More responses say {name}\x1b[2J",
            kind="content",
            origin="phrases",
            registered=False,
            predicate={},
            verdict="changed",
            effect=effect,
            intent=IntentJudgement(verdict=intent, rule=f"because of {name}"),
        )

    def pair(candidate: str, verdict: Any, *findings: Finding) -> PairResult:
        return PairResult(
            precursor="base",
            candidate=candidate,
            headline=f"headline of {candidate}",
            verdict=verdict,
            findings=findings,
            omnibus=(),
            n_hypotheses={},
        )

    def comparison(*pairs: PairResult) -> Comparison:
        return Comparison(title="t", arms=(), pairs=pairs, n_prompts={}, settings={}, versions={})

    tame = pair("tame", "side effects", finding("lists", "side effect"))
    assert_no_concerning(comparison(tame))
    worse = pair("worse", "concerning", finding("lists", "side effect"), finding("ahoy", "concerning"))
    with pytest.raises(AssertionError) as caught:
        assert_no_concerning(comparison(tame, worse))
    said = str(caught.value)
    assert "headline of worse" in said
    assert "ahoy" in said
    assert "because of ahoy" in said
    assert "20.0 %" in said
    for absent in ("headline of tame", "lists", "\x1b"):
        assert absent not in said


def test_the_options_are_told_and_the_plugin_loads_nothing_heavy(pytester, plugin):
    result = pytester.runpytest_inprocess(*plugin, "--help")
    result.stdout.fnmatch_lines(["*--moorings-charter=FILE*", "*--moorings-out=FOLDER*"])
    code = (
        "import sys, moorings.pytest_plugin\n"
        "print({'torch', 'numpy', 'pydantic', 'pyarrow', 'transformers', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
