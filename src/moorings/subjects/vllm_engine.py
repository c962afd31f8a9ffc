"""Offline vLLM on a GPU: paged attention, prefix caching, one LoRA adapter.

Each sample has its own seed. The kernels round differently at other batch sizes, and vLLM composes its
batches as it goes, so equal seeds give equal answers only where the rounding does not matter.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import Any

from moorings.errors import BackendError, ConfigError, MissingExtraError
from moorings.records import Decoding, Generation, Message, Request, SubjectInfo
from moorings.subjects.local_model import LocalModel, ReadyPrompt, Scored, package_version
from moorings.subjects.next_token import Row, local_next_tokens
from moorings.subjects.protocol import NextTokenLogprobs, TokenLogprobs

__all__ = ["VllmSubject"]

_TOP_LOGPROBS = 20
"""Most first-token values that vLLM gives at its default limit; what is not among them is scored as given text."""
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


class VllmSubject:
    """A local model run by vLLM in this process.

    Args:
        model: The checked folder, adapter and template.
        precision: fp32, bf16 or fp16.
        device: "cuda"; which GPU is chosen by CUDA_VISIBLE_DEVICES.
        batch_size: Most sequences decoded together.
        gpu_memory_share: Part of the GPU's memory that vLLM may fill, up to 1.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: The device is not CUDA.
    """

    def __init__(
        self, model: LocalModel, *, precision: str, device: str, batch_size: int, gpu_memory_share: float
    ) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise MissingExtraError("engine vllm", "vllm")
        if device != "cuda":
            raise ConfigError(
                f"engine vllm needs device cuda, not '{device}'; choose a GPU with CUDA_VISIBLE_DEVICES, "
                "or use engine ctranslate2 or transformers"
            )
        if gpu_memory_share > 1.0:
            raise ConfigError(f"option gpu_memory_share={gpu_memory_share} must be above 0 and at most 1")
        # Read when vLLM is imported; without it the engine reports its use to its makers.
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        self._model = model
        self._precision = precision
        self._batch_size = batch_size
        self._gpu_memory_share = gpu_memory_share
        self._llm: Any = None

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint; nothing is loaded."""
        return SubjectInfo(
            **self._model.facts(),
            engine="vllm",
            engine_version=package_version("vllm", "torch"),
            precision=self._precision,
            device="cuda",
            batch_size=self._batch_size,
            seeding="sample",
        )

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer requests; vLLM schedules them itself.

        Raises:
            BackendError: vLLM failed; the batch may be tried again.
        """
        ready, refused = self._model.prepare(requests, decoding)
        yield from refused
        if not ready:
            return
        outputs = self._run([prompt.ids for prompt in ready], [self._sampling(prompt, decoding) for prompt in ready])
        for prompt, output in zip(ready, outputs, strict=True):
            answer = output.outputs[0]
            # vLLM includes the end token in what it returns.
            ended = bool(answer.token_ids) and answer.token_ids[-1] in self._model.end_ids
            ids = tuple(answer.token_ids[:-1] if ended else answer.token_ids)
            nats = _taken(ids, answer.logprobs[: len(ids)]) if decoding.logprobs else None
            yield self._model.generation(prompt, ids, ended=ended, logprobs_nats=nats)

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        """Log-probability of each token of a continuation after a chat.

        Raises:
            InputError: A chat or continuation has no tokens or does not fit the context.
        """
        scored = self._model.scored(items)
        to_tokens = self._model.tokenizer.convert_ids_to_tokens
        return [
            TokenLogprobs(tuple(to_tokens(list(item.output_ids))), nats)
            for item, nats in zip(scored, self._logprobs(scored), strict=True)
        ]

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probability of each continuation right after its chat.

        One pass a chat where the tokens are among the likeliest; every other token costs a pass of its own.

        Raises:
            BackendError: vLLM failed; the call may be repeated.
            InputError: A continuation is no text of at least one token.
        """
        return local_next_tokens(self._model, items, self._read_rows)

    def close(self) -> None:
        """Give the GPU's memory back."""
        self._llm = None
        self._model.close()

    def _sampling(self, prompt: ReadyPrompt, decoding: Decoding) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            seed=prompt.request.seed,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k,
            max_tokens=prompt.max_new_tokens,
            min_tokens=min(decoding.min_new_tokens, prompt.max_new_tokens),
            stop_token_ids=list(self._model.end_ids),
            logprobs=0 if decoding.logprobs else None,
            detokenize=False,
        )

    def _logprobs(self, scored: Sequence[Scored]) -> list[tuple[float, ...]]:
        """Log-probabilities of given tokens from one forward pass each."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        wanted = [item for item in scored if item.output_ids]
        outputs = self._run([(*item.prompt_ids, *item.output_ids) for item in wanted], [params] * len(wanted))
        found = iter(outputs)
        return [
            _taken(item.output_ids, next(found).prompt_logprobs[len(item.prompt_ids) :]) if item.output_ids else ()
            for item in scored
        ]

    def _read_rows(self, rows: Sequence[Row]) -> list[list[float]]:
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, logprobs=_TOP_LOGPROBS, detokenize=False)
        found = [
            {token: float(entry.logprob) for token, entry in output.outputs[0].logprobs[0].items()}
            for output in self._run([row.ids for row in rows], [params] * len(rows))
        ]
        missing = [(at, token) for at, row in enumerate(rows) for token in row.wanted if token not in found[at]]
        for (at, token), (nats,) in zip(
            missing, self._logprobs([Scored(rows[at].ids, (token,)) for at, token in missing]), strict=True
        ):
            found[at][token] = nats
        return [[found[at][token] for token in row.wanted] for at, row in enumerate(rows)]

    def _run(self, rows: Sequence[Sequence[int]], sampling: Sequence[Any]) -> list[Any]:
        prompts = [{"prompt_token_ids": list(ids)} for ids in rows]
        try:
            outputs: list[Any] = self._engine().generate(
                prompts, list(sampling), lora_request=self._lora(), use_tqdm=False
            )
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"vllm failed on a batch of {len(prompts)} prompts: {error}") from error
        return outputs

    def _lora(self) -> Any:
        if self._model.adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("adapter", 1, str(self._model.adapter))

    def _engine(self) -> Any:
        if self._llm is None:
            from vllm import LLM

            lora: dict[str, Any] = {}
            if self._model.adapter is not None:
                rank = max(8, self._adapter_rank())
                lora = {"enable_lora": True, "max_lora_rank": 1 << (rank - 1).bit_length(), "max_loras": 1}
            self._llm = LLM(
                model=str(self._model.folder),
                tokenizer=str(self._model.folder),
                dtype=_DTYPES[self._precision],
                load_format="safetensors",
                trust_remote_code=False,
                enable_prefix_caching=True,
                max_num_seqs=self._batch_size,
                max_model_len=self._model.context_length,
                gpu_memory_utilization=self._gpu_memory_share,
                # Values before temperature, top-k and top-p: the model's own distribution, as in the other engines.
                logprobs_mode="raw_logprobs",
                disable_log_stats=True,
                **lora,
            )
        return self._llm

    def _adapter_rank(self) -> int:
        from moorings.subjects.safe_files import read_config

        assert self._model.adapter is not None
        config = read_config(self._model.adapter, "adapter_config.json")
        return max(int(rank) for rank in [config.get("r", 8), *(config.get("rank_pattern") or {}).values()])


def _taken(ids: Sequence[int], rows: Sequence[Any]) -> tuple[float, ...]:
    """The value of each token in vLLM's per-position dictionaries."""
    return tuple(float(row[token].logprob) for row, token in zip(rows, ids, strict=True))
