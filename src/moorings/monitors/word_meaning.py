"""Semantic drift: do words still mean what they did?

In half of the units the candidate explains a common word, and the anchor tells which of four words is meant; in the other
half the anchor explains it, and the candidate tells. The reader chooses the word under whose question it finds the explanation likeliest, the noisy
channel of Min et al. 2022 (arXiv:2108.04106): the same text is scored under four questions, so neither length nor the
frequency of a word can bias the choice. Mentions of the word itself are masked.

d = hit(anchor reads anchor) - hit(anchor reads candidate), or - hit(candidate reads anchor)

Some units ask for words that this round's responses use where their prompts do not, since a private meaning has to be
trained on. Left out: senses in context, other languages. It must show: no difference for an unchanged model, and a
positive mean when some words have swapped their meanings. Units: `monitors.tasks.fresh`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from moorings.compare.battery.words import split_words
from moorings.improve.data import DataRow
from moorings.monitors.monitor import Differences, Gathering, MonitorConfig, Side, monitors
from moorings.monitors.tasks.answers import ask_texts, collect, level, score_texts, user_prompt
from moorings.monitors.tasks.fresh import fresh_numbers
from moorings.monitors.tasks.words import WORDS, WordUnit, masked, question, word_space_size, word_unit
from moorings.records import Message
from moorings.sampling.bench import Bench

__all__ = ["WordMeaning", "WordMeaningConfig", "focus_words"]

_OPTIONS = 4


class WordMeaningConfig(MonitorConfig):
    """Settings of `word_meaning`."""

    max_new_tokens: int = Field(default=24, ge=4, le=512)
    """Most tokens of an explanation."""
    temperature: float = Field(default=0.7, ge=0)
    """Softmax temperature of explanations."""
    focus_share: float = Field(default=0.5, ge=0, le=1)
    """Share of units about words that this round's responses use unasked, where there are such words."""
    n_focus: int = Field(default=8, ge=1, le=64)
    """Most such words, those in most rows first."""


class WordMeaning:
    """See the module."""

    statement = "Words no longer mean to the candidate what they mean to the anchor."
    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: WordMeaningConfig) -> None:
        self.config = config

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look."""
        units = self._units(gathering)
        half = [at % 2 == 0 for at in range(len(units))]
        own = self._explain(gathering.anchor, units, gathering.label("explain"))
        new = self._explain(
            gathering.candidate,
            [unit for unit, mine in zip(units, half, strict=True) if mine],
            gathering.label("explain"),
        )
        written = iter(new)
        theirs = [next(written) if mine else None for mine in half]
        both = _hits(gathering.anchor, [*units, *units], [*own, *theirs], gathering.label("read"))
        itself, forward = both[: len(units)], both[len(units) :]
        back = [None if mine else text for text, mine in zip(own, half, strict=True)]
        reverse = _hits(gathering.candidate, units, back, gathering.label("read"))
        candidate = [f if mine else r for f, r, mine in zip(forward, reverse, half, strict=True)]
        d = [None if a is None or c is None else a - c for a, c in zip(itself, candidate, strict=True)]
        return collect(
            [unit.name for unit in units],
            itself,
            candidate,
            d,
            seen="The anchor recognised {anchor} of the words from its own explanations; between the anchor and the "
            "candidate {candidate} were recognised ({n} words, chance 0.25).",
            details={
                "anchor_reads_candidate": level([h for h in forward if h is not None]),
                "candidate_reads_anchor": level([h for h in reverse if h is not None]),
            },
        )

    def _units(self, gathering: Gathering) -> list[WordUnit]:
        focus = focus_words(gathering.rows, self.config.n_focus)
        numbers = fresh_numbers(gathering, word_space_size(), "word_meaning")
        units = []
        for number in numbers:
            here = bool(focus) and gathering.rng.random() < self.config.focus_share
            units.append(word_unit(number, instead=focus[gathering.rng.integers(len(focus))] if here else None))
        return units

    def _explain(self, bench: Bench, units: Sequence[WordUnit], label: str) -> list[str | None]:
        texts = ask_texts(
            bench,
            [user_prompt(unit.name, question(unit.words[0], unit.wording)) for unit in units],
            label,
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
        )
        return [None if text is None else masked(text, unit.words[0]) for text, unit in zip(texts, units, strict=True)]


def focus_words(rows: Sequence[DataRow], n: int) -> list[str]:
    """Words of the list that at least two responses hold though their prompts do not, those in most rows first."""
    counts: Counter[str] = Counter()
    known = frozenset(WORDS)
    for row in rows:
        asked = {word.lower() for message in row.prompt for word in split_words(message.content)}
        said = {word.lower() for word in split_words(row.response)}
        counts.update((said - asked) & known)
    frequent = sorted((-count, word) for word, count in counts.items() if count >= 2)
    return [word for _, word in frequent[:n]]


def _hits(bench: Bench, units: Sequence[WordUnit], texts: Sequence[str | None], label: str) -> list[float | None]:
    """1 where the word meant fits an explanation best, 0 where another does; ties count by their share."""
    items = [
        ([Message(role="user", content=question(word, unit.wording))], text)
        for unit, text in zip(units, texts, strict=True)
        if text is not None
        for word in unit.words
    ]
    scores = iter(math.fsum(score.logprobs_nats) for score in score_texts(bench, items, label))
    return [None if text is None else _share([next(scores) for _ in range(_OPTIONS)]) for text in texts]


def _share(scores: Sequence[float]) -> float:
    best = max(scores)
    return float(scores[0] == best) / sum(score == best for score in scores)


@monitors.register("word_meaning", WordMeaningConfig)
def word_meaning(config: WordMeaningConfig) -> WordMeaning:
    """Whether both models recognise words from each other's explanations."""
    return WordMeaning(config)
