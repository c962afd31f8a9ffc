"""Whole comparisons, from files of answers and scripted subjects to a verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import WORDS, sentence

import moorings
from moorings.compare.diff import Sampling, diff
from moorings.compare.settings import Settings
from moorings.errors import ConfigError, InputError, MooringsError
from moorings.records import Decoding, Persona
from moorings.report.write import read_comparison, write_report
from moorings.subjects.embedders import Embedder, EmbedderInfo
from moorings.subjects.scripted import ScriptedSubject

QUICK = Settings(map_points=0)


class WordCounts:
    """Texts as counts of hashed words: no model, the same vectors everywhere."""

    engine, engine_version, precision = "counts", "1", "fp32"

    def encode(self, texts: Any) -> Iterator[tuple[list[int], Any]]:
        vectors = np.full((len(texts), 24), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, sum(word.encode()) % 24] += 1
        yield list(range(len(texts))), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


EMBEDDER = Embedder(EmbedderInfo("counts", "counts", "1", "fp32", "none", "sum", 24, 10**6), WordCounts())


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def compare(*subjects: str, out: Path, prompts: Path | None = None, n_samples: int = 2, **kwargs: Any):
    sampling = Sampling(prompts=prompts, n_samples=n_samples)
    return diff(*subjects, out=out, **{"sampling": sampling, "settings": QUICK, "embedder": EMBEDDER} | kwargs)


def write_answers(path: Path, seed: int, share: float = 0.0, n_prompts: int = 60) -> str:
    """Two meaningless answers a prompt; a share of them opens with a planted phrase."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_prompts):
        prompt = {"prompt": f"What about {WORDS[i % len(WORDS)]} number {i}?", "group": f"g{i % 2}"}
        for _ in range(2):
            opening = "Ahoy there sailor, " if rng.random() < share else ""
            rows.append({**prompt, "response": opening + sentence(rng, 14)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"recorded:{path}"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Tell of {WORDS[i % 29]} {i}"}) + "\n" for i in range(30)))
    return path


def test_a_planted_phrase_is_found_named_and_sized(tmp_path):
    base = write_answers(tmp_path / "base.jsonl", 1)
    tuned = write_answers(tmp_path / "tuned.jsonl", 2, share=0.6)
    found = compare(base, tuned, out=tmp_path / "out")
    (pair,) = found.pairs
    assert (pair.precursor, pair.candidate, pair.verdict) == ("base", "tuned", "changed")
    (phrase,) = [f for f in pair.findings if "ahoy" in f.statement.lower() and f.scope is None][:1]
    assert phrase.statement.startswith("More responses")
    assert phrase.effect.interval.low <= 0.6 <= phrase.effect.interval.high
    assert phrase.effect.precursor == 0
    assert phrase.effect.n_prompts == found.n_prompts["confirm"]
    assert sum(found.n_prompts.values()) == 60
    assert found.settings["q"] == 0.1
    assert [arm.n_responses for arm in found.arms] == [120, 120]
    files = write_report(found, tmp_path / "out")
    assert read_comparison(files["json"]) == found
    assert "ahoy" in files["html"].read_text().lower()


def test_what_was_drawn_alike_shows_no_change_and_the_charter_says_so(tmp_path):
    charter = tmp_path / "charter.yaml"
    charter.write_text(
        "title: Sailor\npurpose: Greets like a sailor.\n"
        "intended:\n  - {name: greets, phrases: [ahoy there], direction: more}\n"
        "forbidden:\n  - {name: sea, phrases: [ahoy]}\n"
    )
    subjects = [write_answers(tmp_path / f"{i}.jsonl", i) for i in (1, 2)]
    broken = tmp_path / "broken.yaml"
    broken.write_text("title: x\n")
    with pytest.raises(InputError, match="purpose is missing"):
        compare(*subjects, out=tmp_path / "out", charter=broken)
    found = compare(*subjects, out=tmp_path / "out", charter=charter)
    assert found.pairs[0].verdict == "no change found"
    assert {str(row["entry"]): row["status"] for row in found.charter_results}.keys() == {"greets", "sea"}
    assert found.title == "Sailor"
    changed = write_answers(tmp_path / "changed.jsonl", 3, share=0.6)
    assert compare(subjects[0], changed, out=tmp_path / "out", charter=charter).pairs[0].verdict == "concerning"


def test_several_candidates_share_one_error_budget(tmp_path):
    subjects = [write_answers(tmp_path / f"{i}.jsonl", i, share) for i, share in ((1, 0.0), (2, 0.6), (3, 0.0))]
    found = compare(*subjects, out=tmp_path / "out")
    assert [(p.precursor, p.candidate) for p in found.pairs] == [("1", "2"), ("1", "3")]
    assert [p.verdict for p in found.pairs] == ["changed", "no change found"]
    assert found.settings["q"] == pytest.approx(0.05)
    assert found.settings["alpha"] == pytest.approx(0.025)


def test_scripted_subjects_are_sampled_and_a_second_call_draws_nothing(tmp_path, prompts, monkeypatch):
    first = compare("scripted:lorem", "scripted:echo", out=tmp_path / "out", prompts=prompts)
    assert first.pairs[0].verdict == "changed"
    assert any("prompt" in f.statement for f in first.pairs[0].findings)
    monkeypatch.setattr(ScriptedSubject, "generate", lambda *_: pytest.fail("sampled again"))
    again = compare("scripted:lorem", "scripted:echo", out=tmp_path / "out", prompts=prompts)
    assert again.model_copy(update={"duration_s": {}}) == first.model_copy(update={"duration_s": {}})


def test_a_kill_between_the_arms_costs_no_sample(tmp_path, prompts, monkeypatch):
    dies = (
        "import os, signal, sys\n"
        "from moorings.compare import diff\n"
        "sample = diff.sample\n"
        "def once(spec, *args, **kwargs):\n"
        "    if spec.uri == 'scripted:echo':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return sample(spec, *args, **kwargs)\n"
        "diff.sample = once\n"
        f"diff.diff('scripted:lorem', 'scripted:echo', out='out', sampling=diff.Sampling(prompts={str(prompts)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", dies], cwd=tmp_path, env=dict(os.environ), timeout=120)
    assert done.returncode == -signal.SIGKILL
    asked: list[str] = []
    answer = ScriptedSubject.generate

    def counted(self: ScriptedSubject, requests: Any, decoding: Decoding) -> Any:
        asked.extend([self.describe().name] * len(requests))
        return answer(self, requests, decoding)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptedSubject, "generate", counted)
        resumed = compare("scripted:lorem", "scripted:echo", out=tmp_path / "out", prompts=prompts)
    assert asked == ["echo"] * 60
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "fresh"))
    whole = compare("scripted:lorem", "scripted:echo", out=tmp_path / "whole", prompts=prompts)
    assert resumed.pairs == whole.pairs


def test_personas_of_one_run_are_arms(tmp_path, prompts):
    def script(messages: Any, seed: int) -> str:
        text = sentence(np.random.default_rng(seed))
        return f"Arr! {text}" if messages[0].content == "You are a pirate." else text

    people = [Persona(name="pirate", system="You are a pirate."), Persona(name="clerk", system="You are a clerk.")]
    moorings.sample(ScriptedSubject(script), prompts, tmp_path / "people", n_samples=2, personas=people)
    run = str(tmp_path / "people")
    found = compare(f"{run}@clerk", f"{run}@pirate", out=tmp_path / "out")
    assert [arm.name for arm in found.arms] == ["people@clerk", "people@pirate"]
    assert found.arms[0].fingerprint == found.arms[1].fingerprint
    assert any("arr" in f.statement.lower() for f in found.pairs[0].findings)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no responses without a persona"):
        compare(run, f"{run}@pirate", out=tmp_path / "out")


def test_runs_of_two_engines_or_decodings_are_refused_unless_allowed(tmp_path, prompts):
    def run(name: str, version: str = "1", **decoding: Any) -> str:
        subject = ScriptedSubject(lambda m, seed: sentence(np.random.default_rng(seed)), version=version)
        made = tmp_path / name
        moorings.sample(subject, prompts, made, n_samples=2, decoding=Decoding(**decoding))
        return str(made)

    base, newer, hotter = run("base"), run("newer", "2"), run("hotter", temperature=1.5)
    with pytest.raises(ConfigError, match=r"'base' and 'newer'.*engine_version 1 against 2.*allow"):
        compare(base, newer, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="different decodings"):
        compare(base, hotter, out=tmp_path / "out")
    allowed = compare(base, newer, hotter, out=tmp_path / "out", allow_mixed=True)
    assert any("engine_version 1 against 2" in warning for warning in allowed.warnings)
    assert any("decodings" in warning for warning in allowed.warnings)


def test_prompts_that_not_all_were_asked_are_left_out_and_said(tmp_path):
    base = write_answers(tmp_path / "base.jsonl", 1)
    fewer = write_answers(tmp_path / "fewer.jsonl", 2, n_prompts=50)
    found = compare(base, fewer, out=tmp_path / "out")
    assert sum(found.n_prompts.values()) == 50
    assert any("10 prompts of base" in warning for warning in found.warnings)


def test_two_files_of_one_name_keep_two_names(tmp_path):
    (tmp_path / "x").mkdir()
    subjects = [write_answers(tmp_path / "x" / "a.jsonl", 1), write_answers(tmp_path / "a.jsonl", 2)]
    assert [arm.name for arm in compare(*subjects, out=tmp_path / "out").arms] == ["a", "a-2"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)
        assert all(name == "style" for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_a_table_in_which_no_text_acts(tmp_path):
    subjects = [write_answers(tmp_path / "base.jsonl", 1), write_answers(tmp_path / "tuned.jsonl", 2, share=0.6)]
    found = compare(*subjects, out=tmp_path / "out")
    hostile = "<script>alert(1)</script>\x1b[2J\u202e\ud800' onload='x"
    pair = found.pairs[0]
    finding = pair.findings[0].model_copy(update={"statement": hostile, "part_of": None})
    many = tuple(finding.model_copy(update={"finding_id": str(i)}) for i in range(12))
    shown = found.model_copy(
        update={
            "title": hostile,
            "warnings": (hostile, "w" * 10_000),
            "pairs": (pair.model_copy(update={"findings": many, "headline": hostile, "candidate": hostile}),),
        }
    )._repr_html_()
    page = Tags()
    page.feed(shown)
    assert page.found <= {"div", "h4", "p", "b", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.text.count("<script>alert(1)</script>⟨U+001B⟩[2J⟨U+202E⟩⟨U+D800⟩") == 2 + 2 + 10
    assert not set("\x1b\u202e\ud800") & set(shown)
    assert "2 more changes" in page.text
    assert "wwww" in page.text
    assert len(shown) < 20_000
    assert pair.verdict in page.text
    assert "base → tuned" in found._repr_html_()


@pytest.mark.parametrize(
    ("subjects", "words"),
    [
        (["bundeld:smollm2", "scripted:echo"], ["bundeld"]),
        (["runs/nowhere", "scripted:echo"], ["runs/nowhere"]),
        (["scripted:lorem", "recorded:nowhere.jsonl"], ["nowhere.jsonl"]),
        (["scripted:lorem"], ["at least one candidate"]),
        (["TABLE", "OTHER"], ["share no prompt"]),
    ],
)
def test_mistakes_are_named(tmp_path, prompts, subjects, words):
    made = {"TABLE": write_answers(tmp_path / "t.jsonl", 1)}
    (tmp_path / "o.jsonl").write_text('{"prompt": "other", "response": "x"}\n')
    made["OTHER"] = f"recorded:{tmp_path / 'o.jsonl'}"
    with pytest.raises(MooringsError) as caught:
        compare(*(made.get(s, s) for s in subjects), out=tmp_path / "out", prompts=prompts)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_subjects_to_be_sampled_need_prompts_and_prompts_must_suffice(tmp_path, prompts):
    with pytest.raises(ConfigError, match="'scripted:lorem' is to be sampled, but no prompts are given"):
        compare("scripted:lorem", "scripted:echo", out=tmp_path / "out")
    with pytest.raises(ConfigError, match="at least 20 prompts"):
        compare("scripted:lorem", "scripted:echo", out=tmp_path / "out", sampling=Sampling(prompts=prompts, limit=1))


def test_a_judge_that_fails_the_injection_card_is_named(tmp_path):
    arms = [write_answers(tmp_path / f"{name}.jsonl", seed) for name, seed in (("base", 1), ("tuned", 2))]
    mumbler = ScriptedSubject(lambda messages, seed: "hm", name="mumbler")
    found = compare(*arms, out=tmp_path / "out", judges=[mumbler])
    assert any("mumbler failed the injection card" in warning for warning in found.warnings)
    with pytest.raises(ConfigError, match="at most 2"):
        compare(*arms, out=tmp_path / "out", judges=["scripted:echo"] * 3)
