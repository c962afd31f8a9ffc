"""The small parts of a run: questions, URIs, lineage, methods, labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moorings.charter_run import RunSection
from moorings.errors import ConfigError, StorageError, StorageFullError
from moorings.improve.data import make_row
from moorings.records import Message
from moorings.sampling.everyday import N_QUESTIONS, everyday_questions, question_texts
from moorings.store import Run
from moorings.supervise.benches import LookAnswers, RoundGathering
from moorings.supervise.catalogue import catalogue, settings_of
from moorings.supervise.faults import fault_of
from moorings.supervise.lineage import Lineage
from moorings.supervise.models import changed_files, file_hashes, in_run, movable, spec_of
from moorings.supervise.questions import GateQuestions, training_prompts

Write = Callable[..., Path]
SECTION = RunSection(subject="simulated:m")


def _row(text: str) -> object:
    chat = (Message(role="system", content="Be kind."), Message(role="user", content=text))
    return make_row(chat, "So.", origin="self", method="m", round=1)


def test_rows_that_hold_a_sealed_prompt_are_found_however_it_is_spaced() -> None:
    questions = GateQuestions(SECTION, Path())
    sealed = questions.take(5000, 1)[0].messages[0].content
    rows = [_row("Why?"), _row(f"  {sealed.upper()}\n"), _row(sealed + " And?")]
    assert questions.trained_on(rows) == [rows[1]]
    assert questions.trained_on([_row(p.messages[0].content) for p in training_prompts(SECTION, Path())]) == []


def test_every_question_is_among_the_texts_once() -> None:
    texts = list(question_texts("gate"))
    assert len(set(texts)) == len(texts) == N_QUESTIONS["gate"]
    asked = everyday_questions(500, half="gate", seed=7)
    assert {prompt.messages[0].content for prompt in asked} <= set(texts)
    assert not set(texts) & set(question_texts("train"))


def test_prompts_of_a_file_are_dealt_once_and_then_used_up(tmp_path: Path) -> None:
    (tmp_path / "sealed.jsonl").write_text("".join(f'{{"prompt": "Q{i}?", "group": "g{i % 4}"}}\n' for i in range(40)))
    questions = GateQuestions(SECTION.model_copy(update={"gate_prompts": "sealed.jsonl"}), tmp_path)
    dealt = [p.prompt_id for start in range(0, 40, 8) for p in questions.take(start, 8)]
    assert len(set(dealt)) == 40
    assert questions.share_of({"g1", "g2"}) == 0.5
    assert questions.groups == {"g0", "g1", "g2", "g3"}
    with pytest.raises(ConfigError, match="40 are spent and 8 more are wanted"):
        questions.take(40, 8)


def test_groups_of_generated_prompts_are_about_equal() -> None:
    questions = GateQuestions(SECTION, Path())
    assert len(questions.groups) == 12
    assert questions.share_of({"food"}) == pytest.approx(1 / 12, abs=0.03)


def test_a_folder_whose_name_begins_alike_is_another() -> None:
    uri = "hf:/tmp/run2/base+/tmp/run/rounds/1.0/model"
    assert movable(uri, Path("/tmp/run")) == "hf:/tmp/run2/base+{run}/rounds/1.0/model"
    assert (
        in_run(movable(uri, Path("/tmp/run")), Path("/else where")) == "hf:/tmp/run2/base+/else where/rounds/1.0/model"
    )


def test_a_model_is_opened_with_the_charters_settings_and_the_runs_place() -> None:
    section = SECTION.model_copy(update={"sampler": {"threads": 2, "engine": "transformers"}})
    spec = spec_of(section, "simulated:m+{run}/x", Path("/r"), engine="vllm")
    assert (spec.uri, spec.threads, spec.engine) == ("simulated:m+/r/x", 2, "vllm")


def test_files_are_hashed_and_differences_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.json").write_text("{}")
    (tmp_path / "c.json").write_text("[]")
    recorded = file_hashes(tmp_path)
    assert list(recorded) == ["a/b.json", "c.json"]
    assert changed_files(tmp_path, recorded) == []
    (tmp_path / "c.json").unlink()
    (tmp_path / "a/d.json").write_text("")
    assert changed_files(tmp_path, recorded) == ["a/d.json", "c.json"]
    assert changed_files(tmp_path / "none", recorded) == ["a/b.json", "c.json"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{}")

    def refuse(self: Path, *args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=r"cannot read .*a\.json: Permission denied"):
        file_hashes(tmp_path)


def test_lineage_returns_what_a_reader_will_find(tmp_path: Path) -> None:
    data = {"tuple": (1, 2), "text": "\ud83d" + "\ude00", "lone": "\udfff", "x": 0.1}
    with Run.create(tmp_path / "run", {}) as run:
        lineage = Lineage(run)
        kept = lineage.add("a", "event", data)
        assert kept["tuple"] == [1, 2]
        assert lineage.add("a", "event", {"other": 1}) is kept
        lineage.note_seconds("1.0", "train", 1.5)
        lineage.note_seconds("1.0", "train", 0.25)
        head = lineage.hash
    with Run.open(tmp_path / "run") as run:
        again = Lineage(run)
        assert (again.get("a"), again.hash, again.get("b")) == (kept, head, None)
        assert again.seconds() == {"1.0": {"train": 1.75}}


def test_a_fault_says_no_place_and_what_is_the_stores_passes_through(tmp_path: Path) -> None:
    assert fault_of(ValueError(f"bad {tmp_path}/x\nat once"), tmp_path) == "ValueError: bad {run}/x at once"
    assert fault_of(KeyError(), tmp_path) == "KeyError"
    assert fault_of(OSError(2, "gone"), tmp_path).startswith("FileNotFoundError")
    with pytest.raises(StorageFullError):
        fault_of(OSError(28, "No space left on device", "/x"), tmp_path)
    with pytest.raises(StorageError, match="damaged"):
        fault_of(StorageError("damaged"), tmp_path)


def test_every_component_is_described_and_every_setting_explained() -> None:
    found = catalogue()
    assert {one.kind for one in found} == {"data method", "trainer", "defence", "monitor"}
    assert len({(one.kind, one.name) for one in found}) == len(found) >= 30
    for one in found:
        assert one.doc.endswith((".", "?")), one
        for setting in settings_of(one.name):
            assert setting.doc, (one.name, setting.name)
    assert next(s for s in settings_of("simulated") if s.name == "rate").default == "1.0"
    with pytest.raises(ConfigError, match="did you mean 'forgetting'"):
        settings_of("forgeting")


@pytest.mark.parametrize("name", ["../../../tmp/x", "a/b", "x" * 2000, "", "…", "A b", "-"])
def test_a_monitors_name_leads_nowhere(name: str) -> None:
    general = LookAnswers((), 0, SECTION.gate.decoding, anchor=None, candidate=None, previous=None)  # type: ignore[arg-type]
    gathering = RoundGathering(
        monitor=name, anchor=None, candidate=None, round=1, look=3, n=8, start=0, seed=0, rows=(), general=general,
        embed=lambda texts: np.zeros((len(texts), 1)),
    )  # type: ignore[arg-type]  # fmt: skip
    label = gathering.label("words")
    assert label.startswith("look3-")
    assert label.endswith("-words")
    assert "/" not in label
    assert len(label) < 80
    assert gathering.embed(["a"]).shape == (1, 1)


def test_names_of_monitors_stay_apart() -> None:
    general = LookAnswers((), 0, SECTION.gate.decoding, anchor=None, candidate=None, previous=None)  # type: ignore[arg-type]
    labels = {
        RoundGathering(
            monitor=name, anchor=None, candidate=None, round=1, look=0, n=8, start=0, seed=0, rows=(), general=general, embed=None
        ).label("q")  # type: ignore[arg-type]
        for name in ("a", "A", "a b", "a_b", "a/b", "é")
    }  # fmt: skip
    assert len(labels) == 6
