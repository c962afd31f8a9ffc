"""Recorded answers in every format, and the subject made of them."""

from __future__ import annotations

import gzip
import json
import os
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moorings.errors import ConfigError, InputError, MissingExtraError
from moorings.records import Decoding, Message, Request
from moorings.subjects import inspect_logs
from moorings.subjects.protocol import Subject
from moorings.subjects.recorded import RecordedRow, RecordedSubject
from moorings.subjects.spec import open_subject


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(path: Path, **options: Any) -> list[RecordedRow]:
    subject = open_subject(f"recorded:{path}", options=options)
    assert isinstance(subject, RecordedSubject)
    return list(subject.rows())


def asked(row: RecordedRow) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.prompt.messages]


def test_prompt_and_response_with_group_and_further_columns(tmp_path: Path) -> None:
    row = {"dataset": "d", "prompt": "Why?", "response": "So.", "model": "m", "finish_reason": "max_tokens"}
    (found,) = read(jsonl(tmp_path / "a.jsonl.gz", row | {"n_output_tokens": 7}))
    assert asked(found) == [("user", "Why?")]
    assert (found.response, found.index, found.finish_reason, found.n_output_tokens) == ("So.", 0, "length", 7)
    assert (found.prompt.group, found.error) == ("d", None)
    assert found.messages[-1] == Message(role="assistant", content="So.")
    assert found.metadata["model"] == "m"
    assert len(found.prompt.prompt_id) == 16


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "p", "output": "r"}, "p"),
        ({"instruction": "p", "input": "context", "output": "r"}, "p\n\ncontext"),
        ({"instruction": "p", "input": "", "output": "r"}, "p"),
        ({"question": "p", "answer": "r"}, "p"),
        ({"input": "p", "completion": "r"}, "p"),
        ({"prompt": [{"role": "user", "content": "p"}], "completion": [{"role": "assistant", "content": "r"}]}, "p"),
    ],
)
def test_usual_column_names(tmp_path: Path, row: dict[str, Any], prompt: str) -> None:
    (found,) = read(jsonl(tmp_path / "a.jsonl", row))
    assert (asked(found), found.response) == ([("user", prompt)], "r")
    assert found.metadata == {}


def test_chats_end_with_the_answer(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "u"}]}]
    last = {"role": "assistant", "content": "a"}
    path = jsonl(
        tmp_path / "a.jsonl",
        {"messages": [*turns, last]},
        {"messages": json.dumps([*turns, last])},
        {"messages": turns, "prompt": "ignored, kept"},
        {"messages": [last]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"messages": []},
        {"messages": "[NaN]"},
        {"messages": ["x"]},
        {"prompt": "only"},
    )
    subject = RecordedSubject(path, skip_bad=True)
    first, second = subject.rows()
    assert asked(first) == asked(second) == [("system", "s"), ("user", "u")]
    assert (first.response, first.index, second.index) == ("a", 0, 1)
    assert subject.n_bad == 8
    with pytest.raises(InputError, match="line 3: column 'messages' does not end with an assistant's turn"):
        list(RecordedSubject(path).rows())


def test_whole_transcripts_beside_the_response_must_agree(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    path = jsonl(tmp_path / "a.jsonl", {"messages": turns, "response": "a"}, {"messages": turns, "response": "b"})
    rows = RecordedSubject(path).rows()
    assert asked(next(rows)) == [("user", "u")]
    with pytest.raises(InputError, match="line 2: column 'messages' ends with another answer"):
        next(rows)


def test_preference_pairs_are_two_subjects_on_one_file(tmp_path: Path) -> None:
    pair = {"prompt": "p", "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "good"}]}
    path = jsonl(tmp_path / "a.jsonl", pair | {"rejected": "bad"})
    answers = [read(path, response_column=name)[0].response for name in ("chosen", "rejected")]
    assert answers == ["good", "bad"]
    prints = {
        open_subject(f"recorded:{path}", options={"response_column": name}).describe().fingerprint()
        for name in ("chosen", "rejected")
    }
    assert len(prints) == 2


def test_repeated_prompts_are_numbered_and_ids_kept_apart(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"id": 1, "prompt": "p", "response": "x"},
        {"id": 1, "prompt": "p", "response": "y"},
        {"id": 1, "prompt": "another", "response": "z"},
        {"id": "1#2", "prompt": "third", "response": "z"},
        {"id": 1, "prompt": "another", "response": "zz"},
        {"id": None, "prompt": "p", "response": "w"},
    )
    found = [(row.prompt.prompt_id, row.index) for row in read(path)]
    assert found[:5] == [("1", 0), ("1", 1), ("1#2", 0), ("1#2#2", 0), ("1#2", 1)]
    assert len(found[5][0]) == 16


def test_csv_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('prompt,response,topic\np,"line\n\nline",t\nq,,t\n')
    first, second = read(tmp_path / "a.csv")
    assert (first.response, first.prompt.group, second.response) == ("line\n\nline", "t", "")
    pq.write_table(pa.table({"q": ["p"], "r": ["x"], "k": [3]}), tmp_path / "a.parquet")
    (found,) = read(tmp_path / "a.parquet", prompt_column="q", response_column="r", group_column="k")
    assert (found.response, found.prompt.group) == ("x", "3")
    (tmp_path / "table.dat").write_text("prompt,response\np,r\n")
    assert read(tmp_path / "table.dat", format="csv")[0].response == "r"


def test_alpaca_outputs(tmp_path: Path) -> None:
    path = tmp_path / "model_outputs.json"
    row = {"instruction": "p", "output": "r", "generator": "m", "dataset": "helpful_base"}
    path.write_text(json.dumps([row]))
    for options in ({}, {"format": "alpaca"}):
        (found,) = read(path, **options)
        assert (found.prompt.group, found.response, found.metadata) == ("helpful_base", "r", {"generator": "m"})
    path.write_text(json.dumps([{"prompt": "p", "response": "r"}]))
    with pytest.raises(InputError, match=r"no column 'instruction'.*allowed: prompt, response"):
        read(path, format="alpaca")


def test_wrong_columns_are_listed(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"promt": "p", "reply": "r"})
    with pytest.raises(InputError, match=r"no prompt column; columns found: promt, reply; known names: prompt"):
        read(path)
    with pytest.raises(InputError, match=r"no response column; columns found: promt, reply"):
        read(path, prompt_column="promt")
    with pytest.raises(InputError, match=r"no column 'prompt' \(prompt_column\); did you mean 'promt'"):
        read(path, prompt_column="prompt", response_column="reply")
    (tmp_path / "a.txt").write_text("one\n")
    with pytest.raises(InputError, match="no response column"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "p"}, "has no column 'response'; found: prompt"),
        ({"prompt": "p", "response": None}, "column 'response' holds no text"),
        ({"prompt": "p", "response": 4}, "column 'response' holds no text"),
        ({"prompt": None, "response": "r"}, "column 'prompt' holds null"),
        ({"prompt": "p", "response": "r", "id": [1]}, "column 'id' holds a list"),
        ({"prompt": "p", "response": "r", "group": True}, "column 'group' holds True"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    good = {"prompt": "p", "response": "r", "id": 1, "group": "g"}
    path = jsonl(tmp_path / "a.jsonl", good, row)
    with pytest.raises(InputError, match=f"line 2: {said}"):
        read(path)
    assert len(read(path, skip_bad=True, quarantine=str(tmp_path / "bad"))) == 1
    assert json.loads((tmp_path / "bad").read_text()) == row


def test_failed_answers_are_kept_as_such(tmp_path: Path) -> None:
    failed = {"prompt": "p", "response": None, "finish_reason": "error"}
    first, second = read(jsonl(tmp_path / "a.jsonl", failed, failed | {"error": "no\nroute"}))
    assert (first.response, first.finish_reason, first.error) == ("", "error", "recorded as failed, without a reason")
    assert second.error == "no route"


LM_EVAL = {"doc_id": 3, "doc": {"subject": "maths"}, "target": "4", "filtered_resps": ["4"], "exact_match": 1.0}


@pytest.mark.parametrize(
    "arguments",
    [
        [["2+2?", {"until": ["\n"]}]],
        {"gen_args_0": {"arg_0": "2+2?", "arg_1": {"until": ["\n"]}}},
        {"gen_args_0": {"arg_0": ['[{"role": "user", "content": "2+2?"}]'], "arg_1": {}}},
    ],
)
def test_lm_eval_samples(tmp_path: Path, arguments: Any) -> None:
    row = LM_EVAL | {"arguments": arguments, "resps": [["It is 4", "Four"]], "filter": "strict"}
    path = jsonl(tmp_path / "samples.jsonl", row, row | {"filter": "loose", "filtered_resps": ["Four"]})
    first, second = read(path, group_column="subject")
    assert asked(first) == [("user", "2+2?")]
    assert [(row.response, row.index) for row in (first, second)] == [("It is 4", 0), ("Four", 1)]
    assert (first.prompt.prompt_id, first.prompt.group) == ("3", "maths")
    assert first.metadata["exact_match"] == 1.0
    with pytest.raises(InputError, match="no column 'topic'"):
        read(path, group_column="topic")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arguments": [["q", " a"], ["q", " b"]], "resps": [[["-1", "True"]], [["-2", "False"]]]}, "log-likelihoods"),
        ({"arguments": [], "resps": []}, "not lists of one length"),
        ({"arguments": [["q", {}]], "resps": [[1]]}, "no generated text"),
        ({"arguments": [["q", {}, {"visual": 1}]], "resps": [["a"]]}, "more than text"),
        ({"arguments": [[3, {}]], "resps": [["a"]]}, "no text"),
        ({"arguments": ["q"], "resps": [["a"]]}, "no request"),
    ],
)
def test_lm_eval_rows_without_generated_text_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"line 1: .*{said}"):
        read(jsonl(tmp_path / "samples.jsonl", LM_EVAL | change))


def test_lm_eval_must_have_its_columns(tmp_path: Path) -> None:
    good = LM_EVAL | {"arguments": [["q", {}]], "resps": [["a"]]}
    with pytest.raises(InputError, match="no column 'arguments'"):
        read(jsonl(tmp_path / "a.jsonl", LM_EVAL), format="lm_eval")
    with pytest.raises(InputError, match="line 2: has no 'arguments'"):
        read(jsonl(tmp_path / "a.jsonl", good, LM_EVAL))


def make_log(path: Path, n: int = 10, epochs: int = 2) -> Path:
    log_api = pytest.importorskip("inspect_ai.log")
    model_api = pytest.importorskip("inspect_ai.model")
    samples = []
    for at in range(n):
        for epoch in range(1, epochs + 1):
            output = model_api.ModelOutput.from_content("mockllm/model", f"answer {at}.{epoch}", "max_tokens")
            output.usage = model_api.ModelUsage(input_tokens=5, output_tokens=3, total_tokens=8)
            messages = [
                model_api.ChatMessageSystem(content="Be brief. " * 30),
                model_api.ChatMessageUser(content=f"question {at}"),
                output.choices[0].message,
            ]
            samples.append(
                log_api.EvalSample(
                    id=at if at % 2 else f"s{at}",
                    epoch=epoch,
                    input=f"question {at}",
                    target="t",
                    messages=messages,
                    output=output,
                    metadata={"topic": f"t{at % 3}"},
                )
            )
    agent, failed = samples[0], samples[-1]
    tool = model_api.ChatMessageTool(content="18 C", function="weather", tool_call_id="1")
    closing = model_api.ChatMessageAssistant(content="It is 18 C.")
    agent.messages = [*agent.messages, tool, closing]
    agent.output = model_api.ModelOutput.from_message(closing)
    failed.messages, failed.output = [], model_api.ModelOutput()
    failed.error = log_api.EvalError(message="rate\nlimit", traceback="", traceback_ansi="")
    spec = log_api.EvalSpec(
        created="2025-01-01T00:00:00+00:00",
        task="t",
        dataset=log_api.EvalDataset(samples=n, sample_ids=[sample.id for sample in samples[::epochs]]),
        model="mockllm/model",
        config=log_api.EvalConfig(epochs=epochs),
    )
    log_api.write_eval_log(log_api.EvalLog(eval=spec, status="success", samples=samples), str(path))
    return path


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_inspect_logs(tmp_path: Path, name: str) -> None:
    path = make_log(tmp_path / name)
    rows = read(path, group_column="topic", **({"format": "inspect"} if name == "log.json" else {}))
    by_id = {(row.prompt.prompt_id, row.index): row for row in rows}
    assert len(rows) == len(by_id) == 20
    row = by_id["1", 1]
    assert asked(row) == [("system", "Be brief. " * 30), ("user", "question 1")]
    assert (row.response, row.finish_reason, row.prompt.group) == ("answer 1.2", "length", "t1")
    assert (row.n_prompt_tokens, row.n_output_tokens, row.metadata["epoch"]) == (5, 3, 2)
    agent = by_id["s0", 0]
    assert (agent.response, len(agent.prompt.messages), agent.n_output_tokens) == ("It is 18 C.", 2, None)
    assert [turn.role for turn in agent.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert agent.messages[3].content == "[tool weather]\n18 C"
    failed = by_id["9#2", 0]  # it failed before the system prompt was added, so it was asked something else
    assert (failed.response, failed.finish_reason, failed.error) == ("", "error", "rate limit")
    assert asked(failed) == [("user", "question 9")]
    with pytest.raises(InputError, match=r"row 1: metadata has no 'nope'.*found: topic"):
        read(path, group_column="nope", format="inspect")


def test_damaged_inspect_logs_are_refused(tmp_path: Path) -> None:
    path = make_log(tmp_path / "log.eval", n=3)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable Inspect log"):
        read(path)
    path.write_bytes(whole[:200] + bytes(50) + whole[250:])
    with pytest.raises(InputError, match="not a readable Inspect log"):
        read(path)
    with zipfile.ZipFile(tmp_path / "other.eval", "w") as archive:
        archive.writestr("header.json", "{}")
    with pytest.raises(InputError, match="sample 1: Inspect cannot read it"):
        read(tmp_path / "other.eval")


def test_a_sample_that_the_log_does_not_list_is_not_lost_in_silence(tmp_path: Path) -> None:
    path = make_log(tmp_path / "log.eval", n=2)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("samples/extra_epoch_1.json", "{}")
    with pytest.raises(InputError, match="holds 5 samples but lists 4"):
        read(path)


def test_zip_bombs_are_refused_before_inspect_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("inspect_ai")
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", bytes(inspect_logs.MAX_MEMBER_BYTES + 1))
    assert path.stat().st_size < 10**6
    with pytest.raises(InputError, match=r"member header\.json unpacks to 268435457 bytes; allowed: 268435456"):
        read(path)
    monkeypatch.setattr(inspect_logs, "MAX_LOG_BYTES", 100)
    path = make_log(tmp_path / "log.eval", n=2)
    with pytest.raises(InputError, match=r"unpacks to \d+ bytes; allowed: 100"):
        read(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, 93])
def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path, compression: int) -> None:
    pytest.importorskip("inspect_ai.log")
    path = tmp_path / "lie.eval"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("header.json", bytes(10**6))
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 16 : directory + 20] = struct.pack("<I", zlib.crc32(bytes(10)))
    data[directory + 24 : directory + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("header.json") == bytes(10)
    with pytest.raises(InputError, match=r"readable Inspect log|says 10 bytes"):
        read(path)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    with zipfile.ZipFile(tmp_path / "twice.eval", "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "2")
    with pytest.raises(InputError, match="two members of one name"):
        read(tmp_path / "twice.eval")


def test_a_large_json_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("inspect_ai")
    monkeypatch.setattr(inspect_logs, "MAX_JSON_BYTES", 5)
    with pytest.raises(InputError, match="inspect log convert"):
        read(jsonl(tmp_path / "log.json", {"version": 2}), format="inspect")


def test_inspect_logs_need_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    (tmp_path / "log.eval").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"moorings\[inspect\]"):
        read(tmp_path / "log.eval")


def test_the_subject_answers_from_the_record(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"prompt": "p", "response": "one"},
        {"prompt": "p", "response": "two"},
        {"prompt": "q", "response": "", "finish_reason": "error", "error": "late"},
    )
    subject = RecordedSubject(path)
    assert isinstance(subject, Subject)
    requests = [
        Request(request_id=f"{text}{seed}", messages=(Message(role="user", content=text),), seed=seed)
        for text, seed in [("p", 0), ("p", 5), ("q", 1), ("P", 1)]
    ]
    first, second, failed, missing = subject.generate(requests, Decoding())
    assert (first.text, second.text, second.request_id) == ("one", "two", "p5")
    assert (failed.finish_reason, failed.error) == ("error", "late")
    assert (missing.finish_reason, missing.error) == ("error", "a.jsonl holds no answer to exactly these messages")
    subject.close()
    subject.close()
    assert [answer.text for answer in subject.generate(requests[:1], Decoding())] == ["one"]


def test_the_fingerprint_is_the_content(tmp_path: Path) -> None:
    row = {"prompt": "p", "response": "r"}
    infos = [RecordedSubject(jsonl(tmp_path / f"{name}.jsonl", row)).describe() for name in "ab"]
    other = RecordedSubject(jsonl(tmp_path / "c.jsonl", row | {"response": "s"})).describe()
    assert infos[0].fingerprint() == infos[1].fingerprint() != other.fingerprint()
    assert (other.engine, other.seeding, len(other.weights)) == ("recorded", "none", 64)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"prompt": "p", "response": "r"}, {"prompt": "q", "response": "r"})
    subject = RecordedSubject(path)
    rows = subject.rows()
    next(rows)
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="was changed while it was read"):
        list(rows)
    with pytest.raises(InputError, match="was changed after it was opened"):
        list(subject.rows())
    path.unlink()
    with pytest.raises(InputError, match="cannot read"):
        subject.describe()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"respone_column": "r"}, "unknown option 'respone_column'.*did you mean 'response_column'"),
        ({"format": "alpacca"}, "unknown format 'alpacca'.*did you mean 'alpaca'"),
        ({"skip_bad": "yes"}, "'skip_bad' of recorded: is 'yes'; allowed: true or false"),
        ({"prompt_column": 3}, "'prompt_column' of recorded: is 3; allowed: a text"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(jsonl(tmp_path / "a.jsonl"), **options)


def test_a_dataset_folder_of_answers(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"prompt": "p", "response": "r"}]).save_to_disk(str(tmp_path / "d"))
    assert [row.response for row in read(tmp_path / "d")] == ["r"]
    with pytest.raises(InputError, match="is not a file"):
        read(tmp_path / "d", format="csv")


@pytest.mark.shared_data
def test_recorded_answers_of_a_real_model() -> None:
    data = Path(os.environ.get("MOORINGS_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = data / "alpaca_eval_outputs" / "zephyr-7b-beta.jsonl.gz"
    if not path.exists():
        pytest.skip("the development data is not there")
    rows = read(path)
    assert len(rows) == 805
    assert len({row.prompt.prompt_id for row in rows}) + sum(row.index > 0 for row in rows) == 805
    assert all(row.prompt.group for row in rows)
