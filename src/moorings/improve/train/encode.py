"""Rows to token ids: prompts masked out of the loss, ends learned only where a response ended, cuts counted.

A padded place is never told from a token by its id: masks and labels come from lengths. The filler is nevertheless a
token that ends no response, so that whoever compares ids is not misled either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from moorings.errors import ModelFileError
from moorings.improve.data import DataRow
from moorings.improve.train.errors import TrainingError

if TYPE_CHECKING:
    from moorings.subjects.local_model import LocalModel

__all__ = ["Encoded", "EncodedRow", "EncodedRows", "Encoder", "collate", "seems_cut_off"]

_SHORT_TOKENS = 16
_CLOSING = frozenset(".!?…。！？:;\"'”’»)]}>`*_|~")  # noqa: RUF001 - full-width marks end sentences too


class Encoded(NamedTuple):
    """A prompt with one response."""

    ids: tuple[int, ...]
    n_prompt: int


class EncodedRow(NamedTuple):
    """A row as token ids."""

    row_id: str
    weight: float
    sequences: tuple[Encoded, ...]
    """The response; for preferences the chosen one, then the rejected one."""

    @property
    def length(self) -> int:
        """Tokens of the longest sequence."""
        return max(len(sequence.ids) for sequence in self.sequences)

    @property
    def n_tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)

    @property
    def n_learned(self) -> int:
        """Response tokens of all sequences."""
        return sum(len(sequence.ids) - sequence.n_prompt for sequence in self.sequences)


class EncodedRows(NamedTuple):
    """Rows that can be learned, and what became of the others."""

    rows: list[EncodedRow]
    kept: list[int]
    """Where each of them stood among those given."""
    counts: dict[str, float]
    """`rows_cut`: responses shortened to `max_length`; `rows_left_out`: no room for a response, none given, or no tokens."""


class Encoder:
    """Turns rows into token ids.

    Args:
        model: The checked folder with its tokenizer and chat template.
        max_length: Most tokens of prompt and response; the model's context if that is shorter.
        learn_end: Which responses get the end token.

    Raises:
        ModelFileError: The model has no end token.
    """

    def __init__(self, model: LocalModel, *, max_length: int, learn_end: Literal["text", "always", "never"]) -> None:
        self._model = model
        self._max_length = min(max_length, model.context_length or max_length)
        self._learn_end = learn_end
        if not model.end_ids:
            raise ModelFileError(f"{model.folder} names no end token (eos_token_id), so no answer's end can be learned")
        named = model.tokenizer.eos_token_id
        self.end_id: int = model.end_ids[0] if named is None else named
        self.filler_id = filler_id(model.tokenizer.pad_token_id, model.end_ids)

    def encode(self, rows: Sequence[DataRow], *, pairs: bool = False) -> EncodedRows:
        """Token ids of rows, in their order.

        Args:
            rows: What to learn.
            pairs: Encode the rejected responses too; rows without one are left out.
        """
        found: list[EncodedRow] = []
        kept: list[int] = []
        n_cut = 0
        prompts = self._model.encode([row.prompt for row in rows])
        for at, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            responses = [row.response, row.rejected] if pairs else [row.response]
            sequences = [None if isinstance(prompt, str) else self._sequence(prompt, text) for text in responses]
            whole = tuple(item[0] for item in sequences if item is not None)
            if len(whole) == len(responses):
                found.append(EncodedRow(row.row_id, row.weight, whole))
                kept.append(at)
                n_cut += any(item[1] for item in sequences if item is not None)
        counts = {"rows_cut": float(n_cut), "rows_left_out": float(len(rows) - len(found))}
        return EncodedRows(found, kept, counts)

    def batch(self, rows: Sequence[DataRow], *, device: Any) -> dict[str, Any]:
        """Responses of rows as one padded batch, a sequence a row; see `collate`.

        Raises:
            TrainingError: A row cannot be encoded.
        """
        sequences = [row.sequences[0] for row in self.encode(rows).rows]
        if len(sequences) < len(rows):
            raise TrainingError(f"{len(rows) - len(sequences)} of {len(rows)} rows have no response that fits")
        return collate(sequences, self.filler_id, device)

    def _sequence(self, prompt: tuple[int, ...], response: str | None) -> tuple[Encoded, bool] | None:
        """The ids and whether they were cut; None if there is nothing to learn."""
        if response is None or not _is_utf8(response):
            return None
        output: list[int] = self._model.tokenizer(response, add_special_tokens=False)["input_ids"]
        if self._learn_end == "always" or (self._learn_end == "text" and not seems_cut_off(response, len(output))):
            output = [*output, self.end_id]
        room = self._max_length - len(prompt)
        if not output or not prompt or room <= 0:
            return None
        return Encoded((*prompt, *output[:room]), len(prompt)), len(output) > room


def seems_cut_off(response: str, n_tokens: int) -> bool:
    """Whether a response looks as if a token limit had ended it: 16 tokens or more, and no closing mark at its end.

    >>> seems_cut_off("Paris", 1), seems_cut_off("One of the many reasons for this is that the", 40)
    (False, True)
    """
    text = response.rstrip()
    return n_tokens >= _SHORT_TOKENS and bool(text) and text[-1] not in _CLOSING


def filler_id(pad_id: int | None, end_ids: Sequence[int]) -> int:
    """The tokenizer's padding token, or the first token that ends no response.

    >>> filler_id(2, (0, 2))
    1
    """
    if pad_id is not None and pad_id not in end_ids:
        return pad_id
    return next(token for token in range(len(end_ids) + 1) if token not in end_ids)


def collate(sequences: Sequence[Encoded], filler: int, device: Any) -> dict[str, Any]:
    """Pad at the right: `input_ids`, `attention_mask`, and `labels` (-100 where not learned), on the device."""
    import torch

    width = max(len(sequence.ids) for sequence in sequences)
    ids = torch.full((len(sequences), width), filler)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    labels = torch.full((len(sequences), width), -100)
    for at, (tokens, n_prompt) in enumerate(sequences):
        ids[at, : len(tokens)] = torch.tensor(tokens)
        mask[at, : len(tokens)] = 1
        labels[at, n_prompt : len(tokens)] = torch.tensor(tokens[n_prompt:])
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
