"""Parts: every damage is found, what the journal holds is rebuilt, what it does not can be added again."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_kit import (
    ALL_ROWS,
    BATCH,
    CONFIG,
    STEPS,
    QuickDisk,
    assert_sound,
    expected,
    make_rows,
    part_files,
    stored,
    work,
)

from moorings.errors import StorageError
from moorings.records import canonical_json
from moorings.store import Run, query, repair, verify
from moorings.store import run as run_module
from moorings.store.index import part_path
from moorings.store.parts import SCHEMA, part_bytes, plain_rows, sha256_hex


def page_offsets(path: Path) -> list[int]:
    """Where pages and column chunks begin in a Parquet file."""
    meta = pq.ParquetFile(path).metadata
    found = {0, 4, path.stat().st_size - 8, path.stat().st_size - 1}
    for group in range(meta.num_row_groups):
        for column in range(meta.num_columns):
            chunk = meta.row_group(group).column(column)
            found.update({chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size})
            if chunk.dictionary_page_offset:
                found.add(chunk.dictionary_page_offset)
    return sorted(found)


def assert_never_wrong(root: Path, truth: dict[str, str]) -> None:
    """The damage is named, and nothing that can still be read differs."""
    report = verify(root)
    assert not report.ok
    assert any("missing or damaged" in problem for problem in report.problems)
    with pytest.raises(StorageError, match="missing or damaged"):
        stored(root)
    with Run.open(root) as run, pytest.raises(StorageError, match="missing or damaged"):
        query(run, "SELECT count(*) FROM samples")
    with pytest.raises(StorageError, match="missing or damaged"):
        Run.open(root, write=True)
    with Run.open(root) as run:
        assert expected(run.unsealed()).items() <= truth.items()


def test_every_truncation_is_found(finished: Path) -> None:
    truth = stored(finished)
    for path in sorted((finished / "parts").iterdir()):
        data = path.read_bytes()
        for cut in page_offsets(path):
            path.write_bytes(data[:cut])
            assert not verify(finished).ok
        assert_never_wrong(finished, truth)
        path.write_bytes(data)
    assert_sound(finished)


def test_zeroed_pages_and_swapped_parts_are_found(finished: Path) -> None:
    truth = stored(finished)
    one, two, *_ = sorted((finished / "parts").iterdir())
    data, other = one.read_bytes(), two.read_bytes()
    offsets = page_offsets(one)
    for start, end in itertools.pairwise(offsets):
        one.write_bytes(data[:start] + bytes(end - start) + data[end:])
        if one.read_bytes() != data:
            assert not verify(finished).ok
    assert_never_wrong(finished, truth)
    one.write_bytes(other)
    two.write_bytes(data)
    assert_never_wrong(finished, truth)
    one.unlink()
    assert_never_wrong(finished, truth)


def test_repair_rebuilds_sealed_parts_to_the_byte(finished: Path) -> None:
    truth, files = stored(finished), part_files(finished)
    with Run.open(finished) as run:
        sealed = [part for part in run.parts() if part.covers]
    assert len(sealed) == 2
    for part in sealed:
        (finished / part.path).write_bytes(b"damaged")
    report = repair(finished)
    assert report.ok, report.problems
    assert any("given up" in note for note in report.notes)
    assert stored(finished) == truth
    assert part_files(finished) == files
    with Run.open(finished) as run:
        assert run.status() == "complete"
    assert len(list((finished / "quarantine").glob("samples-*.parquet"))) == 2


@pytest.mark.parametrize("done", [1, 2])
def test_a_crash_in_a_repair_loses_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    truth, files = stored(finished), part_files(finished)
    with Run.open(finished) as run:
        sealed = [part for part in run.parts() if part.covers]
    for part in sealed:
        (finished / part.path).unlink()

    class Killed(Exception):
        pass

    note_lost, n_calls = Run.note_lost, 0

    def kill_after(self: Run, part: object) -> None:
        nonlocal n_calls
        note_lost(self, part)  # type: ignore[arg-type]
        n_calls += 1
        if n_calls == done:
            raise Killed

    monkeypatch.setattr(Run, "note_lost", kill_after)
    with pytest.raises(Killed):
        repair(finished)
    monkeypatch.undo()
    if done == 2:
        assert stored(finished) == truth, "rows of a lost part are read from the journal"
    monkeypatch.setattr(run_module, "SEAL_ROWS", 8)
    assert repair(finished).ok
    assert stored(finished) == truth
    assert part_files(finished) == files


def test_lost_bulk_part_frees_its_keys(finished: Path) -> None:
    truth, files = stored(finished), part_files(finished)
    with Run.open(finished) as run:
        (bulk,) = [part for part in run.parts() if not part.covers]
    (finished / bulk.path).write_bytes(b"")
    report = repair(finished)
    assert report.ok
    assert report.n_rows == len(truth) - bulk.rows
    with Run.open(finished) as run:
        assert run.status() == "open"
    work(finished, QuickDisk(), [])
    assert stored(finished) == truth
    assert part_files(finished) == files
    assert_sound(finished)


def test_part_without_a_journal_entry_goes_to_orphans(finished: Path) -> None:
    truth = stored(finished)
    (finished / "parts/samples-0.parquet").write_bytes(b"left by a crash")
    Run.open(finished, write=True).close()
    assert (finished / "orphans/samples-0.parquet").read_bytes() == b"left by a crash"
    assert stored(finished) == truth
    assert any("1 files in orphans/" in note for note in verify(finished).notes)


def test_resumed_anywhere_ends_with_the_same_parts(tmp_path: Path, finished: Path) -> None:
    truth, files = stored(finished), part_files(finished)
    points = ("before_ack", "after_ack", "before_part", "after_part", "after_part_line")

    class Killed(Exception):
        pass

    n_kills = 0
    for point in points:
        for nth in range(1, 7):
            root, left = tmp_path / f"{point}{nth}", [nth]

            def kill(at: str, point: str = point, left: list[int] = left) -> None:
                left[0] -= at == point
                if left[0] == 0:
                    raise Killed

            run = Run.create(root, CONFIG, disk=QuickDisk())
            run.on_point = kill
            try:
                for kind, rows in STEPS:
                    (run.add_interactions if kind == "batch" else run.add_part)(rows, BATCH)
                run.finish()
            except Killed:
                n_kills += 1
            run.close()
            work(root, QuickDisk(), [])
            assert stored(root) == truth
            assert part_files(root) == files, f"{nth}. {point}"
            assert_sound(root)
    assert n_kills > 15


def test_rows_added_again_after_an_error_at_a_point_are_no_duplicates(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(at: str) -> None:
        if at in ("after_ack", "after_part_line"):
            raise Stopped

    with Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()) as run:
        run.on_point = stop
        for add, rows in ((run.add_interactions, make_rows(0, 3)), (run.add_part, make_rows(3, 6))):
            with pytest.raises(Stopped):
                add(rows, BATCH)
            assert add(rows, BATCH) == 0
    assert stored(tmp_path / "r") == expected(make_rows(0, 6))


def test_many_pending_rows_are_sealed_as_if_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_seals: None
) -> None:
    batches = [make_rows(3 * i, 3 * i + 3) for i in range(20)]

    def fill(root: Path) -> None:
        with Run.create_or_open(root, CONFIG, disk=QuickDisk()) as run:
            for rows in batches:
                run.add_interactions(rows, BATCH)

    fill(tmp_path / "steady")
    monkeypatch.setattr(run_module, "SEAL_ROWS", 10_000)
    fill(tmp_path / "late")
    assert not part_files(tmp_path / "late")
    monkeypatch.setattr(run_module, "SEAL_ROWS", 8)
    fill(tmp_path / "late")
    assert len(part_files(tmp_path / "steady")) == 6
    assert part_files(tmp_path / "late") == part_files(tmp_path / "steady")
    for name in ("steady", "late"):
        with Run.open(tmp_path / name, write=True) as run:
            run.finish()
    assert stored(tmp_path / "late") == expected([row for rows in batches for row in rows])
    assert part_files(tmp_path / "late") == part_files(tmp_path / "steady")


def test_equal_rows_give_equal_bytes() -> None:
    plain, text = plain_rows(ALL_ROWS)
    assert part_bytes(plain) == part_bytes(json.loads(text))
    assert part_bytes(plain) != part_bytes(plain[::-1])


def forged(root: Path, data: bytes, **changes: object) -> Path:
    """A run whose journal lists a part that somebody else made."""
    digest = sha256_hex(data)
    with Run.create(root, CONFIG, disk=QuickDisk()) as run:
        run.files.write(part_path(digest), data)
        note = {"path": part_path(digest), "sha256": digest, "rows": 1, "size_bytes": len(data), "covers": None}
        run._append("samples", canonical_json({"batch": None, "rows": []}))
        run._journal.append("part", canonical_json({**note, "batch": None, **changes}))
    return root


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def test_foreign_content_behind_a_right_hash_is_refused(tmp_path: Path) -> None:
    bad_row = pa.Table.from_pylist([{"key": "aa", "metadata": "{"}], schema=SCHEMA)
    for name, data in {
        "none": b"no parquet",
        "columns": parquet(pa.table({"key": ["a"]})),
        "row": parquet(bad_row),
    }.items():
        root = forged(tmp_path / name, data)
        with pytest.raises(StorageError, match="do not trust this run"):
            stored(root)
    assert not verify(tmp_path / "none").ok
    assert not verify(tmp_path / "columns").ok


def test_row_count_is_checked(tmp_path: Path) -> None:
    data = part_bytes(plain_rows(make_rows(0, 3))[0])
    assert "holds 3 rows, its journal entry says 1" in verify(forged(tmp_path / "r", data)).problems[0]
    assert verify(forged(tmp_path / "s", data, rows=3)).ok


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "parts/../../outside.parquet"},
        {"path": "/etc/passwd"},
        {"path": "run.json"},
        {"path": 3},
        {"sha256": "../" * 21 + "x"},
        {"sha256": None},
        {"rows": "many"},
        {"rows": -1},
        {"size_bytes": None},
        {"covers": [5]},
        {"covers": [0, 1]},
        {"covers": [2, 10**9]},
        {"covers": ["1", "2"]},
    ],
)
def test_a_hostile_part_entry_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    (tmp_path / "outside.parquet").write_bytes(b"mine")
    root = forged(tmp_path / "r", part_bytes(plain_rows(make_rows(0, 1))[0]), **changes)
    assert not verify(root).ok
    for use in (lambda: stored(root), lambda: Run.open(root, write=True), lambda: repair(root)):
        with pytest.raises(StorageError, match="that Moorings does not write"):
            use()
    assert (tmp_path / "outside.parquet").read_bytes() == b"mine"


def test_links_out_of_the_run_are_refused(tmp_path: Path, finished: Path) -> None:
    outside = tmp_path / "outside"
    path = next((finished / "parts").iterdir())
    shutil.copy(path, outside)
    path.unlink()
    path.symlink_to(outside)
    report = verify(finished)
    assert not report.ok
    with pytest.raises(StorageError, match="leads out of run"):
        stored(finished)
    path.unlink()
    shutil.move(finished / "parts", tmp_path / "elsewhere")
    (finished / "parts").symlink_to(tmp_path / "elsewhere")
    before = sorted(p.name for p in (tmp_path / "elsewhere").iterdir())
    with pytest.raises(StorageError, match="leads out of run"):
        Run.open(finished, write=True)
    assert sorted(p.name for p in (tmp_path / "elsewhere").iterdir()) == before
