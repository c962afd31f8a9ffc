"""A training by policy gradient while it goes on, and how it is opened."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from moorings.errors import ConfigError
from moorings.improve.objectives.objective import Objective, objectives
from moorings.improve.train.encode import Encoded, EncodedRow, Encoder
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.rl_batch import Algorithm
from moorings.improve.train.rl_reference import Reference
from moorings.improve.train.rl_rewards import Grader, RewardTools
from moorings.improve.train.rl_settings import PolicyGradientSettings, objective_use
from moorings.improve.train.start_model import StartModel, open_start, start_files, trained_parameters
from moorings.improve.training import TrainJob, TrainSession
from moorings.records import Message
from moorings.subjects.local_model import LocalModel

__all__ = ["PolicyRun", "open_run", "prompts_of"]


@dataclass
class PolicyRun:
    """One training while it goes on."""

    job: TrainJob
    settings: PolicyGradientSettings
    algorithm: Algorithm
    start: StartModel
    encoder: Encoder
    rows: list[EncodedRow]
    session: TrainSession
    precision: str
    grader: Grader
    objective: Objective
    reference: Reference
    own: dict[str, Any]
    """What is learned beside the model."""
    beta: float
    optimizer: Any = None
    n_batches: int = 0
    done: int = 0
    """Batches."""
    log: list[dict[str, float]] = field(default_factory=list)
    n_tokens: int = 0

    @property
    def device(self) -> Any:
        """Where the model is."""
        return next(self.session.model.parameters()).device

    @property
    def weights(self) -> dict[str, Any]:
        """All that is learned."""
        return {**trained_parameters(self.session.model), **{f"own.{name}": one for name, one in self.own.items()}}

    def precise(self) -> Any:
        """Context of the model's passes."""
        import torch

        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def open_run(job: TrainJob, settings: PolicyGradientSettings, algorithm: Algorithm) -> PolicyRun:
    """Read the start model, the prompts, and what grades and joins.

    Raises:
        ConfigError: Several devices.
        TrainingError: No prompt fits.
        ModelFileError: The start model or its adapter cannot be read.
    """
    device, precision = _device(job, settings, algorithm.name)
    files, _ = start_files(job.start)
    encoder = Encoder(files, max_length=settings.max_length, learn_end="always")
    rows, kept, counts = prompts_of(job, settings, files)
    start = open_start(job.start, settings, precision=precision, device=str(device), seed=job.seed)
    start.model.eval()
    session = TrainSession(
        replace(job, rows=[job.rows[at] for at in kept]),
        start.model,
        files.tokenizer,
        partial(encoder.batch, device=device),
        metrics=counts,
    )
    lora = settings.mode == "lora"
    d = int(start.model.get_output_embeddings().weight.shape[1])
    return PolicyRun(
        job=job,
        settings=settings,
        algorithm=algorithm,
        start=start,
        encoder=encoder,
        rows=rows,
        session=session,
        precision=precision,
        grader=Grader(settings, RewardTools(job.folder, job.work)),
        objective=objectives.make(objective_use(settings)),
        reference=Reference(start.model, fresh=lora and files.adapter is None, shared_head=lora),
        own=algorithm.open(d, len(settings.rewards), device),
        beta=settings.beta,
    )


def _device(job: TrainJob, settings: PolicyGradientSettings, name: str) -> tuple[Any, str]:
    """Where to train, and in which precision."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=job.start.device == "cpu", mixed_precision="no")
    if accelerator.num_processes > 1:
        raise ConfigError(
            f"trainer {name} runs on one device, {accelerator.num_processes} processes were started; "
            "use trl_grpo or trl_rloo"
        )
    auto = "fp32" if accelerator.device.type == "cpu" else "bf16"
    return accelerator.device, auto if settings.precision == "auto" else settings.precision


def prompts_of(
    job: TrainJob, settings: PolicyGradientSettings, files: LocalModel
) -> tuple[list[EncodedRow], list[int], dict[str, float]]:
    """Each different prompt of a job as token ids, where it first stood among the rows, and how many were left out.

    Raises:
        TrainingError: None leaves room for an answer.
    """
    first: dict[tuple[Message, ...], int] = {}
    for at, row in enumerate(job.rows):
        first.setdefault(row.prompt, at)
    limit = min(settings.max_length, files.context_length or settings.max_length)
    found, kept = [], []
    for at, ids in zip(first.values(), files.encode(list(first)), strict=True):
        if not isinstance(ids, str) and 0 < len(ids) <= limit - settings.max_new_tokens:
            found.append(EncodedRow(job.rows[at].row_id, job.rows[at].weight, (Encoded(tuple(ids), len(ids)),)))
            kept.append(at)
    if not found:
        raise TrainingError(
            f"round {job.round} has nothing to train on: {len(job.rows)} rows given, no prompt leaves room for "
            f"{settings.max_new_tokens} tokens within {limit}"
        )
    return found, kept, {"prompts": float(len(found)), "prompts_left_out": float(len(first) - len(found))}
