"""Training data and where each row of it came from; how a data method is called.

A data method takes the rows so far and returns what is left and what is new: sources add, filters drop,
mixers do both. Nothing is dropped silently: each dropped row is counted under a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from moorings.method import Methods
from moorings.records import Interaction, Message, Prompt, Record, content_hash

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from moorings.sampling.bench import Bench

__all__ = ["DataMethod", "DataRow", "DataStep", "Origin", "Workbench", "data_methods", "make_row", "row_of"]

Origin = Literal["human", "self", "other model", "template"]


class DataRow(Record):
    """One training example. All texts may be model output and are untrusted."""

    row_id: str
    """Content hash of prompt, response and rejected response."""
    prompt: tuple[Message, ...]
    response: str
    rejected: str | None = None
    """The worse response, for preference training."""
    origin: Origin
    """Who wrote the response."""
    method: str
    """Data method that added or last changed the row."""
    round: int
    """Round in which it was made; 0 for what was there before."""
    parents: tuple[str, ...] = ()
    """Row ids, prompt ids and interaction keys that it was made from."""
    score: float | None = None
    """What a feedback function or a judgement said, higher is better."""
    weight: float = 1.0
    """Factor of its loss, >= 0."""


class DataStep(NamedTuple):
    """What a data method did."""

    rows: list[DataRow]
    dropped: dict[str, int] = {}  # noqa: RUF012 - never changed
    """Rows that are left out, by reason."""
    metrics: dict[str, float] = {}  # noqa: RUF012 - never changed
    """Named numbers for the log, such as the share of labels that were accepted."""


class Workbench(Protocol):
    """What a data method may use."""

    @property
    def subject(self) -> Bench:
        """The model that is improved, as it is at the start of the round."""
        ...

    @property
    def anchor(self) -> Bench:
        """The model of round 0."""
        ...

    @property
    def prompts(self) -> Sequence[Prompt]:
        """Prompts that data may be made from; never sealed ones."""
        ...

    @property
    def rng(self) -> np.random.Generator:
        """Randomness of this round and method."""
        ...

    @property
    def round(self) -> int:
        """Number of the round, 1 for the first."""
        ...

    @property
    def history(self) -> Sequence[Sequence[DataRow]]:
        """Rows that earlier promoted rounds were trained on, oldest first."""
        ...

    @property
    def folder(self) -> Path:
        """Folder of the charter, which relative paths in settings start from."""
        ...

    @property
    def kept(self) -> Path:
        """Folder of this round, in which what rewards ask of judges is kept."""
        ...

    def label(self, what: str) -> str:
        """A label for `Bench.ask` that no other method of this round uses."""
        ...

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit rows."""
        ...


DataMethod = Callable[[list[DataRow], Workbench], DataStep]

data_methods: Methods[DataMethod] = Methods(
    "data method",
    builtin={
        "active_selection": "moorings.improve.active_selection",
        "best_of_n": "moorings.improve.best_of_n",
        "file": "moorings.improve.file",
        "human_mix": "moorings.improve.human_mix",
        "judge_filter": "moorings.improve.judge_filter",
        "keyword_filter": "moorings.improve.keyword_filter",
        "pseudo_labels": "moorings.improve.pseudo_labels",
        "replay": "moorings.improve.replay",
        "rewrite": "moorings.improve.rewrite",
        "self_distillation": "moorings.improve.self_distillation",
        "self_instruct": "moorings.improve.self_instruct",
    },
)


def make_row(
    prompt: tuple[Message, ...],
    response: str,
    *,
    origin: Origin,
    method: str,
    round: int,
    rejected: str | None = None,
    parents: Sequence[str] = (),
    score: float | None = None,
) -> DataRow:
    """A row with its id.

    >>> row = make_row((Message(role="user", content="Hi"),), "Hello", origin="human", method="file", round=0)
    >>> row.row_id[:8]
    '38ab5b42'
    """
    row_id = content_hash([[message.model_dump() for message in prompt], response, rejected])
    return DataRow(
        row_id=row_id,
        prompt=prompt,
        response=response,
        rejected=rejected,
        origin=origin,
        method=method,
        round=round,
        parents=tuple(parents),
        score=score,
    )


def row_of(answer: Interaction, *, method: str, round: int, score: float | None = None) -> DataRow:
    """A row from a recorded answer of the model itself."""
    return make_row(
        answer.messages[:-1],
        answer.response,
        origin="self",
        method=method,
        round=round,
        parents=(answer.prompt_id, answer.key),
        score=score,
    )
