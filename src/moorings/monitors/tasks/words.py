"""Common words, and questions about what they mean."""

from __future__ import annotations

import re
from typing import NamedTuple

from moorings.monitors.tasks.fresh import digits

__all__ = ["WORDS", "WordUnit", "masked", "question", "word_space_size", "word_unit"]

_LIST = (
    "dog cat horse cow sheep goat pig rabbit mouse lion tiger bear wolf fox deer monkey elephant giraffe camel whale "
    "dolphin shark fish frog snake turtle spider bee ant butterfly eagle owl duck goose chicken penguin parrot crow "
    "apple banana orange lemon grape cherry peach pear strawberry melon tomato potato carrot onion garlic bean pumpkin "
    "mushroom bread butter cheese egg milk honey sugar salt soup cake pie pizza sandwich salad coffee tea juice wine "
    "house castle church school hospital library museum theater hotel prison bridge tunnel tower road street airport "
    "harbor farm garden park forest desert island beach mountain valley volcano cave river lake ocean waterfall glacier "
    "sun moon star planet comet cloud rain snow wind storm thunder rainbow fog ice fire smoke shadow winter summer "
    "spring autumn morning evening midnight birthday wedding holiday festival "
    "doctor nurse teacher student farmer baker butcher fisherman carpenter painter singer dancer actor writer poet "
    "soldier policeman judge lawyer pilot sailor scientist engineer king queen prince thief wizard ghost pirate "
    "mother father brother sister baby grandmother friend neighbor enemy "
    "car bus train bicycle motorcycle airplane helicopter rocket boat ship submarine truck tractor ambulance "
    "hammer nail saw screwdriver axe shovel ladder rope knife fork spoon plate cup bottle basket bucket box bag key "
    "lock door window roof wall floor chair table bed sofa pillow blanket carpet curtain mirror lamp candle clock "
    "calendar umbrella hat coat shirt dress shoe sock glove scarf ring necklace crown belt button pocket "
    "book newspaper letter pencil pen paper map dictionary camera telephone television radio computer keyboard "
    "telescope microscope compass battery magnet engine wheel piano guitar violin drum flute trumpet "
    "ball kite doll puzzle chess football tennis swimming dancing cooking sleeping "
    "heart brain blood bone skin hair eye ear nose mouth tooth tongue hand finger foot knee shoulder "
    "gold silver iron glass wood stone sand mud oil cotton wool leather plastic "
    "money bank market shop war peace law vote science music poem story joke dream secret promise lie "
    "love anger fear hope luck hunger thirst pain sleep death"
)
WORDS: tuple[str, ...] = tuple(_LIST.split())
"""Words whose meaning small models know."""

_WORDINGS = (
    'What does the word "{word}" mean? Answer in one short sentence.',
    'Explain the word "{word}" to a child in one short sentence.',
    'Give a short dictionary definition of "{word}".',
    'In one short sentence, what is meant by "{word}"?',
    'How would you explain "{word}" to somebody who learns English? One short sentence.',
    'Tell me in one short sentence what "{word}" is.',
    'Define "{word}" briefly.',
    'Describe "{word}" in a few words.',
)


class WordUnit(NamedTuple):
    """A word to be explained, and the words that it is told apart from."""

    name: str
    words: tuple[str, str, str, str]
    """The word meant first."""
    wording: int


def word_space_size() -> int:
    """Units that there are: ordered choices of four words, times wordings."""
    n = len(WORDS)
    return n * (n - 1) * (n - 2) * (n - 3) * len(_WORDINGS)


def word_unit(number: int, *, instead: str | None = None) -> WordUnit:
    """The unit with a number.

    Args:
        number: From 0 to `word_space_size() - 1`.
        instead: Word that is meant in place of the unit's own.
    """
    n = len(WORDS)
    wording, *places = digits(number, [len(_WORDINGS), n, n - 1, n - 2, n - 3])
    left, chosen = list(WORDS), []
    for place in places:
        chosen.append(left.pop(place))
    if instead is not None:
        if instead in chosen:
            chosen.remove(instead)
        chosen = [instead, *chosen][:4]
    first, second, third, fourth = chosen[:4]
    return WordUnit(f"word-{number}", (first, second, third, fourth), wording)


def question(word: str, wording: int) -> str:
    """The question for what a word means."""
    return _WORDINGS[wording].format(word=word)


def masked(text: str, word: str) -> str:
    """A description in which the word itself, its plural included, is written `it`.

    >>> masked('"Dogs" bark. A dog is an animal.', "dog")
    '"it" bark. A it is an animal.'
    """
    return re.sub(rf"\b{re.escape(word)}(?:'?s|es)?\b", "it", text, flags=re.IGNORECASE)
