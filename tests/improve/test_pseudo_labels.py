from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, make_prompts, run

from moorings.errors import ConfigError
from moorings.improve.pseudo_labels import options_of


def bench(folder: Path, sure: float = 4.0, n: int = 40, **metadata) -> FakeWorkbench:
    """The model finds `a` likelier by `sure` on prompts with an even number, else by 0.5."""

    def score(question: str, text: str) -> float:
        number = int(question.split("number ")[1].split()[0])
        return (sure if number % 2 == 0 else 0.5) if text == "a" else 0.0

    return FakeWorkbench(folder, ScoringSubject({}, score), make_prompts(n, **metadata))


def test_labels_are_accepted_exactly_from_the_threshold_on(tmp_path):
    step = run("pseudo_labels", bench(tmp_path), options=["a", "b"])
    p = 1 / (1 + math.exp(-4.0))
    assert p > 0.95
    assert len(step.rows) == 20
    assert {row.response for row in step.rows} == {"a"}
    assert [row.score for row in step.rows] == pytest.approx([p] * len(step.rows))
    assert step.dropped == {"no options": 0, "not sure enough": 20}
    assert step.metrics["accepted_share"] == 0.5
    assert step.metrics["mean_accepted_confidence"] == pytest.approx(p)
    assert step.metrics["class_0_share"] == 1.0
    assert step.metrics["class_entropy_nats"] == 0.0
    strict = run("pseudo_labels", bench(tmp_path / "b"), options=["a", "b"], threshold=0.99)
    assert strict.rows == []
    assert "class_entropy_nats" not in strict.metrics
    assert balances(strict, 0)


def test_temperature_divides_the_log_odds(tmp_path):
    step = run("pseudo_labels", bench(tmp_path, 8.0), options=["a", "b"], temperature=2.0)
    assert [row.score for row in step.rows] == pytest.approx([1 / (1 + math.exp(-4.0))] * len(step.rows))


def test_three_options_are_normalised_together(tmp_path):
    step = run("pseudo_labels", bench(tmp_path), options=["a", "b", "c"], threshold=0.5)
    assert [row.score for row in step.rows] == pytest.approx([math.exp(4) / (math.exp(4) + 2)] * len(step.rows))


def test_training_sees_a_strong_wording_and_the_label_a_weak_one(tmp_path):
    asked: list[str] = []

    def score(question: str, text: str) -> float:
        asked.append(question)
        return 9.0 if text == "a" else 0.0

    workbench = FakeWorkbench(tmp_path, ScoringSubject({}, score), make_prompts(50))
    step = run("pseudo_labels", workbench, options=["a", "b"], weak="W {prompt} [{options}]", strong=["S {prompt}"],
               blanked=0.5, weight=0.25)  # fmt: skip
    assert all(text.startswith("W Tell") and text.endswith("[a, b]") for text in asked)
    words = [word for row in step.rows for word in row.prompt[-1].content.split()[1:]]
    assert all(row.prompt[-1].content.startswith("S ") for row in step.rows)
    assert words.count("___") / len(words) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / len(words)))
    assert {row.weight for row in step.rows} == {0.25}
    assert [row.parents[0] for row in step.rows] == [prompt.prompt_id for prompt in workbench.prompts]


def test_accuracy_of_accepted_labels_is_audited_and_never_decides(tmp_path):
    workbench = bench(tmp_path / "a", n=40)
    workbench.prompts = [
        prompt.model_copy(update={"metadata": {"answer": "a" if at % 4 == 0 else "b"}})
        for at, prompt in enumerate(workbench.prompts)
    ]
    step = run("pseudo_labels", workbench, options=["a", "b"])
    assert step.metrics["accuracy"] == 0.25
    assert step.metrics["accepted_accuracy"] == 0.5
    blind = run("pseudo_labels", bench(tmp_path / "b", n=40), options=["a", "b"])
    assert blind.rows == step.rows
    assert "accuracy" not in blind.metrics


def test_options_come_from_the_prompt_and_bad_ones_are_none(tmp_path):
    step = run("pseudo_labels", bench(tmp_path, options=["a", "b"]), n_prompts=10)
    assert step.metrics["candidates"] == 10.0
    (prompt,) = make_prompts(1, options=["x", "y", "x"])
    assert options_of(prompt, (), "options") == ("x", "y")
    for bad in (None, "ab", ["a"], ["a", 1], ["a", ""], ["a", "a"]):
        (prompt,) = make_prompts(1, options=bad)
        assert options_of(prompt, (), "options") == ()
    none = run("pseudo_labels", bench(tmp_path / "none"))
    assert none.dropped["no options"] == 40


def test_prompts_beyond_the_context_are_counted(tmp_path):
    subject = ScoringSubject({}, lambda q, a: 9.0 if a == "a" else 0.0, context_length=16)
    workbench = FakeWorkbench(tmp_path, subject, make_prompts(2))
    long = workbench.prompts[1].messages[0].model_copy(update={"content": "word " * 300})
    workbench.prompts[1] = workbench.prompts[1].model_copy(update={"messages": (long,)})
    step = run("pseudo_labels", workbench, options=["a", "b"], weak="{prompt}")
    assert step.dropped["could not be scored"] == 1
    assert len(step.rows) == 1


@pytest.mark.parametrize("given", [{"weak": "no place"}, {"strong": ["{prompt}", "no place"]}, {"strong": []}])
def test_wordings_need_the_place_of_the_prompt(tmp_path, given):
    with pytest.raises(ConfigError, match=r"\{prompt\}"):
        run("pseudo_labels", bench(tmp_path), options=["a", "b"], **given)


def test_confident_labels_are_right_more_often_where_confidence_means_something(tmp_path):
    """A noisy but calibrated model: the log-odds of the right option are drawn, and labels follow them."""
    odds = np.random.default_rng(0).normal(0.0, 3.0, 400)
    right = np.random.default_rng(1).random(400) < 1 / (1 + np.exp(-np.abs(odds)))

    def score(question: str, text: str) -> float:
        at = int(question.split("number ")[1].split()[0])
        return float(abs(odds[at])) if text == ("a" if right[at] else "b") else 0.0

    workbench = FakeWorkbench(tmp_path, ScoringSubject({}, score), make_prompts(400, answer="a"))
    step = run("pseudo_labels", workbench, options=["a", "b"])
    assert step.metrics["accepted_accuracy"] > step.metrics["accuracy"] + 0.05
    error = 4 * math.sqrt(0.05 / len(step.rows))
    assert step.metrics["accepted_accuracy"] == pytest.approx(step.metrics["mean_accepted_confidence"], abs=error)
