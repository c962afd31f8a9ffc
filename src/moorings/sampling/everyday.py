"""Everyday questions from a generator: as many fresh ones as a run needs, each asked once.

A question is a wording with one topic or two. The topics are parted in two halves by their position: one half is
only ever used for training, the other only at the gate, so no gate question can have been trained on. A seeded permutation
gives each question its number; asking for numbers 0 to 63, then 64 to 127, never repeats one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from moorings.errors import ConfigError
from moorings.records import Message, Prompt, content_hash

__all__ = ["N_QUESTIONS", "everyday_questions", "question_texts"]

Half = Literal["train", "gate"]

_TOPICS = {
    "food": "bread|soup|coffee|rice|cheese|olive oil|honey|pasta|salads|pancakes|breakfast|tea|spices|chocolate",
    "home": "a leaking tap|house plants|a small kitchen|old furniture|a noisy fridge|moving house|laundry|a vegetable garden|dust|candles|curtains|paint",
    "body": "sleep|running|back pain|stretching|headaches|swimming|posture|healthy snacks|walking|stress|eyesight|balance",
    "work": "job interviews|meetings|a difficult boss|working from home|a first job|emails|deadlines|a pay rise|a career change|teamwork|notes|public speaking",
    "money": "saving|a budget|a used car|insurance|pocket money|a second-hand bicycle|rent|gifts|bills|tips in restaurants|taxes|a loan",
    "people": "a shy friend|neighbours|an apology|new parents|grandparents|a birthday party|a roommate|a wedding speech|teenagers|a thank-you letter|small talk|a pen pal",
    "travel": "a train trip|packing|jet lag|camping|a weekend in the mountains|maps|hotels|a long drive|airports|a beach day|languages abroad|ferries",
    "nature": "clouds|bees|tides|rivers|owls|snow|volcanoes|mushrooms|forests|the moon|earthworms|rainbows",
    "history": "castles|the printing press|old letters|the Silk Road|lighthouses|pyramids|calendars|coins|bridges|sailing ships|markets|clocks",
    "science": "gravity|magnets|batteries|vaccines|light|sound|rust|atoms|fossils|weather forecasts|telescopes|water",
    "arts": "the violin|watercolours|poems|films|dancing|photography|pottery|choirs|novels|origami|museums|comics",
    "things": "a compass|a kite|a ladder|a mirror|a bicycle|an umbrella|a thermometer|a radio|a zip|glue|a pencil|a lock",
}
_ONE = (
    "What should I know about {}?|Can you give me some advice about {}?|Tell me something interesting about {}.|"
    "Explain {} to a child.|What are common mistakes with {}?|Write two sentences about {}.|Why do people care about {}?|"
    "How would you describe {} to a friend?|I know nothing about {}. Where do I start?|What is the best thing about {}?|"
    "What is difficult about {}?|Give me three ideas that have to do with {}.|Write a short story about {}.|"
    "What do you think about {}?|Is it worth spending time on {}?|What question about {} is rarely asked?"
)
_TWO = (
    "What do {} and {} have in common?|Which matters more to you, {} or {}?|I have one free hour: {} or {}?|"
    "Write a short dialogue in which {} and {} come up.|Explain how {} could help somebody understand {}.|"
    "My sister talks about {} and my brother about {}. What could we talk about together?|"
    "Compare {} with {} in a few sentences.|Make a plan for a day with {} and {}."
)
_HALF: dict[Half, int] = {"train": 0, "gate": 1}


class _Space(NamedTuple):
    """All questions of one half, in a fixed order."""

    topics: tuple[tuple[str, str], ...]
    one: tuple[str, ...]
    two: tuple[str, ...]

    @property
    def n_single(self) -> int:
        return len(self.one) * len(self.topics)

    @property
    def n(self) -> int:
        return self.n_single + len(self.two) * len(self.topics) * (len(self.topics) - 1)

    def question(self, number: int) -> tuple[str, str]:
        """Text and group."""
        k = len(self.topics)
        if number < self.n_single:
            wording, topic = divmod(number, k)
            group, name = self.topics[topic]
            return self.one[wording].format(name), group
        wording, pair = divmod(number - self.n_single, k * (k - 1))
        first, other = divmod(pair, k - 1)
        second = other + (other >= first)
        return self.two[wording].format(self.topics[first][1], self.topics[second][1]), self.topics[first][0]


def _space(half: Half) -> _Space:
    named = [(group, topic) for group, topics in _TOPICS.items() for topic in topics.split("|")]
    return _Space(tuple(named[_HALF[half] :: 2]), tuple(_ONE.split("|")), tuple(_TWO.split("|")))


N_QUESTIONS: dict[Half, int] = {half: _space(half).n for half in _HALF}
"""How many questions there are in each half."""


def everyday_questions(n: int, *, half: Half, seed: int, start: int = 0) -> list[Prompt]:
    """Questions number `start` to `start + n` of a seeded permutation; the first third has one topic, the rest two.

    Args:
        n: How many, >= 1.
        half: Questions for training or for the gate; the two share no topic.
        seed: Another seed, another order.
        start: Number of the first.

    Raises:
        ConfigError: More are wanted than there are.

    >>> [p.messages[0].content for p in everyday_questions(2, half="gate", seed=3)] == [
    ...     p.messages[0].content for p in everyday_questions(3, half="gate", seed=3)[:2]]
    True
    """
    space = _space(half)
    if n < 1 or start < 0 or start + n > space.n:
        raise ConfigError(
            f"{start + n} everyday questions are wanted, there are {space.n}; ask for fewer, or give a file of prompts"
        )
    return [_prompt(space, _permuted(start + i, space, seed)) for i in range(n)]


def question_texts(half: Half) -> Iterator[str]:
    """The texts of all questions of one half, in no useful order; for looking them up.

    >>> sum(1 for _ in question_texts("gate")) == N_QUESTIONS["gate"]
    True
    """
    space = _space(half)
    for number in range(space.n):
        yield space.question(number)[0]


def _permuted(number: int, space: _Space, seed: int) -> int:
    """A bijection of numbers that deals questions with one topic and with two in turn, one to two, while both last."""
    n_two = space.n - space.n_single
    # Questions 0, 3, 6, … have one topic as long as there are any.
    n_mixed = min(3 * space.n_single, 3 * (n_two // 2))
    if number < n_mixed:
        turn, place = divmod(number, 3)
        return _scatter(turn, space.n_single, seed) if place == 0 else _two(2 * turn + place - 1, space, seed)
    return _two(number - n_mixed // 3, space, seed)


def _two(number: int, space: _Space, seed: int) -> int:
    return space.n_single + _scatter(number, space.n - space.n_single, seed)


def _scatter(number: int, n: int, seed: int) -> int:
    """An affine permutation of 0 to n - 1."""
    step, shift = _affine(n, seed)
    return (number * step + shift) % n


@lru_cache(maxsize=64)
def _affine(n: int, seed: int) -> tuple[int, int]:
    """Step and shift of the permutation that a seed stands for."""
    digest = int(content_hash([seed, n])[:24], 16)
    step = digest % n
    while math.gcd(step, n) != 1:
        step += 1
    return step, digest // n


def _prompt(space: _Space, number: int) -> Prompt:
    text, group = space.question(number)
    messages = (Message(role="user", content=text),)
    return Prompt(prompt_id=f"q{content_hash(text)[:12]}", messages=messages, group=group)
