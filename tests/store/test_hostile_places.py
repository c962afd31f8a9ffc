"""Folders somebody else made, and places that do not let us write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from store_kit import BATCH, CONFIG, QuickDisk, assert_sound, child, expected, make_rows, stored

from moorings.errors import InputError, StorageError
from moorings.records import canonical_json
from moorings.store import Run, repair, verify
from moorings.store.disk import Disk
from moorings.store.index import artifact_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()) as run:
        run.add_interactions(make_rows(0, 2), BATCH)
        run.put_artifact("notes/plan.txt", b"plan")
    return tmp_path / "r"


def append(root: Path, kind: str, data: str) -> None:
    """Put an entry with a right hash at the end, as whoever made the folder could."""
    files_run = Run.open(root, write=True, disk=QuickDisk())
    files_run._journal.append(kind, data)
    files_run.close()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("artifact", {"name": "../../outside", "sha256": "a" * 64}),
        ("artifact", {"name": "/etc/passwd", "sha256": "a" * 64}),
        ("artifact", {"name": "a\\..\\b", "sha256": "a" * 64}),
        ("artifact", {"name": "\x1b[2J", "sha256": "a" * 64}),
        ("artifact", {"name": "plain", "sha256": "../../../../etc/passwd"}),
        ("artifact", {"name": "plain"}),
        ("artifact", ["plain"]),
        ("part", None),
        ("part_lost", 3),
        ("samples", {"rows": {"a": 1}}),
        ("samples", {"rows": [1]}),
        ("samples", []),
    ],
)
def test_entries_that_moorings_does_not_write_are_refused(root: Path, kind: str, data: object) -> None:
    append(root, kind, canonical_json(data))
    assert not verify(root).ok
    with pytest.raises(StorageError, match="that Moorings does not write"):
        stored(root)
    with pytest.raises(StorageError, match="that Moorings does not write"):
        Run.open(root, write=True)


def test_a_refused_entry_stays_refused(root: Path) -> None:
    append(root, "part", "{}")
    with Run.open(root) as run:
        for ask in (run.parts, run.parts, run.status, run.unsealed, run.artifacts):
            with pytest.raises(StorageError, match="that Moorings does not write"):
                ask()


@pytest.mark.parametrize("body", ["[" * 100_000, "{", '"x"}{', "NaN", "1" * 5000])
@pytest.mark.parametrize("kind", ["artifact", "samples"])
def test_entries_that_are_no_json_are_refused(root: Path, kind: str, body: str) -> None:
    append(root, kind, body)
    assert not verify(root).ok
    with pytest.raises(StorageError, match=r"do not trust this run|that Moorings does not write"):
        stored(root)
    with pytest.raises(StorageError):
        repair(root)


def test_rows_that_are_no_interactions_are_refused(root: Path) -> None:
    append(root, "samples", canonical_json({"batch": None, "rows": [{"key": "zz"}]}))
    assert not verify(root).ok
    with pytest.raises(StorageError, match="is no interaction"):
        stored(root)


@pytest.mark.parametrize("name", ["", "/abs", "../up", "a/../b", "a//b", "a\\b", "tab\t", "."])
def test_artifact_names_stay_within(root: Path, name: str) -> None:
    with Run.open(root, write=True) as run, pytest.raises(InputError, match="cannot name an artifact"):
        run.put_artifact(name, b"1")


def test_artifacts_are_checked_and_written_again(root: Path) -> None:
    with Run.open(root, write=True) as run:
        (digest,) = run.artifacts().values()
        assert run.get_artifact(digest) == b"plan"
        path = root / artifact_path(digest)
        path.write_bytes(b"plam")
        with pytest.raises(StorageError, match="is damaged; restore it"):
            run.get_artifact(digest)
        assert "notes/plan.txt" in verify(root).problems[0]
        n_notes = len(run.notes("artifact"))
        run.put_artifact("notes/plan.txt", b"plan")
        assert run.get_artifact(digest) == b"plan"
        assert len(run.notes("artifact")) == n_notes
        path.unlink()
        assert not verify(root).ok
        for wrong in ("../../run.json", "a" * 63, "A" * 64, ""):
            with pytest.raises(StorageError, match="is not a content hash"):
                run.get_artifact(wrong)


def test_links_in_place_of_our_files_are_not_followed(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for name in (".lock.json.tmp", "journal.log", "run.json"):
        copy = tmp_path / f"copy-{name}"
        shutil.copytree(root, copy)
        (copy / name).unlink(missing_ok=True)
        (copy / name).symlink_to(victim)
        with pytest.raises(StorageError):
            Run.open(copy, write=True)
        assert victim.read_bytes() == b"mine"
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("quarantine", "artifacts", "parts", "orphans"):
        copy = tmp_path / f"copy-{name}"
        shutil.copytree(root, copy)
        with (copy / "journal.log").open("ab") as file:
            file.write(b"torn")
        (copy / "parts").mkdir()
        (copy / "parts" / "samples-left.parquet").write_bytes(b"orphan")
        if (copy / name).exists():
            shutil.rmtree(copy / name)
        (copy / name).symlink_to(outside)
        with pytest.raises(StorageError, match="leads out of run"), Run.open(copy, write=True) as run:
            run.put_artifact("b", b"2")
        assert list(outside.iterdir()) == []


def test_a_run_may_be_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    with Run.open(tmp_path / "link", write=True) as run:
        run.add_part(make_rows(2, 4), BATCH)
    assert stored(tmp_path / "link") == expected(make_rows(0, 4))
    assert_sound(tmp_path / "link")


def test_pipes_and_folders_do_not_hang_us(root: Path, tmp_path: Path) -> None:
    makers: list[Callable[[Path], None]] = [lambda p: os.mkfifo(p), lambda p: p.mkdir()]
    for i, make in enumerate(makers):
        for name in ("journal.log", "run.json"):
            copy = tmp_path / f"copy{i}{name}"
            shutil.copytree(root, copy)
            (copy / name).unlink()
            make(copy / name)
            for write in (False, True):
                with pytest.raises(StorageError):
                    Run.open(copy, write=write)
    with Run.open(root) as run:
        (digest,) = run.artifacts().values()
        path = root / artifact_path(digest)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(StorageError, match="no such file"):
            run.get_artifact(digest)


def test_a_place_that_refuses_writing_is_named(root: Path, tmp_path: Path) -> None:
    class ReadOnly(Disk):
        def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
            if flags & (os.O_CREAT | os.O_RDWR | os.O_WRONLY):
                raise PermissionError(13, "Permission denied")
            return super().open(path, flags, mode)

    with pytest.raises(StorageError, match=f"cannot write {root}/journal.log: Permission denied"):
        Run.open(root, write=True, disk=ReadOnly())
    with pytest.raises(StorageError, match="Permission denied"):
        Run.create(tmp_path / "new", CONFIG, disk=ReadOnly())
    with Run.open(root, disk=ReadOnly()) as run:
        assert len(list(run.interactions())) == 2


def test_a_read_only_mount_can_be_read(root: Path) -> None:
    mount = ["mount", "--bind", str(root), str(root)]
    script = f"{' '.join(mount)} && mount -o remount,ro,bind {root}"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "sh", "-c", script], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    code = f"""
import subprocess, sys
from store_kit import *
subprocess.run(["sh", "-c", {script!r}], check=True)
assert len(stored({str(root)!r})) == 2
assert_sound(Path({str(root)!r}))
try:
    Run.open({str(root)!r}, write=True)
except MooringsError as error:
    print(type(error).__name__, error)
"""
    process = child(code, prefix=("unshare", "-rm"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (
        out
        == f"StorageError cannot write {root}/journal.log: Read-only file system; everything acknowledged so far is kept\n"
    )


def test_locale_and_clock_do_not_matter(tmp_path: Path) -> None:
    code = """
import datetime, sys
from store_kit import *
from moorings.store import journal
class Jumping(datetime.datetime):
    left = 9
    @classmethod
    def now(cls, zone=None):
        cls.left -= 4
        return datetime.datetime(2026 + cls.left, 1, 1, tzinfo=zone)
journal.datetime = Jumping
for start in (0, 2, 4):
    with Run.create_or_open(sys.argv[1], {"text": "\\xfc"}) as run:
        run.add_interactions([make_row(start, "\\xe4\\u2028\\U0001f600"), make_row(start + 1)], BATCH)
with Run.open(sys.argv[1]) as run:
    print([row.index + row.seed // 1000003 - row.seed // 1000003 % 2 for row in run.interactions()])
    print([entry.data()["since"][:4] for entry in run.notes("session")])
"""
    root = tmp_path / "caf\udce9"
    process = child(
        code, os.fspath(root), env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "UTC+11"}
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    order, years = out.splitlines()
    assert json.loads(order) == [0, 1, 2, 3, 4, 5]
    assert years == "['2027', '2019', '2011']"
    assert_sound(root)
