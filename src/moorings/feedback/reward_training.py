"""Trains heads of a reward model on preference pairs: all members at once, each as if it were trained alone.

Loss of a pair with r_w, r_l: a l(m) + b l(-m) + c (r_w^2 + r_l^2) / 2, with m = r_w - r_l, l(m) = -ln sigma(m), (a, b)
from `label_noise.loss_weights` ((1, 0) is Bradley-Terry), and c = 0.001: arXiv:2310.02743, section 4.3 and its
`score_l2_reg`, whose code takes half the sum of squares.
Members see the same pairs and differ by seed (start weights and order of pairs), or also by a random projection of the
input, which makes their errors less alike. Adam works weight by weight and the members' losses are added, so training them
together equals training each alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from moorings.errors import ConfigError
from moorings.feedback.label_noise import LossWeights, NoiseLoss, loss_weights
from moorings.feedback.reward_inputs import projection_matrix
from moorings.method import MethodConfig

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["HeadSettings", "Heads", "fit_heads", "torch_pair_loss"]


class HeadSettings(MethodConfig):
    """Shape and training of the heads."""

    members: int = Field(default=5, ge=1)
    """Ensemble size; 5 in arXiv:2310.02743, where 4 was as good and 3 clearly worse."""
    differ: Literal["seed", "projection"] = "seed"
    """Whether members differ by seed only, as in the paper, or also by a random projection of their input."""
    projected_d: int = Field(default=64, ge=1)
    """For `projection`: numbers that each member sees."""
    hidden: int = Field(default=32, ge=0)
    """Width of the hidden layer; 0 makes a linear head."""
    epochs: int = Field(default=5, ge=1)
    """Passes over the pairs; the paper's."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs a step; the paper's 8 x 4."""
    learning_rate: float = Field(default=3e-3, gt=0.0)
    """Adam's; ours for small heads, the paper's 1e-5 is for whole language models."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """AdamW's."""
    score_l2: float = Field(default=1e-3, ge=0.0)
    """Weight of the mean square of scores, which keeps them near 0; the paper's."""
    loss: NoiseLoss = "plain"
    """How wrong labels are borne; see `moorings.feedback.label_noise`."""
    flip_rate: float = Field(default=0.0, ge=0.0, lt=0.5)
    """For `smoothed` and `unbiased`: assumed share of wrong labels."""
    seed: int = Field(default=0, ge=0)
    """Of start weights and order."""

    @model_validator(mode="after")
    def _loss_fits(self) -> HeadSettings:
        loss_weights(self.loss, self.flip_rate)
        return self


class Heads(NamedTuple):
    """Weights of all members; projection and input scale are folded in, so that scoring is one product for all.

    score_m(x) = relu(x w1_m + b1_m) . w2_m, or x w1_m . w2_m + b1_m . w2_m for linear heads (hidden layer of width 1
    without relu).
    """

    w1: Float[np.ndarray, "members d hidden"]
    b1: Float[np.ndarray, "members hidden"]
    w2: Float[np.ndarray, "members hidden"]
    linear: bool

    def scores(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "members n"]:
        """Raw scores; NaN for a row that holds one.

        Raises:
            ConfigError: Rows of another length.
        """
        k, d, h = self.w1.shape
        if np.isnan(rows).all():
            # Where nothing could be read, nobody knows how long a row is.
            return np.full((k, len(rows)), np.nan)
        if rows.ndim != 2 or rows.shape[1] != d:
            raise ConfigError(
                f"rows of {rows.shape[-1]} numbers given, the reward model was trained on {d}; use its input"
            )
        inner = rows @ self.w1.transpose(1, 0, 2).reshape(d, k * h) + self.b1.ravel()
        if not self.linear:
            inner = np.maximum(inner, 0.0)
        return np.asarray(np.einsum("nkh,kh->kn", inner.reshape(len(rows), k, h), self.w2))


def fit_heads(
    chosen: Float[np.ndarray, "n d"],
    rejected: Float[np.ndarray, "n d"],
    settings: HeadSettings,
    *,
    soft_labels: Float[np.ndarray, " n"] | None = None,
) -> Heads:
    """Train heads on rows of pairs.

    Args:
        chosen: Rows of the answers that were judged better.
        rejected: Rows of the others.
        settings: Shape and training.
        soft_labels: Probability that `chosen` is better, such as a judge's; certain if None.

    Raises:
        ConfigError: No pairs, or a value that is not finite.
    """
    both = np.stack([np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)])
    if both.shape[1] == 0 or not np.isfinite(both).all():
        raise ConfigError(f"{both.shape[1]} pairs given; give at least one, and leave out those that cannot be read")
    centre = both.mean(axis=(0, 1))
    # One factor for all: a factor each would blow rare words up.
    spread = float(np.sqrt(((both - centre) ** 2).mean())) or 1.0
    d = both.shape[2]
    views = _views(d, settings)
    inputs = (both - centre) / spread
    trained = _train(inputs, views, settings, soft_labels)
    w1 = trained["w1"] if views is None else views @ trained["w1"]
    b1 = trained["b1"] - np.einsum("d,kdh->kh", centre, w1) / spread
    return Heads(w1 / spread, b1, trained["w2"], settings.hidden == 0)


def _views(d: int, settings: HeadSettings) -> Float[np.ndarray, "members d p"] | None:
    """Each member's projection of the input."""
    if settings.differ == "seed":
        return None
    made = [
        projection_matrix(d, settings.projected_d, np.random.default_rng([settings.seed, member, 1]))
        for member in range(settings.members)
    ]
    # Of unit variance for inputs of unit variance.
    return np.asarray(np.stack(made) * np.sqrt(settings.projected_d / d))


def _start(d: int, settings: HeadSettings) -> dict[str, Float[np.ndarray, ...]]:
    """Start weights of each member, from its own seed; a linear head starts at 0 apart from a small draw."""
    h = settings.hidden or 1
    drawn: list[tuple[np.ndarray, np.ndarray]] = []
    for member in range(settings.members):
        rng = np.random.default_rng([settings.seed, member, 0])
        gain = np.sqrt(2 / d) if settings.hidden else 0.1 / np.sqrt(d)
        outer = rng.standard_normal(h) / np.sqrt(h) if settings.hidden else np.ones(1)
        drawn.append((rng.standard_normal((d, h)) * gain, outer))
    w1, w2 = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return {"w1": w1, "b1": np.zeros((settings.members, h)), "w2": w2}


def _train(
    inputs: Float[np.ndarray, "2 n d"],
    views: Float[np.ndarray, "members d p"] | None,
    settings: HeadSettings,
    soft_labels: Float[np.ndarray, " n"] | None,
) -> dict[str, Float[np.ndarray, ...]]:
    import torch

    n = inputs.shape[1]
    start = _start(inputs.shape[2] if views is None else views.shape[2], settings)
    frozen = set() if settings.hidden else {"b1", "w2"}
    with _one_thread():
        x = torch.tensor(inputs, dtype=torch.float32)
        projected = (
            None if views is None else torch.einsum("tnd,kdp->ktnp", x, torch.tensor(views, dtype=torch.float32))
        )
        weights = {
            name: torch.tensor(value, dtype=torch.float32, requires_grad=name not in frozen)
            for name, value in start.items()
        }
        labels = torch.ones(n) if soft_labels is None else torch.tensor(soft_labels, dtype=torch.float32)
        optimiser = torch.optim.AdamW(
            [weight for weight in weights.values() if weight.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        noise = loss_weights(settings.loss, settings.flip_rate)
        for picked in _batches(n, settings):
            at = torch.from_numpy(picked)
            if projected is None:
                batch = x[:, at].transpose(0, 1)
            else:
                batch = torch.stack([projected[member][:, rows] for member, rows in enumerate(at)])
            scores = _scores(batch, weights, linear=not settings.hidden)
            loss = torch_pair_loss(scores[:, 0], scores[:, 1], labels[at], noise, settings.score_l2)
            optimiser.zero_grad()
            # The sum over members of each one's mean, so that no member's steps depend on how many there are.
            loss.mean(dim=1).sum().backward()
            optimiser.step()
        return {name: weight.detach().numpy().astype(np.float64) for name, weight in weights.items()}


def _scores(batch: Any, weights: dict[str, Any], *, linear: bool) -> Any:
    """Scores [members, 2, pairs] of rows [members, 2, pairs, d]."""
    import torch

    inner = torch.einsum("ktbd,kdh->ktbh", batch, weights["w1"]) + weights["b1"][:, None, None]
    return torch.einsum("ktbh,kh->ktb", inner if linear else torch.relu(inner), weights["w2"])


def torch_pair_loss(chosen: Any, rejected: Any, labels: Any, noise: LossWeights, score_l2: float) -> Any:
    """Loss of each pair from torch scores; `labels` are probabilities that the chosen one is better."""
    from torch.nn.functional import softplus

    margins = chosen - rejected
    as_labelled = labels * noise.as_labelled + (1 - labels) * noise.turned
    turned = labels * noise.turned + (1 - labels) * noise.as_labelled
    return (
        as_labelled * softplus(-margins)
        + turned * softplus(margins)
        + score_l2 * 0.5 * (chosen.square() + rejected.square())
    )


def _batches(n: int, settings: HeadSettings) -> Iterator[np.ndarray]:
    """Indices of pairs, [members, batch]; each member has its own order."""
    orders = [np.random.default_rng([settings.seed, member, 2]) for member in range(settings.members)]
    for _ in range(settings.epochs):
        epoch = np.stack([rng.permutation(n) for rng in orders])
        for start in range(0, n, settings.batch_size):
            yield epoch[:, start : start + settings.batch_size]


@contextmanager
def _one_thread() -> Iterator[None]:
    """The products are small, and sums in another order would round differently on another machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
