"""Which set a person means: a built one by name, a file, or a published one from a download."""

from __future__ import annotations

from pathlib import Path

from moorings.errors import ConfigError, nearest
from moorings.probes.build import SUBTASKS, build
from moorings.probes.files import ItemSet, read_items
from moorings.probes.fixed import OpenSet, fixed_sets, load

__all__ = ["REFLECTIVITY", "open_set"]

REFLECTIVITY = "reflectivity"
"""All five subtasks."""


def open_set(text: str, *, n: int = 200, seed: int = 0, form: int = 0) -> ItemSet:
    """Open a set.

    Args:
        text: `reflectivity`, a subtask such as `S4`, a file that `moorings probe build` wrote, or `NAME:PATH` for a
            published set, such as `bbq:downloads/bbq`.
        n: Items of each subtask that is built.
        seed: Of items that are built.
        form: Another lexicon, for another round.

    Raises:
        ConfigError: No such set, or one that is not multiple-choice.
        InputError: A file cannot be read.
    """
    if text == REFLECTIVITY:
        parts = [build(subtask, n, seed, form=form) for subtask in SUBTASKS]
        about = {"seed": seed, "form": form, "subtasks": list(SUBTASKS)}
        return ItemSet(REFLECTIVITY, tuple(item for part in parts for item in part.items), about)
    if text in SUBTASKS:
        return build(text, n, seed, form=form)
    name, colon, path = text.partition(":")
    if colon and name in fixed_sets.names():
        found = load(name, path)
        if isinstance(found, OpenSet):
            raise ConfigError(
                f"probe set '{name}' is answered in free text; give a multiple-choice one, such as truthfulqa:PATH"
            )
        return found
    if Path(text).is_file():
        return read_items(text)
    known = (REFLECTIVITY, *SUBTASKS, *(f"{one}:PATH" for one in fixed_sets.names()))
    raise ConfigError(f"there is no probe set or file {text!a:.80}; {nearest(text, known)}")
