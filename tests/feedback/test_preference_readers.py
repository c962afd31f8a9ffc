"""Preferences from files of several makers; bad rows are named."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moorings.errors import InputError
from moorings.feedback.preference_readers import preferences_of_row, read_preferences
from moorings.records import Message

HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: Because: I\n\nam.",
    "rejected": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: No.",
}


def turns(*texts: str) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return tuple(Message(role=roles[at % 2], content=text) for at, text in enumerate(texts))


def as_dicts(chat: tuple[Message, ...]) -> list[dict[str, str]]:
    return [message.model_dump() for message in chat]


@pytest.mark.parametrize(
    ("row", "prompt", "chosen", "rejected"),
    [
        (HH, turns("Hi", "Hello.", "Why?"), "Because: I\n\nam.", "No."),
        (
            {"prompt": "Human: Hi\n\nAssistant: Yo\n\nHuman: Eh?\n\nAssistant:", "chosen": " A", "rejected": "B\n"},
            turns("Hi", "Yo", "Eh?"),
            "A",
            "B",
        ),
        ({"prompt": "What is 1+1?", "chosen": "2", "rejected": "3"}, turns("What is 1+1?"), "2", "3"),
        (
            {
                "prompt": as_dicts(turns("Q")),
                "chosen": [{"role": "assistant", "content": "A"}],
                "rejected": [{"role": "assistant", "content": ""}],
            },
            turns("Q"),
            "A",
            "",
        ),
        ({"chosen": as_dicts(turns("Q", "A")), "rejected": as_dicts(turns("Q", "B"))}, turns("Q"), "A", "B"),
        ({"prompt": as_dicts(turns("Q")), "chosen": "A", "rejected": "B"}, turns("Q"), "A", "B"),
    ],
)
def test_each_format_is_known_by_its_columns(row, prompt, chosen, rejected):
    (found,) = preferences_of_row({**row, "split": "test", "empty": None})
    assert (found.prompt, found.chosen, found.rejected) == (prompt, chosen, rejected)
    assert found.metadata == {"split": "test"}


def test_options_make_a_pair_for_each_two():
    found = preferences_of_row({"prompt": "Which?", "correct": ["(A)"], "incorrect": ["(B)", "(C)"], "id": "x"})
    assert [(one.chosen, one.rejected) for one in found] == [("(A)", "(B)"), ("(A)", "(C)")]
    assert found[0].metadata == {"id": "x"}


@pytest.mark.parametrize(
    ("row", "form", "reason"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": "A"}, "auto", "the same text"),
        ({"prompt": "Q", "chosen": "A"}, "auto", "'rejected' is missing"),
        ({"prompt": "Q", "chosen": 1, "rejected": "A"}, "auto", "'chosen' holds no text"),
        ({"prompt": "Q", "chosen": [], "rejected": []}, "auto", "an empty list"),
        ({"chosen": "A", "rejected": "B"}, "auto", "does not start with 'Human:'"),
        ({"chosen": "x\n\nHuman: A", "rejected": "B"}, "auto", "does not start with 'Human:'"),
        ({"chosen": HH["chosen"], "rejected": HH["chosen"]}, "auto", "the same dialogue"),
        ({**HH, "rejected": "Human: Hi\n\nAssistant: Hello.\n\nHuman: Other\n\nAssistant: No."}, "auto", "before"),
        ({**HH, "rejected": "Human: Hi\n\nAssistant: Bye.\n\nHuman: Go\n\nAssistant: Ok"}, "auto", "go on after"),
        ({"prompt": "Q", **HH}, "transcripts", "stands beside whole dialogues"),
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, "dialogue", "no dialogue"),
        ({"chosen": "Assistant: A", "rejected": "Assistant: B"}, "auto", "nothing stands before the replies"),
        ({"prompt": "Q", "correct": [], "incorrect": ["B"]}, "auto", "no list of texts"),
        ({"prompt": "Q", "correct": ["A"], "incorrect": [3]}, "auto", "no list of texts"),
        ({"prompt": [{"role": "judge", "content": "?"}], "chosen": "A", "rejected": "B"}, "auto", "has role 'judge'"),
    ],
)
def test_a_bad_row_says_what_is_wrong(row, form, reason):
    with pytest.raises(ValueError, match=reason):
        preferences_of_row(row, form)


def test_a_bad_row_is_named_or_set_aside(tmp_path):
    path = tmp_path / "p.jsonl.gz"
    good = {"prompt": "Q", "chosen": "A", "rejected": "B"}
    lines = [json.dumps(good), json.dumps({**good, "chosen": "B"}), "{broken", json.dumps(good)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    with pytest.raises(InputError, match="line 2: chosen and rejected are the same text"):
        read_preferences(path)
    found = read_preferences(path, skip_bad=True)
    assert (len(found.preferences), found.n_bad) == (2, 2)
    assert Path(f"{path}.quarantine").read_text("utf-8").splitlines() == lines[1:3]


def test_csv_and_parquet_are_read_too(tmp_path):
    csv, parquet = tmp_path / "p.csv", tmp_path / "p.parquet"
    csv.write_text('prompt,chosen,rejected\nQ,"A, B",C\n', "utf-8")
    pq.write_table(pa.table({"prompt": [as_dicts(turns("Q"))], "chosen": ["A, B"], "rejected": ["C"]}), parquet)
    assert read_preferences(csv).preferences == read_preferences(parquet).preferences
    assert read_preferences(csv).preferences[0].chosen == "A, B"


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("hh_harmless_base_test", 2312),
        ("hh_helpful_single_turn", 8000),
        ("hhh_438", 438),
        ("harmful_vs_ethical", 254),
        ("harm_type_classification", 287 * 8),
    ],
)
def test_the_development_data_is_read_whole(name, n):
    data = Path(os.environ.get("MOORINGS_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = data / "preferences" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip("the development data is not there")
    found = read_preferences(path)
    assert (len(found.preferences), found.n_bad) == (n, 0)
    assert all(one.prompt[-1].role == "user" for one in found.preferences)
