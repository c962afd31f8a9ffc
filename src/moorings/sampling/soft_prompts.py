"""Soft prompts that drive two models apart, read back as text.

Each soft token is a mixture of the vocabulary's embeddings, the same mixture in both models even where
their embeddings differ (relaxation of Guo et al. 2021, arXiv:2104.13733, without Gumbel noise). Its
likeliest token is its text. Maximised is

    ln J + fluency * mean over slots of sum_v x_v ln p_B(v | what comes before),

J being the symmetric KL divergence averaged over the first answer token and a short continuation. The logarithm
keeps the gradient alive where a token has hardly any weight yet. A soft prompt is only a way to get at
texts: what is returned is the text's divergence, measured without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from moorings.errors import ConfigError, InputError
from moorings.records import Message, Prompt
from moorings.sampling.divergence import DivergenceScore, divergences, score_prompts
from moorings.sampling.paired_models import (
    ModelPair,
    PairedRow,
    Personas,
    Side,
    SubjectLike,
    draw_from_source,
    open_pair,
    read_together,
)
from moorings.sampling.plan import derive_seed
from moorings.sampling.progress import Meter
from moorings.sampling.prompt_search import parents_of
from moorings.subjects.columns import messages_hash

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["readable_tokens", "soft_prompt_search"]

_N_AHEAD = 8
"""Answer tokens after the first that the objective looks at."""
_N_READS = 10
"""Times at which the text is read back and the continuation drawn anew."""
_TAIL_MARKS = ("a", "1")
_TINY = 1e-12


def soft_prompt_search(
    precursor: SubjectLike,
    candidate: SubjectLike,
    seed_prompt: Prompt,
    *,
    n_tokens: int = 6,
    steps: int = 60,
    lr: float = 0.3,
    seed: int,
    fluency: float = 0.05,
    n_samples: int = 2,
    max_new_tokens: int = 16,
    batch_size: int = 32,
    personas: Personas = (None, None),
    progress: Meter | None = None,
) -> list[DivergenceScore]:
    """Append tokens to a prompt, optimised for divergence, and score the texts that they read as.

    Args:
        precursor: A `bundled:` or `hf:` subject on the transformers engine.
        candidate: Likewise, with the same vocabulary.
        seed_prompt: The prompt whose last message is extended.
        n_tokens: Soft tokens, >= 1.
        steps: Optimiser steps, >= 1.
        lr: Adam's learning rate in log-weights, > 0.
        seed: Of the start and of all drawn answers.
        fluency: Weight of how expected the tokens are to the candidate, >= 0.
        n_samples: Answers a subject for the scores.
        max_new_tokens: Most tokens of an answer for the scores.
        batch_size: Answers read together.
        personas: System prompts of the two subjects.
        progress: Told of each batch of scores; the caller opens it.

    Returns:
        Scores of the texts read on the way, measured without the soft prompt, largest first; each prompt has metadata
        `found_by` 'soft' and `parents`.

    Raises:
        ConfigError: An engine without logits, different vocabularies, or a number out of its range.
        InputError: The seed prompt cannot be asked.
    """
    if min(n_tokens, steps) < 1 or not 0.0 < lr < math.inf or not 0.0 <= fluency < math.inf:
        raise ConfigError(
            f"n_tokens={n_tokens}, steps={steps}, lr={lr}, fluency={fluency}; "
            "allowed: n_tokens and steps 1 or more, lr above 0, fluency 0 or more"
        )
    with open_pair(precursor, candidate, personas) as pair:
        texts = dict.fromkeys(_read_texts(pair, seed_prompt, n_tokens, steps, lr, fluency, seed))
        return score_prompts(
            pair.precursor.subject,
            pair.candidate.subject,
            [_extended(seed_prompt, text) for text in texts],
            n_samples=n_samples,
            max_new_tokens=max_new_tokens,
            seed=derive_seed(seed, "soft scores"),
            batch_size=batch_size,
            personas=personas,
            progress=progress,
        )


def readable_tokens(tokenizer: Any, n_vocab: int) -> Bool[torch.Tensor, " v"]:
    """Tokens that read as text by themselves: printable, whole characters, with a letter or digit."""
    ids = sorted(at for at in set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids) if at < n_vocab)
    found = torch.zeros(n_vocab, dtype=torch.bool)
    for at, text in zip(ids, tokenizer.batch_decode([[at] for at in ids]), strict=True):
        bare = text.strip(" ")
        found[at] = bare.isprintable() and "\ufffd" not in bare and any(letter.isalnum() for letter in bare)
    return found


class _Slot(NamedTuple):
    """Where one side's soft tokens go: between the seed's text and the end of the user's turn."""

    side: Side
    head: tuple[int, ...]
    tail: tuple[int, ...]


@dataclass(frozen=True)
class _Relaxed:
    """The two models with the same mixture of tokens in their slots."""

    pair: ModelPair
    slots: tuple[_Slot, _Slot]
    fluency: float

    def loss(self, mixture: Float[torch.Tensor, "n v"], ahead: Sequence[int]) -> Float[torch.Tensor, ""]:
        """Negative objective; see the module's text."""
        n_answer = len(ahead) + 1
        first, second = (self._nats(slot, mixture, ahead).to(mixture.device) for slot in self.slots)
        apart = divergences(first[-n_answer:], second[-n_answer:]).kl.mean()
        expected = (mixture * second[: len(mixture)]).sum(dim=-1).mean()
        return -(apart + _TINY).log() - self.fluency * expected

    def _nats(self, slot: _Slot, mixture: Any, ahead: Sequence[int]) -> Float[torch.Tensor, "t v"]:
        """Log-probabilities from the position before the first soft token on."""
        model = slot.side.model
        embed = model.get_input_embeddings()
        with torch.no_grad():
            head, rest = (
                embed(torch.tensor(list(ids), dtype=torch.long, device=embed.weight.device))
                for ids in (slot.head, (*slot.tail, *ahead))
            )
        # Some architectures scale inside the embedding module, which a mixture of its rows goes past.
        scale = getattr(embed, "embed_scale", 1.0)
        soft = scale * (mixture.to(embed.weight) @ embed.weight[: self.pair.n_vocab].detach())
        states = torch.cat([head, soft, rest])[None]
        out = model(inputs_embeds=states, use_cache=False, logits_to_keep=states.shape[1] - len(slot.head) + 1)
        return out.logits[0, :, : self.pair.n_vocab].float().log_softmax(dim=-1)


def _read_texts(
    pair: ModelPair, prompt: Prompt, n_tokens: int, steps: int, lr: float, fluency: float, seed: int
) -> Iterator[str]:
    """Optimise, and yield the text of the soft tokens every so often."""
    _check_room(pair, prompt, n_tokens)
    first, second = (_slot(side, prompt) for side in pair.sides)
    relaxed = _Relaxed(pair, (first, second), fluency)
    device = pair.candidate.model.device
    allowed = readable_tokens(pair.candidate.tokenizer, pair.n_vocab).to(device)
    weights = _start(allowed, n_tokens, np.random.default_rng(derive_seed(seed, "soft start")))
    # Gradients of a mixture of 50,000 tokens are far below Adam's usual epsilon.
    optimiser = torch.optim.Adam([weights], lr=lr, eps=1e-16)
    every = max(1, steps // _N_READS)
    ahead: list[int] = []
    for step in range(steps):
        mixture = weights.masked_fill(~allowed, -torch.inf).softmax(dim=-1)
        if step % every == 0:
            ids = mixture.argmax(dim=-1).tolist()
            text = _text(pair.candidate.tokenizer, ids)
            ahead = _continuation(pair, _extended(prompt, text), derive_seed(seed, "soft answer", step))
        # Only the mixture's gradient is wanted; backward() would fill one for every weight of both models.
        (weights.grad,) = torch.autograd.grad(relaxed.loss(mixture, ahead), weights)
        optimiser.step()
        if (step + 1) % every == 0 or step + 1 == steps:
            ids = weights.masked_fill(~allowed, -torch.inf).argmax(dim=-1).tolist()
            yield _text(pair.candidate.tokenizer, ids)


def _check_room(pair: ModelPair, prompt: Prompt, n_tokens: int) -> None:
    (encoded,) = pair.encode([prompt])
    if isinstance(encoded, str):
        raise InputError(f"the seed prompt cannot be asked: {encoded}")
    if encoded.room < n_tokens + _N_AHEAD:
        raise InputError(
            f"the seed prompt leaves room for {encoded.room} tokens, the search needs {n_tokens + _N_AHEAD}; "
            "take a shorter prompt or a smaller n_tokens"
        )


def _start(allowed: Any, n_tokens: int, rng: np.random.Generator) -> Float[torch.Tensor, "n v"]:
    """Log-weights that give a random readable token most of each slot and all others the same rest."""
    readable = allowed.nonzero().squeeze(-1).cpu().numpy()
    weights = torch.zeros(n_tokens, len(allowed), device=allowed.device)
    weights[range(n_tokens), rng.choice(readable, size=n_tokens).tolist()] = math.log(len(readable))
    return weights.requires_grad_()


def _slot(side: Side, prompt: Prompt) -> _Slot:
    """Split the encoded prompt where its last message ends: texts that end differently share only what follows."""
    encoded = side.encode([prompt, *(_extended(prompt, mark) for mark in _TAIL_MARKS)])
    ids = [row for row in encoded if not isinstance(row, str)]
    n_shared = 0
    while n_shared < min(map(len, ids)) and len({row[len(row) - 1 - n_shared] for row in ids}) == 1:
        n_shared += 1
    return _Slot(side, ids[0][: len(ids[0]) - n_shared], ids[0][len(ids[0]) - n_shared :])


def _continuation(pair: ModelPair, prompt: Prompt, seed: int) -> list[int]:
    """The opening of the candidate's answer, without an end token; empty if the prompt cannot be asked."""
    (encoded,) = pair.encode([prompt])
    if isinstance(encoded, str):
        return []
    rows = [PairedRow(encoded, 1, seed, min(_N_AHEAD, encoded.room))]
    readings = read_together(pair, rows, draw_from_source(rows, pair.candidate.model.device))
    tokens = [int(reading.tokens[0]) for reading in readings]
    return [token for token in tokens if token not in pair.end_ids]


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return " ".join(str(tokenizer.decode(list(ids), skip_special_tokens=True)).split())


def _extended(prompt: Prompt, text: str) -> Prompt:
    last = prompt.messages[-1]
    content = f"{last.content} {text}".lstrip()
    messages = (*prompt.messages[:-1], Message(role=last.role, content=content))
    return Prompt(
        prompt_id=messages_hash(messages)[:16],
        messages=messages,
        group=prompt.group,
        metadata={"found_by": "soft", "parents": list(parents_of(prompt))},
    )
