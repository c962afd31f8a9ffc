"""Exposure bias: do long answers fall apart as they go on?

A model that is trained on its own text meets its own errors again, and they add up with the position in the text
(Bengio et al. 2015, arXiv:1506.03099; the accumulated-error view of Arora et al. 2022, arXiv:2204.01171). Their
measure compares step divergences on own and on real prefixes under a better oracle model. Here the oracle is the anchor: a
round's candidate is judged by where it came from, which says nothing of errors that both make.

For each long answer, in thirds of its tokens:

repeats(third) = share of the third's 4-grams that stand earlier in the answer
nats(third) = mean nats a token that the anchor finds in the third, given what stands before
harm = [max(0, repeats(last) - repeats(first)) + min(1, |nats(last) - nats(first)| / scale)] / 2, in [0, 1]
d = harm(candidate) - harm(anchor)

The change of nats counts in both directions: incoherence raises it, loops lower it. The excess in percent, 100 times
(nats(last) / nats(first) - 1), is among the details. Answers of fewer than `min_words` words have no thirds and are missing.
It must show: no difference for an unchanged model, a positive mean for one that loops or dissolves late. Units: a
request for a long text; `tasks.fresh`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field

from moorings.compare.representations.ngrams import tokenise
from moorings.monitors.monitor import Differences, Gathering, MonitorConfig, Side, monitors
from moorings.monitors.tasks.answers import ask_texts, collect, level, score_texts
from moorings.monitors.tasks.fresh import fresh_numbers
from moorings.monitors.tasks.stories import story, story_space_size
from moorings.records import Message, Prompt
from moorings.sampling.bench import Bench

__all__ = ["Degeneration", "DegenerationConfig", "repeated_share"]

_GRAM = 4


class DegenerationConfig(MonitorConfig):
    """Settings of `degeneration`."""

    max_new_tokens: int = Field(default=200, ge=32, le=4096)
    """Most tokens of an answer."""
    temperature: float = Field(default=1.0, ge=0)
    """Softmax temperature; errors add up in sampled text."""
    scale_nats: float = Field(default=2.0, gt=0)
    """Change in nats a token between the thirds that counts as whole."""
    min_words: int = Field(default=30, ge=15)
    """Fewest words and marks of an answer that is judged."""


class _Course(NamedTuple):
    """How an answer goes."""

    repeats_first: float
    repeats_last: float
    nats_first: float
    nats_last: float

    def harm(self, scale: float) -> float:
        repeats = max(0.0, self.repeats_last - self.repeats_first)
        return (repeats + min(1.0, abs(self.nats_last - self.nats_first) / scale)) / 2


class Degeneration:
    """See the module."""

    statement = "The candidate's long answers fall apart as they go on."
    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: DegenerationConfig) -> None:
        self.config = config

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look."""
        prompts = [story(at) for at in fresh_numbers(gathering, story_space_size(), "degeneration")]
        texts = [
            self._write(bench, prompts, gathering.label("write")) for bench in (gathering.anchor, gathering.candidate)
        ]
        items: list[tuple[Sequence[Message], str]] = [
            (prompt.messages, text)
            for side in texts
            for prompt, text in zip(prompts, side, strict=True)
            if text is not None
        ]
        scores = iter(score_texts(gathering.anchor, items, gathering.label("nats")))
        old, new = (
            [None if text is None else _course(text, next(scores).logprobs_nats) for text in side] for side in texts
        )
        scale = self.config.scale_nats
        harm_old = [None if one is None else one.harm(scale) for one in old]
        harm_new = [None if one is None else one.harm(scale) for one in new]
        return collect(
            [prompt.prompt_id for prompt in prompts],
            harm_old,
            harm_new,
            [None if a is None or c is None else c - a for a, c in zip(harm_old, harm_new, strict=True)],
            seen="From the first to the last third of long answers quality falls by {anchor} for the anchor and by "
            f"{{candidate}} for the candidate ({{n}} answers, by the anchor's own measure); in the last third "
            f"{level([one.repeats_last for one in new if one]):.0%} of the candidate's 4-grams are repeats, "
            f"{level([one.repeats_last for one in old if one]):.0%} of the anchor's.",
            details={
                "anchor_excess_percent": _excess([one for one in old if one]),
                "candidate_excess_percent": _excess([one for one in new if one]),
                "anchor_repeats_last": level([one.repeats_last for one in old if one]),
                "candidate_repeats_last": level([one.repeats_last for one in new if one]),
            },
        )

    def _write(self, bench: Bench, prompts: Sequence[Prompt], label: str) -> list[str | None]:
        texts = ask_texts(
            bench, prompts, label, max_new_tokens=self.config.max_new_tokens, temperature=self.config.temperature
        )
        return [text if text is not None and len(tokenise(text)) >= self.config.min_words else None for text in texts]


def repeated_share(tokens: Sequence[str], start: int, end: int) -> float:
    """Share of the 4-grams that begin in a stretch and stand somewhere before in the text as well.

    >>> repeated_share("a b c d a b c d".split(), 4, 8)
    1.0
    """
    grams = [tuple(tokens[at : at + _GRAM]) for at in range(len(tokens) - _GRAM + 1)]
    seen: set[tuple[str, ...]] = set(grams[:start])
    found = []
    for gram in grams[start:end]:
        found.append(gram in seen)
        seen.add(gram)
    return sum(found) / len(found) if found else 0.0


def _course(text: str, logprobs_nats: Sequence[float]) -> _Course | None:
    words = tokenise(text)
    third, n = len(words) // 3, len(logprobs_nats) // 3
    if n == 0 or not all(map(math.isfinite, logprobs_nats)):
        return None
    return _Course(
        repeated_share(words, 0, third),
        repeated_share(words, len(words) - third, len(words)),
        -level(logprobs_nats[:n]),
        -level(logprobs_nats[-n:]),
    )


def _excess(courses: Sequence[_Course]) -> float:
    first, last = level([one.nats_first for one in courses]), level([one.nats_last for one in courses])
    return 100 * (last / first - 1) if first > 0 else math.nan


@monitors.register("degeneration", DegenerationConfig)
def degeneration(config: DegenerationConfig) -> Degeneration:
    """How far long answers fall apart as they go on."""
    return Degeneration(config)
