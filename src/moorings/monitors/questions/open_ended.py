"""Prompts with many good answers, so that a model can show how much its answers vary. Our own wording."""

from __future__ import annotations

from moorings.monitors.questions.fresh import Drawn, Space, distinct
from moorings.monitors.questions.words import CITIES, JOBS, NAMES, PLACES, THINGS

__all__ = ["make_open_prompt", "open_space"]

_FRAMES = (
    "Write two sentences about {name}, {job} in {city}, who finds a {a} and a {b} in a {place}.",
    "Invent a short story in which {name}, {job} from {city}, brings a {a} and a {b} to a {place}.",
    "What could {name}, {job} in {city}, do with a {a} and a {b} in a {place}?",
    "Suggest a game that {name}, {job} from {city}, can play with a {a} and a {b} in a {place}.",
    "Make up a dream of {name}, {job} in {city}, about a {a}, a {b} and a {place}.",
    "Write a short advertisement by {name}, {job} in {city}, for a {a} and a {b} sold at a {place}.",
    "Describe a painting of a {a} and a {b} in a {place}, made by {name}, {job} in {city}.",
    "Why might {name}, {job} from {city}, leave a {a} and a {b} in a {place}?",
    "Write a short letter of {name}, {job} in {city}, about a {a} and a {b} lost in a {place}.",
    "Think of a surprise for {name}, {job} in {city}, with a {a}, a {b} and a {place}.",
)


def open_space() -> Space:
    """All prompts."""
    radices = (len(_FRAMES), len(THINGS), len(THINGS) - 1, len(PLACES), len(NAMES), len(JOBS), len(CITIES))
    return Space("open", radices)


def make_open_prompt(drawn: Drawn) -> str:
    """The prompt of a member of the space."""
    frame, a, b, place, name, job, city = drawn.digits
    first, second = distinct((a, b), len(THINGS))
    return _FRAMES[frame].format(
        name=NAMES[name], job=JOBS[job], city=CITIES[city], a=THINGS[first], b=THINGS[second], place=PLACES[place]
    )
