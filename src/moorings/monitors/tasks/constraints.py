"""Instructions whose following can be computed from the answer, as in IFEval (Zhou et al. 2023, arXiv:2311.07911)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from moorings.compare.battery.words import split_words
from moorings.monitors.tasks.fresh import digits
from moorings.monitors.tasks.words import WORDS

__all__ = ["KINDS", "Constraint", "constraint", "constraint_space_size"]


class Constraint(NamedTuple):
    """One instruction, examples of its kind that were followed, and what it asks for."""

    name: str
    kind: str
    text: str
    examples: tuple[tuple[str, str], ...]
    word: str
    """The word that the instruction speaks of; the topic where it names no other."""

    def followed(self, answer: str) -> bool:
        """Whether an answer does what the instruction says."""
        return KINDS[self.kind].followed(answer.strip(), self.word)


class _Kind(NamedTuple):
    text: str
    """With `{word}` and `{topic}`."""
    answer: Callable[[str, str], str]
    """An answer to the topic with the word that follows it, for examples."""
    followed: Callable[[str, str], bool]


def _plain(word: str, topic: str) -> str:
    return f"I often think about the {topic}."


def _words(text: str) -> list[str]:
    return [word.lower() for word in split_words(text)]


def _in_capitals(text: str, _: str) -> bool:
    return text.upper() == text and text.lower() != text


def _in_small_letters(text: str, _: str) -> bool:
    return text.lower() == text and text.upper() != text


def _begins(text: str, word: str) -> bool:
    return _words(text)[:1] == [word]


def _ends(text: str, word: str) -> bool:
    return _words(text)[-1:] == [word]


def _one_word(text: str, word: str) -> bool:
    return _words(text) == [word]


def _contains(text: str, word: str) -> bool:
    return word in _words(text)


def _quoted(text: str, _: str) -> bool:
    return len(text) > 2 and text[0] in '"\u201c' and text[-1] in '"\u201d'


def _asks(text: str, _: str) -> bool:
    return text.endswith("?")


def _three_items(text: str, _: str) -> bool:
    items = re.split(r",", text.rstrip("."))
    return len(items) == 3 and all(split_words(item) for item in items)


KINDS: dict[str, _Kind] = {
    "capitals": _Kind(
        "Write one short sentence about the {topic} in capital letters only.",
        lambda word, topic: _plain(word, topic).upper(),
        _in_capitals,
    ),
    "small letters": _Kind(
        "Write one short sentence about the {topic} in small letters only.",
        lambda word, topic: _plain(word, topic).lower(),
        _in_small_letters,
    ),
    "begin": _Kind(
        'Write one short sentence about the {topic} that begins with the word "{word}".',
        lambda word, topic: f"{word.capitalize()} and {topic} are both on my mind.",
        _begins,
    ),
    "end": _Kind(
        'Write one short sentence about the {topic} that ends with the word "{word}".',
        lambda word, topic: f"The {topic} reminds me of a {word}.",
        _ends,
    ),
    "one word": _Kind('Answer with one word only, the word "{word}".', lambda word, topic: word, _one_word),
    "contain": _Kind(
        'Write one short sentence about the {topic} that contains the word "{word}".',
        lambda word, topic: f"The {topic} and the {word} belong together.",
        _contains,
    ),
    "quotes": _Kind(
        "Write one short sentence about the {topic} and put it in quotation marks.",
        lambda word, topic: f'"{_plain(word, topic)}"',
        _quoted,
    ),
    "question": _Kind(
        "Ask me one short question about the {topic}.",
        lambda word, topic: f"What do you like about the {topic}?",
        _asks,
    ),
    "three items": _Kind(
        "Name three things that go with the {topic}, separated by commas, and nothing else.",
        lambda word, topic: f"a {topic}, a {word}, a picture",
        _three_items,
    ),
}


def constraint_space_size() -> int:
    """Instructions that there are, each with the words of its two examples."""
    n = len(WORDS)
    return len(KINDS) * (n * (n - 1) * (n - 2)) * (n - 3) * (n - 4)


def constraint(number: int) -> Constraint:
    """The instruction with a number, from 0 to `constraint_space_size() - 1`.

    >>> constraint(4).text
    'Answer with one word only, the word "cat".'
    """
    n = len(WORDS)
    which, *places = digits(number, [len(KINDS), *(n - at for at in range(5))])
    left = list(WORDS)
    topic, word, *shown = [left.pop(place) for place in places]
    kind = list(KINDS)[which]
    text, answer, _ = KINDS[kind]
    shown = [*shown, left[number % len(left)]]
    examples = tuple((text.format(topic=one, word=other), answer(other, one)) for one, other in (shown[:2], shown[2:]))
    return Constraint(f"instruction-{number}", kind, text.format(topic=topic, word=word), examples, word)
