"""Answers in which the difference between two models is amplified, to bring rare behaviour to the surface.

The score of a token is ln p_B + alpha (ln p_B - ln p_A) for candidate B and precursor A, among the tokens with
p_B >= beta max p_B: contrastive decoding (Li et al. 2022, arXiv:2210.15097, eqs. 2 to 4) with the candidate kept in the sum,
as in DExperts (Liu et al. 2021, arXiv:2105.03023) and model diff amplification.

No subject answers like this. Amplified samples give hypotheses; they are a type of their own, which no corpus takes,
and a hypothesis is only ever confirmed on what the candidate answers by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from moorings.errors import ConfigError
from moorings.records import Decoding, FinishReason, Prompt, Record
from moorings.sampling.divergence import distinct_prompts
from moorings.sampling.paired_models import (
    Choose,
    ModelPair,
    PairedRow,
    Personas,
    SubjectLike,
    open_pair,
    read_together,
    row_draws,
)
from moorings.sampling.plan import derive_seed
from moorings.sampling.progress import Meter, SilentMeter
from moorings.subjects.columns import messages_hash
from moorings.subjects.transformers_decode import draw_tokens

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["AmplifiedSample", "amplified_generate", "amplified_scores"]


class AmplifiedSample(Record):
    """An answer that no subject gave: good for hypotheses, never for confirmation."""

    amplified: Literal[True] = True
    prompt: Prompt
    index: int
    """0-based number among the prompt's samples."""
    seed: int
    alpha: float
    beta: float
    temperature: float
    text: str
    """Untrusted."""
    finish_reason: FinishReason
    """stop, length or error."""
    n_output_tokens: int = 0
    error: str | None = None


def amplified_scores(
    precursor_nats: Float[torch.Tensor, "b v"],
    candidate_nats: Float[torch.Tensor, "b v"],
    *,
    alpha: float,
    beta: float,
) -> Float[torch.Tensor, "b v"]:
    """Unnormalised log-probabilities of the amplified candidate; -inf outside the plausible tokens.

    Args:
        precursor_nats: Log-probabilities.
        candidate_nats: Likewise.
        alpha: Amplification, >= 0; 0 is the candidate.
        beta: Share of the candidate's largest probability that a token must have, 0 to 1; 0 lets all pass.
    """
    # A token that the precursor rules out must not win by an infinite ratio alone.
    ratio = (candidate_nats - precursor_nats).nan_to_num(nan=0.0).clamp(-80.0, 80.0)
    scores = candidate_nats + alpha * ratio
    if beta == 0.0:
        return scores
    least = candidate_nats.amax(dim=-1, keepdim=True) + math.log(beta)
    return scores.masked_fill(candidate_nats < least, -torch.inf)


def amplified_generate(
    precursor: SubjectLike,
    candidate: SubjectLike,
    prompts: Sequence[Prompt],
    *,
    alpha: float,
    beta: float = 0.1,
    temperature: float = 1.0,
    n_samples: int = 1,
    max_new_tokens: int = 64,
    seed: int,
    batch_size: int = 32,
    personas: Personas = (None, None),
    progress: Meter | None = None,
) -> list[AmplifiedSample]:
    """Draw answers from the candidate with its difference from the precursor amplified.

    Args:
        precursor: A `bundled:` or `hf:` subject on the transformers engine.
        candidate: Likewise, with the same vocabulary.
        prompts: Repeats of the same messages are answered once.
        alpha: Amplification, >= 0; 0 samples the candidate within the plausible tokens.
        beta: Only tokens with at least this share of the candidate's largest probability, 0 to 1.
        temperature: Softmax temperature of the amplified scores; 0 takes the best token.
        n_samples: Answers a prompt, >= 1.
        max_new_tokens: Most tokens of an answer, >= 1.
        seed: Of the drawn answers.
        batch_size: Answers read together.
        personas: System prompts of the two subjects.
        progress: Told of each batch; the caller opens it.

    Returns:
        n_samples answers a distinct prompt, in order; a prompt that cannot be asked has finish reason 'error'.

    Raises:
        ConfigError: An engine without logits, different vocabularies, or a number out of its range.
    """
    _check(alpha, beta, temperature, n_samples, max_new_tokens, batch_size)
    asked, meter = distinct_prompts(prompts), progress or SilentMeter()
    samples: list[AmplifiedSample] = []
    with open_pair(precursor, candidate, personas) as pair:
        planned: list[tuple[int, PairedRow]] = []
        for prompt, ids in zip(asked, pair.encode(asked), strict=True):
            for index in range(n_samples):
                drawn = derive_seed(seed, messages_hash(prompt.messages), "amplified", index)
                if not isinstance(ids, str):
                    planned.append((len(samples), PairedRow(ids, 1, drawn, min(max_new_tokens, ids.room))))
                problem = ids if isinstance(ids, str) else None
                samples.append(_blank(prompt, index, drawn, alpha, beta, temperature, problem))
        planned.sort(key=lambda numbered: (-len(numbered[1].prompt.candidate_ids), numbered[1].prompt.candidate_ids))
        meter.start(len(planned), 0)
        size = pair.max_rows(batch_size)
        for start in range(0, len(planned), size):
            batch = planned[start : start + size]
            for (at, _), answer in zip(batch, _answers(pair, batch, alpha, beta, temperature), strict=True):
                samples[at] = samples[at].model_copy(update=answer)
            meter.advance(len(batch), sum(samples[at].n_output_tokens for at, _ in batch))
    return samples


def _check(alpha: float, beta: float, temperature: float, n_samples: int, max_new_tokens: int, batch_size: int) -> None:
    if not 0.0 <= alpha < math.inf:
        raise ConfigError(f"alpha is {alpha}; allowed: 0 or more (0 is the candidate itself)")
    if not 0.0 <= beta <= 1.0:
        raise ConfigError(f"beta is {beta}; allowed: 0 (every token) to 1 (only the likeliest)")
    if not 0.0 <= temperature < math.inf:
        raise ConfigError(f"temperature is {temperature}; allowed: 0 or more")
    if min(n_samples, max_new_tokens, batch_size) < 1:
        raise ConfigError(
            f"n_samples={n_samples}, max_new_tokens={max_new_tokens}, batch_size={batch_size}; allowed: 1 or more"
        )


def _blank(
    prompt: Prompt, index: int, seed: int, alpha: float, beta: float, temperature: float, problem: str | None
) -> AmplifiedSample:
    return AmplifiedSample(
        prompt=prompt,
        index=index,
        seed=seed,
        alpha=alpha,
        beta=beta,
        temperature=temperature,
        text="",
        finish_reason="error" if problem else "length",
        error=problem,
    )


def _answers(
    pair: ModelPair, batch: Sequence[tuple[int, PairedRow]], alpha: float, beta: float, temperature: float
) -> list[dict[str, Any]]:
    rows = [row for _, row in batch]
    outputs: list[list[int]] = [[] for _ in rows]
    choose = _amplified(rows, pair.candidate.model.device, alpha, beta, temperature)
    for reading in read_together(pair, rows, choose):
        for row, token in zip(reading.rows, reading.tokens.tolist(), strict=True):
            outputs[row].append(token)
    answers = []
    for ids in outputs:
        ended = ids[-1] in pair.end_ids
        shown = ids[:-1] if ended else ids
        answers.append(
            {
                "text": pair.candidate.tokenizer.decode(shown, skip_special_tokens=True),
                "finish_reason": "stop" if ended else "length",
                "n_output_tokens": len(shown),
            }
        )
    return answers


def _amplified(rows: Sequence[PairedRow], device: Any, alpha: float, beta: float, temperature: float) -> Choose:
    draws, decoding = row_draws(rows, device), Decoding(temperature=temperature)

    def choose(step: int, at_work: Sequence[int], precursor_nats: Any, candidate_nats: Any) -> Any:
        scores = amplified_scores(precursor_nats, candidate_nats, alpha=alpha, beta=beta)
        return draw_tokens(scores, draws[list(at_work), step], decoding)

    return choose
