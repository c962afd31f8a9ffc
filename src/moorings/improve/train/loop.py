"""The training loop that all own trainers share: AdamW, accumulation, defences, checkpoints, exact resume.

With one thread on a CPU a training that was killed anywhere and taken up again ends with the same bits as one that was
not: weights, moments, torch's random state and the order of data are kept, and nothing else is random. Points that are
announced through `job.on_point`: `start`, `step`, `checkpoint_before_rename`, `checkpoint_written`, `trained`,
`before_rename`, `renamed`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from moorings.improve.train.checkpoint import Checkpoint, read_checkpoint, restore_checkpoint, save_checkpoint
from moorings.improve.train.encode import EncodedRow, EncodedRows, Encoder, collate
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.forward import Predictions, predict
from moorings.improve.train.note import check_weights, job_hash, read_note, write_note
from moorings.improve.train.order import Order
from moorings.improve.train.result import check_out, defence_files, result_uri, write_result
from moorings.improve.train.settings import TrainSettings
from moorings.improve.train.start_model import StartModel, open_start, start_files, trained_parameters
from moorings.improve.training import BaseDefence, TrainJob, TrainResult, TrainSession

__all__ = ["Objective", "Run", "TrainingError", "n_steps", "rate_at", "start_defences", "train"]

_SHARE_REPORTED = 0.1
"""Share of the steps whose mean is the loss at the start, and at the end."""
_SHOWN_ROWS = 8
_CHECKPOINT = "checkpoint.safetensors"


class Objective(Protocol):
    """What is minimised. Losses are sums, so that an accumulated step weighs every token or pair alike."""

    name: str
    pairs: bool
    """Whether rows need a rejected response."""

    def prepare(self, run: Run) -> None:
        """Compute what training needs from the start model; called before defences and again on resume."""
        ...

    def size(self, rows: Sequence[EncodedRow]) -> float:
        """What sums are divided by: tokens or pairs."""
        ...

    def loss(self, rows: Sequence[EncodedRow], found: Predictions) -> tuple[Any, dict[str, Any]]:
        """The weighted sum of losses, and unweighted sums for the log, `loss` among them."""
        ...


@dataclass
class Run:
    """One training while it goes on."""

    job: TrainJob
    settings: TrainSettings
    start: StartModel
    encoder: Encoder
    rows: list[EncodedRow]
    session: TrainSession
    accelerator: Any
    precision: str
    model: Any = None
    """The session's model as the accelerator wrapped it."""
    optimizer: Any = None
    log: list[dict[str, float]] = field(default_factory=list)
    n_tokens: int = 0

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.accelerator.device

    def forward(self, model: Any, rows: Sequence[EncodedRow]) -> tuple[dict[str, Any], Predictions]:
        """Predictions of all first sequences of rows, then of all second ones."""
        import torch

        n_kinds = len(rows[0].sequences)
        sequences = [row.sequences[kind] for kind in range(n_kinds) for row in rows]
        batch = collate(sequences, self.encoder.filler_id, self.device)
        # A defence may read the logits of any place.
        all_logits = any(type(one).penalty is not BaseDefence.penalty for one in self.job.defences)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            head = self.session.model.get_output_embeddings()
            return batch, predict(model, head, batch, all_logits=all_logits)


def train(job: TrainJob, settings: TrainSettings, objective: Objective, of_lora: float) -> TrainResult:
    """Train, or take up a training that was stopped, and write the result.

    Args:
        job: What to train on what.
        settings: How.
        objective: What is minimised.
        of_lora: The objective's default learning rate for adapters.

    Raises:
        TrainingError: No row can be learned, a weight or a value is not finite, or a checkpoint cannot be taken up.
        ModelFileError: The start model or its adapter cannot be read.
        StorageError: A file cannot be written, or the output folder holds something else.
    """
    import torch

    check_out(job)
    check_weights(job)
    clock = _Clock(job_hash(job, settings, objective.name), time.monotonic())
    done = read_note(job, clock.job_hash)
    if done is not None:
        return done
    # The caller's random state must not depend on whether a round was trained or found ready.
    with torch.random.fork_rng():
        run = _open(job, settings, objective)
        position = _set_up(run, objective, settings.rate(of_lora), clock.job_hash)
        clock.started -= position.duration_s if position else 0.0
        _steps(run, objective, position, settings.rate(of_lora), clock)
        return _finish(run, clock)


def rate_at(step: int, n_steps: int, settings: TrainSettings, peak: float) -> float:
    """Learning rate of a step, counted from 0: warm-up, then the schedule; never 0.

    >>> [rate_at(i, 4, TrainSettings(warmup_share=0.25), 1.0) for i in range(4)]
    [1.0, 1.0, 0.6666666666666667, 0.33333333333333337]
    """
    n_warm = round(n_steps * settings.warmup_share)
    if step < n_warm:
        return peak * (step + 1) / n_warm
    gone = (step - n_warm) / max(1, n_steps - n_warm)
    shape = {"constant": 1.0, "linear": 1 - gone, "cosine": (1 + math.cos(math.pi * gone)) / 2}
    return peak * shape[settings.schedule]


@dataclass
class _Clock:
    """Which training this is, and how long it has taken, stops included."""

    job_hash: str
    started: float

    def seconds(self) -> float:
        """Time spent so far."""
        return time.monotonic() - self.started


def _open(job: TrainJob, settings: TrainSettings, objective: Objective) -> Run:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=job.start.device == "cpu", mixed_precision="no")
    device = accelerator.device
    auto = "fp32" if device.type == "cpu" else "bf16"
    precision = auto if settings.precision == "auto" else settings.precision
    files, _ = start_files(job.start)
    encoder = Encoder(files, max_length=settings.max_length, learn_end=settings.learn_end)
    found = _encoded(job, encoder, objective)
    start = open_start(job.start, settings, precision=precision, device=str(device), seed=job.seed)

    # Defences draw rows from the job; those that cannot be encoded are no use to them.
    seen = replace(job, rows=[job.rows[at] for at in found.kept])
    encode = partial(encoder.batch, device=device)
    session = TrainSession(seen, start.model, files.tokenizer, encode, metrics=dict(found.counts))
    return Run(job, settings, start, encoder, found.rows, session, accelerator, precision)


def _encoded(job: TrainJob, encoder: Encoder, objective: Objective) -> EncodedRows:
    found = encoder.encode(job.rows, pairs=objective.pairs)
    if not found.rows:
        lack = "a response and a rejected one" if objective.pairs else "a response"
        raise TrainingError(
            f"round {job.round} has nothing to train on: {len(job.rows)} rows given, none with {lack} "
            f"that fits max_length; look at the data methods' drop counts"
        )
    return found


def _set_up(run: Run, objective: Objective, peak: float, job_hash: str) -> Checkpoint | None:
    """Start objective and defences from the start weights, then put a checkpoint's state in place."""
    import torch

    job, settings, session = run.job, run.settings, run.session
    path = job.work / _CHECKPOINT
    session.n_steps = n_steps(len(run.rows), settings)
    position = read_checkpoint(path, job_hash)
    objective.prepare(run)
    if position is not None:
        session.step, run.n_tokens, run.log = position.step, position.n_tokens, position.log
        session.metrics.update(position.metrics)
    run.rows = start_defences(session, run.rows)
    session.n_steps = n_steps(len(run.rows), settings)
    if position is not None:
        session.n_steps = position.step if position.ended else session.n_steps
        job.say(f"training goes on after step {position.step} of {session.n_steps}")
    session.model.train()
    weights = trained_parameters(session.model)
    run.optimizer = torch.optim.AdamW(weights.values(), lr=peak, weight_decay=settings.weight_decay, fused=True)
    # The random draws of the steps must not depend on how many a defence took.
    torch.manual_seed(job.seed + 1)
    if position is not None:
        restore_checkpoint(path, position, weights, run.optimizer)
    run.model = run.accelerator.prepare_model(session.model)
    return position


def n_steps(n_rows: int, settings: TrainSettings) -> int:
    """Optimiser steps for so many rows, unless a defence ends training."""
    n_all = math.ceil(n_rows / settings.batch_size) * settings.epochs
    return min(settings.max_steps or n_all, n_all)


def start_defences(session: TrainSession, rows: list[EncodedRow]) -> list[EncodedRow]:
    """Start each defence; the rows that are left, as one may hold some out by taking them from the session's job.

    Args:
        session: Its job's rows are those that were encoded.
        rows: Their encodings, in the same order.

    Raises:
        TrainingError: No row is left.
    """
    given = list(session.job.rows)
    for one in session.job.defences:
        one.start(session)
    left = {id(row) for row in session.job.rows}
    kept = [encoded for row, encoded in zip(given, rows, strict=True) if id(row) in left]
    if not kept:
        raise TrainingError(f"the defences held out all {len(given)} rows; give more rows or hold out fewer")
    return kept


def _steps(run: Run, objective: Objective, position: Checkpoint | None, peak: float, clock: _Clock) -> None:
    """All steps that are left."""
    job, session, settings = run.job, run.session, run.settings
    order = Order([row.length for row in run.rows], settings.batch_size, job.seed)
    if position is not None:
        order.restore(position.order)
    job.on_point("start")
    batches = iter(order)
    while session.step < session.n_steps:
        rate = rate_at(session.step, session.n_steps, settings, peak)
        run.log.append(_step(run, objective, [run.rows[at] for at in next(batches)], rate))
        session.step += 1
        job.tick(session.step, session.n_steps)
        # Each defence is asked, as some count steps by it.
        stop = any([one.should_stop(session) for one in job.defences])
        job.on_point("step")
        if stop:
            job.say(f"training ends early, after step {session.step} of {session.n_steps}: a defence asked for it")
            session.n_steps = session.step
        ended = session.step == session.n_steps
        if (ended or session.step % settings.save_steps == 0) and run.accelerator.is_main_process:
            state = Checkpoint(
                clock.job_hash,
                session.step,
                ended,
                order.state(),
                run.log,
                dict(session.metrics),
                run.n_tokens,
                clock.seconds(),
            )
            weights = trained_parameters(session.model)
            save_checkpoint(job.work / _CHECKPOINT, state, weights, run.optimizer, job.on_point)
    job.on_point("trained")


def _step(run: Run, objective: Objective, rows: list[EncodedRow], rate: float) -> dict[str, float]:
    """One optimiser step on rows, in parts; the means that it measured."""
    import torch

    n_devices, rank = run.accelerator.num_processes, run.accelerator.process_index
    # A device without rows of its own takes part with one that does not count, since all wait for each other.
    mine, counts = (rows[rank::n_devices], 1.0) if rank < len(rows) else (rows[:1], 0.0)
    n_part = run.settings.micro_batch or len(mine)
    parts = [mine[at : at + n_part] for at in range(0, len(mine), n_part)]
    size, losses = objective.size(rows), []
    sums: dict[str, Any] = {}
    for part in parts:
        last = part is parts[-1]
        with contextlib.nullcontext() if last else run.accelerator.no_sync(run.model):
            loss, found = _part_loss(run, objective, part, size, len(part) / len(rows))
            # Gradients are averaged over devices, while sums over the step's rows are wanted.
            run.accelerator.backward(loss * (n_devices * counts))
        losses.append(loss.detach())
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + value.detach() * counts
    _check_finite(torch.stack(losses), parts, run.session.step, "loss")
    weights = trained_parameters(run.session.model).values()
    norm = torch.nn.utils.clip_grad_norm_(weights, run.settings.max_grad_norm)
    _check_finite(norm[None], [rows], run.session.step, "gradient")
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.n_tokens += sum(row.n_tokens for row in rows)
    if n_devices > 1:
        sums = run.accelerator.reduce(sums)
    return {name: float(value) / size for name, value in sums.items()}


def _part_loss(
    run: Run, objective: Objective, part: Sequence[EncodedRow], size: float, share: float
) -> tuple[Any, dict[str, Any]]:
    """A part's share of the step's loss, defences included, and the sums for the log."""
    batch, predictions = run.forward(run.model, part)
    total, sums = objective.loss(part, predictions)
    loss = total / size
    for one in run.job.defences:
        penalty = one.penalty(run.session, batch, predictions.output)
        if penalty is not None:
            loss = loss + penalty * share
    return loss, sums


def _check_finite(values: Any, parts: Sequence[Sequence[EncodedRow]], step: int, what: str) -> None:
    """Refuse NaN and infinity before they reach the weights."""
    for value, rows in zip(values.tolist(), parts, strict=True):
        if not math.isfinite(value):
            shown = ", ".join(row.row_id[:12] for row in rows[:_SHOWN_ROWS])
            more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
            raise TrainingError(
                f"the {what} of step {step + 1} is {value}, so training was stopped; its rows: {shown}{more}; "
                "lower learning_rate, or look at these rows and at the start model"
            )


def _finish(run: Run, clock: _Clock) -> TrainResult:
    """Let the defences end, then write the result whole."""
    job, session = run.job, run.session
    for one in job.defences:
        one.finish(session)
    files = defence_files([(type(one).__name__, one.files()) for one in job.defences])
    uri = result_uri(run.start, run.settings.mode, job.out)
    metrics = {**_summary(run.log), **session.metrics}
    result = TrainResult(uri, session.step, run.n_tokens, clock.seconds(), metrics)
    if run.accelerator.is_main_process:
        write_note(job, clock.job_hash, result)
        write_result(session.model, run.start, job.out, files, job.on_point)
    run.accelerator.wait_for_everyone()
    job.on_point("renamed")
    return result


def _summary(log: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over the first and the last tenth of the steps."""
    n = max(1, round(len(log) * _SHARE_REPORTED))
    means = {
        f"{name}_{when}": sum(entry[name] for entry in part) / len(part)
        for when, part in (("start", log[:n]), ("end", log[-n:]))
        for name in part[0]
    }
    return means
