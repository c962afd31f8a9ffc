"""Evolve prompts on which two models differ: change words, recombine, keep those that diverge most.

The words come from the pool itself and from the models' shared vocabulary, so a trigger that no prompt of
the pool holds can still be met. Selection on noisy scores favours lucky ones; the survivors are therefore
scored anew with answers of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moorings.errors import ConfigError
from moorings.records import Message, Prompt
from moorings.sampling.divergence import DivergenceScore, distinct_prompts, score_prompts
from moorings.sampling.paired_models import Personas, SubjectLike, open_pair
from moorings.sampling.plan import derive_seed
from moorings.sampling.progress import Meter
from moorings.subjects.columns import messages_hash

__all__ = ["parents_of", "prompt_search", "vocabulary_words"]

_MIN_LETTERS = 3
_RECOMBINED = 0.3
"""Share of children with two parents."""


def prompt_search(
    precursor: SubjectLike,
    candidate: SubjectLike,
    seeds: Sequence[Prompt],
    *,
    n_rounds: int = 8,
    pool_size: int = 16,
    n_children: int = 32,
    words: Sequence[str] | None = None,
    n_samples: int = 2,
    max_new_tokens: int = 16,
    seed: int,
    batch_size: int = 32,
    personas: Personas = (None, None),
    progress: Meter | None = None,
) -> list[DivergenceScore]:
    """Search for prompts with a large divergence by mutation and recombination of the last message's words.

    Rounds score with one answer of at most half the tokens a subject; the survivors are scored again with fresh answers.

    Args:
        precursor: A `bundled:` or `hf:` subject on the transformers engine.
        candidate: Likewise, with the same vocabulary.
        seeds: Prompts to start from, at least one.
        n_rounds: Generations, >= 0.
        pool_size: Prompts that survive a round, >= 1.
        n_children: New prompts a round, >= 1.
        words: Words to put in; None takes those of the seeds and of the vocabulary, half and half.
        n_samples: Answers a subject for the final scores.
        max_new_tokens: Most tokens of an answer for the final scores.
        seed: Of mutations and answers.
        batch_size: Answers read together.
        personas: System prompts of the two subjects.
        progress: Told of each batch; the caller opens it.

    Returns:
        Final scores of the survivors, largest first. Changed prompts have metadata `found_by` 'search' and
        `parents`, the ids of the seeds that they stem from.

    Raises:
        ConfigError: No seed, a number out of its range, an engine without logits, or different vocabularies.
    """
    if not seeds or n_rounds < 0 or min(pool_size, n_children) < 1:
        raise ConfigError(
            f"{len(seeds)} seeds, n_rounds={n_rounds}, pool_size={pool_size}, n_children={n_children}; "
            "allowed: 1 or more each, n_rounds 0 or more"
        )
    rng = np.random.default_rng(derive_seed(seed, "mutations"))
    with open_pair(precursor, candidate, personas) as pair:
        sides = pair.precursor.subject, pair.candidate.subject
        shared: dict[str, Any] = {"batch_size": batch_size, "personas": personas, "progress": progress}

        def quick(prompts: Sequence[Prompt], round_name: object) -> list[DivergenceScore]:
            tokens, drawn = max(1, max_new_tokens // 2), derive_seed(seed, "round", round_name)
            return score_prompts(*sides, prompts, n_samples=1, max_new_tokens=tokens, seed=drawn, **shared)

        start = distinct_prompts(seeds)
        mutator = _Mutator.of(start, words or vocabulary_words(pair.candidate.tokenizer), given=words is not None)
        pool = _best(quick(start, "start"), pool_size)
        seen = {messages_hash(prompt.messages) for prompt in start}
        for number in range(n_rounds if pool else 0):
            children = _children(pool, mutator, n_children, seen, rng)
            pool = _best([*pool, *quick(children, number)], pool_size)
        survivors, drawn = [score.prompt for score in pool], derive_seed(seed, "survivors")
        return score_prompts(
            *sides, survivors, n_samples=n_samples, max_new_tokens=max_new_tokens, seed=drawn, **shared
        )


def vocabulary_words(tokenizer: Any) -> list[str]:
    """Tokens of letters only that can stand as a word, sorted."""
    ids = sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
    texts = {text.strip() for text in tokenizer.batch_decode([[at] for at in ids])}
    return sorted(text for text in texts if len(text) >= _MIN_LETTERS and text.isalpha())


def parents_of(prompt: Prompt) -> tuple[str, ...]:
    """Ids of the pool's prompts that a prompt stems from: its own, if it was never changed."""
    return tuple(prompt.metadata.get("parents", (prompt.prompt_id,)))


def _best(scores: Sequence[DivergenceScore], n: int) -> list[DivergenceScore]:
    asked = [score for score in scores if score.js_nats is not None]
    return sorted(asked, key=lambda score: (-(score.js_nats or 0.0), score.prompt.prompt_id))[:n]


def _children(
    pool: Sequence[DivergenceScore], mutator: _Mutator, n: int, seen: set[str], rng: np.random.Generator
) -> list[Prompt]:
    """New prompts that were not scored before; fewer than n where the pool leaves no more."""
    children: list[Prompt] = []
    for _ in range(4 * n):
        first, second = (pool[int(at)].prompt for at in rng.integers(len(pool), size=2))
        child = mutator.child(first, second, rng)
        if (text := messages_hash(child.messages)) not in seen:
            seen.add(text)
            children.append(child)
        if len(children) == n:
            break
    return children


@dataclass(frozen=True)
class _Mutator:
    """Changes the words of a prompt's last message."""

    own: tuple[str, ...]
    others: tuple[str, ...]
    max_words: int

    @classmethod
    def of(cls, seeds: Sequence[Prompt], words: Sequence[str], *, given: bool) -> _Mutator:
        texts = [prompt.messages[-1].content.split() for prompt in seeds]
        own = tuple(words) if given else tuple(dict.fromkeys(word for text in texts for word in text))
        return cls(own or tuple(words), tuple(words) or own, 2 * max(8, *map(len, texts)))

    def child(self, first: Prompt, second: Prompt, rng: np.random.Generator) -> Prompt:
        """A changed prompt; with two parents, the first one's opening and the second one's end."""
        words, parents = first.messages[-1].content.split(), set(parents_of(first))
        if first is not second and rng.random() < _RECOMBINED:
            other = second.messages[-1].content.split()
            words = words[: rng.integers(len(words) + 1)] + other[rng.integers(len(other) + 1) :]
            parents |= set(parents_of(second))
        for _ in range(1 + rng.integers(2)):
            words = self._changed(words, rng)
        last = Message(role=first.messages[-1].role, content=" ".join(words[: self.max_words]))
        messages = (*first.messages[:-1], last)
        return Prompt(
            prompt_id=messages_hash(messages)[:16],
            messages=messages,
            group=first.group,
            metadata={"found_by": "search", "parents": sorted(parents)},
        )

    def _changed(self, words: list[str], rng: np.random.Generator) -> list[str]:
        """Substitute half of the time, else insert or delete; a text never becomes empty."""
        kind, at = rng.random(), int(rng.integers(max(1, len(words))))
        if kind < 0.2 and len(words) > 1:
            return words[:at] + words[at + 1 :]
        source = self.own if rng.random() < 0.5 else self.others
        word = source[int(rng.integers(len(source)))]
        return words[:at] + [word] + (words[at:] if kind < 0.5 else words[at + 1 :])
