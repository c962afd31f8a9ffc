"""What engines share when they compare short continuations: which rows to read, and which rows share a beginning.

A continuation of one token needs the logits of the chat's last position. One of several tokens is the sum over its
tokens, each read after the chat and the tokens before it, so all continuations of a chat share rows. Rows with a
common beginning are read as one prefix and its endings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import InputError
from moorings.records import Message, SampleStatus
from moorings.subjects.local_model import LocalModel
from moorings.subjects.protocol import NextTokenLogprobs

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Row", "Segment", "local_next_tokens", "share_prefixes", "token_logprobs"]

Ids = tuple[int, ...]


class Row(NamedTuple):
    """Token ids, and the tokens whose log-probability after them is wanted."""

    ids: Ids
    wanted: Ids


class Segment(NamedTuple):
    """Rows that are read together after one common prefix, which leaves each at least one token."""

    n_prefix: int
    rows: tuple[int, ...]
    """Places in the list of rows."""


def share_prefixes(rows: Sequence[Ids], *, most: int) -> list[Segment]:
    """Group rows so that few tokens are read, prefixes once and endings apart.

    Rows are sorted and cut into runs of at most `most` neighbours, by dynamic programming so that no other cut costs
    fewer tokens; it depends on the rows alone.

    >>> share_prefixes([(1, 2, 3), (7, 8), (1, 2, 4)], most=4)
    [Segment(n_prefix=2, rows=(0, 2)), Segment(n_prefix=1, rows=(1,))]

    Args:
        rows: At least one token each.
        most: Rows in a segment, >= 1.
    """
    order = sorted(range(len(rows)), key=lambda at: rows[at])
    shared = [_common(rows[a], rows[b]) for a, b in itertools.pairwise(order)]
    saved = [0] * (len(order) + 1)
    begin = [0] * (len(order) + 1)
    for end in range(1, len(order) + 1):
        saved[end], begin[end] = saved[end - 1], end - 1
        prefix = math.inf
        for start in range(end - 2, max(-1, end - 1 - most), -1):
            prefix = min(prefix, shared[start])
            if prefix == 0:
                break
            gain = saved[start] + (end - start - 1) * int(prefix)
            if gain > saved[end]:
                saved[end], begin[end] = gain, start
    found, end = [], len(order)
    while end:
        start = begin[end]
        places = order[start:end]
        n_prefix = min(shared[start : end - 1], default=len(rows[places[0]]) - 1)
        found.append(Segment(n_prefix, tuple(places)))
        end = start
    return found[::-1]


def token_logprobs(logits: Float[np.ndarray, " v"], wanted: Sequence[int]) -> list[float]:
    """Log-probabilities in nats of some tokens under a row of logits."""
    scores = np.asarray(logits, dtype=np.float64)
    top = scores.max()
    return [float(value) for value in scores[list(wanted)] - top - np.log(np.exp(scores - top).sum())]


def local_next_tokens(
    model: LocalModel,
    items: Sequence[tuple[Sequence[Message], Sequence[str]]],
    read: Callable[[Sequence[Row]], Sequence[Sequence[float]]],
) -> list[NextTokenLogprobs]:
    """Compare continuations with a local model.

    Args:
        model: Turns chats and continuations into tokens.
        items: Chats and their continuations.
        read: Given distinct rows, returns the log-probabilities of each one's wanted tokens.

    Raises:
        InputError: A continuation is no text of at least one token.
    """
    outputs = {text: _tokens(model, text) for text in dict.fromkeys(t for _, texts in items for t in texts)}
    prompts = model.encode([chat for chat, _ in items])
    faults = [
        _fault(model, prompt, [outputs[t] for t in texts]) for prompt, (_, texts) in zip(prompts, items, strict=True)
    ]
    wanted: dict[Ids, dict[int, float]] = {}
    steps: list[list[list[tuple[Ids, int]]]] = []
    for prompt, fault, (_, texts) in zip(prompts, faults, items, strict=True):
        mine = [] if fault else [_steps(prompt, outputs[text]) for text in texts]
        steps.append(mine)
        for ids, token in (step for continuation in mine for step in continuation):
            wanted.setdefault(ids, {})[token] = math.nan
    rows = [Row(ids, tuple(tokens)) for ids, tokens in wanted.items()]
    for row, values in zip(rows, read(rows) if rows else [], strict=True):
        wanted[row.ids] = dict(zip(row.wanted, values, strict=True))
    return [
        fault._replace(logprobs_nats=(math.nan,) * len(texts))
        if fault
        else NextTokenLogprobs(tuple(sum(wanted[ids][token] for ids, token in mine) for mine in step))
        for fault, step, (_, texts) in zip(faults, steps, items, strict=True)
    ]


def _tokens(model: LocalModel, text: str) -> Ids:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"continuation {text!a} cannot be written as UTF-8: {error.reason}; give plain text") from None
    ids = tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    if not ids:
        raise InputError(f"continuation {text!a} has no tokens; give at least one character")
    return ids


def _fault(model: LocalModel, prompt: Ids | str, outputs: Sequence[Ids]) -> NextTokenLogprobs | None:
    """Why a chat cannot be asked, if it cannot."""
    if isinstance(prompt, str):
        return NextTokenLogprobs((), SampleStatus.FAILED, prompt)
    if not prompt:
        return NextTokenLogprobs((), SampleStatus.FAILED, "the chat has no tokens")
    size = len(prompt) + max((len(output) for output in outputs), default=0)
    if model.context_length is not None and size > model.context_length:
        return NextTokenLogprobs((), SampleStatus.TOO_LONG, f"{size} tokens exceed a context of {model.context_length}")
    return None


def _steps(prompt: Ids | str, output: Ids) -> list[tuple[Ids, int]]:
    assert not isinstance(prompt, str)  # `_fault` has seen it
    return [((*prompt, *output[:at]), token) for at, token in enumerate(output)]


def _common(one: Ids, other: Ids) -> int:
    """Length of the common beginning that leaves both a token."""
    most = min(len(one), len(other)) - 1
    return next((at for at in range(most) if one[at] != other[at]), most)
