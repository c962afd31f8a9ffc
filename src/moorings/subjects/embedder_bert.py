"""BERT encoders with mean pooling on the CPU, with int8 matrix products that keep a cosine of 0.995 to fp32.

Per linear layer: y = s (q W) + lo colsum(W) + b, where each token's inputs x = lo + s q are 8-bit numbers q with
their own range [lo, lo + 255 s], and each row of W has its own scale. Three things keep the error small: ranges are
asymmetric and per token (a symmetric range loses 0.01 of cosine), the value projection stays in fp32 (it alone causes
half of the error), and texts of fewer than 24 tokens, too short for errors to average out, stay in fp32 altogether.

Batches hold texts of nearly equal length and are computed by single-threaded workers side by side: this beats one
computation on all cores, whose threads wait for each other after every operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from moorings.subjects.embedder_folder import SentenceFolder

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["Int8Encoder", "int8_problem", "plan_batches"]

_MIN_INT8_TOKENS = 24
_TOKENS_PER_BATCH = 512
_PAIR_LIMIT = 127.0
"""AVX2 adds two neighbouring products u8 x s8 in 16 bits that saturate; 255 (|w1 + w2|) must stay below 2**15."""
_LAYER = "encoder.layer.{}."


def int8_problem(folder: SentenceFolder) -> str | None:
    """Say why the int8 engine cannot run a model; None if it can."""
    import torch

    config = folder.config
    wanted = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for key, value in wanted.items():
        if config.get(key, value) != value:
            return f"config.json has {key} '{config[key]}', only '{value}' is implemented"
    if config.get("is_decoder") or config.get("add_cross_attention"):
        return "it is a decoder"
    if folder.pooling != "mean":
        return f"its pooling is '{folder.pooling}', only 'mean' is implemented"
    if folder.changes_texts:
        return "it lower-cases texts or adds a prompt, which only sentence-transformers does"
    if not (folder.path / "model.safetensors").is_file() or not (folder.path / "tokenizer.json").is_file():
        return "it needs model.safetensors in one file and tokenizer.json"
    if not torch.backends.mkldnn.is_available():
        return "this build of torch has no oneDNN"
    return None


class Batch(NamedTuple):
    """Texts that are computed together."""

    rows: list[int]
    """Positions in the window."""
    int8: bool


def plan_batches(n_tokens: Sequence[int], *, budget: int = _TOKENS_PER_BATCH) -> Iterator[Batch]:
    """Group texts of nearly equal length, longest first; padding stays under an eighth plus two tokens a text.

    Args:
        n_tokens: Length of each text, at least 1.
        budget: Most tokens of a batch, padding included; a longer text is alone.
    """
    rows: list[int] = []
    for row in sorted(range(len(n_tokens)), key=lambda row: (-n_tokens[row], row)):
        longest = n_tokens[rows[0]] if rows else 0
        int8 = longest >= _MIN_INT8_TOKENS
        fits = (len(rows) + 1) * longest <= budget and n_tokens[row] + 2 >= longest * 7 / 8
        if rows and (not fits or int8 != (n_tokens[row] >= _MIN_INT8_TOKENS)):
            yield Batch(rows, int8)
            rows = []
        rows.append(row)
    if rows:
        yield Batch(rows, n_tokens[rows[0]] >= _MIN_INT8_TOKENS)


class Linear:
    """A linear layer in fp32 and, unless told otherwise, in int8."""

    def __init__(self, weight: Tensor, bias: Tensor, *, int8: bool = True) -> None:
        import torch

        self.weight, self.bias = weight, bias
        if not int8:
            return
        pairs = weight.unflatten(1, (-1, 2)).sum(2).abs().amax(1)
        self.scale = torch.maximum(weight.abs().amax(1), pairs).div(_PAIR_LIMIT).clamp_min(1e-12)
        rounded = (weight / self.scale[:, None]).round()
        self.shift = torch.stack([rounded.sum(1) * self.scale, bias])
        self.zero = torch.zeros(len(weight), dtype=torch.int64)
        self.packed = torch.ops.onednn.qlinear_prepack(rounded.to(torch.int8), None)

    def fp32(self, x: Tensor) -> Tensor:
        """Exact product for rows of tokens."""
        import torch

        return torch.nn.functional.linear(x, self.weight, self.bias)

    def int8(self, x: Quantized) -> Tensor:
        """Product of 8-bit rows, scaled back to fp32."""
        import torch

        y = torch.ops.onednn.qlinear_pointwise(
            x.q, 1.0, 0, self.packed, self.scale, self.zero, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return y.mul_(x.scale).addmm_(x.low_and_one, self.shift)


class Quantized(NamedTuple):
    """Rows x = low + scale * q."""

    q: Tensor
    scale: Tensor
    low_and_one: Tensor
    """Two columns: low, and 1 for the bias."""


def quantize_rows(x: Tensor) -> Quantized:
    """Round each row to 256 steps between its least and largest value."""
    import torch

    # aminmax is not vectorised along a dimension, and neither is the cast from float to uint8.
    low, high = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
    scale = high.sub_(low).div_(255).clamp_min_(1e-12)
    inverse = scale.reciprocal()
    steps = (x * inverse).add_(0.5 - low * inverse)
    return Quantized(steps.to(torch.int16).to(torch.uint8), scale, torch.cat([low, torch.ones_like(low)], 1))


class Layer:
    """One transformer layer, normalised after each residual sum."""

    def __init__(self, weights: dict[str, Tensor], prefix: str, n_heads: int, epsilon: float) -> None:
        import torch

        def part(name: str) -> tuple[Tensor, Tensor]:
            return weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"]

        query, key, value = (part(f"attention.self.{name}") for name in ("query", "key", "value"))
        self.query_key = Linear(torch.cat([query[0], key[0]]), torch.cat([query[1], key[1]]))
        self.value = Linear(*value, int8=False)
        self.mix = Linear(*part("attention.output.dense"))
        self.widen = Linear(*part("intermediate.dense"))
        self.narrow = Linear(*part("output.dense"))
        self.norm_mix = part("attention.output.LayerNorm")
        self.norm_out = part("output.LayerNorm")
        self.n_heads, self.epsilon = n_heads, epsilon

    def forward(self, x: Tensor, shape: tuple[int, int], mask: Tensor | None, int8: bool) -> Tensor:
        """States (n_texts * length, d) to states of the same shape."""
        import torch

        def apply(layer: Linear, y: Tensor) -> Tensor:
            return layer.int8(quantize_rows(y)) if int8 else layer.fp32(y)

        heads = (*shape, -1, self.n_heads, x.shape[1] // self.n_heads)
        query, key = apply(self.query_key, x).view(heads).permute(2, 0, 3, 1, 4).unbind(0)
        value = self.value.fp32(x).view(*shape, *heads[3:]).transpose(1, 2)
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed = apply(self.mix, mixed.transpose(1, 2).reshape(x.shape))
        x = torch.nn.functional.layer_norm(mixed.add_(x), x.shape[1:], *self.norm_mix, self.epsilon)
        wide = torch.nn.functional.gelu(apply(self.widen, x))
        return torch.nn.functional.layer_norm(
            apply(self.narrow, wide).add_(x), x.shape[1:], *self.norm_out, self.epsilon
        )


class Int8Encoder:
    """Runs a folder that `int8_problem` has no objection to.

    Args:
        folder: The model.
        threads: Workers, one thread each.
    """

    engine = "int8"
    precision = f"int8 from {_MIN_INT8_TOKENS} tokens, fp32 below; value projection fp32"

    def __init__(self, folder: SentenceFolder, threads: int) -> None:
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        self.engine_version = f"torch {torch.__version__}, scheme 1"
        self._threads = threads
        self._tokenizer = Tokenizer.from_file(str(folder.path / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(folder.max_tokens)
        config = folder.config
        raw = load_file(folder.path / "model.safetensors")
        weights = {key.removeprefix("bert."): value.float() for key, value in raw.items() if value.is_floating_point()}
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._words = weights["embeddings.word_embeddings.weight"]
        token_type = weights["embeddings.token_type_embeddings.weight"][0]
        self._positions = weights["embeddings.position_embeddings.weight"] + token_type
        self._norm = weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"]
        self._layers = [
            Layer(weights, _LAYER.format(number), int(config["num_attention_heads"]), self._epsilon)
            for number in range(int(config["num_hidden_layers"]))
        ]

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Float[np.ndarray, "batch d"]]]:
        """Yield positions and their unit vectors, batch by batch."""
        import torch

        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        batches = list(plan_batches([len(row) for row in ids]))
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                vectors = pool.map(lambda batch: self._embed([ids[row] for row in batch.rows], batch.int8), batches)
                for batch, found in zip(batches, vectors, strict=True):
                    yield batch.rows, found
        finally:
            # The workers' setting is also the default of threads that start later.
            torch.set_num_threads(before)

    def _embed(self, ids: list[list[int]], int8: bool) -> Any:
        import torch

        lengths = torch.tensor([len(row) for row in ids])
        shape = len(ids), int(lengths.max())
        with torch.inference_mode():
            tokens = torch.tensor([row + [0] * (shape[1] - len(row)) for row in ids])
            there = torch.arange(shape[1]) < lengths[:, None]
            mask = None if bool(there.all()) else there[:, None, None, :]
            x = self._words[tokens] + self._positions[: shape[1]]
            x = torch.nn.functional.layer_norm(x, x.shape[2:], *self._norm, self._epsilon).flatten(0, 1)
            for layer in self._layers:
                x = layer.forward(x, shape, mask, int8)
            x = x.unflatten(0, shape) * there[:, :, None]
            return torch.nn.functional.normalize(x.sum(1) / lengths[:, None], dim=1).numpy()
