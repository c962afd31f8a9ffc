"""Rewards by embeddings: cosine to the question, to a reference reply of the prompt, or to texts that show what is wanted.

value = mean cosine to `towards` - mean cosine to `away`; with neither, the cosine to the question or to the reply in a
column of the prompt file. Topic and manner move it far more than truth does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import model_validator

from moorings.errors import ConfigError
from moorings.feedback.reward import Direction, Graded, Reward, RewardConfig, Tools, rewards
from moorings.feedback.scored import ScoredBy

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["EmbeddingConfig", "prompt_cosine"]


def prompt_cosine(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
    """Cosine between the embeddings of the answer and of what was asked, -1 to 1."""
    return _cosine([item.question for item in items], [item.response for item in items], tools)


class EmbeddingConfig(RewardConfig):
    """Settings of `embedding`."""

    towards: tuple[str, ...] = ()
    """Texts that answers should be like."""
    away: tuple[str, ...] = ()
    """Texts that answers should be unlike."""
    key: str | None = None
    """Column of the prompt file with a reference reply; used instead of texts. Missing where a prompt has none."""
    direction: Direction = "higher"
    """Which direction is better."""

    @model_validator(mode="after")
    def _is_one(self) -> EmbeddingConfig:
        if self.key is not None and (self.towards or self.away):
            raise ConfigError(
                "reward 'embedding' has both key and texts; give key, or towards and away, or none of them"
            )
        return self


@rewards.register("embedding", EmbeddingConfig)
def embedding(config: EmbeddingConfig) -> Reward:
    """Closeness of the answer to what is wanted."""

    def score(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        if config.key is not None:
            return _to_reference(items, config.key, tools)
        if not config.towards and not config.away:
            return prompt_cosine(items, tools)
        return _to_texts([item.response for item in items], config, tools)

    return ScoredBy("embedding", "cosine", config.direction, score)


def _to_texts(texts: Sequence[str], config: EmbeddingConfig, tools: Tools) -> Float[np.ndarray, " n"]:
    poles = [*config.towards, *config.away]
    shares = [(1.0, len(config.towards)), (-1.0, len(config.away))]
    weights = [sign / n for sign, n in shares for _ in range(n)]
    rows = np.asarray(tools.embed([*poles, *texts]), dtype=np.float64)
    return np.asarray(rows[len(poles) :] @ (rows[: len(poles)].T @ np.array(weights)))


def _to_reference(items: Sequence[Graded], key: str, tools: Tools) -> Float[np.ndarray, " n"]:
    replies = [item.metadata.get(key) for item in items]
    known = [at for at, reply in enumerate(replies) if isinstance(reply, str) and reply.strip()]
    out = np.full(len(items), np.nan)
    if known:
        out[known] = _cosine([str(replies[at]) for at in known], [items[at].response for at in known], tools)
    return out


def _cosine(left: Sequence[str], right: Sequence[str], tools: Tools) -> Float[np.ndarray, " n"]:
    rows = np.asarray(tools.embed([*left, *right]), dtype=np.float64)
    return np.asarray((rows[: len(left)] * rows[len(left) :]).sum(axis=1))
