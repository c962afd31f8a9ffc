"""Old runs open, newer and foreign ones are refused with one clear line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from store_kit import BATCH, CONFIG, QuickDisk, assert_sound, expected, make_rows, part_files, stored, work

from moorings.errors import StorageError
from moorings.records import Interaction
from moorings.runs import export
from moorings.store import Run, migrate, query, repair, verify

HISTORIES = sorted(path for path in (Path(__file__).parents[1] / "histories").glob("v*") if path.is_dir())


def change_header(root: Path, **changes: Any) -> None:
    path = root / "run.json"
    header = {**json.loads(path.read_bytes()), **changes}
    path.write_text(json.dumps({name: value for name, value in header.items() if value is not None}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()) as run:
        run.add_interactions(make_rows(0, 2), BATCH)
    return tmp_path / "r"


def test_newer_version_is_refused_untouched(root: Path) -> None:
    change_header(root, schema_version=migrate.SCHEMA_VERSION + 1)
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    for use in (lambda: Run.open(root), lambda: Run.open(root, write=True), lambda: verify(root), lambda: repair(root)):
        with pytest.raises(StorageError, match=r"has schema version 2, this Moorings reads up to 1; upgrade Moorings"):
            use()
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "something-else"},
        {"format": None},
        {"schema_version": None},
        {"schema_version": "1"},
        {"schema_version": True},
        {"config": None},
        {"config": []},
    ],
)
def test_foreign_folder_is_refused(root: Path, changes: dict[str, Any]) -> None:
    header = {**json.loads((root / "run.json").read_bytes()), **changes}
    (root / "run.json").write_text(json.dumps({k: v for k, v in header.items() if v is not None}))
    for use in (lambda: Run.open(root), lambda: repair(root)):
        with pytest.raises(StorageError, match="is not a Moorings run"):
            use()
    (root / "run.json").write_text("[1]")
    with pytest.raises(StorageError, match=r"run\.json is no object"):
        Run.open(root)


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no run at .*moorings runs list"):
        Run.open(tmp_path / "nothing", write=True)
    assert list(tmp_path.iterdir()) == []


def test_a_step_from_an_old_version_is_applied(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_2(header: dict[str, Any]) -> dict[str, Any]:
        config = dict(header["config"])
        return {**header, "config": {**config, "start": config.pop("seed"), "kind": "renamed"}}

    monkeypatch.setattr(migrate, "SCHEMA_VERSION", 2)
    monkeypatch.setitem(migrate.MIGRATIONS, 1, to_2)
    stored_header = (root / "run.json").read_bytes()
    with Run.open(root, write=True) as run:
        assert run.config["start"] == 3
        assert run.config["kind"] == "renamed"
        assert run.n_stored == 2
    assert (root / "run.json").read_bytes() == stored_header
    assert_sound(root)
    assert stored(root) == expected(make_rows(0, 2))


def test_a_version_that_no_step_leads_from(root: Path) -> None:
    for version in (0, -5):
        change_header(root, schema_version=version)
        with pytest.raises(StorageError, match="can no longer migrate; use an older one"):
            Run.open(root)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda path: path.name)
def test_old_histories_open_verify_export_and_resume(
    tmp_path: Path, history: Path, monkeypatch: pytest.MonkeyPatch, small_seals: None
) -> None:
    rows = [Interaction.model_validate_json(line) for line in (history / "rows.jsonl").read_text("utf-8").splitlines()]
    truth = expected(rows)
    for name, status, n_rows in (("complete", "complete", 20), ("interrupted", "open", 18)):
        root = tmp_path / name
        shutil.copytree(history / name, root)
        assert_sound(root)
        with Run.open(root) as run:
            assert run.status() == status
            assert query(run, "SELECT count(*) n FROM samples").to_pylist() == [{"n": n_rows}]
        assert stored(root).items() <= truth.items()
        files = part_files(root)
        assert export(root, tmp_path / "rows.jsonl") == n_rows
        exported = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
        assert exported == sorted(
            (row.model_dump(mode="json") for row in rows[:n_rows]), key=lambda row: str(row["key"])
        )
        work(root, QuickDisk(), [])
        assert stored(root) == truth
        assert files.items() <= part_files(root).items()
        assert_sound(root)
    assert verify(tmp_path / "interrupted").notes


def test_there_is_a_history_of_this_version() -> None:
    assert HISTORIES[-1].name == f"v{migrate.SCHEMA_VERSION}"
