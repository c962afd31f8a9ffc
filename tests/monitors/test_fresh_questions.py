"""Questions are fresh: no unit and no text comes twice in a run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from moorings.errors import ConfigError, InputError
from moorings.monitors.questions import knowledge, open_ended, pairs, stability, values
from moorings.monitors.questions.files import FileSettings, read_questions
from moorings.monitors.questions.fresh import UNITS, Space, distinct, permute

SPACES = [
    *(knowledge.space(kind) for kind in knowledge.KINDS),
    *(pairs.pair_space(attribute, decisions=d) for attribute in pairs.ATTRIBUTES for d in (True, False)),
    *(values.value_space(dimension) for dimension in values.DIMENSIONS),
    stability.keep_space(),
    stability.pressure_space(),
    open_ended.open_space(),
]


def rng(*parts: int) -> np.random.Generator:
    return np.random.default_rng(parts)


@pytest.mark.parametrize("size", [1, 2, 3, 64, 65, 1000])
def test_the_permutation_is_one_and_depends_on_its_key(size):
    image = [permute(i, size, "a") for i in range(size)]
    assert sorted(image) == list(range(size))
    if size >= 64:
        assert image != [permute(i, size, "b") for i in range(size)] != list(range(size))


def test_distinct_gives_every_choice_once():
    found = {tuple(distinct((a, b), 4)) for a in range(4) for b in range(3)}
    assert found == {(a, b) for a in range(4) for b in range(4) if a != b}


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_every_space_serves_the_longest_run(space):
    assert space.block >= 64
    assert len(space.draw([0, UNITS - 1], rng(0))) == 2


def test_a_run_never_gives_a_unit_twice_whatever_the_randomness():
    space = Space("small", (UNITS, 2))
    members = [
        one.digits for start in range(0, 3000, 60) for one in space.draw(range(start, start + 60), rng(start % 3))
    ]
    assert len(set(members)) == len(members) == 3000
    owned = {one.digits for seed in range(40) for one in space.draw([7], rng(seed))}
    assert len(owned) == 2, "a unit owns its block"
    assert not owned & {one.digits for seed in range(40) for one in space.draw([8], rng(seed))}


def test_two_runs_ask_different_questions():
    space = open_ended.open_space()
    first, second = ({one.unit for one in space.draw(range(64), rng(seed))} for seed in (1, 2))
    assert len(first & second) == 0
    assert space.draw(range(64), rng(1)) == space.draw(range(64), rng(1))


def test_draws_are_spread_over_every_list():
    space = Space("spread", (7, 100_000, 10_000))
    digits = np.array([one.digits[0] for one in space.draw(range(7000), rng(0))])
    share = np.bincount(digits, minlength=7) / len(digits)
    assert np.abs(share - 1 / 7).max() < 4 * np.sqrt(6 / 49 / len(digits))


@pytest.mark.parametrize("numbers", [[-1], [0, UNITS]])
def test_what_has_no_block_is_refused(numbers):
    with pytest.raises(ConfigError, match="questions 'tiny'"):
        Space("tiny", (UNITS, 2)).draw(numbers, rng(0))


def test_different_members_have_different_texts():
    texts: list[object] = []
    for kind in knowledge.KINDS:
        made = [knowledge.make_known(kind, d) for d in draw_many(knowledge.space(kind))]
        texts += [(known.who, known.text) for known in made]
    for attribute in pairs.ATTRIBUTES:
        for decisions in (True, False):
            space = pairs.pair_space(attribute, decisions=decisions)
            made = [pairs.make_pair(attribute, d, decisions=decisions) for d in draw_many(space)]
            assert all(pair.first != pair.second for pair in made)
            texts += [(pair.first, pair.second) for pair in made]
    for dimension in values.DIMENSIONS:
        made = [values.make_value_question(dimension, d) for d in draw_many(values.value_space(dimension))]
        texts += [question.text for question in made]
    texts += [stability.make_keep_question(d).text for d in draw_many(stability.keep_space())]
    made = [stability.make_pressure(d) for d in draw_many(stability.pressure_space())]
    texts += [(pressure.question.text, pressure.pushback) for pressure in made]
    texts += [open_ended.make_open_prompt(d) for d in draw_many(open_ended.open_space())]
    assert len(texts) > 9_000
    assert len(set(texts)) == len(texts)
    assert not any("{" in str(text) for text in texts)


def draw_many(space: Space) -> list:
    return space.draw(range(400), rng(0))


def test_value_questions_are_balanced():
    for dimension in values.DIMENSIONS:
        drawn = values.value_space(dimension).draw(range(2000), rng(0))
        made = [values.make_value_question(dimension, one) for one in drawn]
        yes = [
            q.worrying == "Yes" if q.worrying in ("Yes", "No") else f"{q.worrying} Yes" in q.text.split("\n", 1)[1]
            for q in made
        ]
        first = [q.text.find(f"{q.worrying} ") < q.text.find(f"{q.sound} ") for q in made if q.worrying.startswith("(")]
        assert abs(np.mean(yes) - 0.5) < 4 * 0.5 / np.sqrt(len(yes))
        assert abs(np.mean(first) - 0.5) < 4 * 0.5 / np.sqrt(len(first))


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


COLUMNS = {"prompt": ("prompt", "question")}


def test_rows_of_a_file_are_asked_once(tmp_path):
    file = write(tmp_path / "q.jsonl", [{"question": f"Q{i % 40}?"} for i in range(50)])
    rows = read_questions(FileSettings(file=file), COLUMNS, "k")
    assert len(rows.rows) == 40, "equal rows count once"
    taken = [row.unit for start in range(0, 40, 5) for row in rows.take(start, 5)]
    assert len(set(taken)) == 40
    with pytest.raises(ConfigError, match="holds 40 different rows and 41 are needed"):
        rows.take(36, 5)


@pytest.mark.parametrize("row", [{"x": "Q?"}, {"prompt": 3}, {"prompt": "  "}])
def test_rows_without_a_question_are_refused(tmp_path, row):
    file = write(tmp_path / "q.jsonl", [{"prompt": "Q?"}, row])
    with pytest.raises(InputError, match="row 2: needs a text in column prompt or question"):
        read_questions(FileSettings(file=file), COLUMNS, "k")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no question"):
        read_questions(FileSettings(file=write(tmp_path / "q.jsonl", [])), COLUMNS, "k")
