"""Each system call fails once: nothing acknowledged is lost, nothing is doubled, the next start ends the same."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from store_kit import (
    ALL_ROWS,
    BATCH,
    CONFIG,
    QuickDisk,
    assert_sound,
    child,
    expected,
    make_rows,
    part_files,
    stored,
    work,
    work_until_error,
)

from moorings.errors import StorageError, StorageFullError
from moorings.store import Run, repair
from moorings.store.disk import Disk, storage_error, write_atomic
from moorings.store.files import LocalFiles


class FaultDisk(QuickDisk):
    """Fails call number `n` with an error, after doing half of it if it is a write."""

    def __init__(self, n: int, code: int) -> None:
        self.left, self.code, self.log = n, code, []

    def _count(self, name: str) -> bool:
        self.log.append(name)
        self.left -= 1
        return self.left == 0

    def _maybe(self, name: str) -> None:
        if self._count(name):
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        self._maybe(f"open {path.name}")
        return super().open(path, flags, mode)

    def open_folder(self, folder: Path) -> int:
        self._maybe("open_folder")
        return super().open_folder(folder)

    def mkdir(self, folder: Path) -> None:
        self._maybe("mkdir")
        super().mkdir(folder)

    def write(self, fd: int, data: memoryview) -> int:
        if self._count("write"):
            super().write(fd, data[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        return super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._maybe("fsync")

    def replace(self, source: Path, target: Path) -> None:
        self._maybe("replace")
        super().replace(source, target)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._maybe("truncate")
        super().truncate(fd, size_bytes)

    def close(self, fd: int) -> None:
        super().close(fd)
        self._maybe("close")


class ShortDisk(QuickDisk):
    """Writes at most a few bytes at a time."""

    def write(self, fd: int, data: memoryview) -> int:
        return super().write(fd, data[:97])


class AllFailDisk(FaultDisk):
    """From call number `n` on everything fails, clean-up too."""

    def _count(self, name: str) -> bool:
        super()._count(name)
        return self.left <= 0


def check_after(root: Path, acknowledged: list, truth: dict[str, str], files: dict[str, bytes]) -> None:
    """The promises after a failure: reading, resuming, finishing."""
    if (root / "run.json").exists():
        assert expected(acknowledged).items() <= stored(root).items() <= truth.items()
    else:
        assert not acknowledged
    work(root, QuickDisk(), [])
    assert stored(root) == truth
    assert part_files(root) == files
    assert_sound(root)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("kind", [FaultDisk, AllFailDisk])
def test_each_call_fails_once(tmp_path: Path, finished: Path, code: int, kind: type[FaultDisk]) -> None:
    truth, files = stored(finished), part_files(finished)
    # Calls of a kind fail in the same places whatever the code, so all of them are tried for one code only.
    step = {FaultDisk: 1, AllFailDisk: 3}[kind] if code == errno.EIO else 7
    n = 1
    while True:
        root = tmp_path / "r"
        disk = kind(n, code)
        acknowledged, error = work_until_error(root, disk)
        if disk.left > 0:
            break
        if error is None:
            assert disk.log[n - 1] == "close" or disk.log[n - 1].startswith("open_folder") or kind is AllFailDisk
        elif code == errno.ENOSPC:
            assert isinstance(error, StorageFullError)
            assert str(root) in str(error)
        check_after(root, acknowledged, truth, files)
        shutil.rmtree(root)
        n += step
    assert n > 80
    assert acknowledged == ALL_ROWS


def test_each_call_of_a_resume_and_a_repair_fails_once(tmp_path: Path, finished: Path) -> None:
    """Taking over after a kill: a torn end, an orphan, a lost part."""
    truth, files = stored(finished), part_files(finished)
    sealed, bulk = sorted(finished.joinpath("parts").iterdir())[:2]
    bulk.rename(finished / "parts" / "samples-orphan.parquet")
    sealed.write_bytes(b"")
    with finished.joinpath("journal.log").open("ab") as file:
        file.write(b"0123 torn")
    n = 1
    while True:
        root = tmp_path / "r"
        shutil.copytree(finished, root)
        disk = FaultDisk(n, errno.EIO)
        with contextlib.suppress(StorageError):
            repair(root, disk=disk)
        if disk.left > 0:
            break
        assert repair(root, disk=QuickDisk()).ok
        check_after(root, [], truth, files)
        shutil.rmtree(root)
        n += 1
    assert n > 40
    check_after(root, [], truth, files)


def test_short_writes_change_nothing(tmp_path: Path, finished: Path) -> None:
    work(tmp_path / "r", ShortDisk(), [])
    assert stored(tmp_path / "r") == stored(finished)
    assert part_files(tmp_path / "r") == part_files(finished)
    assert_sound(tmp_path / "r")


def fill_until_error(run: Run) -> None:
    for i in range(100):
        run.add_interactions(make_rows(3 * i, 3 * i + 3), BATCH)


def test_failed_fsync_is_final_and_never_tried_again(tmp_path: Path, small_seals: None) -> None:
    for n in range(1, 40):
        root = tmp_path / str(n)

        class NthSyncFails(Disk):
            left = n
            n_syncs = 0

            def fsync(self, fd: int) -> None:
                self.left -= 1
                self.n_syncs += 1
                if self.left == 0:
                    raise OSError(errno.EIO, "Input/output error")

        disk = NthSyncFails()
        try:
            run = Run.create(root, CONFIG, disk=disk)
        except StorageError:
            assert disk.n_syncs == n, "no call after the failed one"
            continue
        with run:
            with pytest.raises(StorageError, match="Input/output error"):
                fill_until_error(run)
            assert disk.n_syncs == n
            for method, arguments in (
                (run.add_interactions, (make_rows(900, 901), BATCH)),
                (run.add_part, (make_rows(900, 901), BATCH)),
                (run.put_artifact, ("a", b"1")),
                (run.note, ("x", {})),
                (run.finish, ()),
            ):
                with pytest.raises(StorageError, match="earlier write failed"):
                    method(*arguments)  # type: ignore[operator]
            assert disk.n_syncs == n, "a failed sync must not be repeated"


FILL = """
import json, resource, sys
from store_kit import *
from moorings.store import run as run_module
run_module.SEAL_ROWS = 8
root, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rows, error = work_until_error(Path(root), Disk())
print(json.dumps([len(rows), type(error).__name__, str(error)]))
"""


def test_file_size_limit_names_path_and_bytes_then_resumes(tmp_path: Path, finished: Path) -> None:
    truth, files = stored(finished), part_files(finished)
    size = (finished / "journal.log").stat().st_size
    for limit in (100, size // 2, size - 200):
        root = tmp_path / str(limit)
        process = child(FILL, str(root), str(limit))
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        n_rows, name, message = json.loads(out)
        assert name == "StorageFullError"
        assert f" bytes to {root}" in message
        check_after(root, ALL_ROWS[:n_rows], truth, files)


def has_namespaces() -> bool:
    """Whether this process may mount in a namespace of its own."""
    tried = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


def test_full_file_system_then_more_room(tmp_path: Path) -> None:
    if not shutil.which("unshare") or not has_namespaces():
        pytest.skip("mounting is not allowed here")
    code = """
import subprocess
def mount(*options): subprocess.run(["mount", "-t", "tmpfs", *options, "none", sys.argv[1]], check=True)
mount("-o", "size=24k")
root = Path(sys.argv[1]) / "r"
rows, error = work_until_error(root, Disk())
assert type(error).__name__ == "StorageFullError", error
assert str(root) in str(error) and "bytes" in str(error)
assert expected(rows).items() <= (stored(root) if rows else {}).items()
mount("-o", "remount,size=4m")
work(root, Disk(), [])
assert_sound(root)
assert stored(root) == expected(ALL_ROWS)
print("rows before it was full:", len(rows))
"""
    setup = FILL.split("root, limit")[0]
    process = child(setup + code, str(tmp_path), prefix=("unshare", "-rm"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "rows before it was full:" in out


def test_direct_write_to_a_full_device(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.open(Path("/dev/full"), os.O_WRONLY)
    with pytest.raises(OSError, match="No space left") as caught:
        disk.write_all(fd, b"x" * 1234)
    disk.close(fd)
    error = storage_error(caught.value, "/dev/full", 1234)
    assert isinstance(error, StorageFullError)
    assert "1,234 bytes to /dev/full" in str(error)


def test_failed_replacement_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "f"
    write_atomic(path, b"old", Disk())
    for n in range(1, 6):
        with pytest.raises(StorageError, match=str(path)):
            write_atomic(path, b"new", FaultDisk(n, errno.EIO))
        if n < 5:
            assert path.read_bytes() == b"old"
        assert [p.name for p in path.parent.iterdir()] == ["f"]


def test_unreadable_places_are_named(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    with pytest.raises(StorageError, match="no such file"):
        files.read("missing")
    with pytest.raises(StorageError, match="cannot follow"):
        files.read("a\0b")
    (tmp_path / "run.json").mkdir()
    with pytest.raises(StorageError, match="no run at"):
        Run.open(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none/of/this"), Path("a" * 300)):
        with pytest.raises(StorageError):
            Run.create(place, CONFIG)
