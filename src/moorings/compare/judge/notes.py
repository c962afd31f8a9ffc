"""Hypotheses in a judge's words: what sets two responses, or two groups of texts, apart.

What comes back is only a proposal. It is untrusted text, checked and tested like every other predicate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from moorings.compare.judge.ask import Judge
from moorings.compare.judge.prompts import Item, Part, Task
from moorings.compare.judge.reply import Answer

__all__ = ["TextGroup", "contrast_notes", "name_predicates", "summarise_notes"]

_MAX_WORDS = 25
_COMPARES = re.compile(
    r"\b(?:(?:first|second|other|another) (?:text|response|answer|one)s?|(?:group|text|response) [ab12]|compared (?:to|with)|than the other)\b",
    re.IGNORECASE,
)
_STYLE = (
    "An answer is a short phrase that opens with a verb and can be checked on one text alone, such as `uses bullet points` or "
    "`recommends seeing a doctor`. Never say which text it came from and never compare."
)


class TextGroup(NamedTuple):
    """Texts that share something, and texts that lack it."""

    inside: Sequence[str]
    outside: Sequence[str]


def contrast_notes(
    judge: Judge, pairs: Sequence[tuple[str, str]], *, rng: np.random.Generator, n_notes: int = 3
) -> list[str]:
    """Note what one response of a pair does and the other does not.

    The judge sees the two in random order and says no side, so notes carry nothing of the arms.

    Args:
        judge: The judge.
        pairs: Responses to one prompt, one of each arm. Untrusted.
        rng: Draws the order within pairs.
        n_notes: Most notes a pair, >= 1.

    Returns:
        Notes of all pairs, repeated ones included; pairs without a readable answer give none. Untrusted.

    Raises:
        BackendError: The judge cannot be reached; answers so far are in its cache.
    """
    task = Task(
        name=f"contrast/1/{n_notes}",
        instruction=(
            "Each item holds two responses to the same prompt. Note what one of them does and the other does not: form, tone, "
            f"content or stance. {_STYLE}"
        ),
        labels=None,
        n_lines=n_notes,
    )
    swap = rng.random(len(pairs)) < 0.5
    items: list[Item] = []
    for (a, b), swapped in zip(pairs, swap, strict=True):
        one, two = (b, a) if swapped else (a, b)
        items.append((Part("one response", one), Part("another response", two)))
    return [note for answer in judge.ask(task, items) for note in _usable(answer)]


def name_predicates(judge: Judge, groups: Sequence[TextGroup], *, max_texts: int = 8) -> list[str | None]:
    """Name what the texts of each group share and other texts lack.

    Args:
        judge: The judge.
        groups: Untrusted texts, a spread of members and not only the clearest ones.
        max_texts: Most texts shown of each side, taken evenly, >= 1.

    Returns:
        One name a group; None where there is no usable answer. Untrusted.

    Raises:
        BackendError: The judge cannot be reached; answers so far are in its cache.
    """
    task = Task(
        name="name/1",
        instruction=f"Each item holds texts of a group and texts outside it. What do the group's texts share that the others lack? {_STYLE}",
        labels=None,
    )
    items = [
        tuple(
            Part(name, text)
            for name, texts in (("text in the group", group.inside), ("text outside", group.outside))
            for text in _evenly(texts, max_texts)
        )
        for group in groups
    ]
    return [next(iter(_usable(answer)), None) for answer in judge.ask(task, items)]


def summarise_notes(
    judge: Judge, notes: Sequence[str], *, n_predicates: int = 10, notes_per_ask: int = 100
) -> list[str]:
    """Merge many notes into a few different predicates.

    Args:
        judge: The judge.
        notes: As from `contrast_notes`. Untrusted.
        n_predicates: Most predicates of one ask, >= 1.
        notes_per_ask: Notes shown at a time, >= 1.

    Returns:
        Different predicates, in the order in which they came. Untrusted.

    Raises:
        BackendError: The judge cannot be reached; answers so far are in its cache.
    """
    task = Task(
        name=f"summarise/1/{n_predicates}",
        instruction=f"Each item is a list of notes. Write the different properties that recur in it, most frequent first. {_STYLE}",
        labels=None,
        n_lines=n_predicates,
    )
    items = [(Part("notes", "\n".join(notes[at : at + notes_per_ask])),) for at in range(0, len(notes), notes_per_ask)]
    found = (note for answer in judge.ask(task, items) for note in _usable(answer))
    return list({note.casefold(): note for note in found}.values())


def _usable(answer: Answer | None) -> list[str]:
    """Lines that can be checked on one text and are not a text themselves."""
    lines = [line.strip("-*•`\"' ").rstrip(".") for line in answer.lines] if answer else []
    return [line for line in lines if line and len(line.split()) <= _MAX_WORDS and not _COMPARES.search(line)]


def _evenly(texts: Sequence[str], n: int) -> list[str]:
    if len(texts) <= n:
        return list(texts)
    return [texts[i] for i in np.linspace(0, len(texts) - 1, n).astype(int)]
