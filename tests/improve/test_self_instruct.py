from __future__ import annotations

from pathlib import Path

import pytest
from data_bench import FakeWorkbench, ScoringSubject, balances, make_prompts, row, run
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.errors import InputError
from moorings.improve.self_instruct import listed_prompts, rouge_l

LIST = """Explain how a lighthouse keeper spends a night.
10. Draw a picture of the harbour at dawn.
11. Explain how a lighthouse keeper spends one night.
12. Why?
13. Compare two recipes for barley soup."""


def writer(reply: str, answer: str = "An answer."):
    return lambda messages, seed: reply if messages[-1].content.startswith("Come up") else answer


def bench(folder: Path, reply: str = LIST, **more) -> FakeWorkbench:
    return FakeWorkbench(folder, ScoringSubject(writer(reply), lambda q, a: 0.0), make_prompts(9), round=2, **more)


def slow_rouge(a: list[str], b: list[str]) -> float:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return 2 * table[-1][-1] / (len(a) + len(b)) if a and b else 0.0


@given(st.lists(st.sampled_from("abcd"), max_size=80), st.lists(st.sampled_from("abcd"), max_size=80))
@settings(max_examples=200, deadline=None)
def test_rouge_l_agrees_with_the_table_of_all_prefixes(a, b):
    assert rouge_l(a, b) == pytest.approx(slow_rouge(a, b))
    assert rouge_l(a, b) == pytest.approx(rouge_l(b, a))


@pytest.mark.parametrize(
    ("reply", "cut", "expected"),
    [
        ("", False, []),
        ("Sure, here are some tasks:\n9. Name a fish.", False, ["Name a fish."]),
        (
            "9) Name a fish.\n- Name a bird.\n\u2022 Name a tree.",
            False,
            ["Name a fish.", "Name a bird.", "Name a tree."],
        ),
        ("9. 1. Name a fish.\n2. - Name a bird.", False, ["Name a fish.", "Name a bird."]),
        ("Name a fish.", True, []),
        ("no list\nat all", False, ["no list"]),
        ("9.\n10. ", False, ["9."]),
    ],
)
def test_lists_are_read_as_models_write_them(reply, cut, expected):
    assert listed_prompts(reply, cut=cut) == expected


def test_reading_a_hostile_list_takes_linear_time():
    assert listed_prompts("1. " + " " * 200_000 + "\n" + "-" * 200_000 + "\n" * 200_000, cut=False) == ["1."]


def test_new_prompts_pass_the_filters_and_are_answered(tmp_path):
    step = run("self_instruct", bench(tmp_path), n_requests=1)
    assert [made.prompt[-1].content for made in step.rows] == [LIST.splitlines()[0], LIST.splitlines()[-1][4:]]
    assert {made.response for made in step.rows} == {"An answer."}
    assert {k: v for k, v in step.dropped.items() if v} == {
        "prompt with a blocked word": 1,
        "prompt too similar to another": 1,
        "prompt too short or too long": 1,
    }
    assert step.metrics["candidates"] == 5.0
    assert step.metrics["new_share"] == 0.4
    assert step.metrics["mean_nearest_similarity"] < 0.7
    assert {"new_prompt_spread", "seed_spread"} <= set(step.metrics)
    assert balances(step, 0)
    for made in step.rows:
        assert made.parents[0] in {f"p{i}" for i in range(9)}
        assert len(made.parents) == 6 + 2


def test_each_list_shows_seeds_and_own_prompts_of_earlier_rounds(tmp_path):
    asked: list[str] = []

    def script(messages, seed: int) -> str:
        asked.append(messages[-1].content)
        return "nothing of use:"

    own = [row(f"Mine {i}", "x", method="self_instruct") for i in range(4)]
    workbench = FakeWorkbench(
        tmp_path, ScoringSubject(script, lambda q, a: 0.0), make_prompts(9), history=[own], round=2
    )
    step = run("self_instruct", workbench, n_requests=3)
    lists = [text for text in asked if text.startswith("Come up")]
    assert len(lists) == 3
    for text in lists:
        assert text.count("Mine ") == 2
        assert text.count("Tell me about") == 6
        assert text.endswith("\n9.")
    assert step.metrics["silent_share"] == 1.0
    assert step.rows == []


def test_known_prompts_of_rows_and_history_are_not_new(tmp_path):
    first, last = LIST.splitlines()[0], LIST.splitlines()[-1][4:]
    workbench = bench(tmp_path, history=[[row(first, "x")]])
    step = run("self_instruct", workbench, [row(last, "y")], n_requests=1)
    assert len(step.rows) == 1


def test_likeness_can_be_that_of_embeddings(tmp_path):
    reply = "9. a keeper tells of night\n10. night of tells keeper a\n11. barley soup with leeks"
    rouge = run("self_instruct", bench(tmp_path / "a", reply), n_requests=1)
    embedded = run("self_instruct", bench(tmp_path / "b", reply), n_requests=1, by="embedding", max_similarity=0.95)
    assert len(rouge.rows) == 3
    assert len(embedded.rows) == 2
    assert run("self_instruct", bench(tmp_path / "c", ":"), n_requests=1, by="embedding").rows == []


def test_no_more_than_wanted_are_answered_and_bad_answers_counted(tmp_path):
    workbench = bench(tmp_path / "a")
    step = run("self_instruct", workbench, n_requests=1, n_prompts=1)
    assert len(step.rows) == 1
    assert step.dropped["more prompts than wanted"] == 1
    silent = FakeWorkbench(tmp_path / "b", ScoringSubject(writer(LIST, " "), lambda q, a: 0.0), make_prompts(3))
    step = run("self_instruct", silent, n_requests=1)
    assert step.dropped["empty answer"] == 2
    assert balances(step, 0)


def test_without_prompts_there_is_nothing_to_start_from(tmp_path):
    workbench = bench(tmp_path)
    workbench.prompts = []
    with pytest.raises(InputError, match="no prompts to start from"):
        run("self_instruct", workbench)


@given(st.lists(st.text("abc ", min_size=1, max_size=20), max_size=12))
@settings(max_examples=10, deadline=None)
def test_no_two_kept_prompts_are_alike(tmp_path_factory, texts):
    reply = "\n".join(f"{9 + i}. {text}" for i, text in enumerate(texts))
    step = run("self_instruct", bench(tmp_path_factory.mktemp("r"), reply), n_requests=1, min_words=1)
    words = [made.prompt[-1].content.split() for made in step.rows]
    assert all(slow_rouge(a, b) < 0.7 for i, a in enumerate(words) for b in words[:i])
    assert balances(step, 0)
