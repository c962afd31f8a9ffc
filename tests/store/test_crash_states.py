"""Power loss, by rebuilding: what was not synced is dropped or torn, in every combination, at every moment."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from store_kit import ALL_ROWS, BATCH, CONFIG, STEPS, QuickDisk, assert_sound, expected, part_files, stored, work

from moorings.errors import StorageError
from moorings.records import Interaction
from moorings.store import Run
from moorings.store.disk import Disk


@dataclass
class Inode:
    """A file's content: what a sync made durable, and every later state in order."""

    durable: bytes = b""
    later: list[bytes] = field(default_factory=list)

    def now(self) -> bytes:
        return self.later[-1] if self.later else self.durable

    def choices(self) -> list[bytes]:
        """After a power loss: nothing of what is not synced, all of it, half of the last write, or zeros."""
        if not self.later:
            return [self.durable]
        before = self.later[-2] if len(self.later) > 1 else self.durable
        last = self.later[-1]
        half = last[: (len(before) + len(last)) // 2] if len(last) > len(before) else before
        zeros = before + bytes(len(last) - len(before)) if len(last) > len(before) else before
        return list(dict.fromkeys([self.durable, last, half, zeros]))


class RecordingDisk(QuickDisk):
    """Does the calls and follows what of them would survive a power loss."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.inodes: list[Inode] = []
        self.durable: dict[str, int | None] = {}
        self.pending: dict[str, list[dict[str, int | None]]] = {}
        self.names: dict[str, int | None] = {}
        self.fds: dict[int, tuple[str, int | None]] = {}
        self.acknowledged: list[Interaction] = []
        self.states: dict[str, tuple[dict[str, bytes | None], int]] = {}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.base).as_posix()

    def _changed(self, folder: str, names: dict[str, int | None]) -> None:
        """A folder's names changed; each change is kept until the folder is synced."""
        self.names = names
        here = {n: i for n, i in names.items() if os.path.dirname(n) == folder}
        self.pending.setdefault(folder, []).append(here)

    def open(self, path: Path, flags: int, mode: int = 0o644) -> int:
        fd, name = super().open(path, flags, mode), self._name(path)
        if name not in self.names:
            self.inodes.append(Inode())
            self._changed(os.path.dirname(name), {**self.names, name: len(self.inodes) - 1})
        number = self.names[name]
        assert number is not None
        if flags & os.O_TRUNC and self.inodes[number].now():
            self.inodes[number].later.append(b"")
        self.fds[fd] = (name, number)
        self._snapshot()
        return fd

    def open_folder(self, folder: Path) -> int:
        fd = super().open_folder(folder)
        self.fds[fd] = (self._name(folder).replace(".", "", 1) if folder == self.base else self._name(folder), None)
        return fd

    def mkdir(self, folder: Path) -> None:
        super().mkdir(folder)
        name = self._name(folder)
        self._changed(os.path.dirname(name), {**self.names, name: None})
        self._snapshot()

    def write(self, fd: int, data: memoryview) -> int:
        n_bytes = super().write(fd, data)
        inode = self._inode(fd)
        inode.later.append(inode.now() + bytes(data[:n_bytes]))
        self._snapshot()
        return n_bytes

    def truncate(self, fd: int, size_bytes: int) -> None:
        super().truncate(fd, size_bytes)
        self._inode(fd).later.append(self._inode(fd).now()[:size_bytes])
        self._snapshot()

    def fsync(self, fd: int) -> None:
        name, number = self.fds[fd]
        if number is None:
            changes = self.pending.pop(name, [])
            if changes:
                others = {n: i for n, i in self.durable.items() if os.path.dirname(n) != name}
                self.durable = {**others, **changes[-1]}
        else:
            inode = self.inodes[number]
            inode.durable, inode.later = inode.now(), []
        self._snapshot()

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        old, new = self._name(source), self._name(target)
        names = dict(self.names)
        names[new] = names.pop(old)
        self._changed(os.path.dirname(new), names)
        if os.path.dirname(old) != os.path.dirname(new):
            self._changed(os.path.dirname(old), names)
        self._snapshot()

    def close(self, fd: int) -> None:
        super().close(fd)
        self.fds.pop(fd)

    def _inode(self, fd: int) -> Inode:
        number = self.fds[fd][1]
        assert number is not None
        return self.inodes[number]

    def _namings(self) -> Iterator[dict[str, int | None]]:
        """Each folder with unsynced names is as it was, or has all its changes."""
        folders = list(self.pending)
        for chosen in itertools.product((False, True), repeat=len(folders)):
            names = dict(self.durable)
            for folder, applied in zip(folders, chosen, strict=True):
                if applied:
                    names = {n: i for n, i in names.items() if os.path.dirname(n) != folder}
                    names.update(self.pending[folder][-1])
            yield names

    def _snapshot(self) -> None:
        for names in self._namings():
            kept = {n: i for n, i in names.items() if all(p in names for p in _above(n))}
            files = [(n, i) for n, i in kept.items() if i is not None]
            for contents in itertools.product(*(self.inodes[i].choices() for _, i in files)):
                state: dict[str, bytes | None] = {n: None for n, i in kept.items() if i is None}
                state.update({n: data for (n, _), data in zip(files, contents, strict=True)})
                code = hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()
                self.states[code] = (state, len(self.acknowledged))


def _above(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def build(base: Path, state: dict[str, bytes | None]) -> None:
    for name in sorted(state):
        data = state[name]
        if data is None:
            (base / name).mkdir()
        else:
            (base / name).write_bytes(data)


def record(base: Path) -> RecordingDisk:
    """The workload in two sessions; the second one begins with a torn journal and an orphan."""
    disk = RecordingDisk(base)
    root = base / "deep" / "run"
    with Run.create(root, CONFIG, disk=disk) as run:
        for kind, rows in STEPS[:4]:
            (run.add_interactions if kind == "batch" else run.add_part)(rows, BATCH)
            disk.acknowledged.extend(rows)
    for name, torn in (("deep/run/journal.log", b"torn"), ("deep/run/parts/samples-left.parquet", b"left")):
        with (base / name).open("ab") as file:
            file.write(torn)
        if name in disk.names:
            number = disk.names[name]
            assert number is not None
            disk.inodes[number].later.append(disk.inodes[number].now() + torn)
        else:
            disk.inodes.append(Inode(torn))
            disk._changed("deep/run/parts", {**disk.names, name: len(disk.inodes) - 1})
    work(root, disk, disk.acknowledged)
    return disk


def test_every_crash_state_keeps_the_promises(tmp_path: Path, small_seals: None) -> None:
    base = tmp_path / "recorded"
    base.mkdir()
    disk = record(base)
    truth, files = stored(base / "deep/run"), part_files(base / "deep/run")
    assert truth == expected(ALL_ROWS)
    n_with_rows = 0
    place = tmp_path / "state"
    for state, n_acknowledged in disk.states.values():
        place.mkdir()
        build(place, state)
        root = place / "deep" / "run"
        promised = expected(disk.acknowledged[:n_acknowledged])
        if (root / "run.json").exists():
            found = stored(root)
            assert promised.items() <= found.items() <= truth.items()
            n_with_rows += bool(found)
        else:
            assert not promised
        work(root, QuickDisk(), [])
        assert part_files(root) == files
        assert_sound(root)
        shutil.rmtree(place)
    assert len(disk.states) > 150
    assert n_with_rows > 100


def test_the_recorder_notices_a_missing_sync(tmp_path: Path, small_seals: None) -> None:
    """The harness itself is checked: without syncs, acknowledged rows must get lost in some state."""

    class Forgetful(RecordingDisk):
        def fsync(self, fd: int) -> None:
            self._snapshot()

    disk = Forgetful(tmp_path)
    with Run.create(tmp_path / "run", CONFIG, disk=disk) as run:
        run.add_interactions(ALL_ROWS[:3], BATCH)
        disk.acknowledged.extend(ALL_ROWS[:3])
        Disk.fsync_folder(disk, tmp_path)
    assert any(n and "run/run.json" not in state for state, n in disk.states.values())


def test_crash_between_entry_0_and_run_json_is_taken_up(tmp_path: Path) -> None:
    Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()).close()
    (tmp_path / "r" / "run.json").unlink()
    with pytest.raises(StorageError, match="seed was 3, now 4"):
        Run.create(tmp_path / "r", {**CONFIG, "seed": 4})
    assert not (tmp_path / "r" / "run.json").exists()
    Run.create(tmp_path / "r", CONFIG).close()
    assert_sound(tmp_path / "r")
