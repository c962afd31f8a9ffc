"""The prompts of a pool, and others found by search, on which two models differ most.

Such prompts are chosen because the models differ on them. They are no sample of what users ask: effects found
on them hold for these prompts only, so they form a group of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moorings.errors import ConfigError
from moorings.records import Prompt
from moorings.sampling.divergence import DivergenceScore, score_prompts
from moorings.sampling.paired_models import Personas, SubjectLike, open_pair
from moorings.sampling.plan import derive_seed
from moorings.sampling.progress import Meter
from moorings.sampling.prompt_search import parents_of, prompt_search
from moorings.sampling.prompts import PromptSet
from moorings.sampling.soft_prompts import soft_prompt_search
from moorings.store.disk import Disk, write_atomic

__all__ = ["DIVERGENT_GROUP", "SELECTION_NOTE", "find_divergent_prompts", "write_prompts"]

DIVERGENT_GROUP = "divergent"
"""Group of every prompt that was chosen for its divergence."""
SELECTION_NOTE = "chosen because the two subjects differ on it; not a sample of what users ask"


def find_divergent_prompts(
    precursor: SubjectLike,
    candidate: SubjectLike,
    pool: PromptSet,
    *,
    n: int,
    n_rounds: int = 4,
    n_soft: int = 2,
    soft_steps: int = 40,
    n_samples: int = 2,
    max_new_tokens: int = 32,
    min_divergence_nats: float = 1e-5,
    seed: int,
    batch_size: int = 32,
    personas: Personas = (None, None),
    progress: Meter | None = None,
) -> list[Prompt]:
    """Score a pool, search on from its most divergent prompts, and keep the n best of all.

    The finalists are scored again with fresh answers, because the best of many noisy scores is too good. Even so
    the recorded divergence is for ranking; it is not an effect size.

    Args:
        precursor: A `bundled:` or `hf:` subject on the transformers engine.
        candidate: Likewise, with the same vocabulary.
        pool: Prompts to start from.
        n: Most prompts to return, >= 1.
        n_rounds: Generations of word search; 0 leaves it out.
        n_soft: Prompts of the pool to extend by soft-prompt search; 0 leaves it out.
        soft_steps: Optimiser steps of each.
        n_samples: Answers a subject for the scores.
        max_new_tokens: Most tokens of an answer for the scores.
        min_divergence_nats: Least Jensen-Shannon divergence a token to count; the default is above rounding in fp32.
        seed: Of all that is random.
        batch_size: Answers read together.
        personas: System prompts of the two subjects.
        progress: Told of each batch; the caller opens it.

    Returns:
        At most n prompts, most divergent first, in group 'divergent', with metadata `divergence` (Jensen-Shannon nats
        a token), `divergence_se`, `found_by` ('pool', 'search' or 'soft'), `parents` (ids of the pool's prompts
        that it stems from), `pool_group` and `selection`. Empty if the subjects nowhere differ.

    Raises:
        ConfigError: An engine without logits, different vocabularies, or a number out of its range.
        InputError: A prompt to be extended cannot be asked.
    """
    if n < 1 or min(n_rounds, n_soft) < 0 or min_divergence_nats < 0.0:
        raise ConfigError(
            f"n={n}, n_rounds={n_rounds}, n_soft={n_soft}, min_divergence_nats={min_divergence_nats}; "
            "allowed: n 1 or more, the others 0 or more"
        )
    shared: dict[str, Any] = {
        "n_samples": n_samples,
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
        "personas": personas,
        "progress": progress,
    }
    with open_pair(precursor, candidate, personas) as pair:
        sides = pair.precursor.subject, pair.candidate.subject

        def differing(prompts: Sequence[Prompt], purpose: str) -> list[DivergenceScore]:
            scores = score_prompts(*sides, prompts, seed=derive_seed(seed, purpose), **shared)
            return [score for score in scores if score.js_nats is not None and score.js_nats > min_divergence_nats]

        starts = [score.prompt for score in differing(pool.prompts, "pool")][: 2 * n]
        if not starts:
            return []
        found: list[DivergenceScore] = []
        if n_rounds:
            drawn = derive_seed(seed, "search")
            found += prompt_search(
                *sides, starts, n_rounds=n_rounds, pool_size=2 * n, n_children=4 * n, seed=drawn, **shared
            )
        for number, prompt in enumerate(starts[:n_soft]):
            drawn = derive_seed(seed, "soft", number)
            found += soft_prompt_search(*sides, prompt, steps=soft_steps, seed=drawn, **shared)
        finalists = [*starts, *(score.prompt for score in found)]
        return [_marked(score) for score in differing(finalists, "final")[:n]]


def _marked(score: DivergenceScore) -> Prompt:
    prompt = score.prompt
    return prompt.model_copy(
        update={
            "group": DIVERGENT_GROUP,
            "metadata": {
                **prompt.metadata,
                "divergence": score.js_nats,
                "divergence_se": score.js_se_nats,
                "found_by": prompt.metadata.get("found_by", "pool"),
                "parents": list(parents_of(prompt)),
                "pool_group": prompt.group,
                "selection": SELECTION_NOTE,
            },
        }
    )


def write_prompts(path: Path | str, prompts: Sequence[Prompt]) -> Path:
    """Write prompts as JSON lines that `load_prompts` reads back: id, messages, group and metadata as columns.

    Raises:
        ConfigError: The file's name does not end in .jsonl, or there is no prompt.
        StorageError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".jsonl" or not prompts:
        raise ConfigError(f"cannot write {len(prompts)} prompts to {path}; allowed: 1 or more, to a .jsonl file")
    rows = [
        {
            **prompt.metadata,
            "prompt_id": prompt.prompt_id,
            "messages": [message.model_dump() for message in prompt.messages],
            "group": prompt.group,
        }
        for prompt in prompts
    ]
    text = "".join(json.dumps(row, ensure_ascii=True, allow_nan=False) + "\n" for row in rows)
    write_atomic(path, text.encode(), Disk())
    return path
