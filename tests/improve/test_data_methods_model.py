"""Data methods on the embedded model: one that asks it, one that it judges with, one that labels with it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from data_bench import balances, embed_words, row

from moorings.charter_run import Use
from moorings.improve.asking import label_logprobs
from moorings.improve.data import data_methods
from moorings.improve.pipeline import collect
from moorings.records import Message, Prompt
from moorings.sampling.bench import Bench
from moorings.subjects.spec import SubjectSpec

pytestmark = [pytest.mark.model, pytest.mark.slow]

QUESTIONS = ["Name a colour.", "Say hello.", "Name an animal.", "What is the capital of France?"]


class ModelBench:
    """A workbench over the embedded model."""

    def __init__(self, folder: Path) -> None:
        spec = SubjectSpec(uri="bundled:smollm2-135m", threads=1)
        self.subject = self.anchor = Bench(spec, folder / "runs")
        self.folder, self.kept, self.history, self.round = folder, folder, (), 1
        self.rng = np.random.default_rng(0)
        self.embed = embed_words
        self.prompts = [
            Prompt(prompt_id=f"q{i}", messages=(Message(role="user", content=text),))
            for i, text in enumerate(QUESTIONS)
        ]

    def label(self, what: str) -> str:
        return f"round-1-{what}"


def test_best_of_n_shortens_what_the_model_says_and_the_judge_keeps_half(tmp_path):
    uses = [
        Use(use="best_of_n", feedback={"use": "feature", "name": "words", "direction": "lower"}, n=2, max_new_tokens=16,
            truncated="keep"),
        Use(use="judge_filter", keep_share=0.5),
    ]  # fmt: skip
    workbench = ModelBench(tmp_path)
    found = collect(uses, workbench)
    drawn, judged = found.metrics["best_of_n"], found.metrics["judge_filter"]
    assert drawn["candidates"] == 8.0
    assert drawn["mean_kept_score"] > drawn["mean_score"]
    assert drawn["kl_nats"] == pytest.approx(math.log(2) - 1 / 2)
    assert 0.0 < judged["mean_p"] < 1.0
    assert judged["sd_p"] > 0.0
    assert len(found.rows) == 2
    assert {one.origin for one in found.rows} == {"self"}
    workbench.subject.close()
    assert collect(uses, ModelBench(tmp_path)) == found


def test_each_option_is_likeliest_after_its_own_question(tmp_path):
    keys = {"What is the capital of France?": "Paris", "Which animal barks?": "Dog", "Which is a fruit?": "Apple"}
    chats = [(Message(role="user", content=text),) for text in keys]
    found = label_logprobs(ModelBench(tmp_path).subject, chats, [tuple(keys.values())] * 3, "options")
    table = np.array(found)
    assert np.exp(table).sum(axis=1) == pytest.approx(np.ones(3))
    assert table.argmax(axis=0).tolist() == [0, 1, 2]


def test_pseudo_labels_of_the_model_are_counted_and_audited(tmp_path):
    workbench = ModelBench(tmp_path)
    workbench.prompts = [prompt.model_copy(update={"metadata": {"answer": "Yes"}}) for prompt in workbench.prompts]
    method = data_methods.make(Use(use="pseudo_labels", options=["Yes", "No"], threshold=0.6))
    step = method([row("old", "row")], workbench)
    assert balances(step, 1)
    assert 0.5 <= step.metrics["mean_confidence"] < 1.0
    assert step.metrics["accepted_share"] == (len(step.rows) - 1) / len(workbench.prompts)
    assert all(one.score >= 0.6 for one in step.rows[1:])
    assert 0.0 <= step.metrics["accuracy"] <= 1.0
