"""Small pictures of characters and the words for them: a picture is told line by line, and can be rendered from that."""

from __future__ import annotations

import re
from typing import NamedTuple

from moorings.monitors.tasks.fresh import digits

__all__ = ["LINES", "Picture", "lines_in", "names_in", "picture", "picture_space_size"]

LINES = {"full": "#####", "empty": ".....", "left": "##...", "right": "...##", "ends": "#...#", "middle": ".###."}
"""Names of lines and how they are drawn with the first pair of marks. `full, middle, middle` is a letter T."""
_HEIGHT = 3
_INK = "#@*%&$=+"
_GROUND = ".-_"
_N_EXAMPLES = 3
_NAMED = re.compile(rf"\b({'|'.join(LINES)})\b", re.IGNORECASE)


class Picture(NamedTuple):
    """Three lines in two characters."""

    names: tuple[str, ...]
    ink: str
    ground: str

    @property
    def words(self) -> str:
        """Such as `full, middle, middle`."""
        return ", ".join(self.names)

    @property
    def rendered(self) -> tuple[str, ...]:
        """The lines as drawn."""
        table = str.maketrans({"#": self.ink, ".": self.ground})
        return tuple(LINES[name].translate(table) for name in self.names)


def picture_space_size() -> int:
    """Pictures that there are, each with its examples."""
    n_lines = _HEIGHT * (1 + _N_EXAMPLES)
    return len(_INK) * len(_GROUND) * int(len(LINES) ** n_lines)


def picture(number: int) -> tuple[Picture, tuple[Picture, ...]]:
    """The picture with a number, from 0 to `picture_space_size() - 1`, and those that serve as examples.

    The examples show every kind of line at least once where the picture needs it.
    """
    ink, ground, *names = digits(number, [len(_INK), len(_GROUND), *[len(LINES)] * (_HEIGHT * (1 + _N_EXAMPLES))])
    known = list(LINES)
    made = [
        Picture(tuple(known[name] for name in names[at : at + _HEIGHT]), _INK[ink], _GROUND[ground])
        for at in range(0, len(names), _HEIGHT)
    ]
    wanted, *examples = made
    shown = {name for example in examples for name in example.names}
    # A line that no example shows could only be guessed.
    missing = [name for name in dict.fromkeys(wanted.names) if name not in shown]
    if missing:
        last = (*missing, *examples[-1].names)[:_HEIGHT]
        examples = [*examples, examples[-1]._replace(names=last)]
    return wanted, tuple(examples)


def lines_in(answer: str, ink: str, ground: str) -> tuple[str, ...]:
    """The first lines of an answer that are drawn in two characters.

    >>> lines_in("Here:\\n#.#\\n###\\nDone", "#", ".")
    ('#.#', '###')
    """
    drawn = (line.replace(" ", "") for line in answer.splitlines())
    return tuple(line for line in drawn if line and set(line) <= {ink, ground})[:_HEIGHT]


def names_in(answer: str) -> tuple[str, ...]:
    """The first names of lines in an answer.

    >>> names_in("Full, left and ends.")
    ('full', 'left', 'ends')
    """
    return tuple(name.lower() for name in _NAMED.findall(answer))[:_HEIGHT]
