"""Answers of the very weights that are trained, with the log-probability of each token.

Plain sampling at temperature 1, without top-p or top-k, so that probability ratios are those of what was sampled. Equal
prompts share their first pass; ended answers leave the batch. Each answer draws from uniform numbers of its own, so it
does not depend on what else is in the batch beyond rounding. The end token is part of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from moorings.records import Decoding

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = ["Sampled", "sample_answers"]

_PLAIN = Decoding(temperature=1.0, top_p=1.0, top_k=0)
_SHRINK_SHARE = 0.75
"""Ended answers leave the batch when fewer than this share is still at work."""


class Sampled(NamedTuple):
    """An answer."""

    ids: tuple[int, ...]
    """Its tokens; the last one is an end token if it ended."""
    ended: bool
    logp: Any
    """Log-probability of each token in nats, float32."""
    hidden: Any
    """What the output head saw where each token was predicted: [tokens, d], float32."""


def sample_answers(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    draws: Float[np.ndarray, "answers tokens"],
    end_ids: Sequence[int],
    *,
    at_once: int,
) -> list[Sampled]:
    """Answers to prompts, equally many each.

    Args:
        model: A causal language model, in evaluation mode.
        prompts: Token ids.
        draws: One row of numbers in [0, 1) an answer, prompt by prompt; answers have at most as many tokens.
        end_ids: Tokens that end an answer.
        at_once: Most answers in a batch; at least one prompt's.

    Returns:
        All answers, prompt by prompt.
    """
    import torch

    size = len(draws) // len(prompts)
    n_prompts = max(1, at_once // size)
    order = sorted(range(len(prompts)), key=lambda at: (-len(prompts[at]), at))
    found: dict[int, list[Sampled]] = {}
    with torch.no_grad():
        for start in range(0, len(order), n_prompts):
            part = order[start : start + n_prompts]
            rows = [at * size + number for at in part for number in range(size)]
            answers = _sample(model, [prompts[at] for at in part], draws[rows], end_ids)
            found.update({at: answers[i * size : (i + 1) * size] for i, at in enumerate(part)})
    return [answer for at in range(len(prompts)) for answer in found[at]]


def _sample(
    model: Any, prompts: Sequence[tuple[int, ...]], draws: Float[np.ndarray, "answers tokens"], end_ids: Sequence[int]
) -> list[Sampled]:
    import torch

    from moorings.subjects.transformers_decode import draw_tokens, pad_left

    size = len(draws) // len(prompts)
    device = next(model.parameters()).device
    uniform = torch.from_numpy(draws).to(device)
    ends = torch.tensor(sorted(end_ids), device=device)
    ids, mask = pad_left(prompts, device)
    found, hidden, cache = _forward(model, ids, mask, None)
    several = torch.arange(len(prompts), device=device).repeat_interleave(size)
    cache.batch_select_indices(several)
    found, hidden, mask = found[several], hidden[several], mask[several]
    steps = _Steps([], [], [], [])
    rows = torch.arange(len(draws), device=device)
    working = torch.ones(len(draws), dtype=torch.bool, device=device)
    for step in range(draws.shape[1]):
        tokens = draw_tokens(found, uniform[rows, step], _PLAIN)
        logp = found.gather(-1, tokens[:, None]).squeeze(-1) - found.logsumexp(dim=-1)
        steps.add(rows[working], tokens[working], logp[working], hidden[working])
        working = working & ~torch.isin(tokens, ends)
        n_working = int(working.sum())
        if n_working == 0 or step + 1 == draws.shape[1]:
            break
        if n_working < _SHRINK_SHARE * len(rows):
            cache.batch_select_indices(working.nonzero()[:, 0])
            tokens, mask, rows = tokens[working], mask[working], rows[working]
            working = working[working]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        found, hidden, cache = _forward(model, tokens[:, None], mask, cache)
    return steps.answers(len(draws), end_ids)


class _Steps(NamedTuple):
    """What was drawn, step by step."""

    rows: list[Any]
    tokens: list[Any]
    logp: list[Any]
    hidden: list[Any]

    def add(self, rows: Any, tokens: Any, logp: Any, hidden: Any) -> None:
        """One token of each answer that had not ended."""
        for kept, values in zip(self, (rows, tokens, logp, hidden), strict=True):
            kept.append(values)

    def answers(self, n: int, end_ids: Sequence[int]) -> list[Sampled]:
        """The answers, each with its tokens in order."""
        import torch

        rows, tokens, logp, hidden = (torch.cat(values) for values in self)
        order = rows.argsort(stable=True)
        lengths = rows.bincount(minlength=n).tolist()
        parts = [values[order].split(lengths) for values in (tokens, logp, hidden)]
        answers = []
        for ids, nats, states in zip(*parts, strict=True):
            whole = tuple(ids.tolist())
            answers.append(Sampled(whole, whole[-1] in end_ids, nats, states))
        return answers


def _forward(model: Any, ids: Any, mask: Any, cache: Any) -> tuple[Any, Any, Any]:
    """Logits of the next token, what the head saw there, and the cache."""
    from moorings.subjects.transformers_decode import positions

    seen: list[Any] = []

    def last_place(_: Any, args: Any) -> Any:
        seen.append(args[0][:, -1:])
        return (seen[0],)

    hook = model.get_output_embeddings().register_forward_pre_hook(last_place)
    try:
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions(mask)[:, -ids.shape[1] :],
            past_key_values=cache,
            use_cache=True,
        )
    finally:
        hook.remove()
    return out.logits[:, -1].float(), seen[0][:, -1].float(), out.past_key_values
