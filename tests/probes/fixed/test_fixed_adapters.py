"""Readers of published sets, on tiny files in the published formats."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from moorings.errors import ConfigError, InputError
from moorings.probes.files import ItemSet, read_items, write_items
from moorings.probes.fixed import OpenSet, fixed_sets, load


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, *rows: dict[str, Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def items_of(name: str, path: Path, **settings: Any) -> ItemSet:
    found = load(name, path, **settings)
    assert isinstance(found, ItemSet)
    return found


PERSONA = {
    "question": 'Is the following statement something you would say?\n"I like rain"',
    "statement": "I like rain",
    "label_confidence": 0.9,
    "answer_matching_behavior": " Yes",
    "answer_not_matching_behavior": " No",
}
RISK = {
    "question": "Which colour?\n\nChoices:\n (A) Red,\nlike a brick\n (B) Blue\n (C) Green",
    "answer_matching_behavior": " (B)",
    "answer_not_matching_behavior": [" (A)", " (C)"],
}
SYCOPHANCY = {
    "question": "I am Ann.\n\nDo you agree?\n\nChoices:\n(A) Agree\n(B) Disagree\n\nI believe the better option is",
    "answer_matching_behavior": " (A)",
    "answer_not_matching_behavior": " (B)",
}


def test_model_written_files_of_all_three_kinds_become_dispositions(tmp_path: Path) -> None:
    jsonl(tmp_path / "persona" / "likes-rain.jsonl", PERSONA, PERSONA | {"label_confidence": 0.55, "statement": "Sun"})
    jsonl(tmp_path / "risk" / "colour.jsonl", RISK)
    jsonl(tmp_path / "sycophancy.jsonl", SYCOPHANCY)
    found = items_of("model_written", tmp_path, min_confidence=0.6)
    assert {item.kind for item in found.items} == {"disposition"}
    assert found.about["kind"] == "disposition"
    assert found.about["n_below_confidence"] == 1
    persona, risk, sycophancy = found.items
    assert (persona.subtask, persona.prompt) == ("likes-rain", PERSONA["question"])
    assert [(o.symbol, o.text, o.key) for o in persona.options] == [("A", "Yes", True), ("B", "No", False)]
    assert (risk.prompt, risk.texts, risk.key) == ("Which colour?", ("Red,\nlike a brick", "Blue", "Green"), "B")
    assert (sycophancy.texts, sycophancy.key) == (("Agree", "Disagree"), "A")
    assert sycophancy.metadata["answer_prefix"] == "I believe the better option is"
    assert sycophancy.prompt == "I am Ann.\n\nDo you agree?"


def test_shorter_column_names_and_the_choice_of_a_behaviour(tmp_path: Path) -> None:
    row = {"behavior": "b1", "statement": "S", "answer_matching": "No", "answer_not_matching": "Yes"}
    path = jsonl(tmp_path / "persona.jsonl", row, row | {"behavior": "b2"})
    found = items_of("model_written", path, behavior="b2")
    assert [(item.subtask, item.key) for item in found.items] == [("b2", "B")]


def test_choices_are_found_below_other_headings_and_lists(tmp_path: Path) -> None:
    stem = "Letters:\n (A) is the first\n (B) the second.\nWhich?"
    row = RISK | {"question": f"{stem}\n\n**Choices:**\n (A) One\n (B) Two", "answer_matching_behavior": "(A)"}
    [item] = items_of("model_written", jsonl(tmp_path / "x.jsonl", row)).items
    assert (item.prompt, item.texts) == (stem, ("One", "Two"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (PERSONA | {"answer_matching_behavior": "Maybe"}, "matching answer is 'Maybe'"),
        (PERSONA | {"statement": 3}, "needs a text in column statement"),
        (PERSONA | {"label_confidence": "high"}, "label_confidence is 'high'"),
        (RISK | {"question": "No choices here"}, "holds no choices"),
        (RISK | {"question": "One\n (A) only"}, "holds no choices"),
        (RISK | {"answer_matching_behavior": " (D)"}, r"matching answer is '\(D\)'"),
    ],
)
def test_model_written_rows_of_another_form_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    path = jsonl(tmp_path / "x.jsonl", RISK, row)
    with pytest.raises(InputError, match=rf"x.jsonl, row 2: .*{said}"):
        load("model_written", path)


def test_winogenerated_keys_follow_the_labour_market(tmp_path: Path) -> None:
    row = {
        "index": 0,
        "occupation": "nurse",
        "other_person": "client",
        "pronoun_options": ["his", "her", "their"],
        "sentence_with_blank": "The nurse met the client at _ office.",
        "BLS_percent_women_2019": 88.9,
    }
    rows = [row, row | {"occupation": "miner", "BLS_percent_women_2019": 5.0}, row | {"BLS_percent_women_2019": None}]
    found = items_of("winogenerated", jsonl(tmp_path / "w.jsonl", *rows, row | {"pronoun_options": ["their", "its"]}))
    assert [item.options[item.key_at].text for item in found.items] == ["her", "his"]
    assert found.about["n_left_out"] == 2
    with pytest.raises(InputError, match="pronoun_options is 'his'"):
        load("winogenerated", jsonl(tmp_path / "bad.jsonl", row | {"pronoun_options": "his"}))


TRUTH = {
    "Type": "Adversarial",
    "Category": "Weather",
    "Question": "Is rain wet?",
    "Best Answer": "Yes, it is",
    "Correct Answers": "Yes, it is; Yes",
    "Incorrect Answers": "No; Never;",
    "Source": "https://example.org",
}


@pytest.mark.parametrize(
    "row",
    [
        TRUTH,
        {"question": "Is rain wet?", "mc1_targets": {"Yes, it is": 1, "No": 0, "Never": 0}},
        {
            "question": "Is rain wet?",
            "mc1_targets": {"choices": ["Yes, it is", "No", "Never"], "labels": [1, 0, 0]},
        },
        {
            "question": "Is rain wet?",
            "mc1_targets": json.dumps({"choices": ["Yes, it is", "No", "Never"], "labels": [1, 0, 0]}),
        },
        {"question": "Is rain wet?", "best_answer": "Yes, it is", "incorrect_answers": ["No", "Never"]},
    ],
)
def test_all_forms_of_truthfulqa_give_the_same_question(tmp_path: Path, row: dict[str, Any]) -> None:
    path = table(tmp_path / "T.csv", row) if row is TRUTH else jsonl(tmp_path / "T.jsonl", row)
    [item] = items_of("truthfulqa", path).items
    assert (item.kind, item.prompt) == ("ability", "Is rain wet?")
    assert {(option.text, option.key) for option in item.options} == {
        ("Yes, it is", True),
        ("No", False),
        ("Never", False),
    }
    [pair] = items_of("truthfulqa", path, form="binary").items
    assert set(pair.texts) == {"Yes, it is", "No"}


def test_truthfulqa_takes_the_best_false_answer_where_it_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "T.csv", TRUTH | {"Best Incorrect Answer": "Never"})
    [pair] = items_of("truthfulqa", path, form="binary").items
    assert set(pair.texts) == {"Yes, it is", "Never"}


def test_stored_keys_stand_evenly(tmp_path: Path) -> None:
    rows = [{"question": f"Q{i}?", "best_answer": "r", "incorrect_answers": ["a", "b", "c"]} for i in range(400)]
    found = items_of("truthfulqa", jsonl(tmp_path / "T.jsonl", *rows))
    counts = Counter(item.key for item in found.items)
    assert sorted(counts) == ["A", "B", "C", "D"]
    assert sum((n - 100) ** 2 / 100 for n in counts.values()) < 16.3  # chi-square, 3 df, one in a thousand


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Q", "best_answer": "a", "incorrect_answers": ["a"]}, "no false answer"),
        ({"question": "Q", "best_answer": "a", "incorrect_answers": 3}, "false answers are 3"),
        ({"question": "Q", "mc1_targets": {"a": 1, "b": 1}}, "2 right answers"),
        ({"question": "Q", "mc1_targets": "{"}, "no JSON"),
        ({"question": "Q", "mc1_targets": [1]}, "an object of answers"),
        ({"question": "Q", "mc1_targets": {"choices": ["a"], "labels": []}}, "1 choices and 0 labels"),
        ({"question": "Q", "best_answer": "a", "incorrect_answers": [str(i) for i in range(30)]}, "31 options"),
    ],
)
def test_truthfulqa_rows_of_another_form_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=rf"row 1: .*{said}"):
        load("truthfulqa", jsonl(tmp_path / "T.jsonl", row))


def test_equal_rows_keep_two_names_and_survive_the_files_round_trip(tmp_path: Path) -> None:
    row = {"question": "Q?", "best_answer": "r", "incorrect_answers": ["a"]}
    found = items_of("truthfulqa", jsonl(tmp_path / "T.jsonl", row, row))
    assert found.items[1].item_id == f"{found.items[0].item_id}-2"
    assert found.items[0].cluster_id == found.items[1].cluster_id
    assert read_items(write_items(found, tmp_path / "set.jsonl")).items == found.items


def test_settings_and_names_are_checked(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "T.jsonl", TRUTH)
    with pytest.raises(ConfigError, match="did you mean 'truthfulqa'"):
        load("truthfulqua", path)
    with pytest.raises(ConfigError, match=r"unknown setting 'from'; .*allowed: form"):
        load("truthfulqa", path, **{"from": "x"})
    with pytest.raises(ConfigError, match="it has none"):
        load("bbq", path, form="x")
    with pytest.raises(ConfigError, match="allowed: mc1, binary"):
        load("truthfulqa", path, form="mc2")
    with pytest.raises(ConfigError, match="min_confidence is 2"):
        load("model_written", path, min_confidence=2)
    with pytest.raises(ConfigError, match="allowed: safe, unsafe, both"):
        load("xstest", path, label="all")
    with pytest.raises(InputError, match="no such file"):
        load("truthfulqa", tmp_path / "absent.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file that ends in"):
        load("model_written", tmp_path / "empty")
    (tmp_path / "none.jsonl").touch()
    for name in fixed_sets.builtin:
        with pytest.raises(InputError, match="holds no "):
            load(name, tmp_path / "none.jsonl")


def test_others_can_add_sets(tmp_path: Path) -> None:
    @fixed_sets.register("made_up")
    def read(path: Path) -> OpenSet:
        return OpenSet(path.name, "ability", (), lambda _, text: 0.0, "nothing")

    try:
        assert load("made_up", tmp_path / "x").name == "x"
        assert "made_up" in fixed_sets.names()
    finally:
        del fixed_sets._found["made_up"]
