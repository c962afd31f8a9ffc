"""How a subject is trained on rows: the job, the result, and the hooks by which defences take part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from moorings.improve.data import DataRow
from moorings.method import Methods
from moorings.subjects.spec import SubjectSpec

__all__ = ["BaseDefence", "Defence", "TrainJob", "TrainResult", "TrainSession", "Trainer", "defences", "trainers"]


@dataclass(frozen=True)
class TrainJob:
    """One round of training."""

    start: SubjectSpec
    """The model to train on: base, with the adapter of the last promoted round if there is one."""
    anchor: SubjectSpec
    """The model of round 0."""
    rows: Sequence[DataRow]
    out: Path
    """Folder that appears, whole, when training has ended: a PEFT adapter, or a model for full weights."""
    work: Path
    """Folder for checkpoints; may be removed after the end."""
    round: int
    seed: int
    defences: Sequence[Defence] = ()
    past: Sequence[Path] = ()
    """Outputs of earlier promoted rounds, oldest first."""
    past_rows: Sequence[Sequence[DataRow]] = ()
    """Rows that they were trained on."""
    folder: Path = Path()
    """Folder of the charter, which relative paths in settings start from."""
    on_point: Callable[[str], None] = lambda point: None
    """Called at named points, for crash tests."""
    say: Callable[[str], None] = lambda text: None
    """Progress for people, a line at a time."""
    tick: Callable[[int, int], None] = lambda done, total: None
    """Progress in optimiser steps."""


class TrainResult(NamedTuple):
    """What came out."""

    uri: str
    """URI of the new subject."""
    n_steps: int
    n_tokens: int
    """Tokens that went through the model, padding left out."""
    duration_s: float
    metrics: dict[str, float]
    """Mean loss in nats a token at the start and the end, and what the defences logged."""


@dataclass
class TrainSession:
    """What defences see while training goes on."""

    job: TrainJob
    model: Any
    """The transformers model, PEFT-wrapped where an adapter is trained."""
    tokenizer: Any
    encode: Callable[[Sequence[DataRow]], dict[str, Any]]
    """Rows to `input_ids`, `attention_mask`, `labels` (-100 where not learned) on the model's device."""
    step: int = 0
    n_steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


class Defence(Protocol):
    """Something that keeps training from overwriting what was there. Subclass `BaseDefence`; override what you need."""

    def start(self, session: TrainSession) -> None:
        """Called once before the first step, and again when a stopped training is taken up; deterministic."""
        ...

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """A scalar tensor that is added to the loss, or None."""
        ...

    def should_stop(self, session: TrainSession) -> bool:
        """Asked after each step; True ends training early."""
        ...

    def finish(self, session: TrainSession) -> None:
        """Called before the result is saved; may change the weights and add to `session.metrics`."""
        ...

    def files(self) -> dict[str, bytes]:
        """Small files (safetensors or JSON) to keep beside the result for later rounds."""
        ...


class BaseDefence:
    """A defence that does nothing."""

    def start(self, session: TrainSession) -> None:
        """See `Defence`."""

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """See `Defence`."""
        return None

    def should_stop(self, session: TrainSession) -> bool:
        """See `Defence`."""
        return False

    def finish(self, session: TrainSession) -> None:
        """See `Defence`."""

    def files(self) -> dict[str, bytes]:
        """See `Defence`."""
        return {}


Trainer = Callable[[TrainJob], TrainResult]

trainers: Methods[Trainer] = Methods(
    "trainer",
    builtin={
        "alternate": "moorings.improve.train.alternate",
        "dpo": "moorings.improve.train.dpo",
        "grpo": "moorings.improve.train.grpo",
        "ppo": "moorings.improve.train.ppo",
        "rloo": "moorings.improve.train.rloo",
        "sft": "moorings.improve.train.sft",
        "simulated": "moorings.improve.train.simulated",
        "trl_dpo": "moorings.improve.train.trl",
        "trl_grpo": "moorings.improve.train.trl_rl",
        "trl_rloo": "moorings.improve.train.trl_rl",
        "trl_sft": "moorings.improve.train.trl",
    },
)

defences: Methods[Defence] = Methods(
    "defence",
    builtin={
        "columns": "moorings.improve.defences.columns",
        "early_stopping": "moorings.improve.defences.early_stopping",
        "ewc": "moorings.improve.defences.ewc",
        "kl_anchor": "moorings.improve.defences.kl_anchor",
        "lwf": "moorings.improve.defences.lwf",
        "synaptic_intelligence": "moorings.improve.defences.synaptic_intelligence",
        "variational": "moorings.improve.defences.variational",
    },
)
