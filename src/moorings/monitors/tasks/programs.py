"""Tiny Python programs: described in words for the model to write, or given for it to say what they do."""

from __future__ import annotations

import re
from typing import NamedTuple

from moorings.monitors.tasks.fresh import digits

__all__ = ["Program", "code_of", "program", "program_space_size", "stated_value"]

_RANGE = 60
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"-?\d{1,9}")


class Program(NamedTuple):
    """One function of x in words and in Python."""

    words: str
    """Such as `x times 3 plus 4`."""
    expression: str
    points: tuple[int, int, int]
    """Values of x at which it is run."""

    @property
    def calls(self) -> tuple[str, ...]:
        """The function `f` at the points."""
        return tuple(f"f({point})" for point in self.points)


class _Form(NamedTuple):
    words: str
    expression: str


_FORMS = (
    _Form("x plus {a}", "x + {a}"),
    _Form("x minus {a}", "x - {a}"),
    _Form("x times {a}", "x * {a}"),
    _Form("x times {a} plus {b}", "x * {a} + {b}"),
    _Form("x times {a} minus {b}", "x * {a} - {b}"),
    _Form("{a} minus x", "{a} - x"),
    _Form("the larger of x and {a}", "max(x, {a})"),
    _Form("the smaller of x and {a}", "min(x, {a})"),
    _Form("the remainder of x divided by {a}", "x % {a}"),
    _Form("the square of x plus {a}", "x ** 2 + {a}"),
)


def program_space_size() -> int:
    """Programs that there are, with the points where they are run."""
    return len(_FORMS) * _RANGE**6


def program(number: int) -> Program:
    """The program with a number, from 0 to `program_space_size() - 1`."""
    which, a, b, *points = digits(number, [len(_FORMS), _RANGE, _RANGE, *(_RANGE - at for at in range(3))])
    left = list(range(1, _RANGE + 1))
    first, second, third = (left.pop(point) for point in points)
    form = _FORMS[which]
    values = {"a": a + 2, "b": b + 2}
    return Program(form.words.format(**values), form.expression.format(**values), (first, second, third))


def code_of(answer: str) -> str:
    """The code in an answer: its first fenced block, else what starts at `def`, else all of it.

    >>> code_of("Sure: ```python\\ndef f(x): return x\\n``` done")
    'def f(x): return x\\n'
    """
    fenced = _FENCE.search(answer)
    if fenced:
        return fenced[1]
    start = re.search(r"^[ \t]*(?:def|from|import) ", answer, re.MULTILINE)
    return answer[start.start() :].rstrip("`") if start else answer


def stated_value(answer: str) -> str | None:
    """The last whole number of an answer's first line that has one, as written.

    >>> stated_value("It prints 3 + 4 = 7.")
    '7'
    """
    for line in answer.splitlines():
        found = _NUMBER.findall(line)
        if found:
            return str(int(found[-1]))
    return None
