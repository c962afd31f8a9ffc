"""Questions are fresh: no unit and no text comes twice in a run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from moorings.errors import ConfigError, InputError
from moorings.monitors.questions import knowledge, open_ended, pairs, stability, values
from moorings.monitors.questions.files import FileSettings, read_questions
from moorings.monitors.questions.fresh import LOOKS, ROUNDS, Space, distinct, permute

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
    assert space.block >= 256
    space.draw(ROUNDS, LOOKS - 1, 256, rng(0))


def test_looks_share_nothing_whatever_their_randomness():
    space = Space("small", (ROUNDS, LOOKS, 2))
    seen: list[str] = []
    for round in range(1, 31):
        for look in range(8):
            seen += [one.unit for one in space.draw(round, look, 2, rng(round * look % 3))]
    assert len(set(seen)) == len(seen)
    members = {one.digits for one in space.draw(1, 0, 2, rng(1))}
    assert members == {one.digits for one in space.draw(1, 0, 2, rng(2))}, "a look owns its block"


def test_two_runs_ask_different_questions():
    space = open_ended.open_space()
    first, second = ({one.unit for one in space.draw(1, 0, 64, rng(seed))} for seed in (1, 2))
    assert len(first & second) == 0
    assert [one.unit for one in space.draw(1, 0, 64, rng(1))] == [one.unit for one in space.draw(1, 0, 64, rng(1))]


def test_draws_are_spread_over_every_list():
    space = Space("spread", (7, 100_000, 10_000))
    digits = np.array([one.digits[0] for look in range(20) for one in space.draw(1, look, 350, rng(look))])
    share = np.bincount(digits, minlength=7) / len(digits)
    assert np.abs(share - 1 / 7).max() < 4 * np.sqrt(6 / 49 / len(digits))


@pytest.mark.parametrize(("round", "look", "n"), [(0, 0, 1), (ROUNDS + 1, 0, 1), (1, LOOKS, 1), (1, -1, 1), (1, 0, 3)])
def test_what_has_no_block_is_refused(round, look, n):
    with pytest.raises(ConfigError, match="questions 'tiny'"):
        Space("tiny", (ROUNDS, LOOKS, 2)).draw(round, look, n, rng(0))


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
    return [one for look in range(2) for one in space.draw(3, look, 200, rng(look))]


def test_value_questions_are_balanced():
    for dimension in values.DIMENSIONS:
        made = [
            values.make_value_question(dimension, one)
            for look in range(8)
            for one in values.value_space(dimension).draw(1, look, 256, rng(look))
        ]
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
    rows = read_questions(FileSettings(file=file, per_look=5, looks=2), COLUMNS, "k")
    assert len(rows.rows) == 40, "equal rows count once"
    taken = [row.unit for round in range(1, 5) for look in range(2) for row in rows.take(round, look, 5)]
    assert len(set(taken)) == 40
    with pytest.raises(ConfigError, match="holds 40 different rows and round 5, look 0 needs 45"):
        rows.take(5, 0, 5)
    with pytest.raises(ConfigError, match="per_look is 5"):
        rows.take(1, 0, 6)
    with pytest.raises(ConfigError, match="looks is 2"):
        rows.take(1, 2, 5)


@pytest.mark.parametrize("row", [{"x": "Q?"}, {"prompt": 3}, {"prompt": "  "}])
def test_rows_without_a_question_are_refused(tmp_path, row):
    file = write(tmp_path / "q.jsonl", [{"prompt": "Q?"}, row])
    with pytest.raises(InputError, match="row 2: needs a text in column prompt or question"):
        read_questions(FileSettings(file=file), COLUMNS, "k")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no question"):
        read_questions(FileSettings(file=write(tmp_path / "q.jsonl", [])), COLUMNS, "k")
