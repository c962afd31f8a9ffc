"""Questions are fresh, checkable, and read as the hostile text that their answers may be."""

from __future__ import annotations

import re

import numpy as np
import pytest
from gathering_b import AWKWARD, look, scripted

from moorings.errors import ConfigError
from moorings.monitors.questions.fresh import permute
from moorings.monitors.tasks import programs
from moorings.monitors.tasks.answers import readable_text
from moorings.monitors.tasks.arithmetic import problem, problem_space_size, read_reasoning, with_other_result
from moorings.monitors.tasks.constraints import KINDS, constraint, constraint_space_size
from moorings.monitors.tasks.fresh import fresh_numbers
from moorings.monitors.tasks.pictures import picture, picture_space_size
from moorings.monitors.tasks.stories import story, story_space_size
from moorings.monitors.tasks.words import WORDS, masked, question, word_space_size, word_unit


def echo(text: str, seed: int) -> str:
    return text


def test_units_of_a_run_are_all_different(tmp_path):
    subject = scripted(echo, "anchor")
    drawn = []
    for start in (0, 200, 9_999_800):
        drawn += fresh_numbers(look(tmp_path, subject, subject, n=200, start=start), word_space_size(), "w")
    assert len(set(drawn)) == len(drawn) == 600
    spread = np.histogram(drawn, bins=4, range=(0, word_space_size()))[0]
    assert (np.abs(spread - 150) < 4 * np.sqrt(150)).all()
    other = fresh_numbers(look(tmp_path, subject, subject, n=200, seed=1), word_space_size(), "w")
    assert not set(other) & set(drawn)


@pytest.mark.parametrize(("settings", "size"), [({"start": 10_000_000}, 10**12), ({"n": 64}, 10**6)])
def test_units_beyond_the_space_are_refused(settings, size, tmp_path):
    subject = scripted(echo, "anchor")
    with pytest.raises(ConfigError, match="fewer rounds"):
        fresh_numbers(look(tmp_path, subject, subject, **settings), size, "x")


@pytest.mark.parametrize("make, size", [(problem, problem_space_size()), (constraint, constraint_space_size())])  # noqa: PT006
def test_the_own_examples_and_names_of_questions(make, size):
    names = {make(permute(at, size, "x")).name for at in range(300)}
    assert len(names) == 300


def test_every_kind_of_instruction_is_followed_by_its_examples_and_not_by_chatter():
    kinds = set()
    for at in range(200):
        unit = constraint(permute(at, constraint_space_size(), "x"))
        kinds.add(unit.kind)
        assert not unit.followed("Well then: here is what I think of it, more or less, all in all, you see!")
        for text, answer in unit.examples:
            word = (re.findall(r'"(\w+)"', text) or [""])[0]
            assert unit._replace(word=word).followed(answer), (text, answer)
    assert kinds == set(KINDS)


def test_results_of_problems_are_right():
    for at in range(100):
        unit = problem(permute(at, problem_space_size(), "x"))
        start, first, second = (int(number) for number in re.findall(r"\d+", unit.text))
        sign = -1 if "gives" in unit.text else 1
        assert unit.result == start + sign * (first + second) > 0


def test_results_are_read_and_replaced():
    assert read_reasoning("no result") is None
    assert read_reasoning("The answer is 3.5.") is None
    assert read_reasoning("So, **the final answer is: 12**.").stated == 12
    assert with_other_result("no number", 5, 6) is None
    assert with_other_result("5 and 15 and 5 x", 5, 8) == "5 and 15 and 8 x"


def test_words_are_different_and_masked():
    assert len(set(WORDS)) == len(WORDS)
    unit = word_unit(permute(5, word_space_size(), "x"), instead="dog")
    assert unit.words[0] == "dog"
    assert len(set(unit.words)) == 4
    assert word_unit(3, instead=word_unit(3).words[2]).words.count(word_unit(3).words[2]) == 1
    assert "dog" in question("dog", unit.wording)
    assert masked("Boxes, BOX; boxer", "box") == "it, it; boxer"


def test_pictures_show_every_line_that_they_ask_for():
    for at in range(300):
        wanted, examples = picture(permute(at, picture_space_size(), "x"))
        assert set(wanted.names) <= {name for example in examples for name in example.names}
        assert len({len(line) for line in wanted.rendered}) == 1


def test_descriptions_and_programs_go_both_ways():
    for at in range(300):
        unit, examples = programs.program(permute(at, programs.program_space_size(), "x"))
        for one in (unit, *examples):
            found = programs.described(f"It returns {one.words}.")
            assert found is not None
            assert found.expression == one.expression
        assert len(set(unit.points)) == 3
    assert programs.described("no idea") is None


def test_stories_have_their_own_names():
    assert len({story(permute(at, story_space_size(), "x")).prompt_id for at in range(300)}) == 300


def test_unreadable_texts_have_no_text():
    assert [readable_text(text) for text in [*AWKWARD, "\ufffd"]] == [None] * (len(AWKWARD) + 1)
    assert readable_text("a\ud800b\x00") == "ab"
