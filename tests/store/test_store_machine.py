"""Writes, kills, damage and repairs in any order: the store agrees with a dict."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_kit import BATCH, CONFIG, QuickDisk, expected, make_row, stored

from moorings.records import Interaction
from moorings.store import Run, repair, verify
from moorings.store import run as run_module

numbers = st.lists(st.integers(0, 60), min_size=1, max_size=7)


class StoreMachine(RuleBasedStateMachine):
    """`model` holds every acknowledged sample; `bulk` says which of them lie in which bulk part."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.folder / "r"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(run_module, "SEAL_ROWS", 8)
        self.model: dict[str, Interaction] = {}
        self.bulk: dict[str, list[str]] = {}
        self.complete = False
        self.run: Run | None = Run.create(self.root, CONFIG, disk=QuickDisk())

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            if self.run:
                self.run.close()
            self.patch.undo()
            shutil.rmtree(self.folder)

    def _new(self, chosen: list[int]) -> dict[str, Interaction]:
        rows = [make_row(i) for i in chosen]
        return {row.key: row for row in rows if row.key not in self.model}

    @precondition(lambda self: self.run)
    @rule(chosen=numbers)
    def add_batch(self, chosen: list[int]) -> None:
        assert self.run
        new = self._new(chosen)
        assert self.run.add_interactions([make_row(i) for i in chosen], BATCH) == len(new)
        self.model.update(new)
        self.complete &= not new

    @precondition(lambda self: self.run)
    @rule(chosen=numbers)
    def add_part(self, chosen: list[int]) -> None:
        assert self.run
        new = self._new(chosen)
        assert self.run.add_part([make_row(i) for i in chosen], BATCH) == len(new)
        self.model.update(new)
        if new:
            self.bulk[self.run.parts()[-1].path] = list(new)
            self.complete = False

    @precondition(lambda self: self.run)
    @rule()
    def finish(self) -> None:
        assert self.run
        self.run.finish()
        self.complete = True
        assert self.run.unsealed_entries() == []

    @precondition(lambda self: self.run)
    @rule(torn=st.binary(max_size=30).filter(lambda data: b"\n" not in data))
    def kill(self, torn: bytes) -> None:
        assert self.run
        self.run.close()
        self.run = None
        with (self.root / "journal.log").open("ab") as file:
            file.write(torn)

    @precondition(lambda self: not self.run)
    @rule()
    def reopen(self) -> None:
        self.run = Run.create_or_open(self.root, CONFIG, disk=QuickDisk())
        assert self.run.n_stored == len(self.model)
        assert all(self.run.has(key) for key in self.model)

    @precondition(lambda self: not self.run)
    @rule(which=st.integers(0, 100), content=st.sampled_from([None, b"", b"garbage", "cut"]))
    def damage_part_and_repair(self, which: int, content: bytes | str | None) -> None:
        with Run.open(self.root) as run:
            parts = run.parts()
        if not parts:
            return
        part = parts[which % len(parts)]
        path = self.root / part.path
        if content is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1] if isinstance(content, str) else content)
        assert not verify(self.root).ok
        report = repair(self.root, disk=QuickDisk())
        assert report.ok, report.problems
        for key in self.bulk.pop(part.path, []):
            del self.model[key]
            self.complete = False

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "model"):
            assert stored(self.root) == expected(list(self.model.values()))
            with Run.open(self.root) as run:
                assert run.status() == ("complete" if self.complete else "open")

    @rule()
    def check(self) -> None:
        report = verify(self.root)
        assert report.ok, report.problems
        assert report.n_rows == len(self.model)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=40, stateful_step_count=18, deadline=None, suppress_health_check=list(HealthCheck)
)
