"""The same training by TRL's SFTTrainer and DPOTrainer (https://github.com/huggingface/trl), for those who run on them.

Rows are turned into tokens by our encoder, so that both trainers learn the same tokens, and the start model, the
adapter's shape, the rate, its schedule and the result's folder are those of `sft` and `dpo`. What differs: TRL draws the
order of rows, it averages IPO's log-probabilities as we do, but weighs an accumulated step by its own rules; and it
keeps no checkpoint, since its random state would be read back through pickle: a stopped training starts anew.

Left out: defences that add a penalty, weights of rows (both refused), and exact resume.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from moorings.errors import ConfigError, MissingExtraError
from moorings.improve.train.dpo import LEARNING_RATE as DPO_RATE
from moorings.improve.train.dpo import DpoSettings
from moorings.improve.train.encode import EncodedRow, EncodedRows, Encoder
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.loop import n_steps, start_defences
from moorings.improve.train.note import check_weights, job_hash, read_note, write_note
from moorings.improve.train.result import check_out, defence_files, result_uri, write_result
from moorings.improve.train.settings import TrainSettings
from moorings.improve.train.sft import LEARNING_RATE as SFT_RATE
from moorings.improve.train.sft import SftSettings
from moorings.improve.train.start_model import StartModel, open_start, start_files, trained_parameters
from moorings.improve.training import BaseDefence, Trainer, TrainJob, TrainResult, TrainSession, trainers

__all__ = ["check_trl", "trl_arguments", "trl_dpo", "trl_losses", "trl_sft"]

_MakeTrainer = Callable[[Any, Any, list[EncodedRow], dict[str, Any]], Any]


@trainers.register("trl_sft", SftSettings)
def trl_sft(config: SftSettings) -> Trainer:
    """Learn the responses, by TRL."""
    return lambda job: _train(job, config, "trl_sft", config.rate(SFT_RATE), _sft_trainer, pairs=False)


@trainers.register("trl_dpo", DpoSettings)
def trl_dpo(config: DpoSettings) -> Trainer:
    """Learn which of two responses is better, by TRL."""

    def make(model: Any, tokenizer: Any, rows: list[EncodedRow], common: dict[str, Any]) -> Any:
        return _dpo_trainer(config, model, tokenizer, rows, common)

    return lambda job: _train(job, config, "trl_dpo", config.rate(DPO_RATE), make, pairs=True)


def _train(
    job: TrainJob, settings: TrainSettings, name: str, rate: float, make: _MakeTrainer, *, pairs: bool
) -> TrainResult:
    import torch

    check_trl(job, name)
    check_out(job)
    check_weights(job)
    found = job_hash(job, settings, name)
    done = read_note(job, found)
    if done is not None:
        return done
    started = time.monotonic()
    with torch.random.fork_rng():
        start, encoder, encoded = _open(job, settings, pairs=pairs)
        session = _session(job, start, encoder, encoded)
        rows = start_defences(session, encoded.rows)
        session.n_steps = n_steps(len(rows), settings)
        losses = trl_losses(session, rows, trl_arguments(job, settings, rate, start.model), make)
        for one in job.defences:
            one.finish(session)
    kept = defence_files([(type(one).__name__, one.files()) for one in job.defences])
    n = max(1, len(losses) // 10)
    metrics = {"loss_start": sum(losses[:n]) / n, "loss_end": sum(losses[-n:]) / n, **session.metrics}
    whole = n_steps(len(rows), settings.model_copy(update={"max_steps": None}))
    n_tokens = round(settings.epochs * sum(row.n_tokens for row in rows) * session.step / whole)
    uri = result_uri(start, settings.mode, job.out)
    result = TrainResult(uri, session.step, n_tokens, time.monotonic() - started, metrics)
    write_note(job, found, result)
    write_result(session.model, start, job.out, kept, job.on_point)
    job.on_point("renamed")
    return result


def _open(job: TrainJob, settings: TrainSettings, *, pairs: bool) -> tuple[StartModel, Encoder, EncodedRows]:
    import torch

    files, _ = start_files(job.start)
    encoder = Encoder(files, max_length=settings.max_length, learn_end=settings.learn_end)
    encoded = encoder.encode(job.rows, pairs=pairs)
    if not encoded.rows:
        raise TrainingError(f"round {job.round} has nothing to train on: {len(job.rows)} rows given, none that fits")
    device = "cpu" if job.start.device == "cpu" or not torch.cuda.is_available() else "cuda"
    auto = "fp32" if device == "cpu" else "bf16"
    precision = auto if settings.precision == "auto" else settings.precision
    return open_start(job.start, settings, precision=precision, device=device, seed=job.seed), encoder, encoded


def _session(job: TrainJob, start: StartModel, encoder: Encoder, encoded: EncodedRows) -> TrainSession:
    device = next(start.model.parameters()).device

    encode = partial(encoder.batch, device=device)
    seen = replace(job, rows=[job.rows[at] for at in encoded.kept])
    return TrainSession(seen, start.model, start.files.tokenizer, encode, metrics=dict(encoded.counts))


def trl_losses(
    session: TrainSession, rows: list[EncodedRow], common: dict[str, Any], make: _MakeTrainer
) -> list[float]:
    """Train; the loss of each step."""
    from transformers import PrinterCallback

    trainer = make(session.model, session.tokenizer, rows, common)
    trainer.add_callback(_hooks(session))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    _check_finite(session, losses)
    return losses


def check_trl(job: TrainJob, name: str) -> None:
    """Refuse what TRL's trainers cannot do."""
    if importlib.util.find_spec("trl") is None:
        raise MissingExtraError(f"trainer {name}", "trl")
    penal = [type(one).__name__ for one in job.defences if type(one).penalty is not BaseDefence.penalty]
    if penal:
        raise ConfigError(
            f"trainer {name} cannot add the penalty of {', '.join(penal)} to the loss; use trainer {name[4:]}"
        )
    if any(row.weight != 1.0 for row in job.rows):
        raise ConfigError(
            f"trainer {name} weighs all rows alike, but rows with other weights than 1 were given; use trainer {name[4:]}"
        )


def trl_arguments(job: TrainJob, settings: TrainSettings, rate: float, model: Any) -> dict[str, Any]:
    """What the settings of all of TRL's trainers share."""
    cpu = next(model.parameters()).device.type == "cpu"
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and not cpu)
    part = settings.micro_batch or settings.batch_size
    if settings.batch_size % part:
        raise ConfigError(
            f"batch_size={settings.batch_size} must be a multiple of micro_batch={part} for TRL's trainers"
        )
    schedules = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
    return {
        "output_dir": str(job.work / "trl"),
        "per_device_train_batch_size": part,
        "gradient_accumulation_steps": settings.batch_size // part,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "learning_rate": rate,
        "lr_scheduler_type": schedules[settings.schedule],
        "warmup_steps": settings.warmup_share,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "max_length": None,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": job.seed % 2**32,
        "use_cpu": cpu,
        "bf16": bf16,
        "dataloader_pin_memory": not cpu,
    }


def _sft_trainer(model: Any, tokenizer: Any, rows: list[EncodedRow], common: dict[str, Any]) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    sequences = [row.sequences[0] for row in rows]
    data = Dataset.from_list(
        [{"input_ids": list(s.ids), "labels": [-100] * s.n_prompt + list(s.ids[s.n_prompt :])} for s in sequences]
    )
    arguments = SFTConfig(**common, train_sampling_strategy="group_by_length")
    return SFTTrainer(model, args=arguments, train_dataset=data, processing_class=tokenizer)


def _dpo_trainer(
    config: DpoSettings, model: Any, tokenizer: Any, rows: list[EncodedRow], common: dict[str, Any]
) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Encoded(DPOTrainer):  # type: ignore[misc]
        """DPOTrainer would turn texts into tokens by rules of its own, so it is given tokens."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    data = Dataset.from_list(
        [
            {
                "prompt_ids": list(row.sequences[0].ids[: row.sequences[0].n_prompt]),
                "chosen_ids": list(row.sequences[0].ids[row.sequences[0].n_prompt :]),
                "rejected_ids": list(row.sequences[1].ids[row.sequences[1].n_prompt :]),
            }
            for row in rows
        ]
    )
    arguments = DPOConfig(**common, beta=config.beta, loss_type=[config.form], label_smoothing=config.flip_rate)
    return Encoded(model, args=arguments, train_dataset=data, processing_class=tokenizer)


def _hooks(session: TrainSession) -> Any:
    """A callback that counts steps, reports them, and lets defences end training."""
    from transformers import TrainerCallback

    class Hooks(TrainerCallback):  # type: ignore[misc]
        """See `_hooks`."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            session.step = int(state.global_step)
            session.job.tick(session.step, session.n_steps)
            control.should_training_stop |= any([one.should_stop(session) for one in session.job.defences])
            session.job.on_point("step")
            return control

    return Hooks()


def _check_finite(session: TrainSession, losses: Sequence[float]) -> None:
    import torch

    for step, loss in enumerate(losses, 1):
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of step {step} is {loss}, so the result was thrown away; lower learning_rate, "
                "or use an own trainer, which names the rows"
            )
    broken = [name for name, weight in trained_parameters(session.model).items() if not torch.isfinite(weight).all()]
    if broken:
        raise TrainingError(f"weights are not finite after step {session.step}: {broken[0]}; lower learning_rate")
