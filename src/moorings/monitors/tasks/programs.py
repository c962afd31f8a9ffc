"""Tiny Python functions and their descriptions in words; both can be turned into something that runs."""

from __future__ import annotations

import re
from typing import NamedTuple

from moorings.monitors.tasks.fresh import digits

__all__ = ["Program", "described", "program", "program_space_size"]

_NUMBERS = 18
"""Numbers in programs are 2 to 19."""
_POINTS = 60
"""Programs are run at three of the numbers 1 to 60."""


class _Form(NamedTuple):
    words: str
    expression: str


_FORMS = (
    _Form("x plus {a}", "x + {a}"),
    _Form("x minus {a}", "x - {a}"),
    _Form("x times {a}", "x * {a}"),
    _Form("x times {a} plus {b}", "x * {a} + {b}"),
    _Form("{a} minus x", "{a} - x"),
    _Form("the larger of x and {a}", "max(x, {a})"),
    _Form("the smaller of x and {a}", "min(x, {a})"),
    _Form("the remainder of x divided by {a}", "x % {a}"),
)
_EXAMPLES = (3, 5, 7)
"""Forms of the worked examples."""


class Program(NamedTuple):
    """One function of x in words and in Python."""

    words: str
    """Such as `x times 3 plus 4`."""
    expression: str
    points: tuple[int, int, int] = (1, 2, 3)
    """Values of x at which it is run."""

    @property
    def source(self) -> str:
        """The function in Python, named `f`."""
        return f"def f(x):\n    return {self.expression}"

    @property
    def calls(self) -> tuple[str, ...]:
        """The function at the points."""
        return tuple(f"f({point})" for point in self.points)


def program_space_size() -> int:
    """Programs that there are, with the numbers of their examples and the points where they are run."""
    return len(_FORMS) * _NUMBERS**4 * _POINTS * (_POINTS - 1) * (_POINTS - 2)


def program(number: int) -> tuple[Program, tuple[Program, ...]]:
    """The program with a number, from 0 to `program_space_size() - 1`, and those that serve as examples."""
    which, a, b, *shown, first, second, third = digits(
        number, [len(_FORMS), *[_NUMBERS] * 4, _POINTS, _POINTS - 1, _POINTS - 2]
    )
    left = list(range(1, _POINTS + 1))
    points = (left.pop(first), left.pop(second), left.pop(third))
    values = (a + 2, b + 2)
    numbers = (*shown, (shown[0] + shown[1]) % _NUMBERS)
    examples = tuple(
        _made(form, number + 2, numbers[at - 1] + 2)
        for at, (form, number) in enumerate(zip(_EXAMPLES, numbers, strict=True))
    )
    return _made(which, *values)._replace(points=points), examples


def described(answer: str) -> Program | None:
    """The program that a description in words speaks of; None where it is none of the known kinds.

    >>> described("It returns x times 3 plus 14.").expression
    'x * 3 + 14'
    """
    text = " ".join(answer.lower().split())
    found = [
        (match.start(), -match.end(), at, match)
        for at, form in enumerate(_FORMS)
        if (match := re.search(_pattern(form.words), text))
    ]
    if not found:
        return None
    _, _, at, match = min(found, key=lambda item: item[:3])
    groups = match.groupdict()
    return _made(at, int(groups["a"]), int(groups.get("b", 0)))


def _made(form: int, a: int, b: int) -> Program:
    words, expression = _FORMS[form]
    return Program(words.format(a=a, b=b), expression.format(a=a, b=b))


def _pattern(words: str) -> str:
    return rf"\b{words}\b".replace("{a}", r"(?P<a>\d{1,6})").replace("{b}", r"(?P<b>\d{1,6})")
