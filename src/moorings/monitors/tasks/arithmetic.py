"""Small word problems to be solved step by step, and how to read an answer to one."""

from __future__ import annotations

import re
from typing import NamedTuple

from moorings.monitors.tasks.fresh import digits

__all__ = ["EXAMPLES", "Problem", "Reasoning", "problem", "problem_space_size", "read_reasoning", "with_other_result"]

_NAMES = "Tom Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Nora Oscar Paula Robert Sara Victor"
_THINGS = (
    "apples marbles stamps coins books pencils eggs shells cards cookies balls flowers stones keys buttons tickets "
    "candles bottles boxes chairs plates spoons photos kites lemons nuts ribbons toys badges beads"
)
_FROM = (
    "a brother|a sister|a friend|a teacher|a neighbour|an aunt|an uncle|a cousin|a shop|a market|a school|a club|"
    "a grandmother|a grandfather|a box|a bag|a drawer|a fair|a game|a team"
)
_NAMED, _THING, _GIVER = _NAMES.split(), _THINGS.split(), _FROM.split("|")
_SMALL = 40
"""Numbers in problems are 2 to 41."""
_ANSWER = re.compile(r"the (?:final )?answer is:?\s*\**\$?\s*(-?\d{1,9})\b(?!\.\d)", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}")
EXAMPLES = (
    (
        "Lisa has 6 pears. Lisa gets 3 pears from a farmer, and then 5 more. How many pears has Lisa?",
        "Lisa starts with 6 pears. 6 + 3 = 9. Then 9 + 5 = 14. The answer is 14.",
    ),
    (
        "Mark has 21 cups. Mark gives 4 cups to a guest, and then 7 more. How many cups has Mark?",
        "Mark starts with 21 cups. 21 - 4 = 17. Then 17 - 7 = 10. The answer is 10.",
    ),
)


class Problem(NamedTuple):
    """A word problem and its result."""

    name: str
    text: str
    result: int


class Reasoning(NamedTuple):
    """What an answer says before its result, and the result."""

    steps: str
    stated: int


def problem_space_size() -> int:
    """Problems that there are."""
    return len(_NAMED) * len(_THING) * len(_GIVER) ** 2 * 2 * _SMALL**4


def problem(number: int) -> Problem:
    """The problem with a number, from 0 to `problem_space_size() - 1`."""
    who, what, first, second, less, *of = digits(
        number, [len(_NAMED), len(_THING), len(_GIVER), len(_GIVER), 2, _SMALL, _SMALL, _SMALL, _SMALL]
    )
    name, thing, one, other = _NAMED[who], _THING[what], _GIVER[first], _GIVER[second]
    a, b, c, extra = (value + 2 for value in of)
    if less:
        start = a + b + c + extra
        text = f"{name} has {start} {thing}. {name} gives {b} {thing} to {one}, and then {c} more to {other}."
        result = start - b - c
    else:
        start = a + extra
        text = f"{name} has {start} {thing}. {name} gets {b} {thing} from {one}, and then {c} more from {other}."
        result = start + b + c
    return Problem(f"problem-{number}", f"{text} How many {thing} has {name}?", result)


def read_reasoning(text: str) -> Reasoning | None:
    """Steps and result of an answer; None where no result is stated.

    >>> read_reasoning("3 + 4 = 7. The answer is 7.")
    Reasoning(steps='3 + 4 = 7.', stated=7)
    """
    found = _ANSWER.search(text)
    return Reasoning(text[: found.start()].strip(), int(found[1])) if found else None


def with_other_result(steps: str, stated: int, other: int) -> str | None:
    """Steps that lead to another result: the last mention of the stated one is replaced; None if there is none.

    >>> with_other_result("3 + 4 = 7.", 7, 9)
    '3 + 4 = 9.'
    """
    places = [found for found in _NUMBER.finditer(steps) if int(found[0]) == abs(stated)]
    if not places:
        return None
    return f"{steps[: places[-1].start()]}{abs(other)}{steps[places[-1].end() :]}"
