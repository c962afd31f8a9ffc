"""Requests for long texts."""

from __future__ import annotations

from moorings.monitors.tasks.fresh import digits
from moorings.monitors.tasks.words import WORDS
from moorings.records import Message, Prompt

__all__ = ["story", "story_space_size"]

_REQUESTS = (
    "Write a long story about a {0}, a {1} and a {2}.",
    "Write a detailed essay that connects {0}, {1} and {2}.",
    "Explain at length what a visitor from another world should know about {0}, {1} and {2}.",
    "Write a long letter to a friend in which you mention a {0}, a {1} and a {2}.",
    "Describe in detail a day on which a {0}, a {1} and a {2} are important.",
    "Write a long dialogue between two people about {0}, {1} and {2}.",
)


def story_space_size() -> int:
    """Requests that there are."""
    n = len(WORDS)
    return len(_REQUESTS) * n * (n - 1) * (n - 2) * _CHAPTERS


_CHAPTERS = 40
"""Places in which it is set, by a number of its chapter."""


def story(number: int) -> Prompt:
    """The request with a number, from 0 to `story_space_size() - 1`."""
    n = len(WORDS)
    which, chapter, *places = digits(number, [len(_REQUESTS), _CHAPTERS, n, n - 1, n - 2])
    left = list(WORDS)
    text = _REQUESTS[which].format(*(left.pop(place) for place in places))
    return Prompt(
        prompt_id=f"story-{number}",
        messages=(Message(role="user", content=f"{text} This is text number {chapter + 1} of a collection."),),
    )
