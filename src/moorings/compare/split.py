"""Divide prompts into those that hypotheses are looked for on, those that they are tested on, and a reserve."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.compare.corpus import Corpus
from moorings.errors import ConfigError
from moorings.records import content_hash

if TYPE_CHECKING:
    from jaxtyping import Bool

__all__ = ["Split", "split_families"]


class Split(NamedTuple):
    """Prompts by part, as masks."""

    discover: Bool[np.ndarray, " n_prompts"]
    confirm: Bool[np.ndarray, " n_prompts"]
    reserve: Bool[np.ndarray, " n_prompts"]

    def counts(self) -> dict[str, int]:
        """Prompts in each part."""
        return {name: int(mask.sum()) for name, mask in self._asdict().items()}


def split_families(corpus: Corpus, shares: tuple[float, float, float] = (0.4, 0.4, 0.2), *, seed: int = 0) -> Split:
    """Divide whole prompt families, so that nothing of a tested prompt was seen in the search.

    The parts depend only on the prompts' ids, groups and the seed, never on responses: the same set of prompts is divided
    alike in every comparison. Groups are divided evenly where they are large enough; one prompt more or less moves others.

    Args:
        corpus: Responses.
        shares: Of discovery, confirmation and reserve; at least 0, the first two above 0, summing to 1.
        seed: Changes the division.

    Raises:
        ConfigError: The shares do not sum to 1 or leave a part without prompts.
    """
    if min(shares) < 0 or min(shares[:2]) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ConfigError(f"split {shares}: give three shares of at least 0, the first two above 0, that sum to 1")
    n_families = int(corpus.families.max()) + 1
    if n_families < _LEAST_FAMILIES:
        raise ConfigError(
            f"{n_families} prompt famil{'y is' if n_families == 1 else 'ies are'} too few to look for changes on some and test "
            f"them on others; give at least {_LEAST_FAMILIES} prompts"
        )
    members: list[list[int]] = [[] for _ in range(n_families)]
    for prompt, family in enumerate(corpus.families):
        members[family].append(prompt)
    draw = [content_hash([seed, sorted(corpus.prompt_ids[p] for p in family)]) for family in members]
    group = [str(corpus.groups[family[0]]) for family in members]
    part = np.empty(len(corpus.prompts), dtype=np.int8)
    order = sorted(range(n_families), key=lambda f: (group[f], draw[f]))
    bounds = np.cumsum(shares)[:2]
    offset = int(content_hash([seed, "offset"])[:8], 16) / 2**32
    for rank, family in enumerate(order):
        position = (rank * _GOLDEN + offset) % 1.0
        part[members[family]] = int(np.searchsorted(bounds, position, side="right"))
    split = Split(part == 0, part == 1, part == 2)
    return split


_LEAST_FAMILIES = 20
_GOLDEN = 0.6180339887498949
"""Steps of the golden ratio fill the parts evenly along the sorted families, so every group is divided alike."""
