"""The reference engine: transformers with PEFT adapters, on CPU or GPU.

Every sample has its own random stream, so it does not depend on which requests share its batch, beyond
floating-point rounding. The model is loaded at the first call that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from moorings.errors import ConfigError, InputError
from moorings.records import Decoding, Generation, Message, Request, SubjectInfo
from moorings.subjects.local_model import LocalModel, ReadyPrompt, Scored, package_version
from moorings.subjects.next_token import local_next_tokens
from moorings.subjects.protocol import NextTokenLogprobs, TokenLogprobs

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = ["TransformersSubject"]


class TransformersSubject:
    """A local model run by transformers; samples, scores, shows hidden states and can be trained.

    Args:
        model: The checked folder, adapter and template.
        precision: fp32, bf16 or fp16.
        device: "cpu", "cuda", "cuda:1", …
        batch_size: Requests decoded together.
        threads: CPU threads; set for the whole process when the weights are loaded.
    """

    def __init__(self, model: LocalModel, *, precision: str, device: str, batch_size: int, threads: int) -> None:
        self._model = model
        self._precision = precision
        self._device = device
        self._batch_size = batch_size
        self._threads = threads
        self._loaded: Any = None

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint; the weights are hashed at most once a machine, never loaded."""
        packages = ("transformers", "torch", "peft") if self._model.adapter else ("transformers", "torch")
        return SubjectInfo(
            **self._model.facts(),
            engine="transformers",
            engine_version=package_version(*packages),
            precision=self._precision,
            device=self._device,
            batch_size=self._batch_size,
            threads=self._threads,
            seeding="sample",
        )

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer requests in batches of similar prompt length, longest first."""
        ready, refused = self._model.prepare(requests, decoding)
        yield from refused
        ready.sort(key=lambda prompt: (-len(prompt.ids), prompt.ids))
        for start in range(0, len(ready), self._batch_size):
            yield from self._decode(ready[start : start + self._batch_size], decoding)

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        """Log-probability of each token of a continuation after a chat.

        Raises:
            InputError: A chat or continuation has no tokens or does not fit the context.
        """
        from moorings.subjects.transformers_decode import score_batch

        scored = self._model.scored(items)
        to_tokens = self._model.tokenizer.convert_ids_to_tokens
        return [
            TokenLogprobs(tuple(to_tokens(list(item.output_ids))), nats)
            for item, nats in zip(scored, score_batch(self._weights(), scored), strict=True)
        ]

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probability of each continuation right after its chat.

        Raises:
            InputError: A continuation is no text of at least one token.
        """
        from moorings.subjects.transformers_decode import next_token_batches

        return local_next_tokens(
            self._model, items, lambda rows: next_token_batches(self._weights(), rows, self._batch_size)
        )

    def hidden_states(self, texts: Sequence[str], *, layer: int = -1) -> list[Float[np.ndarray, "tokens d"]]:
        """Residual stream after a layer, one float32 array a text.

        Args:
            texts: Plain texts, taken as they are: no chat template.
            layer: 0 is the embedding, n the n-th block, -1 the last one (after the model's final norm).

        Raises:
            ConfigError: No such layer.
            InputError: A text has no tokens or is longer than the context.
        """
        n_layers = int((self._model.config.get("text_config") or self._model.config)["num_hidden_layers"])
        if not -n_layers - 1 <= layer <= n_layers:
            raise ConfigError(
                f"layer={layer} does not exist; {self._model.name} has layers 0 to {n_layers}, or -1 for the last"
            )
        rows = [self._plain_ids(text) for text in texts]
        states: list[Any] = [None] * len(rows)
        order = sorted(range(len(rows)), key=lambda at: -len(rows[at]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            for at, array in zip(batch, self._layer_states([rows[at] for at in batch], layer), strict=True):
                states[at] = array
        return states

    def training_parts(self) -> tuple[Any, Any]:
        """The transformers model (PEFT-wrapped if it has an adapter) and its tokenizer."""
        return self._weights(), self._model.tokenizer

    def close(self) -> None:
        """Free the weights; a later call loads them again."""
        self._loaded = None
        self._model.close()

    def _weights(self) -> Any:
        if self._loaded is None:
            import torch

            from moorings.subjects.transformers_load import load_model

            torch.set_num_threads(self._threads)
            self._loaded = load_model(self._model, self._precision, self._device)
        return self._loaded

    def _decode(self, batch: Sequence[ReadyPrompt], decoding: Decoding) -> Iterator[Generation]:
        from moorings.subjects.transformers_decode import decode_batch, score_batch

        answers = decode_batch(self._weights(), batch, decoding, self._model.end_ids)
        logprobs: list[tuple[float, ...]] | list[None] = [None] * len(batch)
        if decoding.logprobs:
            logprobs = score_batch(
                self._weights(),
                [Scored(prompt.ids, answer.output_ids) for prompt, answer in zip(batch, answers, strict=True)],
            )
        for prompt, answer, nats in zip(batch, answers, logprobs, strict=True):
            yield self._model.generation(prompt, answer.output_ids, ended=answer.ended, logprobs_nats=nats)

    def _plain_ids(self, text: str) -> list[int]:
        ids: list[int] = self._model.tokenizer(text)["input_ids"]
        limit = self._model.context_length
        if not ids or (limit is not None and len(ids) > limit):
            raise InputError(
                f"a text of {len(ids)} tokens has no hidden states; allowed: 1 to {limit or 'any number of'} tokens"
            )
        return ids

    def _layer_states(self, rows: Sequence[Sequence[int]], layer: int) -> Iterator[Any]:
        import torch

        from moorings.subjects.transformers_decode import pad_left, positions

        ids, mask = pad_left(rows, self._device)
        with torch.inference_mode():
            out = self._weights()(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions(mask),
                use_cache=False,
                output_hidden_states=True,
                logits_to_keep=1,
            )
        states = out.hidden_states[layer].float().cpu().numpy()
        for row, state in zip(rows, states, strict=True):
            yield state[len(state) - len(row) :].copy()
