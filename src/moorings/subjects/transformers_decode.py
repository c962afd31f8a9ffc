"""A decoding loop in which each row draws from its own random stream.

`generate` of transformers draws all rows from one stream, so a sample would depend on its neighbours in the
batch. Here a row takes one uniform number a step from a stream fixed by its request's seed, and turns it
into a token by the inverse of the cumulative distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from moorings.records import Decoding
from moorings.subjects.local_model import ReadyPrompt, Scored
from moorings.subjects.next_token import Row, Segment, share_prefixes

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Decoded", "decode_batch", "draw_tokens", "next_token_batches", "score_batch", "uniforms"]

_SCORED_POSITIONS = 2048
"""Positions whose logits are held at once: 400 MB at a vocabulary of 50,000."""
_SHRINK_SHARE = 0.75
"""Finished rows are dropped from the batch when fewer than this share is still at work."""


class Decoded(NamedTuple):
    """An answer's tokens, without the end token, and whether that came."""

    output_ids: tuple[int, ...]
    ended: bool


def uniforms(seed: int, n: int) -> Float[np.ndarray, " n"]:
    """The first n numbers in [0, 1) of a seed's stream: step i of a request uses number i."""
    return np.random.Generator(np.random.Philox(key=seed)).random(n)


def draw_tokens(
    logits: Float[torch.Tensor, "b v"], draws: Float[torch.Tensor, " b"], decoding: Decoding
) -> Int[torch.Tensor, " b"]:
    """One token a row: the likeliest at temperature 0, else the inverse CDF at the row's uniform draw.

    Temperature comes first, then top-k, then top-p; ties at the k-th place all stay.

    Args:
        logits: Scores of the next token, any float type.
        draws: One number in [0, 1) a row, float64.
        decoding: Temperature, top-k and top-p.
    """
    if decoding.temperature == 0.0:
        return logits.argmax(dim=-1)
    scores = logits.double() / decoding.temperature
    if 0 < decoding.top_k < scores.shape[-1]:
        scores = scores.masked_fill(scores < scores.topk(decoding.top_k).values[:, -1:], -torch.inf)
    probabilities = scores.softmax(dim=-1)
    if decoding.top_p < 1.0:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        outside = ordered.cumsum(dim=-1) - ordered >= decoding.top_p
        probabilities = probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))
    cumulative = probabilities.cumsum(dim=-1)
    total = cumulative[:, -1:]
    found = torch.searchsorted(cumulative, draws[:, None] * total, right=True)
    # Rounding could reach the total itself; the last token with mass is the end of the inverse CDF.
    return torch.minimum(found, (cumulative < total).sum(dim=-1, keepdim=True)).squeeze(-1)


def decode_batch(
    model: Any, prompts: Sequence[ReadyPrompt], decoding: Decoding, end_ids: Sequence[int]
) -> list[Decoded]:
    """Answer prompts together, equal prompts sharing their forward pass.

    Args:
        model: A causal language model of transformers.
        prompts: At least one.
        decoding: How tokens are drawn.
        end_ids: Tokens that end an answer.

    Returns:
        One answer a prompt, in order.
    """
    with torch.inference_mode():
        return _decode(model, prompts, decoding, end_ids)


def _decode(model: Any, prompts: Sequence[ReadyPrompt], decoding: Decoding, end_ids: Sequence[int]) -> list[Decoded]:
    device = model.device
    n_steps = max(prompt.max_new_tokens for prompt in prompts)
    draws = torch.from_numpy(np.stack([uniforms(prompt.request.seed, n_steps) for prompt in prompts])).to(device)
    ends = torch.tensor(list(end_ids), dtype=torch.long, device=device)
    logits, cache, mask = _prefill(model, prompts)
    rows = list(range(len(prompts)))
    outputs: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    for step in range(n_steps):
        if step < decoding.min_new_tokens:
            logits[:, ends] = -torch.inf
        tokens = draw_tokens(logits, draws[rows, step], decoding)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            if not ended[row] and len(outputs[row]) < prompts[row].max_new_tokens:
                ended[row] = token in end_ids
                if not ended[row]:
                    outputs[row].append(token)
        working = [
            at for at, row in enumerate(rows) if not ended[row] and len(outputs[row]) < prompts[row].max_new_tokens
        ]
        if not working:
            break
        if len(working) < _SHRINK_SHARE * len(rows):
            kept = torch.tensor(working, device=device)
            cache.batch_select_indices(kept)
            tokens, mask, rows = tokens[kept], mask[kept], [rows[at] for at in working]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        logits, cache = _forward(model, tokens[:, None], mask, cache)
    return [Decoded(tuple(ids), end) for ids, end in zip(outputs, ended, strict=True)]


def score_batch(model: Any, items: Sequence[Scored]) -> list[tuple[float, ...]]:
    """Log-probability in nats of each continuation token after its prompt, one teacher-forced pass.

    Returns:
        One tuple an item, in order.
    """
    values: list[tuple[float, ...]] = [()] * len(items)
    order = sorted((at for at, item in enumerate(items) if item.output_ids), key=lambda at: -len(items[at].output_ids))
    while order:
        size = max(1, _SCORED_POSITIONS // (len(items[order[0]].output_ids) + 1))
        batch, order = order[:size], order[size:]
        with torch.inference_mode():
            found = _score_padded(model, [items[at] for at in batch])
        for at, nats in zip(batch, found, strict=True):
            values[at] = nats
    return values


def next_token_batches(model: Any, rows: Sequence[Row], batch_size: int) -> list[tuple[float, ...]]:
    """Log-probabilities in nats of the wanted tokens after each row; common beginnings are read once a batch.

    Args:
        model: A causal language model of transformers.
        rows: Distinct token ids with the tokens that are wanted after them.
        batch_size: Rows read together.

    Returns:
        One tuple a row, in order.
    """
    values: list[tuple[float, ...]] = [()] * len(rows)
    segments = share_prefixes([row.ids for row in rows], most=batch_size)
    segments.sort(key=lambda segment: (-segment.n_prefix, segment.rows))
    while segments:
        size, n_rows = 0, 0
        while size < len(segments) and (not size or n_rows + len(segments[size].rows) <= batch_size):
            n_rows += len(segments[size].rows)
            size += 1
        batch, segments = segments[:size], segments[size:]
        places = [at for segment in batch for at in segment.rows]
        with torch.inference_mode():
            nats = _after_prefixes(model, rows, batch).float().log_softmax(dim=-1).cpu()
        for at, row in zip(places, nats, strict=True):
            values[at] = tuple(row[list(rows[at].wanted)].tolist())
    return values


def pad_left(rows: Sequence[Sequence[int]], device: Any) -> tuple[Int[torch.Tensor, "b t"], Int[torch.Tensor, "b t"]]:
    """Token ids padded on the left with 0, and the mask that hides the padding."""
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, width - len(row) :] = torch.tensor(list(row))
        mask[number, width - len(row) :] = 1
    return ids.to(device), mask.to(device)


def positions(mask: Int[torch.Tensor, "b t"]) -> Int[torch.Tensor, "b t"]:
    """Position of each token in its own text, whatever the padding before it."""
    return (mask.cumsum(dim=-1) - 1).clamp(min=0)


def _prefill(model: Any, prompts: Sequence[ReadyPrompt]) -> tuple[Any, Any, Any]:
    """Next-token logits, cache and mask after the prompts, one row a prompt."""
    distinct = list(dict.fromkeys(prompt.ids for prompt in prompts))
    ids, mask = pad_left(distinct, model.device)
    logits, cache = _forward(model, ids, mask, None)
    if len(distinct) < len(prompts):
        number = {ids: at for at, ids in enumerate(distinct)}
        rows = torch.tensor([number[prompt.ids] for prompt in prompts], device=model.device)
        cache.batch_select_indices(rows)
        logits, mask = logits[rows], mask[rows]
    return logits, cache, mask


def _after_prefixes(model: Any, rows: Sequence[Row], batch: Sequence[Segment]) -> Any:
    """Next-token logits of the rows of some segments: prefixes first, then every row's ending after its own."""
    ids, mask = pad_left([rows[segment.rows[0]].ids[: segment.n_prefix] for segment in batch], model.device)
    endings, ending_mask = pad_left(
        [rows[at].ids[segment.n_prefix :] for segment in batch for at in segment.rows], model.device
    )
    if not ids.shape[1]:
        return _forward(model, endings, ending_mask, None)[0]
    _, cache = _forward(model, ids, mask, None)
    owners = [number for number, segment in enumerate(batch) for _ in segment.rows]
    if len(owners) > len(batch):
        kept = torch.tensor(owners, device=model.device)
        cache.batch_select_indices(kept)
        mask = mask[kept]
    return _forward(model, endings, torch.cat([mask, ending_mask], dim=1), cache)[0]


def _forward(model: Any, ids: Any, mask: Any, cache: Any) -> tuple[Any, Any]:
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask)[:, -ids.shape[1] :],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1, :], out.past_key_values


def _score_padded(model: Any, items: Sequence[Scored]) -> list[tuple[float, ...]]:
    ids, mask = pad_left([(*item.prompt_ids, *item.output_ids) for item in items], model.device)
    longest = max(len(item.output_ids) for item in items)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions(mask),
        use_cache=False,
        logits_to_keep=longest + 1,
    )
    nats = out.logits[:, :-1].float().log_softmax(dim=-1)
    taken = nats.gather(-1, ids[:, -longest:, None]).squeeze(-1).cpu()
    return [tuple(row[longest - len(item.output_ids) :].tolist()) for row, item in zip(taken, items, strict=True)]
