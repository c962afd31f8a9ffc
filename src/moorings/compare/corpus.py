"""Responses of several arms to the same prompts, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moorings.errors import InputError
from moorings.records import SampleStatus

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

__all__ = ["MISSING", "Corpus"]

MISSING = frozenset({SampleStatus.FAILED, SampleStatus.TOO_LONG})
"""Statuses of a sample that has no response to look at. An empty response is a response."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """One row a response; rows are sorted by arm, then prompt, then index."""

    arm_names: tuple[str, ...]
    """The first is the precursor unless another is named."""
    prompt_ids: tuple[str, ...]
    prompts: tuple[str, ...]
    """Text of each prompt: the user's last message, the system's if there is one before it."""
    families: Int[np.ndarray, " n_prompts"]
    """Prompts of one family are dependent and stay together; numbered from 0."""
    groups: tuple[str | None, ...]
    """Topic of each prompt, if given."""
    texts: Sequence[str]
    arm: Int[np.ndarray, " n"]
    prompt: Int[np.ndarray, " n"]
    """Index into `prompts`."""
    status: Sequence[SampleStatus]

    def __post_init__(self) -> None:
        """Check that columns have one length and that every prompt was asked of every arm."""
        n = len(self.texts)
        if not len(self.arm) == len(self.prompt) == len(self.status) == n:
            raise InputError(f"columns of a corpus differ in length; texts has {n}")
        asked = {(int(a), int(p)) for a, p in zip(self.arm, self.prompt, strict=True)}
        wanted = len(self.arm_names) * len(self.prompts)
        if len(asked) != wanted:
            raise InputError(
                f"{wanted - len(asked)} pairs of arm and prompt have no response; keep the prompts all arms share"
            )

    @property
    def missing(self) -> Bool[np.ndarray, " n"]:
        """Rows without a response."""
        return np.array([status in MISSING for status in self.status])

    @property
    def row_prompts(self) -> list[str]:
        """Prompt text of each row."""
        return [self.prompts[p] for p in self.prompt]
