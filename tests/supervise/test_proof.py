"""What `verify` finds: any byte, any file, anything put in another's place; and what only a noted hash can show."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from run_tools import BREAKS, ONE_LOOK, all_events, lineage_hash

from moorings.errors import StorageError
from moorings.records import canonical_json
from moorings.store import Run
from moorings.store.frames import Chain
from moorings.supervise.proof import verify_run
from moorings.supervise.supervisor import supervise

Write = Callable[..., Path]
LOOK = "rounds/2.0/gate/candidate/look0"


def _problems(run: Path) -> str:
    proof = verify_run(run)
    assert not proof.ok
    return " | ".join(proof.problems)


def _rows(run: Path) -> Path:
    with Run.open(run) as opened:
        digest = opened.artifacts()["rows-2.0.jsonl"]
    return run / "artifacts" / digest[:2] / digest


def test_a_whole_run_is_whole(finished: Path) -> None:
    proof = verify_run(finished)
    assert (proof.ok, proof.problems, proof.notes) == (True, (), ())
    assert (proof.n_models, proof.lineage) == (2, lineage_hash(finished))


@pytest.mark.parametrize("what", ["rows", "model", "answers", "journal", "nested journal", "run.json", "charter.yaml"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_bit_of_any_file_is_missed(what: str, place: str, finished: Path) -> None:
    paths = {
        "rows": _rows(finished),
        "model": finished / "rounds/2.0/model/habits.json",
        "answers": next((finished / LOOK / "parts").iterdir()),
        "journal": finished / "journal.log",
        "nested journal": finished / LOOK / "journal.log",
        "run.json": finished / "run.json",
        "charter.yaml": finished / "charter.yaml",
    }
    path = paths[what]
    data = bytearray(path.read_bytes())
    at = {"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[place]
    data[at] ^= 1
    path.write_bytes(bytes(data))
    # A header that is no JSON any more is no run.
    with contextlib.suppress(StorageError) if what == "run.json" else contextlib.nullcontext():
        assert not verify_run(finished).ok


def test_a_line_that_a_crash_cut_is_no_damage_but_one_behind_a_seal_is(finished: Path) -> None:
    for journal in (finished / "journal.log", finished / LOOK / "journal.log"):
        journal.write_bytes(journal.read_bytes() + b"0123456789abcdef")
    found = verify_run(finished)
    assert [problem.partition(":")[0] for problem in found.problems] == [LOOK]
    assert any("16 unacknowledged bytes" in note for note in found.notes)


def test_lost_files_are_missed(finished: Path) -> None:
    (finished / "rounds/1.0/model/habits.json").unlink()
    _rows(finished).unlink()
    assert "rows-2.0.jsonl" in _problems(finished)


def test_a_lost_model_and_lost_answers_are_missed(finished: Path) -> None:
    shutil.rmtree(finished / "rounds/1.0/model")
    shutil.rmtree(finished / LOOK)
    found = _problems(finished)
    assert "rounds/1.0/model: 1 files are missing or altered, first habits.json" in found
    assert LOOK in found


def test_a_file_more_in_a_model_is_found(finished: Path) -> None:
    (finished / "rounds/1.0/model/more.json").write_text("{}")
    assert "first more.json" in _problems(finished)


def test_a_link_in_a_model_is_found(finished: Path) -> None:
    path = finished / "rounds/1.0/model/habits.json"
    path.rename(finished / "aside.json")
    path.symlink_to(finished / "aside.json")
    assert "is a link" in _problems(finished)


def test_answers_more_in_an_ended_round_are_found(finished: Path) -> None:
    shutil.copytree(finished / LOOK, finished / "rounds/2.0/gate/candidate/look7")
    assert "look7: was added after its round had ended" in _problems(finished)


def test_rounds_that_changed_places_are_found(finished: Path) -> None:
    rounds = finished / "rounds"
    (rounds / "1.0").rename(rounds / "x")
    (rounds / "2.0").rename(rounds / "1.0")
    (rounds / "x").rename(rounds / "2.0")
    found = _problems(finished)
    assert "rounds/1.0/model" in found
    assert "rounds/2.0/gate/candidate/look0: its answers are not those that the lineage sealed" in found


def test_answers_exchanged_for_whole_ones_are_found(finished: Path) -> None:
    shutil.rmtree(finished / LOOK)
    shutil.copytree(finished / "rounds/1.0/gate/candidate/look0", finished / LOOK)
    assert "not those that the lineage sealed" in _problems(finished)


def test_a_nested_run_cut_at_a_line_is_found(finished: Path) -> None:
    journal = finished / LOOK / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]))
    shutil.rmtree(finished / LOOK / "parts")
    assert "not those that the lineage sealed" in _problems(finished)


def test_a_cut_end_is_noted_and_proved_by_a_noted_hash(finished: Path) -> None:
    noted = lineage_hash(finished)
    assert verify_run(finished, noted=noted).ok
    journal = finished / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if b'"2.0 collected"' in line)
    journal.write_bytes(b"".join(lines[:cut]))
    proof = verify_run(finished)
    assert proof.ok
    assert any("rounds/2.0/model: not recorded" in note for note in proof.notes)
    assert "no part of this history" in " ".join(verify_run(finished, noted=noted).problems)
    shutil.rmtree(finished / "rounds/2.0")
    assert verify_run(finished).notes == ()


def test_a_hash_noted_early_is_part_of_all_that_follows(finished: Path) -> None:
    for event in all_events(finished)[::5]:
        assert verify_run(finished, noted=event.hash).ok
    assert not verify_run(finished, noted="0" * 64).ok


def test_a_journal_written_anew_must_still_be_a_lineage(finished: Path) -> None:
    """Somebody who can compute the journal's hashes changes a decision but not the lineage's own chain."""
    journal = finished / "journal.log"
    chain, out = Chain(), b""
    for line in journal.read_bytes().splitlines():
        entry = json.loads(line.partition(b" ")[2])
        if entry["type"] == "lineage" and entry["data"]["kind"] == "decided":
            entry["data"]["data"]["rule"] = "All was well."
        framed, kept = chain.frame(entry["type"], canonical_json(entry["data"]))
        chain.advance(kept, len(framed))
        out += framed
    journal.write_bytes(out)
    assert "the lineage does not verify" in _problems(finished)


@pytest.mark.parametrize("data", ['{"key": 1}', "[]", '{"key":"x","kind":"y","data":{},"hash":"z","more":1}'])
def test_an_event_that_is_none_is_refused(data: str, finished: Path) -> None:
    with Run.open(finished, write=True) as run:
        run.note("lineage", json.loads(data)) if data != "[]" else run._append("lineage", data)
    assert "is no event that Moorings writes" in _problems(finished)


def test_an_event_that_comes_twice_is_refused(finished: Path) -> None:
    last = all_events(finished)[-1]
    with Run.open(finished, write=True) as run:
        run.note("lineage", last._asdict())
    assert "does not follow" in _problems(finished)


def test_a_failed_round_is_sealed_too(charter: Write, tmp_path: Path) -> None:
    run = tmp_path / "run"
    supervise(charter(run={"rounds": 2, "changes": [BREAKS], "gate": ONE_LOOK}), run)
    assert verify_run(run).notes == ()
    part = next((run / "rounds/2.0/data").rglob("*.parquet"))
    shutil.rmtree(part.parent.parent)
    assert "rounds/2.0/data" in _problems(run)


def test_no_run_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run"):
        verify_run(tmp_path)
