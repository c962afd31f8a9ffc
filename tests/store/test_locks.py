"""One writer at a time, on disks and on object stores; a dead one leaves no lock."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import fsspec
import pytest
from store_kit import BATCH, CONFIG, QuickDisk, assert_sound, child, expected, make_rows, stored

from moorings.errors import RunLockedError, StorageError
from moorings.store import Run, repair, verify
from moorings.store.files import RemoteFiles

HOLD = """
import os, sys
from store_kit import *
with Run.create_or_open(sys.argv[1], CONFIG) as run:
    run.add_interactions(make_rows(0, 2), BATCH)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print("added", run.add_interactions(make_rows(2, 4), BATCH), flush=True)
    except MooringsError as error:
        print(type(error).__name__, error, flush=True)
"""


def test_second_writer_is_told_who_writes_even_if_that_one_is_stopped(tmp_path: Path) -> None:
    root = tmp_path / "r"
    holder = child(HOLD, str(root))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    os.kill(holder.pid, signal.SIGSTOP)
    os.waitpid(holder.pid, os.WUNTRACED)
    for attempt in (
        lambda: Run.open(root, write=True),
        lambda: Run.create_or_open(root, CONFIG),
        lambda: Run.create(root, CONFIG),
        lambda: repair(root),
    ):
        with pytest.raises(RunLockedError, match=rf"written by process {holder.pid} of .+ on .+ since 20"):
            attempt()
    assert stored(root) == expected(make_rows(0, 2))
    os.kill(holder.pid, signal.SIGCONT)
    out, err = holder.communicate("go\n", timeout=60)
    assert out == "added 2\n", err
    with Run.open(root, write=True) as run:
        assert run.n_stored == 4
    assert_sound(root)


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    root = tmp_path / "r"
    holder = child(HOLD, str(root))
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.communicate()
    with Run.open(root, write=True) as run:
        assert run.add_interactions(make_rows(0, 4), BATCH) == 2
    assert_sound(root)


def test_a_forked_worker_neither_writes_nor_keeps_the_lock(tmp_path: Path) -> None:
    root = tmp_path / "r"
    code = """
import os, sys
from store_kit import *
run = Run.create(sys.argv[1], CONFIG)
run.add_interactions(make_rows(0, 2), BATCH)
pid = os.fork()
if pid == 0:
    try:
        run.add_interactions(make_rows(2, 4), BATCH)
        print("worker wrote", flush=True)
    except MooringsError as error:
        print("worker:", "not open for writing" in str(error), os.getpid(), flush=True)
    sys.stdin.readline()
    os._exit(0)
os.waitpid(-1, 0)
"""
    parent = child(code, str(root))
    assert parent.stdout is not None
    line = parent.stdout.readline().split()
    assert line[:2] == ["worker:", "True"]
    parent.kill()
    parent.wait()
    os.kill(int(line[2]), 0)
    with Run.open(root, write=True) as run:
        assert run.n_stored == 2
    parent.communicate("end\n")
    assert_sound(root)


@pytest.mark.parametrize("same", [True, False])
def test_two_starts_at_once_leave_one_whole_run(tmp_path: Path, same: bool) -> None:
    code = """
import sys
from store_kit import *
config = {**CONFIG, "name": sys.argv[2]}
sys.stdin.readline()
try:
    with Run.create_or_open(sys.argv[1], config) as run:
        run.add_interactions(make_rows(int(sys.argv[3]), int(sys.argv[3]) + 2), BATCH)
    print("wrote", sys.argv[3])
except MooringsError as error:
    print(type(error).__name__)
"""
    root = tmp_path / "r"
    racers = [child(code, str(root), "same" if same else str(i), str(2 * i)) for i in range(3)]
    threads = [threading.Thread(target=lambda r=r: r.__dict__.update(out=r.communicate("go\n")[0])) for r in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outs = [racer.__dict__["out"].split() for racer in racers]
    wrote = [int(out[1]) for out in outs if out[0] == "wrote"]
    assert wrote, outs
    assert {out[0] for out in outs} <= {"wrote", "RunLockedError", "StorageError"}
    assert stored(root) == expected([row for start in wrote for row in make_rows(start, start + 2)])
    assert_sound(root)
    header = json.loads((root / "run.json").read_bytes())
    assert header["config"]["name"] in {"same" if same else str(start // 2) for start in wrote}


def test_lock_is_named_even_without_a_readable_note(tmp_path: Path) -> None:
    root = tmp_path / "r"
    with Run.create(root, CONFIG):
        for spoil in (lambda p: p.write_bytes(b"{"), lambda p: p.unlink(), lambda p: os.mkfifo(p)):
            spoil(root / "lock.json")
            with pytest.raises(RunLockedError, match="written by another process"):
                Run.open(root, write=True)


def test_file_systems_without_locks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(fd: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(StorageError, match="No locks available; put the run on a file system"):
        Run.create(tmp_path / "r", CONFIG)


@pytest.fixture(params=["memory", "local"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place that is reached as an object store."""
    if request.param == "memory":
        return f"memory://{tmp_path}/r"
    for module in ("run", "verify", "repair"):
        monkeypatch.setattr(
            sys.modules[f"moorings.store.{module}"], "open_files", lambda url, disk=None: RemoteFiles(str(url))
        )
    return f"local://{tmp_path}/r"


def test_object_store_second_writer_fences_the_first(url: str, small_seals: None) -> None:
    first = Run.create(url, CONFIG)
    assert first.add_interactions(make_rows(0, 3), BATCH) == 3
    second = Run.open(url, write=True)
    with pytest.raises(RunLockedError, match="another writer"):
        first.add_interactions(make_rows(3, 6), BATCH)
    with pytest.raises(StorageError, match="earlier write failed"):
        first.add_interactions(make_rows(3, 6), BATCH)
    assert second.add_interactions(make_rows(3, 12), BATCH) == 9
    second.finish()
    second.close()
    first.close()
    report = verify(url)
    assert report.ok, report.problems
    assert stored(url) == expected(make_rows(0, 12))
    with Run.open(url) as run:
        assert len(run.parts()) == 1
        assert run.status() == "complete"
    with pytest.raises(StorageError, match="holds a run already"):
        Run.create(url, CONFIG)


def test_object_store_two_starts_at_once(url: str) -> None:
    first = Run.create(url, CONFIG)
    fs, root = fsspec.core.url_to_fs(url)
    fs.rm(f"{root}/run.json")
    with pytest.raises(StorageError, match="journal of another run"):
        Run.create(url, {**CONFIG, "seed": 4})
    Run.create(url, CONFIG).close()
    with pytest.raises(RunLockedError):
        first.add_interactions(make_rows(0, 1), BATCH)
    assert verify(url).ok


def test_object_store_damage_and_torn_end(url: str) -> None:
    with Run.create(url, CONFIG) as run:
        for i in range(4):
            run.add_interactions(make_rows(i, i + 1), BATCH)
        run.put_artifact("a", b"content")
    fs, root = fsspec.core.url_to_fs(url)
    names = sorted(fs.ls(f"{root}/journal", detail=False))
    for content in (b"", fs.cat_file(names[-1])[:40]):
        fs.pipe_file(names[-1], content)
        assert not verify(url).ok or verify(url).notes
    with Run.open(url, write=True) as run:
        assert run.notes("torn_end_cut")
        assert run.n_stored == 4
        assert run.artifacts() == {}
    assert verify(url).ok
    fs.rm(names[3])
    with pytest.raises(StorageError, match="damaged"), Run.open(url) as run:
        run.status()
    assert repair(url).ok
    assert stored(url) == expected(make_rows(0, 1))
    assert fs.ls(f"{root}/quarantine")


def test_object_store_failures_are_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(url, CONFIG)
    fs, _ = fsspec.core.url_to_fs(url)

    def fail(*args: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(fs), "pipe_file", fail)
        with pytest.raises(StorageError, match="no room to write"):
            run.add_part(make_rows(0, 2), BATCH)
        with pytest.raises(StorageError, match="earlier write failed"):
            run.note("x", {})
    with Run.open(url, write=True) as again, monkeypatch.context() as patch:
        patch.setattr(type(fs), "pipe_file", fail)
        with pytest.raises(StorageError, match="no room to write"):
            again.note("x", {})
    assert verify(url).ok


def test_plain_file_urls_are_local_runs(tmp_path: Path) -> None:
    for scheme in ("file", "local"):
        Run.create(f"{scheme}://{tmp_path}/{scheme}", CONFIG, disk=QuickDisk()).close()
        assert (tmp_path / scheme / "journal.log").is_file()
    with pytest.raises(StorageError, match="give a folder or an fsspec URL"):
        Run.open("nosuch://place/run")
