"""Rows of other makers become the items that they are, whichever of the usual forms they have."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.errors import ConfigError, InputError
from moorings.probes.files import ItemSet, write_items
from moorings.probes.item import Item, Option
from moorings.probes.readers import FORMATS, load
from moorings.probes.readers.anthropic import split_options


def save(path: Path, rows: list[dict]) -> Path:
    text = "\n".join(json.dumps(row) for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


RISK = {
    "question": "Would you stop?\n\nChoices:\n (A) Yes \n (B) No",
    "answer_matching_behavior": " (B)",
    "answer_not_matching_behavior": " (A)",
}
THREE = ("cat", "dog", "eel")
FORMS = [
    (RISK, "anthropic", "Would you stop?", ("Yes ", "No"), 1),
    (
        {"behavior": "b", "written_by": "lm", "question": "Choose. (A) x y (B) z", "answer_matching": " (A)"},
        "anthropic",
        "Choose.",
        ("x y ", "z"),
        0,
    ),
    (
        {"statement": "I like tea", "answer_matching": "No", "answer_not_matching": "Yes", "label_confidence": 0.9},
        "anthropic",
        'Is the following statement something you would say?\n"I like tea"',
        ("Yes", "No"),
        1,
    ),
    ({"input": "Pet?", "choices": THREE, "target": "B"}, "inspect", "Pet?", THREE, 1),
    (
        {"input": "Pet?", "choices": THREE, "target": ["eel"], "id": 7, "metadata": {"m": 1}},
        "inspect",
        "Pet?",
        THREE,
        2,
    ),
    (
        {
            "input": [{"role": "system", "content": "S"}, {"role": "user", "content": "Pet?"}],
            "choices": THREE,
            "target": "A",
        },
        "inspect",
        "Pet?",
        THREE,
        0,
    ),
    (
        {
            "doc_id": 3,
            "doc": {"q": 1},
            "target": "2",
            "arguments": {f"gen_args_{k}": {"arg_0": "Pet?", "arg_1": f" {c}"} for k, c in enumerate(THREE)},
        },
        "lm-eval",
        "Pet?",
        THREE,
        2,
    ),
    (
        {"doc": {"q": 1}, "target": "dog", "arguments": [["Pet?", f" {c}"] for c in THREE]},
        "lm-eval",
        "Pet?",
        THREE,
        1,
    ),
    (
        {"doc": {"question": "Pet?", "choices": THREE, "answer": 1}, "target": "1", "arguments": [["Pet?", " x"]]},
        "lm-eval",
        "Pet?",
        THREE,
        1,
    ),
    ({"question": "Pet?", "choices": THREE, "answer": 2, "subject": "zoo"}, "generic", "Pet?", THREE, 2),
    (
        {"id": "q1", "question": "Pet?", "choices": {"text": THREE, "label": ["1", "2", "3"]}, "answerKey": "1"},
        "generic",
        "Pet?",
        THREE,
        0,
    ),
    (
        {
            "question": {
                "stem": "Pet?",
                "choices": [{"text": t, "label": k} for t, k in zip(THREE, "ABC", strict=True)],
            },
            "answerKey": "C",
        },
        "generic",
        "Pet?",
        THREE,
        2,
    ),
    ({"input": "Pet?", "target_scores": {"cat": 0, "dog": 1, "eel": 0}}, "generic", "Pet?", THREE, 1),
    ({"question": "Pet?", "mc1_targets": {"choices": THREE, "labels": [1, 0, 0]}}, "generic", "Pet?", THREE, 0),
    ({"question": "Pet?", "mc1_targets": {"cat": 0, "dog": 0, "eel": 1}}, "generic", "Pet?", THREE, 2),
    ({"context": "Zoo.", "question": "Pet?", "answers": THREE, "label": 1}, "generic", "Zoo.\nPet?", THREE, 1),
    (
        {"Question": 0, "question": "Pet?", "A": "cat", "B": "dog", "C": "eel", "answer": "(b)"},
        "generic",
        "Pet?",
        THREE,
        1,
    ),
    (
        {"sentence": "A _ barks.", "option1": "cat", "option2": "dog", "answer": "2"},
        "generic",
        "A _ barks.",
        THREE[:2],
        1,
    ),
    ({"premise": "It barks.", "choice1": "cat", "choice2": "dog", "label": 1.0}, "generic", "It barks.", THREE[:2], 1),
    ({"query": "Pet?", "options": '["cat", "dog", "eel"]', "gold": [2]}, "generic", "Pet?", THREE, 2),
    ({"question": "1 + 1?", "choices": [1, 2], "answer": "2"}, "generic", "1 + 1?", ("1", "2"), 1),
]


@pytest.mark.parametrize(("row", "form", "stem", "texts", "right"), FORMS)
def test_each_form_is_told_by_its_row(tmp_path, row, form, stem, texts, right):
    loaded = load(save(tmp_path / "set.jsonl", [row]))
    item = loaded.items.items[0]
    assert (loaded.format, item.prompt, item.texts, item.key_at) == (form, stem, tuple(texts), right)
    assert item.key == item.options[right].symbol
    assert item.kind == ("disposition" if form == "anthropic" else "ability")


def test_what_else_a_row_says_is_kept(tmp_path):
    items = load(save(tmp_path / "set.jsonl.gz", [FORMS[1][0], FORMS[1][0]])).items
    assert [item.subtask for item in items.items] == ["b (lm)"] * 2
    assert items.items[0].item_id == "set-1"
    assert load(save(tmp_path / "a.jsonl", [FORMS[2][0]])).items.items[0].metadata == {
        "answer_not_matching": "Yes",
        "label_confidence": 0.9,
    }
    chat = load(save(tmp_path / "b.jsonl", [FORMS[5][0]])).items.items[0]
    assert chat.system == "S"


def test_an_order_that_no_source_gives_is_drawn_and_stays(tmp_path):
    rows = [
        {"question": f"Q{k}?", "best_answer": "yes", "incorrect_answers": ["no", "maybe"], "correct_answers": ["yes"]}
        for k in range(90)
    ]
    first = load(save(tmp_path / "a.jsonl", rows)).items.items
    assert [item.options for item in load(save(tmp_path / "b.jsonl", rows)).items.items] == [i.options for i in first]
    places = [item.key_at for item in first]
    assert all(15 <= places.count(at) <= 46 for at in range(3))  # a binomial of 90 at 1/3 leaves this once in 2,000
    assert all(item.options[item.key_at].text == "yes" for item in first)


def test_a_csv_is_read_by_its_columns(tmp_path):
    path = tmp_path / "set.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["question", "choices", "answer"])
        writer.writeheader()
        writer.writerow({"question": "Pet?", "choices": '["cat", "dog"]', "answer": "1"})
    assert load(path).items.items[0].key_at == 1


BAD = [
    (RISK | {"answer_matching_behavior": " (C)"}, "the matching answer is 'C', which is none of its 2 options"),
    (RISK | {"question": "Why?"}, "holds no options"),
    (RISK | {"answer_matching_behavior": 5}, "is no text"),
    ({"input": "Pet?", "choices": ["cat"], "target": "A"}, "no list of at least two texts"),
    ({"input": "Pet?", "choices": THREE, "target": "Z"}, "'target' is 'Z'"),
    ({"input": [], "choices": THREE, "target": "A"}, "neither a text nor a chat"),
    ({"doc": {}, "target": 9, "arguments": [["Pet?", "cat"], ["Pet?", "dog"]]}, "the index of one of 2 choices"),
]


@pytest.mark.parametrize(("row", "said"), BAD)
def test_a_row_that_is_no_item_is_named_or_set_aside(tmp_path, row, said):
    good = {"anthropic": RISK, "inspect": FORMS[3][0], "lm-eval": FORMS[7][0]}
    form = next(name for name, one in good.items() if set(one) & set(row) - {"target"})
    path = save(tmp_path / "set.jsonl", [good[form], row])
    with pytest.raises(InputError, match="line 2") as caught:
        load(path)
    assert said in str(caught.value)
    loaded = load(path, skip_bad=True)
    assert (len(loaded.items.items), loaded.n_bad) == (1, 1)


GENERIC_BAD = [
    ({"choices": THREE, "answer": 0}, "has no question"),
    ({"question": "Pet?", "answer": 0}, "has no choices"),
    ({"question": "Pet?", "choices": THREE}, "has no answer"),
    ({"question": "Pet?", "choices": THREE, "answer": 3}, "the answer 3 is none of its 3 choices"),
    ({"question": "Pet?", "choices": THREE, "answer": True}, "the answer True"),
    ({"question": "Pet?", "choices": [["a"], ["b"]], "answer": 0}, "a choice is no text"),
    ({"question": "Pet?", "choices": {"text": ["a", "b"], "label": ["A"]}, "answer": 0}, "shorter"),
    ({"question": "Pet?", "target_scores": {"a": 1, "b": 1}}, "2 choices have the highest score"),
    ({"question": "Pet?", "target_scores": {"a": "x", "b": 1}}, "do not fit together"),
]


@pytest.mark.parametrize(("row", "said"), GENERIC_BAD)
def test_generic_rows_say_what_is_missing(tmp_path, row, said):
    with pytest.raises(InputError, match=said):
        load(save(tmp_path / "set.jsonl", [row]), format="generic")


def test_files_without_items_are_refused(tmp_path):
    with pytest.raises(InputError, match="no reader knows rows with the columns 'a', 'b'"):
        load(save(tmp_path / "set.jsonl", [{"a": 1, "b": 2}]))
    with pytest.raises(InputError, match="no multiple-choice item"):
        load(save(tmp_path / "empty.jsonl", []))
    with pytest.raises(ConfigError, match="did you mean 'anthropic'"):
        load(tmp_path / "set.jsonl", format="antropic")
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "none.jsonl")


def test_own_sets_are_read_as_what_they_are(tmp_path):
    item = Item(
        item_id="1", cluster_id="1", subtask="S1", prompt="?", options=(Option(symbol="A", text="x", key=True),)
    )
    path = write_items(ItemSet("mine", (item,)), tmp_path / "mine.jsonl")
    assert load(path).items.items == (item,)
    assert load(path).format == "moorings"


def test_the_kind_can_be_set(tmp_path):
    assert load(save(tmp_path / "a.jsonl", [RISK]), kind="ability").items.items[0].kind == "ability"


def test_options_are_split_where_lines_start_with_their_letter():
    stem, options = split_options("Pick (B) or not?\nOptions:\n(A) one (B)\n(B) two\nlines \n")
    assert stem == "Pick (B) or not?"
    assert options == [("A", "one (B)"), ("B", "two\nlines ")]


def test_places_beyond_the_alphabet_have_numbers(tmp_path):
    many = [f"choice {k}" for k in range(30)]
    row = {"question": "Q", "choices": many, "answer": 28}
    item = load(save(tmp_path / "a.jsonl", [row])).items.items[0]
    assert (item.key, item.options[25].symbol) == ("29", "Z")
    inspect = {"input": "Q", "choices": many, "target": "J"}
    assert load(save(tmp_path / "b.jsonl", [inspect])).items.items[0].key_at == 9


TEXTS = st.sampled_from(["", "a", "(A)", "x\n (A) y\n (B) z", "1", "yes", "[1", '["a", "b"]'])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 4), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["text", "label", "stem", "choices", "labels", "content", "role"]), inner),
    ),
    max_leaves=8,
)
COLUMNS = st.sampled_from(
    [
        "question",
        "statement",
        "answer_matching",
        "input",
        "choices",
        "target",
        "doc",
        "doc_id",
        "arguments",
        "answers",
        "label",
        "answerKey",
        "mc1_targets",
        "target_scores",
        "best_answer",
        "incorrect_answers",
        "A",
        "B",
        "option1",
        "option2",
        "context",
        "id",
        "task",
        "written_by",
    ]
)


@settings(max_examples=400, deadline=None)
@given(row=st.dictionaries(COLUMNS, VALUES, max_size=7))
def test_no_row_brings_a_reader_down(row):
    for form in FORMATS.values():
        try:
            item = form.read(row, "id") if form.fits(row) else None
        except ValueError:
            continue
        assert item is None or len(item.options) > 1
