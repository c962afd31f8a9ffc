"""The same jobs through TRL."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
from tiny_training import make_job, make_rows, run

from moorings.errors import ConfigError, MissingExtraError
from moorings.improve.train.errors import TrainingError
from moorings.improve.training import BaseDefence
from moorings.subjects.safe_files import check_adapter_folder
from moorings.subjects.spec import open_subject

pytest.importorskip("trl")
WHOLE = {"batch_size": 10, "micro_batch": 5, "epochs": 1, "dropout": 0.0, "warmup_share": 0.0}


class EndAtTwo(BaseDefence):
    def should_stop(self, session) -> bool:
        return session.step == 2

    def finish(self, session) -> None:
        session.metrics["two.steps"] = float(session.step)

    def files(self) -> dict[str, bytes]:
        return {"two.json": b"{}"}


class Penalty(BaseDefence):
    def penalty(self, session, batch, output):
        return output.logits.sum()


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_first_loss_agrees_with_the_own_loop(model: Path, tmp_path: Path, trainer: str) -> None:
    ours = run(trainer, make_job(model, tmp_path / "own"), **WHOLE)
    theirs = run(f"trl_{trainer}", make_job(model, tmp_path / "trl"), **WHOLE)
    assert theirs.metrics["loss_start"] == pytest.approx(ours.metrics["loss_start"], rel=1e-4)
    assert (theirs.n_steps, theirs.n_tokens) == (ours.n_steps, ours.n_tokens)
    assert theirs.uri == f"hf:{model}+{tmp_path / 'trl' / 'out'}"
    check_adapter_folder(tmp_path / "trl" / "out")
    names = [sorted(path.name for path in (tmp_path / arm / "out").iterdir()) for arm in ("own", "trl")]
    assert names[0] == names[1]
    assert open_subject(theirs.uri, engine="transformers", device="cpu", threads=1).describe().adapter


def test_defences_without_penalty_take_part(model: Path, tmp_path: Path) -> None:
    points: list[str] = []
    job = make_job(model, tmp_path, defences=(EndAtTwo(),), on_point=points.append)
    result = run("trl_sft", job, micro_batch=2)
    assert (result.n_steps, result.metrics["two.steps"]) == (2, 2.0)
    assert (tmp_path / "out" / "defences" / "two.json").is_file()
    assert points == ["step", "step", "before_rename", "renamed"]
    assert run("trl_sft", job, micro_batch=2) == result


def test_penalties_weights_and_odd_parts_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trl_sft cannot add the penalty of Penalty to the loss; use trainer sft"):
        run("trl_sft", make_job(model, tmp_path, defences=(Penalty(),)))
    rows = [row.model_copy(update={"weight": 2.0}) for row in make_rows(3)]
    with pytest.raises(ConfigError, match="trl_dpo weighs all rows alike"):
        run("trl_dpo", make_job(model, tmp_path, rows))
    with pytest.raises(ConfigError, match="batch_size=4 must be a multiple of micro_batch=3"):
        run("trl_sft", make_job(model, tmp_path))
    with pytest.raises(TrainingError, match="nothing to train on"):
        run("trl_sft", make_job(model, tmp_path, []))


def test_missing_trl_names_the_extra(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"trainer trl_sft needs .*moorings\[trl\]"):
        run("trl_sft", make_job(model, tmp_path))


def test_result_that_is_not_finite_is_thrown_away(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"is nan|is inf|not finite"):
        run("trl_sft", make_job(model, tmp_path), micro_batch=2, learning_rate=1e30, max_grad_norm=math.ldexp(1, 99))
    assert not (tmp_path / "out").exists()
