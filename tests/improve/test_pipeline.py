from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, make_prompts, row, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.improve.data import DataStep, data_methods
from moorings.improve.pipeline import collect
from moorings.method import MethodConfig
from moorings.records import Message, content_hash

METHODS = (
    "active_selection",
    "best_of_n",
    "file",
    "human_mix",
    "judge_filter",
    "keyword_filter",
    "pseudo_labels",
    "replay",
    "rewrite",
    "self_distillation",
    "self_instruct",
)
WORDS = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven"]


def lorem(messages: list[Message], seed: int) -> str:
    """Two to nine words and a full stop; some answers are empty, some start with a number."""
    draws = int(content_hash([messages[-1].content, seed])[:12], 16)
    if draws % 11 == 0:
        return " "
    text = " ".join(WORDS[(draws >> (3 * i)) % 8] for i in range(2 + draws % 8))
    return f"{text}.\n9. Write about {text}.\n10. List the {text} of a place."


def like(question: str, text: str) -> float:
    return -float(int(content_hash([question, text])[:4], 16)) / 6000


def bench(folder: Path, **more: Any) -> FakeWorkbench:
    return FakeWorkbench(folder, ScoringSubject(lorem, like), make_prompts(6, options=["a", "b"]), **more)


def uses_of(tmp_path: Path) -> dict[str, dict[str, Any]]:
    file = tmp_path / "human.jsonl"
    lines = [
        {"prompt": f"Question {i}?", "response": f"Answer {WORDS[i % 8]} {i}." if i % 5 else ""} for i in range(12)
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return {
        "active_selection": {"keep_share": 0.5, "n_samples": 3},
        "best_of_n": {"feedback": {"use": "feature", "name": "words"}, "n": 3},
        "file": {"path": "human.jsonl", "origin": "human", "n_rows": 5},
        "human_mix": {"path": "human.jsonl", "share": 0.3},
        "judge_filter": {"keep_share": 0.5},
        "keyword_filter": {"feature": "words", "keep_share": 0.6},
        "pseudo_labels": {"threshold": 0.6},
        "replay": {"share": 0.3},
        "rewrite": {},
        "self_distillation": {"n_samples": 2},
        "self_instruct": {"n_requests": 3},
    }


def past() -> list[list[Any]]:
    return [[row(f"Old {r} {i}", f"Said {i}", "human" if i % 2 else "self", round=r) for i in range(6)] for r in (1, 2)]


def test_every_method_of_the_package_is_tried_here(tmp_path):
    own = {name for name in data_methods.names() if data_methods.config(name).__module__.startswith("moorings.")}
    assert own == set(METHODS) == set(uses_of(tmp_path))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_accounts_for_all_rows_repeats_itself_and_says_where_rows_come_from(tmp_path, name):
    given_rows = [row(f"Asked {i}", " ".join(WORDS[: 1 + i % 5]), "self" if i % 3 else "human") for i in range(10)]
    settings_of = uses_of(tmp_path)[name]
    steps = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        workbench = bench(tmp_path / folder, history=past(), round=3)
        workbench.folder = tmp_path
        steps.append(run(name, workbench, given_rows, **settings_of))
        assert len(set(workbench.labels)) == len(workbench.labels)
        again = bench(tmp_path / folder, history=past(), round=3)
        again.folder = tmp_path
        assert run(name, again, given_rows, **settings_of) == steps[-1]
    assert steps[0] == steps[1]
    step = steps[0]
    assert step.rows
    assert balances(step, len(given_rows)), (step.metrics, step.dropped)
    assert all(isinstance(value, float) and value == value for value in step.metrics.values())
    known = {one.row_id for one in given_rows} | {one.row_id for some in past() for one in some}
    known |= {prompt.prompt_id for prompt in workbench.prompts}
    for one in step.rows:
        assert one.method
        assert one.origin
        assert one.round in (0, 1, 2, 3)
        made = one.row_id not in known
        if made and one.origin == "self":
            assert one.method == name
            assert one.round == 3
            assert one.parents
            assert one.parents[0] in known


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.sampled_from(["best_of_n", "file", "human_mix", "keyword_filter", "replay", "self_distillation",
                                    "rewrite", "judge_filter"]), min_size=1, max_size=4),
    seed=st.integers(0, 5),
)  # fmt: skip
def test_rows_in_and_added_are_rows_out_and_dropped(tmp_path_factory, names, seed):
    tmp_path = tmp_path_factory.mktemp("run")
    uses = [Use(use=name, **uses_of(tmp_path)[name]) for name in names]

    def once(folder: str):
        workbench = FakeWorkbench(tmp_path / folder, ScoringSubject(lorem, like), make_prompts(5), seed=seed)
        workbench.folder, workbench.history = tmp_path, past()
        try:
            return collect(uses, workbench)
        except InputError as error:
            return str(error)

    found, again = once("a"), once("b")
    assert found == again
    if isinstance(found, str):
        assert "has no data" in found
        return
    n = 0
    for step in found.steps:
        assert step.n_in == n
        assert step.n_in + step.n_added == step.n_out + sum(step.dropped.values())
        n = step.n_out
    assert len(found.rows) == n
    assert len({one.row_id for one in found.rows}) == n
    assert sum(found.origins.values()) == pytest.approx(1.0)


def test_equal_rows_are_kept_once_and_counted(tmp_path):
    subject = ScoringSubject(lambda m, s: "always the same", like)
    workbench = FakeWorkbench(tmp_path, subject, make_prompts(3))
    found = collect([Use(use="self_distillation", n_samples=4)] * 2, workbench)
    assert len(found.rows) == 3
    assert found.dropped == {"self_distillation": {"duplicate": 9}, "self_distillation#2": {"duplicate": 12}}
    assert found.metrics["self_distillation"]["candidates"] == 12.0


def test_the_method_that_dropped_everything_is_named(tmp_path):
    uses = [
        Use(use="self_distillation"),
        Use(use="keyword_filter", phrases=["no such word"], matching="keep"),
        Use(use="judge_filter", threshold=0.5),
    ]
    with pytest.raises(InputError, match=r"'keyword_filter' dropped all \d+ rows \(\d+ holds none of the phrases\)"):
        collect(uses, bench(tmp_path))


def test_no_source_at_all_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no method made a row \(methods: 'replay'\)"):
        collect([Use(use="replay")], bench(tmp_path))


def test_an_empty_middle_is_no_error(tmp_path):
    uses = [Use(use="replay"), Use(use="self_distillation")]
    assert collect(uses, bench(tmp_path)).rows


def test_settings_are_checked_before_anything_is_asked(tmp_path):
    workbench = bench(tmp_path)
    with pytest.raises(ConfigError, match="unknown setting 'shares'; did you mean 'share'"):
        collect([Use(use="self_distillation"), Use(use="replay", shares=0.5)], workbench)
    with pytest.raises(ConfigError, match="unknown feedback function 'words'"):
        collect([Use(use="self_distillation"), Use(use="best_of_n", feedback={"use": "words"})], workbench)
    assert workbench.labels == []


def test_another_setting_of_one_method_does_not_reshuffle_the_next(tmp_path):
    def second(n: int) -> Counter[str]:
        uses = [Use(use="self_distillation", n_prompts=n), Use(use="best_of_n", n_prompts=2, **BEST)]
        workbench = bench(tmp_path / str(n))
        return Counter(one.prompt[0].content for one in collect(uses, workbench).rows if one.method == "best_of_n")

    assert second(2) == second(4)


BEST = {"feedback": {"use": "feature", "name": "words"}, "n": 2}


class Losing(MethodConfig):
    """Settings of a faulty method."""


def test_a_method_that_loses_rows_is_refused(tmp_path):
    name = "loses rows in a test"
    if name not in data_methods.names():
        data_methods.register(name, Losing)(lambda config: lambda rows, workbench: DataStep(rows[1:]))
    with pytest.raises(ConfigError, match=r"must count each row that it leaves out"):
        collect([Use(use="self_distillation"), Use(use=name)], bench(tmp_path))
