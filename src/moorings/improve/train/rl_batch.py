"""What the trainers by policy gradient share about a batch of answers: its tokens, rewards, parts, ratios and means.

Tokens of all answers lie in one vector, answer by answer. Estimators of the divergence on tokens drawn from pi, with
l = ln pi - ln pi_ref (Schulman 2020): k1 = l, unbiased and noisy; k3 = exp(-l) - 1 + l, unbiased and never negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from moorings.improve.objectives.objective import Batch, Objective
from moorings.improve.train.encode import Encoded

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Algorithm", "Answers", "Credit", "Loss", "Mean", "Part", "clipped", "k3", "mean_of"]

Mean = Literal["sequence", "token", "constant"]


@dataclass(frozen=True)
class Answers:
    """Sampled answers with all that is known before they are learned."""

    sequences: Sequence[Encoded]
    """Prompts with answers, group by group."""
    batch: Batch
    """Rewards as the objective gets them, [rewards, groups, size], and ln pi / pi_ref of each answer."""
    logp: Any
    """ln pi of each token under the weights that drew it."""
    ref_logp: Any
    """ln pi_ref of each token."""
    hidden: Any
    """What the output head saw where each token was predicted, [tokens, d]."""
    weights: Any
    """Factor of each answer's loss; 0 for one that is not learned from."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each answer."""
        return [len(sequence.ids) - sequence.n_prompt for sequence in self.sequences]

    @property
    def owner(self) -> Any:
        """Answer that each token belongs to."""
        import torch

        lengths = torch.tensor(self.lengths, device=self.logp.device)
        return torch.arange(len(lengths), device=self.logp.device).repeat_interleave(lengths)

    def to_tokens(self, values: Float[np.ndarray, "groups size"]) -> Any:
        """One value an answer, given to each of its tokens."""
        import torch

        flat = torch.tensor(np.asarray(values).ravel(), dtype=self.logp.dtype, device=self.logp.device)
        return flat[self.owner]


class Credit(NamedTuple):
    """How much more, or less, likely each token should become."""

    tokens: Any
    logged: dict[str, float]


@dataclass(frozen=True)
class Part:
    """Answers that go through the model together."""

    logp: Any
    """ln pi of each token; gradients flow."""
    old: Any
    """Before this batch was learned."""
    ref: Any
    credit: Any
    owner: Any
    lengths: Any
    """Tokens of each answer of the part."""
    weights: Any
    """Factor of each answer's loss."""
    n_answers: int
    """Of the optimiser step, of which this is a part."""
    n_tokens: int
    """Likewise."""


class Loss(NamedTuple):
    """A part's share of an optimiser step's loss."""

    value: Any
    clip_share: Any
    """Share of the step's ratios that gained nothing, as far as this part goes."""


class Algorithm(Protocol):
    """What tells one trainer from another."""

    name: str
    own_rate: float
    """Learning rate of what is learned beside the model."""

    def open(self, d: int, n_rewards: int, device: Any) -> dict[str, Any]:
        """Make what is learned beside the model, by name; `d` is the width of the last hidden state."""
        ...

    def credit(self, answers: Answers, objective: Objective, beta: float) -> Credit:
        """Called once a batch, before it is learned."""
        ...

    def loss(self, part: Part, beta: float) -> Loss:
        """Called for each part of an optimiser step."""
        ...

    def own_loss(self, places: Any) -> Any | None:
        """Loss of what is learned beside the model, on places of the batch's token vector; None if there is nothing."""
        ...


def k3(logp: Any, ref: Any) -> Any:
    """Estimate of the divergence at each token."""
    gap = ref - logp
    return gap.exp() - 1 - gap


def clipped(log_ratio: Any, credit: Any, clip: float) -> tuple[Any, Any]:
    """Losses -min(ratio A, clip(ratio) A), and where the clipped one was taken (PPO, arXiv:1707.06347, eq. 7)."""
    import torch

    ratio = log_ratio.exp()
    plain, held = ratio * credit, ratio.clamp(1 - clip, 1 + clip) * credit
    return -torch.minimum(plain, held), held < plain


def mean_of(values: Any, part: Part, how: Mean, length: int) -> Any:
    """A part's share of the mean of a value a token.

    Args:
        values: One a token.
        part: Where they come from.
        how: `sequence`: mean over answers of the mean over their tokens (DeepSeekMath, arXiv:2402.03300); `token`: over
            all tokens of the step (DAPO, arXiv:2503.14476); `constant`: over answers of the sum over `length`
            (Dr. GRPO, arXiv:2503.20783).
        length: See `constant`.
    """
    weighted = values * part.weights[part.owner]
    if how == "token":
        return weighted.sum() / part.n_tokens
    if how == "constant":
        return weighted.sum() / (part.n_answers * length)
    return (weighted / part.lengths[part.owner]).sum() / part.n_answers
