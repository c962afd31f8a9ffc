"""Opens `routed:TABLE.json`: a base model with one adapter a column, of which each request gets the one that knows its kind.

The table names the base, the embedder, and each column's adapter with the centre of its prompts. A request goes to the
column whose centre has the largest cosine with the embedding of its last message, if that is at least the column's
`least`; otherwise to the base. The table is data from others: it is checked like any input, and the folders it names
are opened like any adapter. Columns are opened when first needed and stay open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError, model_validator

from moorings.errors import InputError, ModelFileError
from moorings.records import Decoding, Generation, Message, Record, Request, SubjectInfo, canonical_json, content_hash
from moorings.subjects.embedders import Embedder, open_embedder
from moorings.subjects.protocol import NextTokenLogprobs, NextTokenScorer, Scorer, Subject, TokenLogprobs
from moorings.subjects.spec import SubjectSpec, open_subject, parse_uri, subject_backends

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

__all__ = ["Column", "RoutedSubject", "RoutingTable", "open_routed", "read_table", "route", "routing_text"]

_MAX_BYTES = 64 * 2**20


class Column(Record):
    """One adapter and the prompts that it answers."""

    adapter: str
    """Folder of the adapter, relative to the table's."""
    centroid: tuple[float, ...]
    """Mean embedding of its prompts, of length 1."""
    least: float
    """Cosine from which on it answers."""


class RoutingTable(Record):
    """What `routed:` opens."""

    format: Literal[1] = 1
    base: str
    """URI of the model below the adapters, which answers what no column does."""
    embedder: str = "bundled:minilm"
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _same_length(self) -> RoutingTable:
        if len({len(column.centroid) for column in self.columns}) != 1:
            raise ValueError("the centroids differ in length")
        return self


def routing_text(table: RoutingTable) -> str:
    """The table as canonical JSON."""
    return canonical_json(table.model_dump(mode="json"))


def read_table(path: Path) -> RoutingTable:
    """A routing table from its file.

    Raises:
        ModelFileError: There is no such file.
        InputError: It is not a routing table.
    """
    if not path.is_file():
        raise ModelFileError(f"no routing table at {path}; name the columns.json beside a routed training result")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path} has over {_MAX_BYTES // 2**20} MB, so it is no routing table")
    try:
        return RoutingTable.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the whole"
        raise InputError(f"{path} is not a routing table: {place}: {fault['msg']}; train the column again") from None


def route(table: RoutingTable, embeddings: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Column of each embedding, -1 where none answers; of equal cosines the earlier column's.

    Args:
        table: Its columns.
        embeddings: Unit rows.
    """
    import numpy as np

    cosine = embeddings @ np.array([column.centroid for column in table.columns]).T
    nearest = cosine.argmax(axis=1)
    least = np.array([column.least for column in table.columns])
    return np.where(cosine[np.arange(len(cosine)), nearest] >= least[nearest], nearest, -1)


class RoutedSubject:
    """A subject that answers each request with the column for it.

    Args:
        spec: As it was named; engine, precision and the like hold for every column.
        table: What goes where.
        folder: Folder that the table lies in.
        embedder: Opened at the first request if None.
    """

    def __init__(self, spec: SubjectSpec, table: RoutingTable, folder: Path, embedder: Embedder | None = None) -> None:
        self._spec, self._table, self._folder, self._embedder = spec, table, folder, embedder
        self._open: dict[int, Subject] = {}

    def describe(self) -> SubjectInfo:
        """Facts of the base, with those of all columns and the table in its adapter's hash."""
        base = self._column(-1).describe()
        columns = [self._column(at).describe().adapter for at in range(len(self._table.columns))]
        rules = self._table.model_dump(mode="json", exclude={"columns": {"__all__": {"adapter"}}})
        return base.model_copy(
            update={
                "name": f"{base.name}+{len(columns)} columns",
                "uri": self._spec.uri,
                "adapter": content_hash([columns, rules]),
            }
        )

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer each request by its column."""
        if not requests:
            return
        chosen = self._route([request.messages for request in requests])
        for at in sorted(set(chosen)):
            mine = [request for request, column in zip(requests, chosen, strict=True) if column == at]
            yield from self._column(at).generate(mine, decoding)

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        """Log-probabilities under each chat's column.

        Raises:
            InputError: The engine cannot score, or an item does not fit.
        """
        if not items:
            return []
        chosen = self._route([chat for chat, _ in items])
        found: dict[int, TokenLogprobs] = {}
        for at in sorted(set(chosen)):
            subject = self._column(at)
            if not isinstance(subject, Scorer):
                raise InputError(f"{self._spec.uri}: its engine cannot score; use engine transformers")
            places = [place for place, column in enumerate(chosen) if column == at]
            found.update(zip(places, subject.score([items[place] for place in places]), strict=True))
        return [found[place] for place in range(len(items))]

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probabilities of continuations under each chat's column.

        Raises:
            InputError: The engine cannot score, or a continuation has no tokens.
        """
        if not items:
            return []
        chosen = self._route([chat for chat, _ in items])
        found: dict[int, NextTokenLogprobs] = {}
        for at in sorted(set(chosen)):
            subject = self._column(at)
            if not isinstance(subject, NextTokenScorer):
                raise InputError(f"{self._spec.uri}: its engine cannot score; use engine transformers")
            places = [place for place, column in enumerate(chosen) if column == at]
            found.update(zip(places, subject.next_token_logprobs([items[place] for place in places]), strict=True))
        return [found[place] for place in range(len(items))]

    def close(self) -> None:
        """Free all columns; a later call opens them again."""
        for subject in self._open.values():
            subject.close()
        self._open = {}

    def _route(self, chats: Sequence[Sequence[Message]]) -> list[int]:
        if self._embedder is None:
            self._embedder = open_embedder(self._table.embedder, threads=self._spec.n_threads())
        texts = [chat[-1].content for chat in chats]
        return [int(at) for at in route(self._table, self._embedder.embed_texts(texts))]

    def _column(self, at: int) -> Subject:
        if at not in self._open:
            uri = self._table.base
            if at >= 0:
                uri = f"{uri}+{(self._folder / self._table.columns[at].adapter).resolve()}"
            self._open[at] = open_subject(self._spec.model_copy(update={"uri": uri}))
        return self._open[at]


@subject_backends.register("routed")
def open_routed(spec: SubjectSpec) -> RoutedSubject:
    """Open `routed:TABLE.json`; settings and options are those of the base.

    Raises:
        ConfigError: The base is not a local model, or a setting is not allowed.
        InputError: The table cannot be read.
        ModelFileError: A file or folder is missing.
    """
    path = Path(parse_uri(spec.uri)[1]).expanduser()
    table = read_table(path)
    if parse_uri(table.base)[0] not in ("bundled", "hf"):
        raise InputError(f"{path}: base '{table.base}' is not allowed; write bundled:NAME or hf:PATH")
    return RoutedSubject(spec, table, path.parent)
