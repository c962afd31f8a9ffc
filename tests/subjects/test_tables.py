"""Rows of every kind of file, and what becomes of bad ones."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moorings.errors import ConfigError, InputError, MissingExtraError, StorageError, StorageFullError
from moorings.subjects import tables
from moorings.subjects.tables import RowReader, hash_source, read_rows

ROWS = [{"prompt": "Why?", "n": 1}, {"prompt": "größer 🙂", "n": 2}]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON", "a.jsonl.gz"])
def test_json_lines_skip_blank_lines_but_count_them(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"\xef\xbb\xbf" + jsonl(ROWS[:1]) + b"\n  \r\n" + jsonl(ROWS[1:]))
    assert list(read_rows(path)) == [(1, ROWS[0]), (4, ROWS[1])]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_json_list_is_read_item_by_item(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, json.dumps(ROWS, indent=1).encode())
    assert list(read_rows(path)) == [(1, ROWS[0]), (2, ROWS[1])]


def test_a_bad_item_of_a_json_list_is_set_aside_and_the_next_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'[{"a": NaN}, 7, {"a": 1}]')
    reader = RowReader(path, skip_bad=True)
    assert list(reader) == [(3, {"a": 1})]
    assert reader.n_bad == 2
    assert (tmp_path / "a.json.quarantine").read_bytes() == b'{"a": NaN}\n7'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1}', r"does not start with '\['.*\.jsonl"),
        (b'[{"a": 1} {"a": 2}]', "after 1 rows: expected ','"),
        (b'[{"a": 1}, {"a"', "after 1 rows"),
        (b'[{"a": 1}] x', "more text after the list"),
        (b"[\xff]", "not UTF-8 at byte 2"),
        (b"[" * 100_000, "nested deeper"),
    ],
)
def test_a_json_list_that_cannot_be_followed_is_refused_even_when_skipping(
    tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        list(read_rows(write(tmp_path / "a.json", data), skip_bad=True))


def test_an_empty_json_list_has_no_rows(tmp_path: Path) -> None:
    assert list(read_rows(write(tmp_path / "a.json", b" [ ] \n"))) == []


def test_a_json_file_beyond_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_JSON_BYTES", 10)
    with pytest.raises(InputError, match=r"more than 10 bytes.*\.jsonl"):
        list(read_rows(write(tmp_path / "a.json.gz", b"[" + b" " * 100 + b"]")))


def test_csv_keeps_quoted_line_breaks_and_numbers_rows_by_their_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbfprompt,response\r\nq1,"one\n\ntwo"\r\n\r\nq2,"say ""hi"", then"\r\n')
    assert list(read_rows(path)) == [
        (2, {"prompt": "q1", "response": "one\n\ntwo"}),
        (6, {"prompt": "q2", "response": 'say "hi", then'}),
    ]


def test_bad_csv_records_are_set_aside_whole(tmp_path: Path) -> None:
    bad = [b"too,many,fields\n", b'"multi\nline \xff",x\n', b'"a"b,c\n']
    path = write(tmp_path / "a.csv", b"p,r\n" + bad[0] + b"good,1\n" + bad[1] + b"good,2\n" + bad[2] + b'good,"open\n')
    reader = RowReader(path, skip_bad=True, quarantine=tmp_path / "deep" / "bad.csv")
    assert [row["r"] for _, row in reader] == ["1", "2"]
    assert reader.n_bad == 4
    assert (tmp_path / "deep" / "bad.csv").read_bytes() == b"".join(bad) + b'good,"open\n'


def test_a_csv_field_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"prompt\n" + b"x" * 10**6 + b"\n")
    assert [len(row["prompt"]) for _, row in read_rows(path)] == [10**6]


@pytest.mark.parametrize("header", [b"a,a\n1,2\n", b'"a\n', b"\xff,b\n1,2\n"])
def test_a_csv_header_that_names_no_columns_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(InputError, match="first line does not name the columns"):
        list(read_rows(write(tmp_path / "a.csv", header), skip_bad=True))


@pytest.mark.parametrize("kind", ["csv", "txt", "jsonl"])
def test_lines_beyond_the_bound_are_set_aside_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 50)
    head = b"prompt\n" if kind == "csv" else b""
    good = b'{"prompt": "short"}\n' if kind == "jsonl" else b"short\n"
    long = b"y" * (3 * 2**20) + b"\n"
    reader = RowReader(write(tmp_path / f"a.{kind}", head + long + good + long[:-1]), skip_bad=True)
    assert [row for _, row in reader] == [{"prompt": "short"}]
    assert reader.n_bad == 2
    assert reader.quarantine.read_bytes() == long + long[:-1]


def test_an_unclosed_csv_quote_is_given_up_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 50)
    reader = RowReader(write(tmp_path / "a.csv", b'p,q\n"open,1\n' + b"x,y\n" * 20), skip_bad=True)
    assert sum(1 for _ in reader) + len(reader.quarantine.read_bytes().splitlines()) == 21


def test_text_is_one_prompt_a_line(tmp_path: Path) -> None:
    assert list(read_rows(write(tmp_path / "a.txt.gz", b"one \r\n\ntwo"))) == [
        (1, {"prompt": "one "}),
        (3, {"prompt": "two"}),
    ]


def test_utf_16_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"UTF-16.*iconv"):
        list(read_rows(write(tmp_path / "a.txt", "hello".encode("utf-16")), skip_bad=True))


def test_parquet_rows_become_plain_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "prompt": ["a", "b"],
            "score": [0.5, float("nan")],
            "when": [datetime.datetime(2025, 1, 2, 3), None],
            "price": [decimal.Decimal("1.20"), None],
            "tags": [["x"], []],
            "nested": [{"k": 1}, {"k": 2}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = (row for _, row in read_rows(tmp_path / "a.parquet"))
    assert first == {
        "prompt": "a",
        "score": 0.5,
        "when": "2025-01-02T03:00:00",
        "price": "1.20",
        "tags": ["x"],
        "nested": {"k": 1},
    }
    assert second["score"] is None


def test_parquet_rows_that_cannot_be_stored_are_set_aside(tmp_path: Path) -> None:
    broken = pa.array([b"ok", b"\xff", b"ok", b"ok", b"fine"]).view(pa.string())
    table = pa.table(
        {"p": broken, "x": [1.0, 1.0, float("inf"), 1.0, 1.0], "n": pa.array([1, 1, 1, 2**64 - 1, 1], pa.uint64())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    reader = RowReader(tmp_path / "a.parquet", skip_bad=True)
    assert [(number, row["p"]) for number, row in reader] == [(1, "ok"), (5, "fine")]
    assert reader.n_bad == 3
    assert len(reader.quarantine.read_bytes().splitlines()) == 3
    with pytest.raises(InputError, match=r"a\.parquet, row 2: a value cannot be read"):
        list(read_rows(tmp_path / "a.parquet"))


def test_parquet_bytes_are_refused_by_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"\x00"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 1: column 'image' holds bytes"):
        list(read_rows(tmp_path / "a.parquet"))


def test_damaged_parquet_and_equal_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not readable as Parquet"):
        list(read_rows(write(tmp_path / "a.parquet", b"PAR1 no PAR1")))
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="occurs twice"):
        list(read_rows(tmp_path / "b.parquet"))


def test_dataset_folders(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(InputError, match=r"splits train; name one of them: .*d/SPLIT"):
        list(read_rows(tmp_path / "d"))
    assert list(read_rows(tmp_path / "d" / "train")) == [(1, ROWS[0]), (2, ROWS[1])]
    assert hash_source(tmp_path / "d" / "train") == hash_source(tmp_path / "d" / "train")
    state = tmp_path / "d" / "train" / "state.json"
    good = json.loads(state.read_text())
    state.write_text(json.dumps(good | {"_data_files": [{"filename": "../../x.arrow"}]}))
    with pytest.raises(InputError, match="outside its folder"):
        list(read_rows(tmp_path / "d" / "train"))
    state.write_text(json.dumps({"_data_files": 3}))
    with pytest.raises(InputError, match="does not list"):
        list(read_rows(tmp_path / "d" / "train"))
    state.write_text(json.dumps(good | {"_data_files": [{"filename": "missing.arrow"}]}))
    with pytest.raises(InputError, match="not readable as a dataset folder"):
        list(read_rows(tmp_path / "d" / "train"))


def test_a_dataset_folder_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "state.json", b'{"_data_files": [{"filename": "a.arrow"}]}')
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"moorings\[datasets\]"):
        list(read_rows(tmp_path))


def test_other_paths_are_refused(tmp_path: Path) -> None:
    for name in ("a.pkl", "a.pt", "a.npy", "a.bin", "a.joblib", "a.parquet.gz", "a"):
        with pytest.raises(InputError, match=r"allowed: \.jsonl"):
            read_rows(write(tmp_path / name, b"x"))
    with pytest.raises(InputError, match="no such file"):
        read_rows(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="not a regular file"):
        read_rows("/dev/null")
    with pytest.raises(InputError, match="no dataset that save_to_disk wrote"):
        list(read_rows(tmp_path))
    with pytest.raises(InputError, match="cannot read"):
        hash_source(tmp_path / "none.jsonl")


def test_a_damaged_gzip_file_is_named_with_the_line_reached(tmp_path: Path) -> None:
    whole = gzip.compress(jsonl(ROWS * 5000))
    for data in (whole[: len(whole) // 2], whole[:-200] + bytes(200)):
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"line \d+: the file cannot be read on"):
            list(read_rows(path, skip_bad=True))


def test_a_malformed_line_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", jsonl(ROWS[:1]) + b'{"prompt": \n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: not JSON: .*--skip-bad"):
        list(read_rows(path))


def test_the_quarantine_holds_only_the_latest_pass(tmp_path: Path) -> None:
    reader = RowReader(write(tmp_path / "a.jsonl", b"x\n"), skip_bad=True)
    assert list(reader) == list(reader) == []
    assert reader.n_bad == 1
    assert reader.quarantine.read_bytes() == b"x\n"


def test_the_quarantine_must_be_another_writable_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"x\n")
    with pytest.raises(ConfigError, match="is the input itself"):
        RowReader(path, skip_bad=True, quarantine=tmp_path / "." / "a.jsonl")
    with pytest.raises(StorageError, match="cannot write bad rows"):
        list(read_rows(path, skip_bad=True, quarantine=tmp_path))
    with pytest.raises(StorageFullError, match="free space"):
        list(read_rows(path, skip_bad=True, quarantine="/dev/full"))


def test_rejecting_before_reading_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no row"):
        RowReader(write(tmp_path / "a.jsonl", b"")).reject("why")
