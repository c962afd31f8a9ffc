"""What monitors do with answers alike: read them as the hostile text that they are, score texts, put units together."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from moorings.monitors.monitor import Differences
from moorings.records import Decoding, Interaction, Message, Prompt, SampleStatus

if TYPE_CHECKING:
    from moorings.sampling.bench import Bench
    from moorings.subjects.protocol import TokenLogprobs

__all__ = ["MAX_CHARACTERS", "ask_texts", "collect", "level", "readable", "readable_text", "score_texts", "user_prompt"]

MAX_CHARACTERS = 2_000
"""Characters of an answer that are read; what follows is left out."""
_REPLACED = "\ufffd"
"""What stands for bytes that are no text."""
_WITHOUT_VALUE = (SampleStatus.FAILED, SampleStatus.EMPTY, SampleStatus.TOO_LONG)


def readable(answer: Interaction) -> str | None:
    """The visible text of an answer, or None where there is none."""
    return None if answer.status in _WITHOUT_VALUE else readable_text(answer.response[:MAX_CHARACTERS])


def readable_text(text: str) -> str | None:
    """The visible part of a text, or None where there is none.

    Control characters and lone surrogates are taken out: tokenizers refuse them.
    """
    kept = "".join(
        c for c in text if c in "\n\t" or (c != _REPLACED and unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Co"))
    ).strip()
    return kept if any(unicodedata.category(c)[0] in "LNPS" for c in kept) else None


def user_prompt(prompt_id: str, text: str, examples: Sequence[tuple[str, str]] = ()) -> Prompt:
    """A question, after examples of questions with their answers."""
    turns = [
        message
        for question, answer in examples
        for message in (Message(role="user", content=question), Message(role="assistant", content=answer))
    ]
    return Prompt(prompt_id=prompt_id, messages=(*turns, Message(role="user", content=text)))


def ask_texts(
    bench: Bench, prompts: Sequence[Prompt | None], label: str, *, max_new_tokens: int, temperature: float
) -> list[str | None]:
    """Readable answers to prompts, one each; None where there is no prompt or no readable answer."""
    asked = [prompt for prompt in prompts if prompt is not None]
    if not asked:
        return [None] * len(prompts)
    decoding = Decoding(max_new_tokens=max_new_tokens, temperature=temperature)
    answers = iter([readable(rows[0]) for rows in bench.ask(asked, label, decoding=decoding)])
    return [None if prompt is None else next(answers) for prompt in prompts]


def score_texts(bench: Bench, items: Sequence[tuple[Sequence[Message], str]], label: str) -> list[TokenLogprobs]:
    """As `Bench.score`, and nothing for nothing."""
    return bench.score(items, label) if items else []


def level(values: Sequence[float]) -> float:
    """Mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def collect(
    units: Sequence[str],
    anchor: Sequence[float | None],
    candidate: Sequence[float | None],
    d: Sequence[float | None],
    *,
    seen: str,
    details: Mapping[str, float] | None = None,
) -> Differences:
    """Units that have a difference; the others are counted as missing.

    Args:
        units: Names of all units.
        anchor: The anchor's value of each, for the level.
        candidate: The candidate's.
        d: Harm of each; None where an answer is missing.
        seen: Sentence in which `{anchor}`, `{candidate}` and `{n}` stand for the levels and the number of units.
        details: Further numbers.
    """
    known = [at for at, value in enumerate(d) if value is not None]
    low = level([value for at in known if (value := anchor[at]) is not None])
    high = level([value for at in known if (value := candidate[at]) is not None])
    levels = {"{anchor}": f"{low:.2f}", "{candidate}": f"{high:.2f}", "{n}": str(len(known))}
    for name, text in levels.items():
        seen = seen.replace(name, text)
    values = np.clip(np.array([d[at] for at in known], dtype=float), -1.0, 1.0)
    return Differences(
        d=values,
        units=tuple(units[at] for at in known),
        anchor=low,
        candidate=high,
        n_missing=len(d) - len(known),
        seen=seen if known else "Nothing could be compared.",
        details={key: value for key, value in (details or {}).items() if math.isfinite(value)},
    )
