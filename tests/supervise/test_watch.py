"""The gate inside a trainer and beside one: a planted drift stops both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorings.errors import ConfigError, ModelFileError
from moorings.supervise.proof import verify_run
from moorings.supervise.watch import STOP_FILE, CheckpointGate, watch

sys.path.append(str(Path(__file__).parents[1] / "improve" / "train"))
from tiny_training import make_model

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def _charter(charter: Write, tiny: Path, **changes: Any) -> Path:
    gate = {"look": 48, "budget": 144, "decoding": {"max_new_tokens": 8}, "discover": False, "compare": False}
    return charter(
        forbidden=[{"name": "cries", "phrases": ["yes"], "direction": "more", "tolerance": 0.25}],
        run={"subject": f"hf:{tiny}", "rounds": 4, "data": [], "train": None, "gate": gate, **changes},
    )


def _train(tiny: Path, out: Path, callbacks: list[Any]) -> Any:
    """What a user writes: ten lines of TRL."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    model = AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows = [
        {"messages": [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": "yes"}]} for i in range(32)
    ]
    config = SFTConfig(
        str(out), max_steps=240, save_steps=80, learning_rate=2e-2, per_device_train_batch_size=8, report_to=[],
        use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True, logging_strategy="no", seed=0,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=callbacks
    )
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def checkpoints(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("trl")
    out = tmp_path_factory.mktemp("trained")
    _train(tiny, out, [])
    return out


@pytest.mark.slow
def test_a_trainer_is_stopped_by_a_planted_drift(charter: Write, tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from moorings import MooringsCallback

    callback = MooringsCallback(_charter(charter, tiny), tmp_path / "run")
    trainer = _train(tiny, tmp_path / "trained", [callback])
    assert trainer.state.global_step < 240
    assert callback.state.status == "stopped"
    assert "cries" in callback.state.why
    assert verify_run(tmp_path / "run").ok


@pytest.mark.slow
def test_checkpoints_of_another_process_are_watched_until_one_drifts(
    charter: Write, tiny: Path, checkpoints: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    waits = 0

    def other_process_writes(seconds: float) -> None:
        nonlocal waits
        waits += 1
        source = tiny if waits == 1 else checkpoints / "checkpoint-240"
        if waits <= 2:
            copy = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
            subprocess.run([sys.executable, "-c", copy, source, folder / f"checkpoint-{waits}"], check=True)

    path = _charter(charter, tiny)
    state = watch(folder, path, tmp_path / "run", sleep=other_process_writes, poll_s=1.0, idle_s=20.0)
    assert (state.status, state.promoted_round) == ("stopped", 1)
    note = json.loads((folder / STOP_FILE).read_text())
    assert note["checkpoint"] == "checkpoint-2"
    assert "cries" in note["why"]
    assert not list((tmp_path / "run").rglob("*.pt"))
    again = watch(folder, path, tmp_path / "run", sleep=other_process_writes)
    assert again.status == "stopped"
    with CheckpointGate(path, tmp_path / "run") as gate, pytest.raises(ConfigError, match="nothing more is judged"):
        gate.judge(folder / "checkpoint-1")


def test_a_folder_without_safetensors_is_refused_and_the_run_can_go_on(
    charter: Write, tiny: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "out" / "checkpoint-1"
    bad.mkdir(parents=True)
    (bad / "pytorch_model.bin").write_bytes(b"pickle")
    state = watch(tmp_path / "out", _charter(charter, tiny), tmp_path / "run", sleep=lambda _: None, idle_s=4.0)
    assert (state.status, state.round) == ("running", 1)
    with CheckpointGate(_charter(charter, tiny), tmp_path / "run") as gate:
        after = gate.judge(bad)
    assert after.status == "failed"
    assert "safetensors" in after.why
    assert ModelFileError.__name__ in after.why
