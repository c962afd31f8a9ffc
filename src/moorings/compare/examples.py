"""Pairs of responses that show a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.confirm import Tested
from moorings.compare.corpus import Corpus
from moorings.compare.predicate import PhrasePredicate
from moorings.records import Example

if TYPE_CHECKING:
    from jaxtyping import Bool

__all__ = ["paired_examples"]

_LONGEST = 4000
"""Characters of a response that an example keeps."""


def paired_examples(
    tested: Tested, corpus: Corpus, prompts: Bool[np.ndarray, " n_prompts"], n: int
) -> tuple[Example, ...]:
    """Prompts on which the two sides differ as the finding says, largest difference first, then the shorter ones.

    Each shows the candidate's response with the most of it beside the precursor's with the least, or the reverse.
    """
    up = tested.effect.estimate >= 0
    values = np.where(np.isfinite(tested.values), tested.values, np.nan)
    found: list[tuple[float, int, int, int]] = []
    lengths = np.array([len(text) for text in corpus.texts])
    by_prompt: dict[int, list[int]] = {}
    for row in np.flatnonzero(prompts[corpus.prompt] & np.isfinite(values)):
        by_prompt.setdefault(int(corpus.prompt[row]), []).append(int(row))
    for rows in by_prompt.values():
        sides = [[row for row in rows if corpus.arm[row] == arm] for arm in (0, 1)]
        if not all(sides):
            continue
        low = min(sides[0], key=lambda r: (values[r] if up else -values[r], lengths[r]))
        high = min(sides[1], key=lambda r: (-values[r] if up else values[r], lengths[r]))
        gap = float(values[high] - values[low]) * (1 if up else -1)
        if gap > 0:
            found.append((-gap, int(lengths[low] + lengths[high]), low, high))
    marks = tested.hypothesis.predicate.phrases if isinstance(tested.hypothesis.predicate, PhrasePredicate) else ()
    return tuple(
        Example(
            prompt_id=corpus.prompt_ids[corpus.prompt[low]],
            prompt=corpus.prompts[corpus.prompt[low]][:_LONGEST],
            precursor=corpus.texts[low][:_LONGEST],
            candidate=corpus.texts[high][:_LONGEST],
            precursor_value=float(values[low]),
            candidate_value=float(values[high]),
            marks=marks,
        )
        for _, _, low, high in sorted(found)[:n]
    )
