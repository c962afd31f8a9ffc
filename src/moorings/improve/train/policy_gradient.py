"""The loop of `rloo`, `grpo` and `ppo`: sample, grade, join, learn; checkpoints and exact resume as in `loop`.

Each batch: prompts are drawn without replacement within an epoch; `group_size` answers each are sampled from the present
weights; rewards grade them; the objective joins the rewards; the algorithm credits tokens and the policy moves by AdamW.
What is random in batch b depends on the seed and b alone, so nothing but weights, moments and a few numbers is kept for
resume, and a training that was killed anywhere ends with the same bytes on one CPU thread. Dropout is off throughout. Each
batch is a line of `updates.jsonl` in the result's folder, and meanwhile in the work folder.

Runs on one device; `trl_grpo` and `trl_rloo` run on several. Points that are announced: those of `loop`, and `sampled`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from moorings.feedback.standardise import Scales
from moorings.improve.defences.kl_anchor import adapt_beta
from moorings.improve.train.checkpoint import Checkpoint, read_checkpoint, restore_checkpoint, save_checkpoint
from moorings.improve.train.loop import n_steps, start_defences
from moorings.improve.train.note import check_weights, job_hash, read_note, write_note
from moorings.improve.train.order import Order
from moorings.improve.train.result import check_out, defence_files, result_uri, write_result
from moorings.improve.train.rl_batch import Algorithm
from moorings.improve.train.rl_learn import learn_batch
from moorings.improve.train.rl_run import PolicyRun, open_run
from moorings.improve.train.rl_sample import sample_batch
from moorings.improve.train.rl_settings import PolicyGradientSettings
from moorings.improve.train.start_model import trained_parameters
from moorings.improve.training import TrainJob, TrainResult
from moorings.store.disk import Disk, write_atomic

__all__ = ["train"]

_CHECKPOINT = "checkpoint.safetensors"
_LOG = "updates.jsonl"
_SHARE_REPORTED = 0.1
"""Share of the batches whose mean is what metrics call the start, and the end."""


def train(job: TrainJob, settings: PolicyGradientSettings, algorithm: Algorithm, of_lora: float) -> TrainResult:
    """Train, or take up a training that was stopped, and write the result.

    Args:
        job: Whose rows give the prompts.
        settings: How.
        algorithm: Which.
        of_lora: The algorithm's default learning rate for adapters.

    Raises:
        TrainingError: No prompt fits, a value is not finite, or a checkpoint cannot be taken up.
        ConfigError: Several devices.
        ModelFileError: The start model or its adapter cannot be read.
        StorageError: A file cannot be written, or the output folder holds something else.
    """
    import torch

    check_out(job)
    check_weights(job)
    found, started = job_hash(job, settings, algorithm.name), time.monotonic()
    done = read_note(job, found)
    if done is not None:
        return done
    # The caller's random state must not depend on whether a round was trained or found ready.
    with torch.random.fork_rng():
        run = open_run(job, settings, algorithm)
        order, position = _set_up(run, settings.rate(of_lora), found)
        started -= position.duration_s if position else 0.0
        _batches(run, order, settings.rate(of_lora), found, started)
        return _finish(run, found, started)


def _set_up(run: PolicyRun, peak: float, found: str) -> tuple[Order, Checkpoint | None]:
    """Start the defences from the start weights, then put a checkpoint's state in place."""
    import torch

    job, settings, session = run.job, run.settings, run.session
    path = job.work / _CHECKPOINT
    position = read_checkpoint(path, found)
    if position is not None:
        session.step, run.n_tokens, run.log = position.step, position.n_tokens, position.log
        session.metrics.update(position.metrics)
    run.rows = start_defences(session, run.rows)
    session.model.eval()
    run.n_batches = n_steps(len(run.rows), settings)
    session.n_steps = run.n_batches * settings.passes * settings.minibatches
    groups: list[dict[str, Any]] = [
        {"params": list(trained_parameters(session.model).values()), "weight_decay": settings.weight_decay}
    ]
    if run.own:
        groups.append({"params": list(run.own.values()), "weight_decay": 0.0, "lr": run.algorithm.own_rate})
    run.optimizer = torch.optim.AdamW(groups, lr=peak, fused=True)
    torch.manual_seed(job.seed + 1)
    order = Order([row.length for row in run.rows], settings.batch_size, job.seed)
    if position is not None:
        _restore(run, order, position)
        restore_checkpoint(path, position, run.weights, run.optimizer)
        job.say(f"training goes on after batch {run.done} of {run.n_batches}")
    return order, position


def _state(run: PolicyRun, order: Order) -> dict[str, Any]:
    return {
        "rows": order.state(),
        "done": run.done,
        "beta": run.beta,
        "scales": run.grader.scales and run.grader.scales.model_dump(mode="json"),
        "objective": run.objective.state(),
    }


def _restore(run: PolicyRun, order: Order, position: Checkpoint) -> None:
    state = position.order
    order.restore(state["rows"])
    run.done, run.beta = int(state["done"]), float(state["beta"])
    run.grader.scales = Scales.model_validate(state["scales"])
    run.objective.restore(state["objective"])
    run.n_batches = run.done if position.ended else run.n_batches


def _batches(run: PolicyRun, order: Order, peak: float, found: str, started: float) -> None:
    """All batches that are left."""
    job, settings = run.job, run.settings
    job.on_point("start")
    batches = iter(order)
    while run.done < run.n_batches:
        rows = next(batches)
        answers, texts = sample_batch(run, rows)
        job.on_point("sampled")
        logged, go_on = learn_batch(run, answers, peak)
        run.log.append({**texts, **logged})
        run.objective.update(answers.batch)
        if settings.target_kl is not None:
            run.beta = adapt_beta(run.beta, texts["kl"], settings.target_kl, gain=settings.kl_gain)
        run.done += 1
        run.n_batches = run.n_batches if go_on else run.done
        ended = run.done == run.n_batches
        if ended or run.done % settings.save_steps == 0:
            at = run.session.step, ended, _state(run, order), run.log, dict(run.session.metrics), run.n_tokens
            state = Checkpoint(found, *at, time.monotonic() - started)
            Disk().make_folder(job.work)
            write_atomic(job.work / _LOG, _lines(run.log), Disk())
            save_checkpoint(job.work / _CHECKPOINT, state, run.weights, run.optimizer, job.on_point)
    job.on_point("trained")


def _lines(log: Sequence[dict[str, float]]) -> bytes:
    return "".join(json.dumps({"batch": at, **entry}) + "\n" for at, entry in enumerate(log, 1)).encode()


def _finish(run: PolicyRun, found: str, started: float) -> TrainResult:
    """Let the defences end, then write the result whole."""
    job, session = run.job, run.session
    for one in job.defences:
        one.finish(session)
    files = defence_files([(type(one).__name__, one.files()) for one in job.defences])
    n = max(1, round(len(run.log) * _SHARE_REPORTED))
    metrics = dict(session.metrics)
    for when, part in (("start", run.log[:n]), ("end", run.log[-n:])):
        names = [name for name in part[0] if all(name in entry for entry in part)]
        metrics |= {f"{name}_{when}": sum(entry[name] for entry in part) / len(part) for name in names}
    uri = result_uri(run.start, run.settings.mode, job.out)
    result = TrainResult(uri, session.step, run.n_tokens, time.monotonic() - started, metrics)
    write_note(job, found, result)
    write_result(session.model, run.start, job.out, {**files, _LOG: _lines(run.log)}, job.on_point)
    job.on_point("renamed")
    return result
