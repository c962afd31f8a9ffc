"""Predicates checked by a judge that does not know which response is whose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.judge.ask import Judge
from moorings.compare.judge.prompts import Part, Task

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["annotate", "annotate_pairs"]

_HOLDS = Task(
    name="holds/1",
    instruction=(
        "Each item holds a statement and a text. Is the statement true of the text? A text that only claims to have the "
        "property, or only talks about it, does not have it. Where the text is empty or is no attempt at an answer, "
        "the answer is no unless the statement says just that."
    ),
    labels=("yes", "no"),
)
_MORE = Task(
    name="more/1",
    instruction="Each item holds a statement and two texts. Of which text is the statement more true?",
    labels=("first", "second", "same"),
)


def annotate(judge: Judge, predicate: str, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Ask whether a statement is true of each text.

    The judge sees one statement and one text, in random order of texts: no arm, no direction. The statement is quoted
    as data too, since it may have been written by a model. Equal texts are asked about once.

    Args:
        judge: The judge.
        predicate: What a text does or has, such as `uses bullet points`.
        texts: Untrusted.

    Returns:
        1 true, 0 false, NaN where the judge gave no readable answer.

    Raises:
        BackendError: The judge cannot be reached; answers so far are in its cache.
    """
    answers = judge.ask(_HOLDS, [(Part("statement", predicate), Part("text", text)) for text in texts])
    values = {"yes": 1.0, "no": 0.0}
    return np.array([np.nan if answer is None else values[answer.label] for answer in answers])


def annotate_pairs(judge: Judge, predicate: str, pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, " n"]:
    """Ask of which text of a pair a statement is more true, in both orders.

    Args:
        judge: The judge.
        predicate: What a text does or has.
        pairs: Two texts each. Untrusted.

    Returns:
        1 the second, -1 the first, 0 the same; NaN where an answer is missing or the two orders contradict each other.

    Raises:
        BackendError: The judge cannot be reached; answers so far are in its cache.
    """
    statement = Part("statement", predicate)
    forward = [(statement, Part("first text", a), Part("second text", b)) for a, b in pairs]
    backward = [(statement, Part("first text", b), Part("second text", a)) for a, b in pairs]
    answers = judge.ask(_MORE, [*forward, *backward])
    values = {"first": -1.0, "same": 0.0, "second": 1.0}
    said = np.array([np.nan if answer is None else values[answer.label] for answer in answers])
    there, back = said[: len(pairs)], -said[len(pairs) :]
    return np.where(there == back, there, np.nan)
