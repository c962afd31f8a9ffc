"""Training that is killed anywhere ends, when taken up again, with the same bytes as training that was not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_training import make_job, make_rows, run

from moorings.errors import StorageError, StorageFullError
from moorings.improve.train.checkpoint import Checkpoint, save_checkpoint
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.order import Order

CASES = (
    "sft:start:1",
    "sft:step:1",
    "sft:step:3",
    "sft:checkpoint_before_rename:1",
    "sft:checkpoint_before_rename:2",
    "sft:checkpoint_written:1",
    "sft:checkpoint_written:3",
    "sft:trained:1",
    "sft:before_rename:1",
    "sft:renamed:1",
    "dpo:step:5",
    "dpo:checkpoint_written:2",
)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Stop(Exception):
    pass


def stopped_at(point: str):
    def on_point(name: str) -> None:
        if name == point:
            raise Stop

    return on_point


@pytest.mark.slow
def test_killed_training_ends_with_the_same_bytes(model: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("tiny_training.py")
    command = [sys.executable, str(script), str(model), str(tmp_path), *CASES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    statuses = [json.loads(line) for line in done.stdout.splitlines()]
    assert statuses == [[case, 9, 0] for case in CASES], done.stderr
    whole = {name: make_job(model, tmp_path / name) for name in ("sft", "dpo")}
    expected = {name: (run(name, job), files(job.out))[1] for name, job in whole.items()}
    for case in CASES:
        assert files(tmp_path / case.replace(":", "-") / "out") == expected[case[:3]], case
        assert not list((tmp_path / case.replace(":", "-")).glob(".*")), case


def test_full_weights_and_early_end_are_resumed(model: Path, tmp_path: Path) -> None:
    job = make_job(model, tmp_path / "whole")
    run("sft", job, mode="full")
    for point in ("step", "checkpoint_written", "trained"):
        stopped = make_job(model, tmp_path / point)
        with pytest.raises(Stop):
            run("sft", replace(stopped, on_point=stopped_at(point)), mode="full")
        assert not stopped.out.exists()
        run("sft", stopped, mode="full")
        assert files(stopped.out) == files(job.out)


def test_finished_training_is_not_done_again(model: Path, tmp_path: Path) -> None:
    first = run("sft", make_job(model, tmp_path))
    points: list[str] = []
    assert run("sft", make_job(model, tmp_path, on_point=points.append)) == first
    assert points == []


def test_foreign_output_is_kept(model: Path, tmp_path: Path) -> None:
    run("sft", make_job(model, tmp_path))
    with pytest.raises(StorageError, match="is there already, not from this training"):
        run("sft", make_job(model, tmp_path, seed=8))
    (tmp_path / "work" / "result.json").unlink()
    with pytest.raises(StorageError, match="is there already"):
        run("sft", make_job(model, tmp_path))


def test_checkpoint_of_another_training_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run("sft", make_job(model, tmp_path, on_point=stopped_at("checkpoint_written")))
    with pytest.raises(TrainingError, match="is of another training"):
        run("sft", make_job(model, tmp_path, rows=make_rows(9)))


@pytest.mark.parametrize("damage", ["cut", "header", "weight", "text"])
def test_damaged_checkpoint_is_named(model: Path, tmp_path: Path, damage: str) -> None:
    with pytest.raises(Stop):
        run("sft", make_job(model, tmp_path, on_point=stopped_at("checkpoint_written")))
    path = tmp_path / "work" / "checkpoint.safetensors"
    data = path.read_bytes()
    if damage == "weight":
        tensors = load_file(path)
        name = next(name for name in tensors if name.startswith("weights/"))
        header = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + header])["__metadata__"]
        save_file({key: value for key, value in tensors.items() if key != name}, path, metadata=metadata)
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "header": b"{" + data[1:], "text": b"pickle"}[damage])
    with pytest.raises(TrainingError, match=r"checkpoint .* cannot be read"):
        run("sft", make_job(model, tmp_path))


def test_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path: Path) -> None:
    state = Checkpoint("j", 1, False, {}, [], {}, 0, 0.0)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state, {"w": weight}, optimizer, lambda point: None)
    before = path.read_bytes()

    def full(point: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFullError, match="no room"):
        save_checkpoint(path, state._replace(step=2), {"w": weight}, optimizer, full)
    assert path.read_bytes() == before


@pytest.mark.parametrize("stop", range(12))
def test_order_goes_on_where_it_was(stop: int) -> None:
    lengths = [3, 9, 4, 1, 7, 7, 2, 30, 11, 5]
    whole = iter(Order(lengths, 3, seed=5))
    expected = [next(whole) for _ in range(16)]
    first = Order(lengths, 3, seed=5)
    batches = iter(first)
    found = [next(batches) for _ in range(stop)]
    second = Order(lengths, 3, seed=1)
    second.restore(json.loads(json.dumps(first.state())))
    rest = iter(second)
    found += [next(rest) for _ in range(16 - stop)]
    assert found == expected


def test_order_gives_each_row_once_an_epoch_with_little_padding() -> None:
    lengths = [(17 * at) % 101 + 1 for at in range(1000)]
    order = Order(lengths, 8, seed=0)
    batches = [batch for batch, _ in zip(order, range(order.batches_in_epoch), strict=False)]
    assert sorted(row for batch in batches for row in batch) == list(range(1000))
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    assert padded < 1.05 * sum(lengths)
    sizes = [lengths[batch[0]] for batch in batches]
    assert sizes != sorted(sizes, reverse=True)
