"""Two local models that read the same tokens side by side.

Each step gives the next-token distributions of both, so a divergence between them is exact over the vocabulary and
not an estimate from single tokens. Only one position of each row is held at a time: at most
`_HELD_LOGITS` numbers a model, 40 MB, whatever the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from moorings.errors import ConfigError
from moorings.records import Decoding, Message, Persona, Prompt
from moorings.sampling.plan import Item
from moorings.subjects.local_model import LocalModel
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import SubjectSpec, open_subject, parse_uri
from moorings.subjects.transformers_decode import draw_tokens, pad_left, positions, uniforms
from moorings.subjects.transformers_engine import TransformersSubject

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = [
    "Choose",
    "EncodedPrompt",
    "ModelPair",
    "PairedRow",
    "Personas",
    "Reading",
    "Side",
    "SubjectLike",
    "draw_from_source",
    "open_pair",
    "read_together",
    "row_draws",
]

SubjectLike = str | SubjectSpec | Subject
"""What `open_subject` takes."""
Personas = tuple[Persona | None, Persona | None]
"""System prompts of precursor and candidate; None leaves the prompts as they are."""

_HELD_LOGITS = 10_000_000
_LOCAL_SCHEMES = ("bundled", "hf")


@dataclass(frozen=True)
class Side:
    """One of the two models, perhaps under a persona."""

    subject: TransformersSubject
    persona: Persona | None = None

    @property
    def model(self) -> Any:
        """The transformers model, loaded at the first use."""
        return self.subject.training_parts()[0]

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, without loading weights."""
        return self.local.tokenizer

    @property
    def local(self) -> LocalModel:
        """The model's files: template, tokenizer and end tokens."""
        return self.subject._model

    def encode(self, prompts: Sequence[Prompt]) -> list[tuple[int, ...] | str]:
        """Token ids of each prompt under the persona, or the line that says why it has none."""
        return self.local.encode([self.chat(prompt) for prompt in prompts])

    def chat(self, prompt: Prompt) -> tuple[Message, ...]:
        """What this side sees of a prompt."""
        return Item("", prompt, self.persona, 0, 0).opening()


class EncodedPrompt(NamedTuple):
    """A prompt as both sides read it."""

    precursor_ids: tuple[int, ...]
    candidate_ids: tuple[int, ...]
    room: int
    """Answer tokens that both contexts have place for."""


class PairedRow(NamedTuple):
    """One answer to be drawn while both models read it."""

    prompt: EncodedPrompt
    source: int
    """Who draws: 0 the precursor, 1 the candidate."""
    seed: int
    max_new_tokens: int


class Reading(NamedTuple):
    """Both models' view of one position of all rows that are still at work."""

    rows: tuple[int, ...]
    precursor_nats: Float[torch.Tensor, "b v"]
    """Log-probabilities of the next token, float32."""
    candidate_nats: Float[torch.Tensor, "b v"]
    tokens: Int[torch.Tensor, " b"]
    """What was drawn; an end token is the row's last."""


Choose = Callable[[int, Sequence[int], Any, Any], Any]
"""(step, rows, precursor_nats, candidate_nats) -> one token a row."""


@dataclass(frozen=True)
class ModelPair:
    """Two sides with one vocabulary."""

    precursor: Side
    candidate: Side
    n_vocab: int
    """Token ids that both models score; columns that only pad the output layer are left out."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Precursor, candidate."""
        return self.precursor, self.candidate

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer of either side."""
        return frozenset(self.precursor.local.end_ids) | frozenset(self.candidate.local.end_ids)

    def max_rows(self, batch_size: int) -> int:
        """Rows read together so that no logits array outgrows its share of memory."""
        return max(1, min(batch_size, _HELD_LOGITS // self.n_vocab))

    def encode(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt | str]:
        """Token ids of each prompt, or the line that says why it cannot be asked."""
        return [
            self._encoded(*ids)
            for ids in zip(self.precursor.encode(prompts), self.candidate.encode(prompts), strict=True)
        ]

    def _encoded(self, precursor: tuple[int, ...] | str, candidate: tuple[int, ...] | str) -> EncodedPrompt | str:
        if isinstance(precursor, str):
            return precursor
        if isinstance(candidate, str):
            return candidate
        rooms = []
        for side, ids in zip(self.sides, (precursor, candidate), strict=True):
            limit = side.local.context_length
            rooms.append(limit - len(ids) if limit is not None else 2**31)
            if rooms[-1] <= 0:
                return f"the prompt has {len(ids)} tokens, {side.local.name} takes fewer than {limit}"
        return EncodedPrompt(precursor, candidate, min(rooms))


@contextmanager
def open_pair(precursor: SubjectLike, candidate: SubjectLike, personas: Personas = (None, None)) -> Iterator[ModelPair]:
    """Open two subjects on the transformers engine; those opened here are closed at the end.

    Raises:
        ConfigError: An engine that shows no logits, or different vocabularies.
        ModelFileError: A model's files are missing, damaged or unsafe.
    """
    with ExitStack() as stack:
        first = _open(precursor, stack)
        second = first if candidate == precursor else _open(candidate, stack)
        sides = Side(first, personas[0]), Side(second, personas[1])
        yield ModelPair(*sides, n_vocab=_shared_vocabulary(*sides))


def _open(given: SubjectLike, stack: ExitStack) -> TransformersSubject:
    if isinstance(given, str):
        given = SubjectSpec(uri=given)
    if isinstance(given, SubjectSpec):
        if parse_uri(given.uri)[0] not in _LOCAL_SCHEMES or given.engine not in ("auto", "transformers"):
            raise _without_logits(given.uri, given.engine)
        subject = open_subject(given.model_copy(update={"engine": "transformers"}))
        stack.callback(subject.close)
    else:
        subject = given
    if not isinstance(subject, TransformersSubject):
        info = subject.describe()
        raise _without_logits(info.uri, info.engine)
    return subject


def _without_logits(uri: str, engine: str) -> ConfigError:
    return ConfigError(
        f"'{uri}' with engine '{engine}' does not show its logits; divergence needs a bundled: or hf: model "
        "with engine 'transformers'"
    )


def _shared_vocabulary(precursor: Side, candidate: Side) -> int:
    """Number of token ids. Raises ConfigError where an id means different texts."""
    first, second = precursor.tokenizer.get_vocab(), candidate.tokenizer.get_vocab()
    if first != second:
        by_id = [sorted((at, token) for token, at in vocabulary.items()) for vocabulary in (first, second)]
        left, right = next((a, b) for a, b in zip_longest(*by_id) if a != b)
        raise ConfigError(
            f"{precursor.local.name} ({len(first)} tokens) and {candidate.local.name} ({len(second)} tokens) have "
            f"different vocabularies, first at {left!a} and {right!a}; divergence is only defined for one "
            "shared tokenizer; compare these subjects by their responses"
        )
    widths = [
        int((side.local.config.get("text_config") or side.local.config)["vocab_size"])
        for side in (precursor, candidate)
    ]
    return min(int(max(first.values())) + 1, *widths)


def row_draws(rows: Sequence[PairedRow], device: Any) -> Float[torch.Tensor, "n steps"]:
    """Uniform numbers of each row's own stream, so that a row does not depend on its neighbours."""
    n_steps = max(row.max_new_tokens for row in rows)
    return torch.from_numpy(np.stack([uniforms(row.seed, n_steps) for row in rows])).to(device)


def draw_from_source(rows: Sequence[PairedRow], device: Any) -> Choose:
    """Draw each row from the model that is its source, at temperature 1."""
    draws = row_draws(rows, device)
    by_candidate = torch.tensor([row.source == 1 for row in rows], device=device)

    def choose(step: int, at_work: Sequence[int], precursor_nats: Any, candidate_nats: Any) -> Any:
        index = list(at_work)
        nats = torch.where(by_candidate[index, None], candidate_nats, precursor_nats)
        return draw_tokens(nats, draws[index, step], Decoding())

    return choose


def read_together(pair: ModelPair, rows: Sequence[PairedRow], choose: Choose) -> Iterator[Reading]:
    """Draw answers token by token while both models read every row.

    Args:
        pair: The models.
        rows: At least one; all are read in one batch.
        choose: Draws the next token of each row.

    Yields:
        One reading a position, the end token's included.
    """
    readers = [
        _Reader(side.model, prompts, pair.n_vocab)
        for side, prompts in zip(
            pair.sides,
            ([row.prompt.precursor_ids for row in rows], [row.prompt.candidate_ids for row in rows]),
            strict=True,
        )
    ]
    device = pair.candidate.model.device
    at_work = tuple(range(len(rows)))
    step = 0
    while at_work:
        precursor_nats, candidate_nats = (reader.nats.to(device) for reader in readers)
        tokens = choose(step, at_work, precursor_nats, candidate_nats)
        yield Reading(at_work, precursor_nats, candidate_nats, tokens)
        step += 1
        kept = [
            at
            for at, (row, token) in enumerate(zip(at_work, tokens.tolist(), strict=True))
            if token not in pair.end_ids and step < rows[row].max_new_tokens
        ]
        for reader in readers if kept else ():
            reader.advance(tokens, kept)
        at_work = tuple(at_work[at] for at in kept)


class _Reader:
    """A model's cache over a batch; equal prompts share their first pass."""

    def __init__(self, model: Any, prompts: Sequence[tuple[int, ...]], n_vocab: int) -> None:
        self._model, self._n_vocab = model, n_vocab
        self._cache: Any = None
        distinct = {ids: at for at, ids in enumerate(dict.fromkeys(prompts))}
        ids, self._mask = pad_left(list(distinct), model.device)
        self.nats = self._read(ids)
        if len(distinct) < len(prompts):
            self._select([distinct[ids] for ids in prompts])
            self.nats = self.nats[[distinct[ids] for ids in prompts]]

    def advance(self, tokens: Any, kept: Sequence[int]) -> None:
        """Drop the rows that ended and read the next token of the others."""
        if len(kept) < len(self._mask):
            self._select(kept)
        ids = tokens[list(kept)][:, None].to(self._model.device)
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=1)
        self.nats = self._read(ids)

    def _select(self, rows: Sequence[int]) -> None:
        index = torch.tensor(list(rows), device=self._model.device)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]

    def _read(self, ids: Any) -> Any:
        with torch.no_grad():
            out = self._model(
                input_ids=ids,
                attention_mask=self._mask,
                position_ids=positions(self._mask)[:, -ids.shape[1] :],
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._cache = out.past_key_values
        return out.logits[:, -1, : self._n_vocab].float().log_softmax(dim=-1)
