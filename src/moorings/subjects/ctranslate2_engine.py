"""Fast sampling on CPU through CTranslate2, from weights converted once and kept by content hash.

CTranslate2 draws from one random stream a worker thread, seeded when the thread first draws. So a whole
batch is the unit that repeats: its seed comes from the seeds of its requests, the batch is cut into
`workers` parts by a fixed rule, and each part is decoded by a fresh generator whose stream has just
been seeded. The same requests in the same order give the same answers in any process on the same
machine; another batch size, worker count or thread count gives other answers.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from moorings.errors import BackendError, ConfigError
from moorings.records import Decoding, Generation, Message, Request, SubjectInfo, content_hash
from moorings.subjects.ctranslate2_convert import converted_folder
from moorings.subjects.local_model import LocalModel, ReadyPrompt, Scored, package_version
from moorings.subjects.next_token import Row, local_next_tokens, share_prefixes, token_logprobs
from moorings.subjects.protocol import NextTokenLogprobs, TokenLogprobs

__all__ = ["CTranslate2Subject"]

_COMPUTE_TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}
_MAX_COPIED_BYTES = 1 << 30
"""Above this every worker's own copy of the weights costs more than side-by-side decoding gains."""
_SCORE_TOKENS = 1024
"""Positions scored at once; each needs a row of logits as long as the vocabulary."""
_SEGMENT_ROWS = 16
"""Endings read together after one prefix; more would hold more of the prefix's keys and values at once."""
_AHEAD_ROWS = 256
"""Rows handed to the workers at once; each returns a row of logits."""
_SURPLUS_SHARE = 0.25
"""Rows that may be decoded for nothing so that groups of unequal size share one call."""

_seeding = threading.Lock()
"""CTranslate2's seed is global to the process until a worker's first draw."""


class _Piece(NamedTuple):
    """Requests with one prompt that are decoded together as hypotheses of that prompt."""

    prompts: tuple[ReadyPrompt, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return self.prompts[0].ids


class _Answer(NamedTuple):
    prompt: ReadyPrompt
    output_ids: tuple[int, ...]
    ended: bool


class _PrefixCall(NamedTuple):
    """Equally long endings that are read after one prefix."""

    places: list[int]
    prefix: tuple[int, ...]
    endings: list[tuple[int, ...]]


class CTranslate2Subject:
    """A local model run by CTranslate2.

    Args:
        model: The checked folder, adapter and template.
        precision: fp32, bf16, fp16 or int8.
        device: "cpu" or "cuda".
        batch_size: Requests decoded together; longer inputs are cut into batches of this size, in order.
        threads: CPU threads in all.
        workers: Parts of a batch decoded side by side; None takes one a thread for models under 1 GB, else one.

    Raises:
        ConfigError: The device cannot compute in this precision.
    """

    def __init__(
        self, model: LocalModel, *, precision: str, device: str, batch_size: int, threads: int, workers: int | None
    ) -> None:
        self._model = model
        self._precision = precision
        self._device = device
        self._batch_size = batch_size
        self._workers = workers or self._default_workers(threads)
        if self._workers > threads:
            raise ConfigError(f"option workers={self._workers} is more than threads={threads}; allowed: 1 to {threads}")
        self._threads = threads // self._workers
        self._folder: Path | None = None
        self._scorer: Any = None
        self._check_precision()

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint; nothing is loaded."""
        return SubjectInfo(
            **self._model.facts(),
            engine="ctranslate2",
            engine_version=package_version("ctranslate2"),
            precision=self._precision,
            device=self._device,
            batch_size=self._batch_size,
            threads=self._threads,
            workers=self._workers,
            seeding="batch",
        )

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer a batch of requests; the answers depend on the whole batch and its order.

        Raises:
            BackendError: CTranslate2 failed; the batch may be tried again.
        """
        for start in range(0, len(requests), self._batch_size):
            ready, refused = self._model.prepare(requests[start : start + self._batch_size], decoding)
            yield from refused
            if ready:
                yield from self._decode(ready, decoding)

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        """Log-probability of each token of a continuation after a chat.

        Raises:
            InputError: A chat or continuation has no tokens or does not fit the context.
        """
        scored = self._model.scored(items)
        to_tokens = self._model.tokenizer.convert_ids_to_tokens
        values = self._logprobs(scored)
        return [
            TokenLogprobs(tuple(to_tokens(list(item.output_ids))), nats)
            for item, nats in zip(scored, values, strict=True)
        ]

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probability of each continuation right after its chat; common beginnings are read once.

        Raises:
            BackendError: CTranslate2 failed; the call may be repeated.
            InputError: A continuation is no text of at least one token.
        """
        return local_next_tokens(self._model, items, self._read_rows)

    def close(self) -> None:
        """Free the weights."""
        self._scorer = None
        self._model.close()

    def _default_workers(self, threads: int) -> int:
        weights = sum(path.stat().st_size for path in self._model.folder.glob("*.safetensors"))
        return threads if self._device == "cpu" and weights <= _MAX_COPIED_BYTES else 1

    def _check_precision(self) -> None:
        import ctranslate2

        try:
            supported = ctranslate2.get_supported_compute_types(self._device)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"ctranslate2 cannot use device '{self._device}': {error}; allowed: cpu, cuda") from error
        if _COMPUTE_TYPES[self._precision] not in supported:
            usable = ", ".join(name for name, kind in _COMPUTE_TYPES.items() if kind in supported)
            raise ConfigError(
                f"ctranslate2 cannot compute in {self._precision} on this {self._device}; allowed here: {usable}"
            )

    def _decode(self, ready: Sequence[ReadyPrompt], decoding: Decoding) -> Iterator[Generation]:
        seed = content_hash([prompt.request.seed for prompt in ready])
        parts = split_batch(ready, self._workers)
        seeds = [int(content_hash([seed, number])[:8], 16) % (2**32 - 1) for number in range(len(parts))]
        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            decoded = list(pool.map(lambda part, part_seed: self._decode_part(part, part_seed, decoding), parts, seeds))
        answers = [answer for part in decoded for answer in part]
        logprobs: list[tuple[float, ...]] | list[None] = [None] * len(answers)
        if decoding.logprobs:
            logprobs = self._logprobs([Scored(answer.prompt.ids, answer.output_ids) for answer in answers])
        for answer, nats in zip(answers, logprobs, strict=True):
            yield self._model.generation(answer.prompt, answer.output_ids, ended=answer.ended, logprobs_nats=nats)

    def _decode_part(self, part: Sequence[_Piece], seed: int, decoding: Decoding) -> list[_Answer]:
        generator = self._seeded_generator(part[0].ids, seed)
        shuffle = random.Random(seed)
        return [
            answer
            for pieces in group_by_count(part)
            for answer in self._decode_pieces(generator, pieces, decoding, shuffle)
        ]

    def _seeded_generator(self, ids: Sequence[int], seed: int) -> Any:
        """A generator whose one worker has just seeded its random stream, by drawing a token and dropping it."""
        import ctranslate2

        folder = self._converted()
        with _seeding:
            ctranslate2.set_random_seed(seed)
            generator = self._new_generator(folder, 1)
            generator.generate_batch([self._tokens(ids[:1])], max_length=1, sampling_topk=0)
        return generator

    def _decode_pieces(
        self, generator: Any, pieces: Sequence[_Piece], decoding: Decoding, shuffle: random.Random
    ) -> Iterator[_Answer]:
        longest = max(prompt.max_new_tokens for piece in pieces for prompt in piece.prompts)
        greedy = decoding.temperature == 0.0
        try:
            results = generator.generate_batch(
                [self._tokens(piece.ids) for piece in pieces],
                max_length=longest,
                min_length=min(decoding.min_new_tokens, longest),
                num_hypotheses=1 if greedy else max(len(piece.prompts) for piece in pieces),
                sampling_temperature=1.0 if greedy else decoding.temperature,
                sampling_topk=1 if greedy else decoding.top_k,
                sampling_topp=1.0 if greedy else decoding.top_p,
                end_token=list(self._model.end_ids),
                return_end_token=True,
                include_prompt_in_result=False,
            )
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"ctranslate2 failed on a batch of {len(pieces)} prompts: {error}") from error
        for piece, result in zip(pieces, results, strict=True):
            sequences = list(result.sequences_ids) * (len(piece.prompts) if greedy else 1)
            # Hypotheses come sorted by likelihood; in that order a sample's number would tell how likely it is,
            # and the surplus of a smaller group, which is left over below, would always be the unlikeliest.
            shuffle.shuffle(sequences)
            for prompt, ids in zip(piece.prompts, sequences, strict=False):
                yield self._answer(prompt, ids)

    def _answer(self, prompt: ReadyPrompt, ids: Sequence[int]) -> _Answer:
        ended = bool(ids) and ids[-1] in self._model.end_ids and len(ids) <= prompt.max_new_tokens
        kept = ids[:-1] if ended else ids[: prompt.max_new_tokens]
        return _Answer(prompt, tuple(kept), ended)

    def _read_rows(self, rows: Sequence[Row]) -> list[list[float]]:
        """Log-probabilities of each row's wanted tokens."""
        calls = self._prefix_calls([row.ids for row in rows])
        values: list[list[float]] = [[] for _ in rows]
        while calls:
            n_rows, size = 0, 0
            while size < len(calls) and n_rows < _AHEAD_ROWS:
                n_rows += len(calls[size][0])
                size += 1
            ahead, calls = calls[:size], calls[size:]
            try:
                for places, pending in [(places, self._submit(prefix, ends)) for places, prefix, ends in ahead]:
                    for at, result in zip(places, pending, strict=True):
                        values[at] = token_logprobs(np.array(result.result().logits[0]).reshape(-1), rows[at].wanted)
            except (RuntimeError, ValueError) as error:
                raise BackendError(f"ctranslate2 failed to score {len(rows)} chats: {error}") from error
        return values

    def _prefix_calls(self, rows: Sequence[tuple[int, ...]]) -> list[_PrefixCall]:
        """Calls that read the fewest tokens. In one call all endings are equally long.

        Of longer endings CTranslate2 would read the surplus token by token, each with a row of logits.
        """
        by_length: dict[int, list[int]] = {}
        for at, row in enumerate(rows):
            by_length.setdefault(len(row), []).append(at)
        calls = []
        for length in sorted(by_length, reverse=True):
            places = by_length[length]
            for n_prefix, mine in share_prefixes([rows[at] for at in places], most=_SEGMENT_ROWS):
                # The prefix of a single row is no gain: one call reads it all.
                cut = n_prefix if len(mine) > 1 else 0
                chosen = [places[at] for at in mine]
                calls.append(_PrefixCall(chosen, rows[chosen[0]][:cut], [rows[at][cut:] for at in chosen]))
        return calls

    def _submit(self, prefix: Sequence[int], endings: Sequence[Sequence[int]]) -> list[Any]:
        """Start reading endings after a prefix; the results' logits are those of the next token."""
        if self._scorer is None:
            self._scorer = self._new_generator(self._converted(), self._workers)
        pending: list[Any] = self._scorer.generate_batch(
            [self._tokens(ending) for ending in endings],
            static_prompt=self._tokens(prefix) or None,
            cache_static_prompt=False,
            include_prompt_in_result=False,
            max_length=1,
            return_logits_vocab=True,
            asynchronous=True,
        )
        return pending

    def _logprobs(self, scored: Sequence[Scored]) -> list[tuple[float, ...]]:
        if self._scorer is None:
            self._scorer = self._new_generator(self._converted(), self._workers)
        try:
            results = self._scorer.score_batch(
                [self._tokens((*item.prompt_ids, *item.output_ids)) for item in scored],
                max_batch_size=_SCORE_TOKENS,
                batch_type="tokens",
            )
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"ctranslate2 failed to score {len(scored)} texts: {error}") from error
        # The first token of all has no predecessor, so n tokens have n - 1 values.
        return [
            tuple(result.log_probs[len(item.prompt_ids) - 1 :]) for item, result in zip(scored, results, strict=True)
        ]

    def _new_generator(self, folder: Path, workers: int) -> Any:
        import ctranslate2

        return ctranslate2.Generator(
            str(folder),
            device=self._device,
            compute_type=_COMPUTE_TYPES[self._precision],
            inter_threads=workers,
            intra_threads=self._threads,
        )

    def _converted(self) -> Path:
        if self._folder is None:
            self._folder = converted_folder(self._model, self._precision, version("ctranslate2"))
        return self._folder

    def _tokens(self, ids: Iterable[int]) -> list[str]:
        tokens: list[str] = self._model.tokenizer.convert_ids_to_tokens(list(ids))
        return tokens


def split_batch(ready: Sequence[ReadyPrompt], workers: int) -> list[list[_Piece]]:
    """Cut a batch into at most `workers` parts of nearly equal work, by a rule that depends on the batch alone.

    Requests with one prompt stay together, since they share the prompt's forward pass, unless they are more
    than a part's share. Parts are runs of similar prompt lengths: the engine feeds a longer prompt's surplus over
    the shortest one token by token, so mixed lengths would cost steps.
    """
    share = -(-len(ready) // workers)
    groups: dict[tuple[int, ...], list[ReadyPrompt]] = {}
    for prompt in ready:
        groups.setdefault(prompt.ids, []).append(prompt)
    pieces = [
        _Piece(tuple(group[start : start + share]))
        for group in groups.values()
        for start in range(0, len(group), share)
    ]
    pieces.sort(key=lambda piece: -len(piece.ids))
    total = sum(_work(piece) for piece in pieces)
    parts: list[list[_Piece]] = [[] for _ in range(workers)]
    done = 0.0
    for piece in pieces:
        middle = done + _work(piece) / 2
        parts[min(workers - 1, int(workers * middle / total))].append(piece)
        done += _work(piece)
    return [part for part in parts if part]


def _work(piece: _Piece) -> float:
    """Rough cost in decoded tokens; reading a prompt's token is about three times cheaper than drawing one."""
    return sum(prompt.max_new_tokens for prompt in piece.prompts) + len(piece.ids) / 3


def group_by_count(part: Sequence[_Piece]) -> list[list[_Piece]]:
    """The calls a part is decoded in: one if the pieces' sizes are close, else one for each size."""
    rows = sum(len(piece.prompts) for piece in part)
    surplus = max(len(piece.prompts) for piece in part) * len(part) - rows
    if surplus <= _SURPLUS_SHARE * rows:
        return [list(part)]
    calls: dict[int, list[_Piece]] = {}
    for piece in part:
        calls.setdefault(len(piece.prompts), []).append(piece)
    return [calls[count] for count in sorted(calls, reverse=True)]
