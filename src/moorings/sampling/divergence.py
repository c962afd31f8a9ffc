"""How much two models differ on a prompt, measured where they choose their words.

Answers are drawn from both models; along each of them both models' next-token distributions are compared exactly over
the vocabulary, and the positions are averaged. Only which answers were drawn is random, so few are enough:
the chain rule makes the sum over an answer drawn from A of KL(A_t || B_t) an unbiased estimate of the whole
answer's KL(A || B), with less variance than log-ratios of the drawn tokens.

The numbers rank prompts. They say nothing about what differs; that is found and confirmed on responses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from pydantic import Field

from moorings.errors import ConfigError
from moorings.records import Prompt, Record
from moorings.sampling.paired_models import (
    EncodedPrompt,
    ModelPair,
    PairedRow,
    Personas,
    SubjectLike,
    draw_from_source,
    open_pair,
    read_together,
)
from moorings.sampling.plan import derive_seed
from moorings.sampling.progress import Meter, SilentMeter
from moorings.subjects.columns import messages_hash

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["DivergenceScore", "Divergences", "divergences", "distinct_prompts", "score_prompts"]

_MAX_LOG_RATIO = 80.0
"""Log-ratios are cut here, so that a token that one model rules out counts for much and not for infinity."""


class DivergenceScore(Record):
    """How much two subjects' next-token distributions differ on a prompt, averaged over answers of both."""

    prompt: Prompt
    js_nats: float | None
    """Jensen-Shannon divergence a token, 0 to ln 2 = 0.693; None if the prompt could not be asked."""
    js_se_nats: float | None
    """Standard error over the drawn answers; None with one answer a subject."""
    kl_nats: float | None
    """Symmetric KL divergence a token: mean of both directions, >= 0."""
    kl_se_nats: float | None
    n_samples: int = Field(ge=0)
    """Answers drawn from each subject."""
    n_tokens: int = Field(ge=0)
    """Positions compared, end tokens included."""
    problem: str | None = None
    """Why the prompt could not be asked."""


class Divergences(NamedTuple):
    """Divergences of two batches of distributions, in nats."""

    js: Float[torch.Tensor, " b"]
    kl: Float[torch.Tensor, " b"]
    """Mean of KL(p || q) and KL(q || p)."""


class _Sums(NamedTuple):
    js: list[float]
    kl: list[float]


def divergences(p_nats: Float[torch.Tensor, "b v"], q_nats: Float[torch.Tensor, "b v"]) -> Divergences:
    """Jensen-Shannon and symmetric KL divergence of each row, exactly 0 where the rows are equal.

    With r = ln q - ln p: JS = -1/2 sum p ln((1 + e^r) / 2) - 1/2 sum q ln((1 + e^-r) / 2), and
    the symmetric KL is 1/2 sum (q - p) r, which has no negative term.

    Args:
        p_nats: Log-probabilities; -inf is allowed.
        q_nats: Likewise.

    Source: Lin 1991, IEEE Trans. Inf. Theory 37(1), eqs. 2.3 and 3.1.
    """
    ratio = (q_nats - p_nats).nan_to_num(nan=0.0).clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO)
    p, q = p_nats.exp(), q_nats.exp()
    js = -0.5 * (p * (ratio.expm1() / 2).log1p() + q * ((-ratio).expm1() / 2).log1p()).sum(dim=-1)
    return Divergences(js.clamp(0.0, math.log(2)), 0.5 * ((q - p) * ratio).sum(dim=-1))


def distinct_prompts(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts without repeats of the same messages; the first of them stays."""
    return list({messages_hash(prompt.messages): prompt for prompt in reversed(prompts)}.values())[::-1]


def score_prompts(
    precursor: SubjectLike,
    candidate: SubjectLike,
    prompts: Sequence[Prompt],
    *,
    n_samples: int = 2,
    max_new_tokens: int = 32,
    seed: int,
    batch_size: int = 32,
    personas: Personas = (None, None),
    progress: Meter | None = None,
) -> list[DivergenceScore]:
    """Measure on which prompts two subjects differ most.

    An answer's randomness is fixed by seed, prompt, subject and number, so a prompt's score does not depend on the
    other prompts beyond floating-point rounding.

    Args:
        precursor: A `bundled:` or `hf:` subject on the transformers engine.
        candidate: Likewise, with the same vocabulary.
        prompts: Repeats of the same messages are scored once.
        n_samples: Answers drawn from each subject, >= 1; standard errors need 2.
        max_new_tokens: Most tokens of an answer, >= 1.
        seed: Of the drawn answers.
        batch_size: Answers read together.
        personas: System prompts of the two subjects, so that one model can be compared under two of them.
        progress: Told of each batch; the caller opens it.

    Returns:
        One score a distinct prompt, the largest Jensen-Shannon divergence first; prompts that cannot be asked last.

    Raises:
        ConfigError: An engine without logits, different vocabularies, or a number out of its range.
    """
    _check_positive(n_samples=n_samples, max_new_tokens=max_new_tokens, batch_size=batch_size)
    asked = distinct_prompts(prompts)
    meter = progress or SilentMeter()
    with open_pair(precursor, candidate, personas) as pair:
        encoded = pair.encode(asked)
        rows = [
            (at, row)
            for at, ids in enumerate(encoded)
            if not isinstance(ids, str)
            for row in _rows(asked[at], ids, n_samples, max_new_tokens, seed)
        ]
        # Rows of similar length share a batch; the prompt's ids keep the rows of one prompt together.
        rows.sort(key=lambda numbered: (-len(numbered[1].prompt.candidate_ids), numbered[1].prompt.candidate_ids))
        meter.start(len(rows), 0)
        found: dict[int, list[tuple[int, _Sums]]] = {}
        for at, source, sums in _measure(pair, rows, pair.max_rows(batch_size), meter):
            found.setdefault(at, []).append((source, sums))
    scores = [
        _unasked(prompt, ids) if isinstance(ids, str) else _score(prompt, found[at], n_samples)
        for at, (prompt, ids) in enumerate(zip(asked, encoded, strict=True))
    ]
    return sorted(scores, key=lambda score: (score.js_nats is None, -(score.js_nats or 0.0), score.prompt.prompt_id))


def _check_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"{name} is {number}; allowed: 1 or more")


def _rows(prompt: Prompt, ids: EncodedPrompt, n_samples: int, max_new_tokens: int, seed: int) -> Iterator[PairedRow]:
    text = messages_hash(prompt.messages)
    limit = min(max_new_tokens, ids.room)
    for source in (0, 1):
        for index in range(n_samples):
            yield PairedRow(ids, source, derive_seed(seed, text, source, index), limit)


def _measure(
    pair: ModelPair, rows: Sequence[tuple[int, PairedRow]], size: int, meter: Meter
) -> Iterator[tuple[int, int, _Sums]]:
    """Prompt number, source and divergences along each row."""
    for start in range(0, len(rows), size):
        numbers, batch = zip(*rows[start : start + size], strict=True)
        sums = [_Sums([], []) for _ in batch]
        for reading in read_together(pair, batch, draw_from_source(batch, pair.candidate.model.device)):
            step = divergences(reading.precursor_nats, reading.candidate_nats)
            for row, js, kl in zip(reading.rows, step.js.tolist(), step.kl.tolist(), strict=True):
                sums[row].js.append(js)
                sums[row].kl.append(kl)
        meter.advance(len(batch), sum(len(found.js) for found in sums))
        yield from zip(numbers, (row.source for row in batch), sums, strict=True)


def _score(prompt: Prompt, rows: Sequence[tuple[int, _Sums]], n_samples: int) -> DivergenceScore:
    js = _mean_and_error([[np.mean(sums.js) for source, sums in rows if source == side] for side in (0, 1)])
    kl = _mean_and_error([[np.mean(sums.kl) for source, sums in rows if source == side] for side in (0, 1)])
    return DivergenceScore(
        prompt=prompt,
        js_nats=js[0],
        js_se_nats=js[1],
        kl_nats=kl[0],
        kl_se_nats=kl[1],
        n_samples=n_samples,
        n_tokens=sum(len(sums.js) for _, sums in rows),
    )


def _mean_and_error(strata: Sequence[Sequence[np.floating]]) -> tuple[float, float | None]:
    """Mean over the two subjects' answers and its standard error, stratified by subject."""
    mean = float(np.mean([np.mean(values) for values in strata]))
    if len(strata[0]) < 2:
        return mean, None
    variances = [np.var(values, ddof=1) / len(values) for values in strata]
    return mean, float(np.sqrt(sum(variances)) / len(strata))


def _unasked(prompt: Prompt, problem: str) -> DivergenceScore:
    return DivergenceScore(
        prompt=prompt,
        js_nats=None,
        js_se_nats=None,
        kl_nats=None,
        kl_se_nats=None,
        n_samples=0,
        n_tokens=0,
        problem=problem,
    )
