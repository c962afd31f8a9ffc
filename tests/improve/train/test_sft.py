"""Supervised fine-tuning: the loss, what it trains, what stops it, and what it writes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_training import SETTINGS, make_job, make_rows, run

from moorings.charter_run import Use
from moorings.errors import ConfigError, ModelFileError
from moorings.improve.train.encode import collate
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.forward import predict
from moorings.improve.train.loop import rate_at
from moorings.improve.train.settings import TrainSettings
from moorings.improve.train.sft import Sft, SftSettings
from moorings.improve.train.start_model import open_start, trained_parameters
from moorings.improve.training import BaseDefence, trainers
from moorings.records import Message
from moorings.subjects.safe_files import check_adapter_folder, check_model_folder
from moorings.subjects.spec import SubjectSpec, open_subject

PLAIN = {"dropout": 0.0, "warmup_share": 0.0, "schedule": "constant", "max_grad_norm": 1e9}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


class Watch(BaseDefence):
    """Records what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple] = []

    def should_stop(self, session) -> bool:
        self.seen.append((session.step, session.n_steps))
        return False


class Pull(Watch):
    """Reads logits of all places, pulls the weights to zero, ends after four steps, and leaves a file."""

    def start(self, session) -> None:
        self.seen.append(("start", session.step))

    def penalty(self, session, batch, output):
        assert output.logits.shape[:2] == batch["input_ids"].shape
        return sum(w.square().sum() for w in trained_parameters(session.model).values())

    def should_stop(self, session) -> bool:
        super().should_stop(session)
        return session.step == 4

    def finish(self, session) -> None:
        session.metrics["pull.done"] = 1.0

    def files(self) -> dict[str, bytes]:
        return {"pull.json": b"{}"}


def reference_step(model: Path, rows) -> tuple[float, dict[str, np.ndarray]]:
    """One plain step of AdamW on all rows by transformers' own loss, row by row."""
    settings = SftSettings(**(SETTINGS | PLAIN))
    spec = SubjectSpec(uri=f"hf:{model}", device="cpu", threads=1)
    start = open_start(spec, settings, precision="fp32", device="cpu", seed=7)
    from moorings.improve.train.encode import Encoder

    encoder = Encoder(start.files, max_length=1024, learn_end="text")
    encoded = encoder.encode(rows).rows
    size = sum(row.n_learned for row in encoded)
    total = torch.zeros(())
    for row in encoded:
        batch = collate(row.sequences, encoder.filler_id, "cpu")
        total = total + row.weight * row.n_learned * start.model(**batch).loss
    (total / size).backward()
    torch.optim.AdamW(trained_parameters(start.model).values(), lr=0.01, weight_decay=0.0).step()
    found = {name: w.detach().numpy() for name, w in trained_parameters(start.model).items()}
    return float(total.detach() / size), found


def test_one_step_agrees_with_transformers_own_loss(model: Path, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"weight": 0.5 * (at % 3)}) for at, row in enumerate(make_rows(7))]
    run("sft", make_job(model, tmp_path, rows), batch_size=8, micro_batch=3, epochs=1, **PLAIN)
    _, expected = reference_step(model, rows)
    found = weights(tmp_path / "out")
    assert len(found) == len(expected) == 2 * 7 * 2
    for name, value in expected.items():
        # Adam's first step is the gradient's sign where it is not tiny, so rounding may turn a few.
        difference = np.abs(found[name.replace(".default", "")].numpy() - value)
        assert np.mean(difference > 1e-4) < 0.02, name


def test_logged_loss_is_nats_a_token(model: Path, tmp_path: Path) -> None:
    rows = make_rows(6)
    result = run("sft", make_job(model, tmp_path, rows), batch_size=6, micro_batch=6, epochs=1, **PLAIN)
    assert result.metrics["loss_start"] == pytest.approx(reference_step(model, rows)[0], rel=1e-5)


def test_parts_of_a_step_do_not_matter(model: Path, tmp_path: Path) -> None:
    found = []
    for part in (1, 2, 6):
        job = make_job(model, tmp_path / str(part), make_rows(6))
        found.append(run("sft", job, batch_size=6, micro_batch=part, epochs=1, **PLAIN).metrics["loss_start"])
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("all_logits", [False, True])
def test_predictions_agree_with_the_models_logits(model: Path, all_logits: bool) -> None:
    spec = SubjectSpec(uri=f"hf:{model}", device="cpu", threads=1)
    start = open_start(spec, TrainSettings(), precision="fp32", device="cpu", seed=0)
    from moorings.improve.train.encode import Encoder

    encoder = Encoder(start.files, max_length=99, learn_end="text")
    sequences = [row.sequences[0] for row in encoder.encode(make_rows(4)).rows]
    batch = collate(sequences, encoder.filler_id, "cpu")
    found = predict(start.model, start.model.get_output_embeddings(), batch, all_logits=all_logits)
    with torch.no_grad():
        logits = start.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected, owners = [], []
    for at, sequence in enumerate(sequences):
        for place in range(sequence.n_prompt, len(sequence.ids)):
            expected.append(float(torch.log_softmax(logits[at, place - 1], -1)[sequence.ids[place]]))
            owners.append(at)
    assert found.logp.tolist() == pytest.approx(expected, abs=1e-4)
    assert found.owner.tolist() == owners
    assert not start.model.get_output_embeddings()._forward_pre_hooks


def test_training_lowers_the_loss_and_the_result_opens(model: Path, tmp_path: Path) -> None:
    result = run("sft", make_job(model, tmp_path), epochs=6, dropout=0.0)
    assert result.uri == f"hf:{model}+{tmp_path / 'out'}"
    assert result.metrics["loss_end"] < result.metrics["loss_start"] - 1
    assert (result.n_steps, result.metrics["rows_left_out"]) == (18, 0.0)
    check_adapter_folder(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == model.name
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    subject = open_subject(result.uri, engine="transformers", device="cpu", precision="fp32", threads=1)
    rows = make_rows()
    after = subject.score([(row.prompt, row.response) for row in rows])
    n = sum(len(one.logprobs_nats) for one in after)
    assert -sum(map(sum, (one.logprobs_nats for one in after))) / n < result.metrics["loss_start"] - 1


def test_training_goes_on_from_the_start_adapter(model: Path, tmp_path: Path) -> None:
    first = run("sft", make_job(model, tmp_path / "1"), dropout=0.0, upper_share=0.5)
    spec = SubjectSpec(uri=first.uri, device="cpu", threads=1)
    job = make_job(model, tmp_path / "2", start=spec)
    second = run("sft", job, dropout=0.0, learning_rate=1e-9, r=2)
    assert second.uri == f"hf:{model}+{tmp_path / '2' / 'out'}"
    before, after = weights(tmp_path / "1" / "out"), weights(tmp_path / "2" / "out")
    assert before.keys() == after.keys()
    assert {name.split(".layers.")[1][0] for name in before} == {"1"}
    assert max(float((before[name] - after[name]).abs().max()) for name in before) < 1e-6
    assert second.metrics["loss_start"] < first.metrics["loss_start"]


def test_full_weights(model: Path, tmp_path: Path) -> None:
    adapter = run("sft", make_job(model, tmp_path / "1"))
    spec = SubjectSpec(uri=adapter.uri, device="cpu", threads=1)
    result = run("sft", make_job(model, tmp_path / "2", start=spec), mode="full", upper_share=0.5, weight_decay=0.1)
    assert result.uri == f"hf:{tmp_path / '2' / 'out'}"
    check_model_folder(tmp_path / "2" / "out")
    merged = open_subject(adapter.uri, engine="transformers", device="cpu", precision="fp32", threads=1)
    start = merged.training_parts()[0].merge_and_unload().state_dict()
    found = load_file(tmp_path / "2" / "out" / "model.safetensors")
    for name, value in found.items():
        same = torch.allclose(value, start[name], atol=1e-6)
        assert same is ("layers.1." not in name), name
    assert open_subject(result.uri, engine="transformers", device="cpu", threads=1).describe().weights


def test_checkpointed_activations_and_half_precision_give_the_same_loss(model: Path, tmp_path: Path) -> None:
    plain = run("sft", make_job(model, tmp_path / "1"), dropout=0.0, max_steps=2)
    again = run("sft", make_job(model, tmp_path / "2"), dropout=0.0, max_steps=2, gradient_checkpointing=True)
    half = run("sft", make_job(model, tmp_path / "3"), dropout=0.0, max_steps=2, precision="bf16")
    assert again.metrics["loss_end"] == pytest.approx(plain.metrics["loss_end"], rel=1e-5)
    assert half.metrics["loss_end"] == pytest.approx(plain.metrics["loss_end"], rel=0.02)
    assert {w.dtype for w in weights(tmp_path / "3" / "out").values()} == {torch.float32}


def test_defences_take_part(model: Path, tmp_path: Path) -> None:
    pull, ticks = Pull(), []
    job = make_job(model, tmp_path, defences=(pull,), tick=lambda *at: ticks.append(at))
    result = run("sft", job, dropout=0.0)
    assert result.n_steps == 4
    assert pull.seen == [("start", 0), (1, 6), (2, 6), (3, 6), (4, 6)]
    assert ticks == [(1, 6), (2, 6), (3, 6), (4, 6)]
    assert result.metrics["pull.done"] == 1.0
    assert (tmp_path / "out" / "defences" / "pull.json").read_bytes() == b"{}"
    free = run("sft", make_job(model, tmp_path / "free", defences=(Watch(),)), dropout=0.0, max_steps=4)

    def size(folder: Path) -> float:
        return sum(float(w.square().sum()) for w in weights(folder).values())

    assert size(tmp_path / "out") < size(tmp_path / "free" / "out")
    assert free.n_steps == 4


@pytest.mark.parametrize("trainer", ["sft", "trl_sft"])
def test_rows_that_a_defence_holds_out_are_not_trained_on(model: Path, tmp_path: Path, trainer: str) -> None:
    class HoldOut(BaseDefence):
        def start(self, session) -> None:
            session.job = replace(session.job, rows=session.job.rows[:n_left])

    n_left = 3
    result = run(trainer, make_job(model, tmp_path / "1", defences=(HoldOut(),)), micro_batch=2)
    alone = run("sft", make_job(model, tmp_path / "2", make_rows(3)), micro_batch=2)
    assert (result.n_steps, result.n_tokens) == (alone.n_steps, alone.n_tokens) == (2, alone.n_tokens)
    n_left = 0
    with pytest.raises(TrainingError, match="held out all 10 rows"):
        run(trainer, make_job(model, tmp_path / "3", defences=(HoldOut(),)), micro_batch=2)


def test_early_end_stays_when_training_is_taken_up(model: Path, tmp_path: Path) -> None:
    def stop(point: str) -> None:
        if point == "trained":
            raise InterruptedError

    job = make_job(model, tmp_path, defences=(Pull(),))
    with pytest.raises(InterruptedError):
        run("sft", replace(job, on_point=stop))
    again = Pull()
    assert run("sft", replace(job, defences=(again,))).n_steps == 4
    assert again.seen == [("start", 4)]


@pytest.mark.parametrize("name", ["../x.json", "x.pkl", "a/b.json"])
def test_defence_file_names_are_checked(model: Path, tmp_path: Path, name: str) -> None:
    class Odd(BaseDefence):
        def files(self) -> dict[str, bytes]:
            return {name: b""}

    with pytest.raises(ConfigError, match="defence Odd gave a file"):
        run("sft", make_job(model, tmp_path, defences=(Odd(),)), max_steps=1)
    assert not (tmp_path / "out").exists()


def test_defence_that_asks_for_an_unfit_row_is_told(model: Path, tmp_path: Path) -> None:
    long = make_rows(1)[0].model_copy(update={"prompt": (Message(role="user", content="Why? " * 99),)})

    class Greedy(BaseDefence):
        def start(self, session) -> None:
            assert len(session.job.rows) == 3
            assert session.encode(session.job.rows)["input_ids"].shape[0] == 3
            session.encode([long])

    with pytest.raises(TrainingError, match="1 of 1 rows have no response that fits"):
        run("sft", make_job(model, tmp_path, [long, *make_rows(3)], defences=(Greedy(),)))


def test_nothing_to_train_on(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="round 1 has nothing to train on: 0 rows given"):
        run("sft", make_job(model, tmp_path, []))


def test_loss_that_is_not_finite_names_step_and_rows(model: Path, tmp_path: Path) -> None:
    rows = make_rows(6)
    # Finite as a Python number, but not in single precision.
    bad = rows[4].model_copy(update={"weight": 1e39})
    rows[4] = bad
    with pytest.raises(TrainingError, match=rf"the loss of step 1 is inf.*{bad.row_id[:12]}"):
        run("sft", make_job(model, tmp_path, rows), batch_size=6, micro_batch=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("weight", [math.nan, math.inf, -1.0])
def test_rows_with_impossible_weights_are_named(model: Path, tmp_path: Path, weight: float) -> None:
    bad = make_rows(1)[0].model_copy(update={"weight": weight})
    with pytest.raises(TrainingError, match=f"row {bad.row_id[:12]} has weight"):
        run("sft", make_job(model, tmp_path, [bad]))


def test_gradient_that_is_not_finite_stops(model: Path, tmp_path: Path) -> None:
    class Steep(BaseDefence):
        def penalty(self, session, batch, output):
            # The square root's slope at zero is infinite, while its value is not; fresh adapters have zeros.
            lora_b = next(w for name, w in trained_parameters(session.model).items() if "lora_B" in name)
            return lora_b.abs().sum().sqrt() if session.step == 0 else None

    with pytest.raises(TrainingError, match="the gradient of step 1 is nan"):
        run("sft", make_job(model, tmp_path, defences=(Steep(),)))


@pytest.mark.parametrize("damage", ["cut", "shape", "missing", "kind", "nan", "config"])
def test_start_adapter_that_cannot_be_used_is_named(model: Path, tmp_path: Path, damage: str) -> None:
    run("sft", make_job(model, tmp_path / "1"), max_steps=1)
    folder = tmp_path / "1" / "out"
    file, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:500])
    elif damage in ("shape", "nan", "missing"):
        tensors = load_file(file)
        name = sorted(tensors)[0]
        weight = tensors.pop(name)
        tensors |= {"shape": {name: torch.zeros(3, 3)}, "nan": {name: weight * math.nan}, "missing": {}}[damage]
        save_file(tensors, file)
    else:
        kept = json.loads(config.read_text())
        kept["peft_type"] = "IA3" if damage == "kind" else "NOTHING"
        config.write_text(json.dumps(kept))
    spec = SubjectSpec(uri=f"hf:{model}+{folder}", device="cpu", threads=1)
    with pytest.raises(ModelFileError, match=r"the start adapter .*/1/out"):
        run("sft", make_job(model, tmp_path / "2", start=spec))


def test_what_has_no_weights_here_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be trained: its weights are not on this machine"):
        run("sft", make_job(model, tmp_path, start=SubjectSpec(uri="scripted:echo")))


def test_output_folder_that_a_uri_cannot_name_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds '\+'"):
        run("sft", make_job(model, tmp_path, out=tmp_path / "a+b"))


def test_output_that_cannot_be_written_leaves_nothing(model: Path, tmp_path: Path) -> None:
    def fail(point: str) -> None:
        if point == "before_rename":
            raise OSError(28, "No space left on device")

    from moorings.errors import StorageFullError

    with pytest.raises(StorageFullError, match="no room"):
        run("sft", make_job(model, tmp_path, on_point=fail), max_steps=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work"]


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'learning_rat'; did you mean 'learning_rate'"):
        trainers.make(Use(use="sft", learning_rat=1.0))
    with pytest.raises(ConfigError, match="micro_batch=9 must be at most batch_size=8"):
        trainers.make(Use(use="sft", micro_batch=9))
    assert SftSettings().rate(2e-4) == 2e-4
    assert SftSettings(mode="full").rate(2e-4) == pytest.approx(2e-5)
    assert SftSettings(mode="full", learning_rate=1.0).rate(2e-4) == 1.0


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_rates_rise_then_fall_and_are_never_zero(schedule: str) -> None:
    settings = TrainSettings(schedule=schedule, warmup_share=0.2)
    rates = [rate_at(step, 50, settings, 2.0) for step in range(50)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert max(rates) == 2.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] > 0
    assert (rates[-1] == 2.0) is (schedule == "constant")


def test_the_callers_random_state_is_left_alone(model: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    run("sft", make_job(model, tmp_path), max_steps=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_size_counts_learned_tokens(model: Path) -> None:
    from moorings.improve.train.encode import Encoded, EncodedRow

    rows = [EncodedRow("a", 1.0, (Encoded((1, 2, 3, 4), 1),)), EncodedRow("b", 1.0, (Encoded((1, 2), 1),))]
    assert Sft().size(rows) == 4.0
