"""The page on data methods names every method, feedback function and logged number."""

from __future__ import annotations

import json
import re
from pathlib import Path

from data_bench import FakeWorkbench, ScoringSubject, make_prompts, row, run

from moorings.improve.data import data_methods
from moorings.improve.feedback_functions import feedback_functions

PAGE = (Path(__file__).parents[2] / "docs" / "improve_data.md").read_text(encoding="utf-8")


def test_every_method_and_feedback_function_is_on_the_page():
    own = [name for name in data_methods.names() if data_methods.config(name).__module__.startswith("moorings.")]
    for name in [*own, *feedback_functions.names()]:
        assert f"`{name}`" in PAGE, name


def test_every_number_that_a_method_logs_is_explained(tmp_path):
    (tmp_path / "human.jsonl").write_text(json.dumps({"prompt": "a", "response": "b"}), encoding="utf-8")
    history = [[row(f"old {i}", f"said {i} {'x ' * i}", "human" if i % 2 else "self") for i in range(12)]]
    settings = {
        "active_selection": {"keep_share": 0.5, "by": "loss"},
        "best_of_n": {"feedback": {"use": "feature", "name": "words"}},
        "file": {"path": "human.jsonl", "origin": "human"},
        "human_mix": {},
        "judge_filter": {"keep_share": 0.5},
        "keyword_filter": {"feature": "words", "keep_share": 0.5},
        "pseudo_labels": {"options": ["a", "b"], "threshold": 0.5},
        "replay": {"share": 0.4},
        "rewrite": {},
        "self_distillation": {"mode": "demonstrated"},
        "self_instruct": {"n_requests": 1},
    }
    rows = [row(f"new {i}", f"words {'y ' * i}") for i in range(10)]

    def script(messages, seed: int) -> str:
        if messages[-1].content.startswith("Come up"):
            return "Explain tides to a child.\n9. Compare two kinds of bread."
        return f"something else {seed % 7}"

    for name, given in settings.items():
        subject = ScoringSubject(script, lambda q, a: -float(len(q) % 3) if a in ("Yes", "a") else 0.0)
        workbench = FakeWorkbench(tmp_path / name, subject, make_prompts(4, answer="a"), history=history, round=2)
        workbench.folder = tmp_path
        step = run(name, workbench, rows, **given)
        assert step.metrics, name
        for number in step.metrics:
            number = re.sub(r"^class_\d+_share$", "class_0_share", number)
            assert f"`{number}`" in PAGE, f"{name}: {number}"
