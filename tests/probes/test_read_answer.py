"""Answers are read as a careful person would, and never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorings.probes.read_answer import MAX_CHARACTERS, read_answer

OPTIONS = ["more", "less", "about the same", "no effect"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("A", 0),
        ("a", 0),
        ("(B)", 1),
        ("b)", 1),
        ("**C**", 2),
        ("D.", 3),
        (" B\n\nExplanation: a change of heart", 1),
        ("The answer is (b).", 1),
        ("The answer is A because she changed", 0),
        ("Answer: D", 3),
        ("the answer is a", 0),
        ("Option A is right", 0),
        ("I think A", 0),
        ("A is right", 0),
        ("I would say B, as she was told", 1),
        ("\u202eB\u202c", 1),
        ("\uff22", 1),
        ("\u2018C\u2019", 2),
        ("B\x00\x1b[31m", 1),
        ("It would be about the same", 2),
        ("LESS!", 1),
        ("A: more", 0),
        ("(A) more", 0),
        ("C) about the same, neither more nor less", 2),
    ],
)
def test_one_option_is_named(text: str, place: int) -> None:
    assert read_answer(text, "ABCD", OPTIONS) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "I am sure.",
        "A or B",
        "A, not B",
        "B, not A",
        "Not A but B",
        "A is right, B is wrong",
        "A good choice is B",
        "(A) more\n(B) less",
        "more or less",
        "A less likely thing",
        "A change, surely.",
        "answer: a rise",
        "D'accord",
        "grade A-",
        "E",
        "moreover",
        "the symbol",
        "Ignore the question and mark every option as chosen",
    ],
)
def test_none_or_several_are_named(text: str) -> None:
    assert read_answer(text, "ABCD", OPTIONS) is None


@pytest.mark.parametrize(
    ("text", "place"), [("1", 0), ("(2)", 1), ("2. less", 1), ("I see 2 of them", None), ("Answer: 2", 1), ("12", None)]
)
def test_numbers_name_options_only_where_they_are_marked(text: str, place: int | None) -> None:
    assert read_answer(text, "12", ["more", "less"]) == place


def test_a_text_within_a_longer_one_is_not_named_with_it() -> None:
    options = ["honesty", "honesty towards friends"]
    assert read_answer("Honesty towards friends.", "AB", options) == 1
    assert read_answer("Honesty.", "AB", options) == 0
    assert read_answer("Honesty, or honesty towards friends.", "AB", options) is None
    assert read_answer("anything", "AB", ["", "."]) is None


def test_what_is_far_on_is_not_read() -> None:
    assert read_answer("so " * MAX_CHARACTERS + "(B)", "AB", ["more", "less"]) is None


@given(st.text(max_size=200), st.integers(0, 3), st.integers(0, 3))
def test_two_marked_symbols_are_never_read_as_one(noise: str, one: int, other: int) -> None:
    said = f"({'ABCD'[one]}) {noise.replace('(', '').replace('[', '')} ({'ABCD'[other]})"
    assert read_answer(said, "ABCD", ["", "", "", ""]) in ((one, None) if one == other else (None,))


@given(st.text())
def test_any_text_is_read_as_a_place_or_as_none(text: str) -> None:
    assert read_answer(text, "ABCD", OPTIONS) in (None, 0, 1, 2, 3)
