"""A column a round: the analogue of progressive networks (Rusu et al. 2016, arXiv:1606.04671) for adapters.

In the paper column k computes h_i^k = ReLU(W_i^k h_{i-1}^k + sum_{j<k} U_i^{k:j} h_{i-1}^j) while the old columns are
frozen. Here each round trains a fresh LoRA adapter and the older ones stay as they are.

`stacked`: all columns act together, W + sum_j s_j B_j A_j, as lateral connections do. The result is one ordinary adapter of the
joined rank, exact. Old factors never change, but old prompts pass through the new column too, so forgetting is
made less, not excluded. With `orthogonal` > 0 the new column is pushed out of the input directions of the old ones (O-LoRA, Wang
et al. 2023, arXiv:2310.14152: strength * sum |A_old A_new^T|).

`routed`: each column is trained on the model of round 0 alone, and a table says which prompts it answers: those whose
embedding is nearest to the mean of the column's own prompts. A prompt that is much less like the nearest
column's than those are to each other goes to the model of round 0. Forgetting is zero given the right column; columns
cannot build on each other. The table is `defences/columns.json` beside the result, and is opened as the subject
`routed:FILE` (see `routed_uri`); the trainer must start from round 0 each time (see `training_start`).

Left out: lateral connections with weights of their own between adapters (the digits benchmark has them). What it must
show: forgetting of exactly 0 with the right column.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from moorings.errors import ConfigError
from moorings.improve.data import DataRow
from moorings.improve.defences.lora import lora_layers
from moorings.improve.defences.reference import adapter_folder
from moorings.improve.training import BaseDefence, TrainJob, TrainSession, defences
from moorings.method import MethodConfig
from moorings.subjects.routed import Column, RoutingTable, read_table, routing_text
from moorings.subjects.spec import SubjectSpec, parse_uri

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = ["Columns", "ColumnsConfig", "make_column", "routed_uri", "training_start"]

_FILE = "columns.json"
_OLD, _JOINED = "past", "joined"


class ColumnsConfig(MethodConfig):
    """Settings of `columns`."""

    use_as: Literal["stacked", "routed"] = "stacked"
    """All columns together as one adapter, or one column a prompt."""
    r: int = Field(default=8, ge=1, le=1024)
    """Rank of a stacked column from the second round on; the trainers' default."""
    scale: float = Field(default=4.0, gt=0)
    """What the product of such a column is multiplied by; alpha / r of the trainers' defaults."""
    orthogonal: float = Field(default=0.0, ge=0)
    """Push of a stacked column away from the old ones' inputs; 0.5 in the authors' scripts."""
    embedder: str = "bundled:minilm"
    """What prompts are routed by."""
    width: float = Field(default=4.0, gt=0)
    """Standard deviations below the mean similarity of its own prompts down to which a routed column answers."""


def make_column(adapter: str, embeddings: Float[np.ndarray, "n d"], *, width: float) -> Column:
    """A line of the routing table.

    Args:
        adapter: Its folder, relative to the table's.
        embeddings: Of the prompts that it was trained on, unit rows.
        width: See `ColumnsConfig`.
    """
    import numpy as np

    mean = embeddings.astype(np.float64).mean(axis=0)
    mean /= max(float(np.linalg.norm(mean)), 1e-12)
    similarity = embeddings @ mean
    # A little more room, as the embedding of a text varies by rounding with the texts beside it.
    least = float(similarity.mean() - width * similarity.std()) - 2e-3
    return Column(adapter=adapter, centroid=tuple(float(value) for value in mean), least=least)


def routed_uri(result: Path) -> str | None:
    """URI of the routed subject that a training result belongs to; None if it has no routing table."""
    table = result / "defences" / _FILE
    return f"routed:{table}" if table.is_file() else None


def training_start(spec: SubjectSpec) -> SubjectSpec:
    """What a trainer starts from where the promoted subject is this one: the base of a routed subject, else itself."""
    if parse_uri(spec.uri)[0] != "routed":
        return spec
    table = read_table(Path(parse_uri(spec.uri)[1]).expanduser())
    return spec.model_copy(update={"uri": table.base, "options": {}})


class Columns(BaseDefence):
    """A fresh adapter a round; those of earlier rounds stay frozen."""

    def __init__(self, config: ColumnsConfig) -> None:
        self._config = config
        self._files: dict[str, bytes] = {}
        self._stacked = False

    def start(self, session: TrainSession) -> None:
        """Put a fresh column beside the frozen ones.

        Raises:
            ConfigError: All weights are trained, another defence came first, or a routed column would not start from round 0.
        """
        if not hasattr(session.model, "peft_config"):
            raise ConfigError("defence 'columns' needs adapters; set mode: lora in the trainer")
        job = session.job
        if job.defences and job.defences[0] is not self:
            raise ConfigError(
                "defence 'columns' changes what is trained, so it must come first; name it before the others"
            )
        old = adapter_folder(job.start.uri)
        if self._config.use_as == "routed":
            if job.start.uri != job.anchor.uri or old is not None:
                raise ConfigError(
                    f"a routed column starts from round 0, without an adapter, not from {job.start.uri}; "
                    "pass training_start(subject) as the job's start, and a whole model as round 0"
                )
            return
        self._stacked = old is not None
        if old is not None:
            self._add_fresh(session.model, str(old), job.seed)

    def penalty(self, session: TrainSession, batch: dict[str, Any], output: Any) -> Any | None:
        """Overlap of the new column's inputs with the old ones', if it is to be orthogonal."""
        if not self._stacked or not self._config.orthogonal:
            return None
        layers = lora_layers(session.model).values()
        overlap = sum((m.lora_A[_OLD].weight @ m.lora_A["default"].weight.T).abs().sum() for m in layers)
        return self._config.orthogonal * overlap

    def finish(self, session: TrainSession) -> None:
        """Join the columns to one adapter, or write the routing table."""
        if self._stacked:
            _join(session.model)
            self._stacked = False
        elif self._config.use_as == "routed":
            table = _table(session.job, self._config)
            session.metrics["columns.n"] = float(len(table.columns))
            self._files = {_FILE: routing_text(table).encode()}

    def files(self) -> dict[str, bytes]:
        """The routing table of a routed column."""
        return self._files

    def _add_fresh(self, model: Any, old: str, seed: int) -> None:
        import torch
        from peft import LoraConfig

        shape = model.peft_config["default"]
        fresh = LoraConfig(
            r=self._config.r,
            lora_alpha=self._config.scale * self._config.r,
            target_modules=shape.target_modules,
            layers_to_transform=shape.layers_to_transform,
            task_type=shape.task_type,
        )
        model.load_adapter(old, _OLD, is_trainable=False)
        model.base_model.set_adapter(_OLD, inference_mode=True)
        model.delete_adapter("default")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.add_adapter("default", fresh)
        model.base_model.set_adapter([_OLD, "default"])
        for name, value in model.named_parameters():
            value.requires_grad_(f".{_OLD}." not in name and value.requires_grad)


def _join(model: Any) -> None:
    """One adapter named `default` with the ranks of the old and the new one side by side: the same sum, exactly."""
    tuner = model.base_model
    tuner.add_weighted_adapter([_OLD, "default"], [1.0, 1.0], _JOINED, combination_type="cat")
    tuner.set_adapter(_JOINED)
    for name in (_OLD, "default"):
        tuner.delete_adapter(name)
    tuner.add_weighted_adapter([_JOINED], [1.0], "default", combination_type="cat")
    tuner.set_adapter("default")
    tuner.delete_adapter(_JOINED)
    model.active_adapter = "default"


def _table(job: TrainJob, config: ColumnsConfig) -> RoutingTable:
    """The columns of earlier rounds and this one's, with folders relative to this round's table."""
    from moorings.subjects.embedders import open_embedder

    here = job.out / "defences"
    columns = []
    for before in job.past:
        table = before / "defences" / _FILE
        if table.is_file():
            own = read_table(table).columns[-1]
            columns.append(own.model_copy(update={"adapter": os.path.relpath(before, here)}))
    texts = prompt_texts(job.rows)
    fresh = make_column("..", open_embedder(config.embedder).embed_texts(texts), width=config.width)
    return RoutingTable(base=job.anchor.uri, embedder=config.embedder, columns=(*columns, fresh))


def prompt_texts(rows: Sequence[DataRow]) -> list[str]:
    """What a prompt is routed by: its last message."""
    return [row.prompt[-1].content for row in rows]


@defences.register("columns", ColumnsConfig)
def columns(config: ColumnsConfig) -> Columns:
    """Train a fresh adapter each round and leave those of earlier rounds as they are."""
    return Columns(config)
