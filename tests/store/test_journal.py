"""The journal: frames, chain, torn ends, damage, and what repair leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from store_kit import ALL_ROWS, BATCH, CONFIG, QuickDisk, assert_sound, expected, make_row, make_rows, stored, work

from moorings.errors import InputError, StorageError
from moorings.store import Run, repair, verify
from moorings.store.disk import Disk
from moorings.store.frames import Chain, Entry
from moorings.store.journal import LocalJournal, owner_here


def small_run(root: Path, n_batches: int = 2) -> Path:
    with Run.create(root, CONFIG, disk=QuickDisk()) as run:
        for i in range(n_batches):
            run.add_interactions(make_rows(2 * i, 2 * i + 2), BATCH)
    return root


def follow(data: bytes) -> tuple[list[Entry], Chain]:
    chain = Chain()
    return list(chain.follow(data.splitlines(keepends=True), "journal")), chain


def test_lines_are_readable_without_us(tmp_path: Path) -> None:
    lines = (small_run(tmp_path / "r") / "journal.log").read_text().splitlines()
    bodies = [json.loads(line.split(" ", 1)[1]) for line in lines]
    assert [body["type"] for body in bodies] == ["created", "session", "samples", "samples"]
    assert [body["seq"] for body in bodies] == [0, 1, 2, 3]
    assert bodies[0]["data"]["config"] == CONFIG


def test_chain_detects_lost_swapped_and_foreign_lines(tmp_path: Path) -> None:
    lines = (small_run(tmp_path / "r", 4) / "journal.log").read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:2] + lines[3:],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:2], lines[2], lines[2], *lines[3:]],
        [*lines[:3], b"\n", *lines[3:]],
    ):
        with pytest.raises(StorageError, match="damaged at byte"):
            list(Chain().follow(changed, "journal"))


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    root = tmp_path / "r"
    with Run.create(root, CONFIG, disk=QuickDisk()) as run:
        while run.files.root.joinpath("journal.log").stat().st_size < 3600:  # type: ignore[attr-defined]
            run.add_interactions(make_rows(run.n_stored, run.n_stored + 1), BATCH)
    data = (root / "journal.log").read_bytes()
    whole, _ = follow(data)
    n_refused = n_torn = 0
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        chain, seen = Chain(), []
        try:
            seen.extend(chain.follow(bytes(changed).splitlines(keepends=True), "journal"))
        except StorageError:
            n_refused += 1
        else:
            assert chain.torn, f"bit {bit} was not noticed"
            n_torn += 1
        assert seen == whole[: len(seen)]
    assert n_refused + n_torn == 8 * len(data)
    assert n_refused > n_torn


def test_flipped_bits_never_change_what_a_run_says(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r", 3)
    path = root / "journal.log"
    data, truth = path.read_bytes(), stored(root)
    for byte in range(0, len(data), 7):
        changed = bytearray(data)
        changed[byte] ^= 1 << byte % 8
        path.write_bytes(changed)
        report = verify(root)
        assert not report.ok or any("unacknowledged bytes" in note for note in report.notes)
        try:
            assert stored(root).items() <= truth.items()
        except StorageError:
            assert not report.ok


@pytest.mark.parametrize("kept", [1, 40, 70, -1])
def test_torn_end_is_cut_kept_and_reported_before_any_append(tmp_path: Path, kept: int) -> None:
    root = small_run(tmp_path / "r")
    path = root / "journal.log"
    whole = path.read_bytes()
    *_, last = whole.splitlines(keepends=True)
    torn = last[:kept]
    path.write_bytes(whole[: -len(last)] + torn)
    assert any("unacknowledged" in note for note in verify(root).notes)
    with Run.open(root, write=True) as run:
        cut = run.notes("torn_end_cut")[0]
        session = run.notes("session")[-1]
        assert cut.seq < session.seq
        assert cut.data()["cut_bytes"] == len(torn)
        assert (root / cut.data()["kept_as"]).read_bytes() == torn
        assert run.n_stored == 2
        assert run.add_interactions(make_rows(0, 4), BATCH) == 2
    assert_sound(root)
    assert stored(root) == expected(make_rows(0, 4))


def test_a_whole_last_line_that_does_not_verify_is_a_problem(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r")
    path = root / "journal.log"
    path.write_bytes(path.read_bytes().replace(b"answer 3", b"answer 4"))
    report = verify(root)
    assert not report.ok
    assert "does not verify" in report.problems[0]
    Run.open(root, write=True).close()
    assert_sound(root)
    assert stored(root) == expected(make_rows(0, 2))


def test_torn_twice_at_the_same_place_keeps_both(tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    for torn in (b"first half", b"second half"):
        (root / "journal.log").write_bytes(torn)
        journal = LocalJournal(root / "journal.log", write=True, create=False, disk=Disk())
        assert list(journal.follow()) == []
        journal.close()
    assert sorted(p.read_bytes() for p in (root / "quarantine").iterdir()) == [b"first half", b"second half"]


def test_damage_in_the_middle_is_refused_then_repaired(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r", 4)
    path = root / "journal.log"
    damaged = path.read_bytes().replace(b"answer 4", b"answer 5", 1)
    path.write_bytes(damaged)
    for write in (False, True):
        with pytest.raises(StorageError, match=r"damaged at byte .*--repair"), Run.open(root, write=write) as run:
            run.status()
    assert path.read_bytes() == damaged
    assert not verify(root).ok
    report = repair(root)
    assert report.ok, report.problems
    assert stored(root) == expected(make_rows(0, 4))
    aside = [p.read_bytes() for p in (root / "quarantine").iterdir()]
    prefix = path.read_bytes()[: damaged.index(aside[0])]
    assert prefix + aside[0] == damaged
    with Run.open(root, write=True) as run:
        assert run.notes("journal_cut")
        assert run.add_interactions(make_rows(0, 8), BATCH) == 4


def test_repair_of_a_journal_damaged_from_its_first_line_begins_anew(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r")
    path = root / "journal.log"
    path.write_bytes(b"X" + path.read_bytes()[1:])
    assert repair(root).ok
    assert stored(root) == {}
    with Run.create_or_open(root, CONFIG) as run:
        assert run.add_interactions(make_rows(0, 4), BATCH) == 4
    assert_sound(root)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000])
def test_repair_restores_run_json_from_entry_0(tmp_path: Path, content: bytes) -> None:
    root = small_run(tmp_path / "r")
    before = (root / "run.json").read_bytes()
    (root / "run.json").write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        Run.open(root)
    assert repair(root).ok
    assert (root / "run.json").read_bytes() == before
    (root / "run.json").unlink()
    assert repair(root).ok
    assert (root / "run.json").read_bytes() == before


def test_changed_configuration_is_found_and_refused(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r")
    path = root / "run.json"
    path.write_text(path.read_text().replace('"seed": 3', '"seed": 4'))
    assert "config.seed was 3, now 4" in verify(root).problems[0]
    with pytest.raises(StorageError, match="changed after the run began"):
        Run.open(root, write=True)
    assert repair(root).ok
    with Run.open(root) as run:
        assert run.config == CONFIG


def test_nothing_to_repair_from(tmp_path: Path) -> None:
    (tmp_path / "journal.log").write_bytes(b"")
    with pytest.raises(StorageError, match="neither"):
        repair(tmp_path)


def test_missing_journal_is_never_begun_anew(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r")
    (root / "journal.log").unlink()
    for write in (False, True):
        with pytest.raises(StorageError, match="is missing"), Run.open(root, write=write) as run:
            run.status()
    (root / "journal.log").touch()
    with pytest.raises(StorageError, match="no verified first entry"):
        Run.open(root, write=True)


def test_interrupt_in_a_write_leaves_nothing_behind(tmp_path: Path) -> None:
    class Interrupted(QuickDisk):
        armed = False

        def write(self, fd: int, data: memoryview) -> int:
            if self.armed:
                os.write(fd, data[: len(data) // 2])
                raise KeyboardInterrupt
            return super().write(fd, data)

    disk, root = Interrupted(), tmp_path / "r"
    with Run.create(root, CONFIG, disk=disk) as run:
        run.add_interactions(make_rows(0, 2), BATCH)
        disk.armed = True
        with pytest.raises(KeyboardInterrupt):
            run.add_interactions(make_rows(2, 4), BATCH)
        disk.armed = False
        with pytest.raises(StorageError, match="earlier write failed"):
            run.add_interactions(make_rows(2, 4), BATCH)
    assert_sound(root)
    assert stored(root) == expected(make_rows(0, 2))


def test_reader_sees_rows_as_they_come(tmp_path: Path) -> None:
    with Run.create(tmp_path / "r", CONFIG) as writer, Run.open(tmp_path / "r") as reader:
        assert list(reader.interactions()) == []
        writer.add_interactions(make_rows(0, 2), BATCH)
        assert list(reader.interactions()) == make_rows(0, 2)
        writer.add_part(make_rows(5, 7), BATCH)
        writer.finish()
        assert {row.key for row in reader.interactions()} == {row.key for row in make_rows(0, 2) + make_rows(5, 7)}
        assert reader.status() == "complete"
        assert reader.head == writer.head


def test_reader_of_a_line_being_written_waits_for_its_end(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r")
    path = root / "journal.log"
    whole = path.read_bytes()
    with Run.open(root) as reader:
        path.write_bytes(whole[:-10])
        assert len(reader.unsealed()) == 2
        path.write_bytes(whole)
        assert len(reader.unsealed()) == 4
        path.write_bytes(whole[:100])
        with pytest.raises(StorageError, match="was cut while it was read"):
            reader.status()


def test_writer_scans_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_seals: None) -> None:
    root = tmp_path / "r"
    work(root, QuickDisk(), [])
    n_checked = 0
    check = Chain._check

    def counted(self: Chain, line: bytes) -> Entry | None:
        nonlocal n_checked
        n_checked += 1
        return check(self, line)

    monkeypatch.setattr(Chain, "_check", counted)
    n_lines = len((root / "journal.log").read_bytes().splitlines())
    with Run.open(root, write=True) as run:
        for _ in range(5):
            run.parts(), run.status(), run.artifacts(), run.unsealed(), run.head
        run.put_artifact("again", b"1")
        run.finish()
        assert n_checked == n_lines
    with Run.open(root) as run:
        n_checked = 0
        for _ in range(5):
            run.parts(), run.status(), run.artifacts(), run.unsealed(), run.head
        assert n_checked == n_lines + 2


@pytest.mark.parametrize(
    "changes",
    [
        {"logprobs_nats": [-1.0, float("-inf")]},
        {"logprobs_nats": [float("nan")]},
        {"metadata": {"x": float("nan")}},
        {"metadata": {"x": {1, 2}}},
        {"metadata": {"x": object()}},
        {"seed": 2**63},
        {"response": "\ud800"},
        {"key": "not hex"},
    ],
)
@pytest.mark.parametrize("how", ["add_interactions", "add_part"])
def test_a_row_that_cannot_be_stored_is_named_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, object], how: str
) -> None:
    root = tmp_path / "r"
    with Run.create(root, CONFIG, disk=QuickDisk()) as run:
        before = (root / "journal.log").read_bytes()
        with pytest.raises(InputError, match=r"cannot be stored|no sample key"):
            getattr(run, how)([make_row(0), make_row(1, **changes)], BATCH)
        assert (root / "journal.log").read_bytes() == before
        assert run.n_stored == 0
        assert getattr(run, how)([make_row(0)], BATCH) == 1
    assert_sound(root)


def test_odd_text_and_metadata_survive_both_ways(tmp_path: Path, small_seals: None) -> None:
    odd = "line\nbreak \r\u2028\x00 \u202e \U0001f600 \\ud800 " + "\\" * 3
    rows = [
        make_row(i, odd * (i + 1), metadata={"10": 1, "2": [odd], "s": "\ud800\\\udfff", "e": -0.0, "big": 2**80})
        for i in range(9)
    ]
    root = tmp_path / "r"
    with Run.create(root, CONFIG) as run:
        run.add_interactions(rows[:4], BATCH)
        assert list(run.interactions()) == rows[:4]
        run.add_interactions(rows[4:], BATCH)
        assert len(run.parts()) == 1
        assert list(run.interactions()) == rows
    with Run.open(root, write=True) as run:
        assert list(run.interactions()) == rows
    assert_sound(root)


def test_a_configuration_is_compared_as_json(tmp_path: Path) -> None:
    config = {"a": (1, 2), "path": os.fsdecode(b"caf\xe9")}
    Run.create(tmp_path / "r", config).close()
    Run.create_or_open(tmp_path / "r", config).close()
    with pytest.raises(StorageError, match=r"other settings: b was added"):
        Run.create_or_open(tmp_path / "r", {**config, "b": None})
    with pytest.raises(InputError, match="must be JSON"):
        Run.create(tmp_path / "s", {"a": tmp_path})
    assert not (tmp_path / "s").exists()


def test_callers_cannot_write_the_stores_own_entries(tmp_path: Path) -> None:
    with Run.create(tmp_path / "r", CONFIG) as run:
        for kind in ("part", "samples", "created", "complete"):
            with pytest.raises(StorageError, match="written by the store itself"):
                run.note(kind, {})
        for kind in ("Upper", "", "a b", "x" * 41):
            with pytest.raises(StorageError, match="cannot name a journal entry"):
                run.note(kind, {})
        run.note("fine", {})
    assert_sound(tmp_path / "r")


def test_readers_cannot_write(tmp_path: Path) -> None:
    root = small_run(tmp_path / "r")
    before = (root / "journal.log").read_bytes()
    with Run.open(root) as run:
        for write in (
            lambda: run.note("x", {}),
            lambda: run.add_interactions(make_rows(8, 9), BATCH),
            lambda: run.add_part(make_rows(8, 9), BATCH),
            lambda: run.put_artifact("a", b"1"),
        ):
            with pytest.raises(StorageError, match="not open for writing"):
                write()
    assert (root / "journal.log").read_bytes() == before
    assert not (root / "parts").exists()


def test_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert owner_here()["user"] == f"uid {os.getuid()}"


def test_finish_twice_writes_once(tmp_path: Path, small_seals: None) -> None:
    root = tmp_path / "r"
    work(root, QuickDisk(), [])
    with Run.open(root, write=True) as run:
        before = sum(1 for _ in run.entries())
        run.finish()
        run.finish()
        assert sum(1 for _ in run.entries()) == before
        run.add_interactions(make_rows(50, 51), BATCH)
        assert run.status() == "open"
        run.finish()
        assert run.status() == "complete"
    assert stored(root) == expected(ALL_ROWS + make_rows(50, 51))
