"""Sparse code of embeddings: a small TopK autoencoder whose latents tend to mean one thing each.

Source: Movva et al. 2025, "Sparse autoencoders for hypothesis generation" (HypotheSAEs, arXiv:2502.04382),
after Gao et al. 2024 (arXiv:2406.04093): pre = W_e (x - b) + c, the k largest are kept and rectified,
x' = W_d z + b with unit columns of W_d, loss = |x - x'|^2 + 1/32 of the same loss for dead latents on what
is left. Left out: the Matryoshka and multi-k losses, and early stopping; a fixed number of steps is
enough at this size and gives the same code for the same seed. Trained on pooled texts; never sees an arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from moorings.errors import InputError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

__all__ = ["SparseCoder", "fit_sparse"]

_AUX_WEIGHT = 1 / 32
_DEAD_STEPS = 100
"""A latent that did not fire for so many batches is dead and trained to explain what the others leave."""


@dataclass(frozen=True, eq=False)
class SparseCoder:
    """A fitted code. Latents that never fire on the training texts are gone, so there may be fewer than asked for."""

    bias: Float[np.ndarray, " d"]
    scale: float
    """Root mean square of the centred training values, which the encoder divides by."""
    encoder: Float[np.ndarray, "d m"]
    threshold: Float[np.ndarray, " m"]
    """Added to the projections before the k largest are kept."""
    decoder: Float[np.ndarray, "m d"]
    k: int

    def encode(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        """Activations, >= 0, at most k of a row above 0.

        Raises:
            ValueError: The embeddings are not of the width that the code was fitted on.
        """
        if x.ndim != 2 or x.shape[1] != len(self.bias):
            raise ValueError(f"embeddings of shape {x.shape} given; this code reads rows of {len(self.bias)} numbers")
        raw = (np.asarray(x, dtype=np.float32) - self.bias) / self.scale @ self.encoder + self.threshold
        if raw.shape[1] <= self.k:
            return np.asarray(np.maximum(raw, 0))
        kept = np.argpartition(-raw, self.k - 1, axis=1)[:, : self.k]
        codes: np.ndarray = np.zeros_like(raw)
        np.put_along_axis(codes, kept, np.maximum(np.take_along_axis(raw, kept, axis=1), 0), axis=1)
        return codes

    def decode(self, codes: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n d"]:
        """Embeddings that the activations stand for."""
        return np.asarray(codes @ self.decoder * self.scale + self.bias)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in plain lists."""
        arrays = {name: getattr(self, name).tolist() for name in ("bias", "encoder", "threshold", "decoder")}
        return {**arrays, "scale": self.scale, "k": self.k}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SparseCoder:
        """Undo `to_dict`.

        Raises:
            InputError: A part is missing, is not numeric or does not fit the others.
        """
        try:
            bias, threshold = (np.asarray(data[name], dtype=np.float32) for name in ("bias", "threshold"))
            d, m = len(bias), len(threshold)
            encoder = np.asarray(data["encoder"], dtype=np.float32).reshape(d, m)
            decoder = np.asarray(data["decoder"], dtype=np.float32).reshape(m, d)
            return cls(bias, float(data["scale"]), encoder, threshold, decoder, int(data["k"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"this is no sparse code ({error}); give what SparseCoder.to_dict() wrote, or fit a new one"
            ) from error


def fit_sparse(
    x: Float[np.ndarray, "n d"],
    *,
    n_latents: int = 128,
    k: int = 8,
    seed: int = 0,
    n_steps: int = 500,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
) -> SparseCoder:
    """Fit a code of embeddings. Time does not depend on n; global random state is left alone.

    Args:
        x: Embeddings of pooled texts.
        n_latents: Latents to begin with, >= k.
        k: Most latents active on one text, >= 1.
        seed: Draws the first weights and the order of texts.
        n_steps: Gradient steps.
        batch_size: Texts a step.
        learning_rate: Adam's, falling to zero over the steps.

    Raises:
        ValueError: `k` is not between 1 and `n_latents`, or there are no texts.
    """
    import torch

    if not 1 <= k <= n_latents or not len(x):
        raise ValueError(f"{n_latents} latents, k = {k}, {len(x)} texts given; need 1 <= k <= latents and a text")
    bias = x.mean(0).astype(np.float32)
    scale = float(np.sqrt(np.mean((x - bias) ** 2))) or 1.0
    data = torch.from_numpy(np.ascontiguousarray((x - bias) / scale, dtype=np.float32))
    net = _Net(data, n_latents, k, seed)
    n_threads = torch.get_num_threads()
    # The steps are so small that threads spend their time on waiting for each other; one also repeats to the bit.
    torch.set_num_threads(1)
    try:
        net.train(data, n_steps=n_steps, batch_size=batch_size, learning_rate=learning_rate)
    finally:
        torch.set_num_threads(n_threads)
    encoder, shift, threshold, decoder = (w.detach().numpy() for w in net.weights)
    coder = SparseCoder(bias + shift * scale, scale, encoder, threshold, decoder, k)
    used = (coder.encode(x) > 0).any(0)
    return SparseCoder(coder.bias, scale, encoder[:, used], threshold[used], decoder[used], k)


class _Net:
    """The autoencoder while it is trained."""

    def __init__(self, data: torch.Tensor, n_latents: int, k: int, seed: int) -> None:
        import torch

        self.k = k
        self.generator = torch.Generator().manual_seed(seed)
        decoder = torch.randn(n_latents, data.shape[1], generator=self.generator)
        self.decoder = decoder / decoder.norm(dim=1, keepdim=True)
        self.encoder = self.decoder.T.clone()
        self.shift, self.threshold = torch.zeros(data.shape[1]), torch.zeros(n_latents)
        self.weights = [w.requires_grad_() for w in (self.encoder, self.shift, self.threshold, self.decoder)]
        self.idle = torch.zeros(n_latents)

    def train(self, data: torch.Tensor, *, n_steps: int, batch_size: int, learning_rate: float) -> None:
        import torch

        # Adam by hand (Kingma and Ba 2015): torch.optim imports a compiler for several seconds when first used.
        first, second = ([torch.zeros_like(w) for w in self.weights] for _ in range(2))
        order = torch.empty(0, dtype=torch.long)
        for step in range(n_steps):
            if len(order) < min(batch_size, len(data)):
                order = torch.randperm(len(data), generator=self.generator)
            loss = self._loss(data[order[:batch_size]])
            order = order[batch_size:]
            gradients = torch.autograd.grad(loss, self.weights)
            rate = learning_rate * (1 - step / n_steps)
            with torch.no_grad():
                for w, g, m, v in zip(self.weights, gradients, first, second, strict=True):
                    m.lerp_(g, 0.1)
                    v.lerp_(g.square(), 0.001)
                    unbiased = (v / (1 - 0.999 ** (step + 1))).sqrt_() + 1e-8
                    w -= rate / (1 - 0.9 ** (step + 1)) * m / unbiased
                self.decoder /= self.decoder.norm(dim=1, keepdim=True).clamp_min(1e-8)

    def _loss(self, batch: torch.Tensor) -> torch.Tensor:
        raw = (batch - self.shift) @ self.encoder + self.threshold
        codes = _largest(raw, self.k)
        self.idle = (self.idle + 1).masked_fill((codes > 0).any(0), 0)
        left = batch - self.shift - codes @ self.decoder
        loss = left.square().mean()
        dead = self.idle >= _DEAD_STEPS
        if dead.any():
            revived = _largest(raw.masked_fill(~dead, -1e9), min(2 * self.k, int(dead.sum())))
            loss = loss + _AUX_WEIGHT * (left.detach() - revived @ self.decoder).square().mean()
        return loss


def _largest(raw: torch.Tensor, k: int) -> torch.Tensor:
    import torch

    values, index = raw.topk(k, dim=1)
    return torch.zeros_like(raw).scatter(1, index, values.relu())
