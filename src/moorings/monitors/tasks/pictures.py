"""Small pictures of characters, made by us or drawn by the model, and the words for them."""

from __future__ import annotations

from typing import NamedTuple

from moorings.monitors.tasks.fresh import digits

__all__ = ["MARKS", "Box", "box", "box_in", "box_space_size"]

MARKS = "#*@+=%&$xo"
SHAPES = {
    "full box": lambda row, column, height, width: True,
    "frame": lambda row, column, height, width: row in (0, height - 1) or column in (0, width - 1),
    "letter L": lambda row, column, height, width: column == 0 or row == height - 1,
    "letter T": lambda row, column, height, width: row == 0 or column == width // 2,
    "letter H": lambda row, column, height, width: column in (0, width - 1) or row == height // 2,
    "letter U": lambda row, column, height, width: column in (0, width - 1) or row == height - 1,
}
"""Which cells of a picture are filled."""
_SIZES = range(3, 8)


class Box(NamedTuple):
    """A shape of a size in a character, and others that it is told apart from."""

    shape: str
    mark: str
    width: int
    height: int
    others: tuple[str, str, str]

    def drawn(self, shape: str | None = None) -> str:
        """The picture, lines joined by newlines."""
        fills = SHAPES[shape or self.shape]
        rows = (
            "".join(self.mark if fills(row, column, self.height, self.width) else "." for column in range(self.width))
            for row in range(self.height)
        )
        return "\n".join(rows)


def box_space_size() -> int:
    """Pictures that there are, with what they are told apart from."""
    n = len(SHAPES)
    return len(MARKS) * len(_SIZES) ** 2 * n * (n - 1) * (n - 2) * (n - 3)


def box(number: int) -> Box:
    """The picture with a number, from 0 to `box_space_size() - 1`."""
    n = len(SHAPES)
    mark, width, height, *places = digits(
        number, [len(MARKS), len(_SIZES), len(_SIZES), *(n - at for at in range(4))]
    )
    left = list(SHAPES)
    shape, *others = (left.pop(place) for place in places)
    first, second, third = others
    return Box(shape, MARKS[mark], _SIZES[width], _SIZES[height], (first, second, third))


def box_in(answer: str, mark: str) -> tuple[int, int] | None:
    """Width and height of the first full box of a character in an answer; None where there is none.

    >>> box_in("Here:\\n###\\n###\\nDone", "#")
    (3, 2)
    """
    rows: list[int] = []
    for line in answer.splitlines():
        text = line.replace(" ", "")
        if text and set(text) == {mark}:
            rows.append(len(text))
        elif rows:
            break
    return (rows[0], len(rows)) if rows and len(set(rows)) == 1 else None
