"""The sample cache saves time and never costs a run."""

from __future__ import annotations

import sqlite3
import warnings
from pathlib import Path

import pytest
from store_kit import child, make_row, make_rows

from moorings.store import SampleCache


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "samples.sqlite"
    rows = make_rows(0, 1200)
    cache = SampleCache(path)
    cache.put(rows)
    cache.put([make_row(0, "another answer")])
    cache.close()
    cache = SampleCache(path)
    assert len(cache) == 1200
    assert cache.get([row.key for row in [*rows, make_row(5000)]]) == {row.key: row for row in rows}
    assert cache.get([]) == {}
    cache.close()
    cache.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_file_is_set_aside_and_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "samples.sqlite"
    path.write_bytes(content)
    path.with_name("samples.sqlite-journal").write_bytes(b"left over")
    with pytest.warns(UserWarning, match=r"was damaged .* kept as samples\.damaged"):
        cache = SampleCache(path)
    assert path.with_suffix(".damaged").read_bytes() == content
    cache.put(make_rows(0, 2))
    assert len(cache) == 2
    cache.close()


def test_another_programs_table_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "samples.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE samples (other TEXT)")
    db.close()
    with pytest.warns(UserWarning, match="was damaged"):
        cache = SampleCache(path)
    cache.put(make_rows(0, 1))
    assert len(cache) == 1
    cache.close()


@pytest.mark.parametrize("use", ["get", "put"])
def test_damage_met_in_use(tmp_path: Path, use: str) -> None:
    path = tmp_path / "samples.sqlite"
    cache = SampleCache(path)
    cache.put(make_rows(0, 400))
    cache.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    cache = SampleCache(tmp_path / "fresh.sqlite")
    cache.close()
    cache.path = path
    path.write_bytes(data)
    cache._db = sqlite3.connect(path)
    with pytest.warns(UserWarning, match="was damaged"):
        found = cache.get([row.key for row in make_rows(0, 400)]) if use == "get" else cache.put(make_rows(400, 800))
    assert not found
    cache.put(make_rows(0, 3))
    assert len(cache.get([row.key for row in make_rows(0, 400)])) == 3
    cache.close()


@pytest.mark.parametrize("change", ["crc = crc + 1", "row = x'00'", "row = NULL", "crc = 'x'", "row = 'text'"])
def test_a_row_that_does_not_verify_is_missing(tmp_path: Path, change: str) -> None:
    cache = SampleCache(tmp_path / "c.sqlite")
    cache.put(make_rows(0, 3))
    assert cache._db is not None
    with cache._db:
        cache._db.execute(f"UPDATE samples SET {change} WHERE key = ?", [bytes.fromhex(make_row(1).key)])
    assert set(cache.get([row.key for row in make_rows(0, 3)])) == {make_row(0).key, make_row(2).key}
    with cache._db:
        blobs = "SELECT crc, row FROM samples WHERE key = ?"
        crc, blob = cache._db.execute(blobs, [bytes.fromhex(make_row(0).key)]).fetchone()
        cache._db.execute(
            "UPDATE samples SET crc = ?, row = ? WHERE key = ?", [crc, blob, bytes.fromhex(make_row(2).key)]
        )
    assert set(cache.get([row.key for row in make_rows(0, 3)])) == {make_row(0).key}
    cache.close()


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "samples.sqlite"
    code = """
import sys
from store_kit import *
from moorings.store import SampleCache
cache = SampleCache(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[2]), 180, 3):
    cache.put([make_row(i), make_row(i + 1)])
cache.close()
"""
    writers = [child(code, str(path), str(i)) for i in (0, 2)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, err = writer.communicate(timeout=60)
        assert writer.returncode == 0
        assert not err
    cache = SampleCache(path)
    assert cache.get([row.key for row in make_rows(0, 180)]) == {row.key: row for row in make_rows(0, 180)}
    cache.close()


def test_a_cache_in_use_is_not_taken_for_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "samples.sqlite"
    cache = SampleCache(path)
    cache.put(make_rows(0, 2))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert cache._db is not None
    cache._db.execute("PRAGMA busy_timeout = 1")
    with pytest.warns(UserWarning, match=r"cannot be used \(database is locked\); this run goes on"):
        cache.put(make_rows(2, 4))
    other.execute("ROLLBACK")
    other.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(make_rows(2, 4))
        assert cache.get([make_row(0).key]) == {}
        assert len(cache) == 0
    again = SampleCache(path)
    assert len(again) == 2
    again.close()
    assert not path.with_suffix(".damaged").exists()


def test_no_place_for_a_cache_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.sqlite").mkdir()
    for path in (tmp_path / "file" / "c.sqlite", tmp_path / "folder.sqlite"):
        with pytest.warns(UserWarning, match="cannot be used"):
            cache = SampleCache(path)
        cache.put(make_rows(0, 1))
        assert cache.get([make_row(0).key]) == {}
        cache.close()
