"""What a reward is: a named function from answers to numbers, with a unit and a direction.

Each of them can be satisfied without the answer being good (length grows, phrases are recited, a judge is flattered),
so what it selects for must be watched by monitors that do not use it. Over-optimisation: Gao et al. 2022
(arXiv:2210.10760).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from moorings.method import MethodConfig, Methods
from moorings.records import Message

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Direction", "Graded", "Reward", "RewardConfig", "Tools", "oriented", "rewards"]

Direction = Literal["higher", "lower"]


class Graded(NamedTuple):
    """An answer that is to be graded. Its texts may be model output and are untrusted."""

    messages: tuple[Message, ...]
    """The prompt."""
    response: str
    metadata: dict[str, Any] = {}  # noqa: RUF012 - never changed
    """Of the prompt, such as its answer key or a reference reply."""

    @property
    def question(self) -> str:
        """What the last turn asks."""
        return self.messages[-1].content if self.messages else ""


class Tools(Protocol):
    """What a reward may use."""

    @property
    def folder(self) -> Path:
        """Folder that relative paths in settings start from."""
        ...

    @property
    def kept(self) -> Path:
        """Folder in which answers of judges are kept, so that none is asked twice."""
        ...

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Unit rows."""
        ...


class RewardConfig(MethodConfig):
    """Settings that every reward has; subclass it."""


class Reward(Protocol):
    """One way of saying how good an answer is."""

    name: str
    unit: str
    """Such as `words`, `nats`, `share` or `sd of the reference answers`."""
    direction: Direction
    """Which direction is better."""

    def __call__(self, items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        """One value an answer in its unit; NaN is missing, never the worst. Equal items give equal values."""
        ...


def oriented(values: Float[np.ndarray, ...], direction: Direction) -> Float[np.ndarray, ...]:
    """Values of which more is better.

    >>> oriented(np.array([1.0, -2.0]), "lower").tolist()
    [-1.0, 2.0]
    """
    return np.asarray(values if direction == "higher" else -values, dtype=np.float64)


rewards: Methods[Reward] = Methods(
    "reward",
    builtin={
        "answer_key": "moorings.feedback.verifiers",
        "embedding": "moorings.feedback.embedding",
        "ensemble": "moorings.feedback.ensemble",
        "feature": "moorings.feedback.lexical",
        "judge": "moorings.feedback.judge",
        "length": "moorings.feedback.lexical",
        "phrases": "moorings.feedback.lexical",
        "program": "moorings.feedback.verifiers",
        "reward_lora": "moorings.feedback.reward_lora",
        "reward_model": "moorings.feedback.reward_model",
        "sentiment": "moorings.feedback.lexical",
    },
)
