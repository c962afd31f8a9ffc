from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_bench import FakeWorkbench, ScoringSubject, make_prompts

from moorings.errors import ConfigError
from moorings.improve.asking import (
    Asking,
    Judging,
    as_prompt,
    ask_all,
    check_places,
    draw,
    fill,
    judge_yes,
    label_logprobs,
    score_all,
)
from moorings.records import Decoding, Interaction, Message, SampleStatus

CHAT = (Message(role="user", content="Yes or no?"),)


def answer(text: str, status: SampleStatus = SampleStatus.COMPLETED) -> Interaction:
    return Interaction(
        key="k", subject="s", prompt_id="p", index=0, seed=0, messages=(*CHAT, Message(role="assistant", content=text)),
        response=text, status=status, finish_reason="stop",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "text", "truncated", "expected"),
    [
        ("completed", "Fine.", "drop", ("Fine.", None)),
        ("refused", "I cannot.", "drop", ("I cannot.", None)),
        ("truncated", "One. Two", "drop", ("", "answer cut at the token limit")),
        ("truncated", 'He said "One." Two', "trim", ('He said "One."', None)),
        ("truncated", "It costs 3.5 of", "trim", ("", "answer cut at the token limit")),
        ("truncated", "One. Two", "keep", ("One. Two", None)),
        ("empty", " \n", "drop", ("", "empty answer")),
        ("failed", "", "drop", ("", "the model gave no answer")),
        ("too_long", "", "keep", ("", "prompt longer than the context")),
    ],
)
def test_what_of_an_answer_is_used(status, text, truncated, expected):
    found = Asking(truncated=truncated).usable(answer(text, SampleStatus(status)))
    assert tuple(found) == expected if expected[1] is None else found.reason == expected[1]


def test_trimming_a_hostile_text_takes_linear_time():
    assert Asking(truncated="trim").usable(answer("." + ")" * 200_000 + "x", SampleStatus.TRUNCATED)).reason
    assert Asking(truncated="trim").usable(answer(".)" * 100_000 + "x", SampleStatus.TRUNCATED)).reason


def test_a_drawn_sample_keeps_the_order_and_repeats_nothing():
    rng = np.random.default_rng(0)
    assert draw(range(5), None, rng) == draw(range(5), 9, rng) == [0, 1, 2, 3, 4]
    some = draw(range(100), 10, rng)
    assert some == sorted(set(some))
    assert len(some) == 10


def test_texts_cannot_reach_other_places_of_a_template():
    assert fill("{a}|{b}", {"a": "{b}{0.__class__}", "b": "B"}) == "{b}{0.__class__}|B"
    assert check_places("x {prompt}", "prompt") == "x {prompt}"
    with pytest.raises(ConfigError, match=r"lacks the place \{prompt\}"):
        check_places("x {0}", "prompt")


def test_equal_prompts_are_asked_once_and_none_is_no_error(tmp_path: Path):
    bench = FakeWorkbench(tmp_path, ScoringSubject(lambda m, s: str(s), lambda q, a: 0.0)).subject
    assert ask_all(bench, [], "none", decoding=Decoding()) == []
    twice = [as_prompt(CHAT), as_prompt(CHAT), as_prompt(CHAT, "other")]
    found = ask_all(bench, twice, "some", decoding=Decoding(), n_samples=2)
    assert found[0] == found[1]
    assert [len(some) for some in found] == [2, 2, 2]
    assert found[0][0].key != found[2][0].key


def test_one_text_beyond_the_context_does_not_take_the_others_with_it(tmp_path: Path):
    subject = ScoringSubject({}, lambda q, a: -float(len(a)), context_length=120)
    bench = FakeWorkbench(tmp_path, subject).subject
    long = (Message(role="user", content="word " * 200),)
    # The second one might not fit by its bytes, but does.
    items = [(CHAT, "Yes"), (CHAT, "Yes " * 20), (long, "No"), (CHAT, ""), (CHAT, "\ud800"), (CHAT, "Maybe")]
    found = score_all(bench, items, "s")
    assert [one is None for one in found] == [False, False, True, False, False, False]
    assert sum(found[5].logprobs_nats) == -5.0
    n_scored = subject.n_scored
    assert [one is None for one in score_all(bench, items, "s")] == [one is None for one in found]
    assert subject.n_scored == n_scored + 1


def test_options_are_normalised_over_themselves(tmp_path: Path):
    subject = ScoringSubject({}, lambda q, a: {"A": np.log(0.2), "B": np.log(0.6)}.get(a, -9.0), context_length=100)
    bench = FakeWorkbench(tmp_path, subject).subject
    long = (Message(role="user", content="word " * 200),)
    found = label_logprobs(bench, [CHAT, long, CHAT], [("A", "B"), ("A", "B"), ()], "options")
    assert np.exp(found[0]) == pytest.approx([0.25, 0.75])
    assert found[1] is None
    assert found[2] is None


def test_naming_labels_in_both_orders_cancels_a_lean_to_the_last_one(tmp_path: Path):
    def score(question: str, text: str) -> float:
        liked = 2.0 if text == ("Yes" if "good answer" in question else "No") else 0.0
        return liked + (5.0 if question.rstrip(".").endswith(text) else 0.0)

    bench = FakeWorkbench(tmp_path, ScoringSubject({}, score)).subject
    pairs = [("Q", "a good answer"), ("Q", "a bad answer")]
    rng = np.random.default_rng
    both = judge_yes(bench, pairs, Judging(), "both", rng(0))
    assert both == pytest.approx([2.0, -2.0])
    one = judge_yes(bench, pairs, Judging(both_orders=False), "one", rng(0))
    assert one == pytest.approx([-3.0, -7.0])


def test_a_judged_text_stands_between_marks_that_it_cannot_know(tmp_path: Path):
    seen: list[str] = []

    def score(question: str, text: str) -> float:
        seen.append(question)
        return 0.0

    bench = FakeWorkbench(tmp_path, ScoringSubject({}, score)).subject
    judge_yes(bench, [("Q", "x" * 9000), ("Q", "y")], Judging(max_chars=100), "judge", np.random.default_rng(0))
    marks = {question.split("between the marks ")[1][:8] for question in seen}
    assert len(marks) == 2
    assert max(map(len, seen)) < 600


def test_prompts_made_here_have_ids_of_their_content():
    assert as_prompt(CHAT).prompt_id == as_prompt(CHAT).prompt_id != as_prompt(CHAT, "x").prompt_id
    assert len({prompt.prompt_id for prompt in make_prompts(5)}) == 5
