from __future__ import annotations

from pathlib import Path

import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, make_prompts, row, run

from moorings.errors import ConfigError
from moorings.improve.self_distillation import SelfDistillationConfig


def bench(folder: Path, script=lambda m, s: f"{m[-1].content} {s}", n: int = 4) -> FakeWorkbench:
    return FakeWorkbench(folder, ScoringSubject(script, lambda q, a: 0.0), make_prompts(n), round=2)


def test_raw_samples_are_added_as_they_are(tmp_path):
    workbench = bench(tmp_path)
    old = [row("old", "row")]
    step = run("self_distillation", workbench, old, n_samples=3)
    assert step.rows[0] == old[0]
    assert len(step.rows) == 13
    for made in step.rows[1:]:
        assert made.response.startswith(made.prompt[-1].content)
        assert (made.origin, made.round, made.score) == ("self", 2, None)
    assert [made.parents[0] for made in step.rows[1:]] == [f"p{i}" for i in range(4) for _ in range(3)]
    assert balances(step, 1)


def test_defaults_are_the_published_sampling(tmp_path):
    decoding = SelfDistillationConfig().decoding()
    assert (decoding.temperature, decoding.top_p, decoding.top_k) == (1.6, 0.8, 20)


def test_some_prompts_can_be_drawn(tmp_path):
    step = run("self_distillation", bench(tmp_path, n=10), n_prompts=3)
    assert len({made.prompt for made in step.rows}) == 3


def test_what_cannot_be_used_is_counted(tmp_path):
    def script(messages, seed: int) -> str:
        return "" if "number 0" in messages[-1].content else "One. " + "two " * 20

    step = run("self_distillation", bench(tmp_path / "a", script), max_new_tokens=5)
    assert step.dropped == {"empty answer": 1, "answer cut at the token limit": 3}
    assert step.metrics["usable_share"] == 0.0
    trimmed = run("self_distillation", bench(tmp_path / "b", script), max_new_tokens=5, truncated="trim")
    assert {made.response for made in trimmed.rows} == {"One."}
    kept = run("self_distillation", bench(tmp_path / "c", script), max_new_tokens=5, truncated="keep")
    assert {made.response for made in kept.rows} == {"One. two two two two"}


def test_a_demonstration_is_shown_and_not_trained_on(tmp_path):
    asked: list[str] = []

    def script(messages, seed: int) -> str:
        asked.append(messages[-1].content)
        return "" if "bad" in asked[-1] else ("gold 1" if "Q1" in asked[-1] else "my own words")

    rows = [row(f"Q{i}", f"gold {i}", "human") for i in range(3)] + [row("Q9", "bad", "human")]
    step = run("self_distillation", bench(tmp_path, script), rows, mode="demonstrated", temperature=1.0)
    assert [made.prompt[-1].content for made in step.rows] == ["Q0", "Q1", "Q2"]
    assert [made.response for made in step.rows] == ["my own words", "gold 1", "my own words"]
    assert [made.parents[0] for made in step.rows] == [old.row_id for old in rows[:3]]
    assert all(made.origin == "self" for made in step.rows)
    assert sum("gold" in text for text in asked) == 3
    assert step.metrics["copied_share"] == pytest.approx(1 / 3)
    assert step.dropped == {"empty answer": 1}
    assert balances(step, 4)


def test_a_template_needs_both_places_and_modes_do_not_mix(tmp_path):
    with pytest.raises(ConfigError, match=r"\{demonstration\}"):
        run("self_distillation", bench(tmp_path), template="{prompt}")
    with pytest.raises(ConfigError, match="belong to mode 'samples'"):
        run("self_distillation", bench(tmp_path), mode="demonstrated", n_samples=2)
