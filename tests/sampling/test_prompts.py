"""Prompt sets and personas from files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moorings.errors import ConfigError, InputError
from moorings.records import Message
from moorings.sampling import prompts as prompts_module
from moorings.sampling.prompts import load_personas, load_prompts


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_text_lines_are_prompts_named_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "my.prompts.txt"
    path.write_text("One?\n\nTwo?\nOne?\n")
    found = load_prompts(path)
    assert found.name == "my.prompts"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [prompt.messages for prompt in found.prompts][1] == (Message(role="user", content="Two?"),)
    first, _, third = (prompt.prompt_id for prompt in found.prompts)
    assert len(first) == 16
    assert third == f"{first}#2"


@pytest.mark.parametrize("column", ["prompt", "instruction", "question", "text"])
def test_usual_column_names_with_groups_and_further_columns(tmp_path: Path, column: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", {column: "p", "category": "c", "id": 7, "more": [1, {"x": None}]})
    (prompt,) = load_prompts(path).prompts
    assert (prompt.prompt_id, prompt.group, prompt.metadata) == ("7", "c", {"more": [1, {"x": None}]})


def test_every_kind_of_file_gives_the_same_prompts(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "topic": "t"}, {"prompt": "q", "topic": "u"}]
    jsonl(tmp_path / "a.jsonl", *rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "a.csv").write_text("prompt,topic\np,t\nq,u\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    sets = [load_prompts(tmp_path / f"a.{kind}").prompts for kind in ("jsonl", "json", "csv", "parquet")]
    assert all(found == sets[0] for found in sets)


def test_a_dataset_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"question": "p"}]).save_to_disk(str(tmp_path / "d"))
    found = load_prompts(tmp_path / "d")
    assert (found.name, found.prompts[0].messages[0].content) == ("d", "p")


def test_chats_must_end_with_a_question(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    path = jsonl(tmp_path / "a.jsonl", {"messages": chat}, {"messages": [*chat, {"role": "assistant", "content": "a"}]})
    with pytest.raises(InputError, match="line 2: the chat in column 'messages' ends with an answer"):
        load_prompts(path)
    found = load_prompts(path, limit=1)
    assert [message.role for message in found.prompts[0].messages] == ["system", "user"]


def test_columns_can_be_named_and_wrong_ones_are_listed(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"ask": "p", "kind": 3})
    (prompt,) = load_prompts(path, prompt_column="ask", group_column="kind").prompts
    assert (prompt.group, prompt.metadata) == ("3", {})
    with pytest.raises(InputError, match=r"no prompt column; columns found: ask, kind; known names: messages, prompt"):
        load_prompts(path)
    with pytest.raises(
        InputError, match=r"no column 'asks' \(prompt_column\); did you mean 'ask'\? allowed: ask, kind"
    ):
        load_prompts(path, prompt_column="asks")
    with pytest.raises(InputError, match=r"no column 'sort' \(group_column\)"):
        load_prompts(path, prompt_column="ask", group_column="sort")


def test_bad_rows_are_set_aside_and_counted(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl", {"prompt": "p"}, {"prompt": " \n"}, {"text": "x"}, {"prompt": None}, {"prompt": "q"}
    )
    with path.open("a") as file:
        file.write("{half")
    with pytest.raises(InputError, match="line 2: the prompt in column 'prompt' is empty; mend the row"):
        load_prompts(path)
    found = load_prompts(path, skip_bad=True, quarantine=tmp_path / "bad")
    assert [prompt.messages[0].content for prompt in found.prompts] == ["p", "q"]
    assert found.n_bad == 4
    assert (tmp_path / "bad").read_text().splitlines() == [*path.read_text().splitlines()[1:4], "{half"]


def test_ids_are_made_unique(tmp_path: Path) -> None:
    ids = ["a", "a#2", "a", "a", "a#2"]
    path = jsonl(tmp_path / "a.jsonl", *({"id": own, "prompt": f"p{at}"} for at, own in enumerate(ids)))
    assert [prompt.prompt_id for prompt in load_prompts(path).prompts] == ["a", "a#2", "a#3", "a#4", "a#2#2"]


def test_limit_and_nothing_to_read(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"prompt": "p"}, {"prompt": "q"}, {"prompt": ""})
    assert len(load_prompts(path, limit=2).prompts) == 2
    with pytest.raises(ConfigError, match="limit is 0"):
        load_prompts(path, limit=0)
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no prompt; write one"):
        load_prompts(tmp_path / "empty.txt")
    (tmp_path / "bad.jsonl").write_text("x\n")
    with pytest.raises(InputError, match=r"holds no prompt \(1 bad rows went to .*bad\.jsonl\.quarantine\)"):
        load_prompts(tmp_path / "bad.jsonl", skip_bad=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "pirate: Talk like a pirate.\nterse: |\n  Be brief.\n"),
        ("p.yml", "- {name: pirate, system: Talk like a pirate.}\n- name: terse\n  system: |\n    Be brief.\n"),
        ("p.json", '\ufeff{"pirate": "Talk like a pirate.", "terse": "Be brief.\\n"}'),
    ],
)
def test_personas(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = [(persona.name, persona.system) for persona in load_personas(tmp_path / name)]
    assert found == [("pirate", "Talk like a pirate."), ("terse", "Be brief.\n")]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.yaml", b"a: x\na: y\n", "given twice"),
        ("p.yaml", b"- {name: a, system: x}\n- {name: a, system: y}\n", "'a' is given twice"),
        ("p.json", b'{"a": "x", "a": "y"}', "occurs twice"),
        ("p.json", b'{"a": "\\ud800"}', "surrogate"),
        ("p.yaml", b'a: "\\ud800"', "not readable YAML|surrogate"),
        ("p.yaml", b"a: 3\n", "both texts"),
        ("p.yaml", b"3: x\n", r"\(a int\) needs a name"),
        ("p.yaml", b"- a\n- b\n", "holds no personas; allowed"),
        ("p.yaml", b"", "holds no persona; write"),
        ("p.yaml", b"a: [", "not readable YAML"),
        ("p.yaml", b"[" * 5000, "not readable YAML"),
        ("p.yaml", b"a: !!python/object/apply:os.mkdir [canary]\n", "not readable YAML"),
        ("p.yaml", b"a: \xff\n", "not UTF-8 at byte 4"),
        ("p.toml", b"", r"allowed: \.yaml"),
    ],
)
def test_wrong_personas_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        load_personas(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_missing_and_oversized_personas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_personas(tmp_path / "none.yaml")
    monkeypatch.setattr(prompts_module, "MAX_PERSONA_BYTES", 5)
    (tmp_path / "p.yaml").write_text("a: long\n")
    with pytest.raises(InputError, match="larger than 5 bytes"):
        load_personas(tmp_path / "p.yaml")
