"""How likely a subject finds each of two answers: by log-probability where it can score, else by what it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.monitors.asking import MISSING
from moorings.records import Decoding, Message, Prompt
from moorings.subjects.protocol import Scorer

if TYPE_CHECKING:
    from jaxtyping import Float

    from moorings.sampling.bench import Bench

__all__ = ["Choice", "can_score", "first_shares", "named"]

_DECODING = Decoding(max_new_tokens=8, temperature=1.0)
_WORDS = re.compile(r"\w+")
_READ_CHARACTERS = 400


class Choice(NamedTuple):
    """A chat and two answers to its last turn."""

    unit: str
    messages: tuple[Message, ...]
    first: str
    second: str


def can_score(*benches: Bench) -> bool:
    """Whether all these subjects can tell how likely a text is; sides must be measured in the same way."""
    return all(isinstance(bench.subject, Scorer) for bench in benches)


def first_shares(bench: Bench, choices: Sequence[Choice], label: str, *, scored: bool) -> Float[np.ndarray, " n"]:
    """Share of the first answer of both, in [0, 1]; NaN where there is none.

    Scored: exp(l1) / (exp(l1) + exp(l2)) of the two answers' log-probabilities, each the sum over its tokens in nats.
    Otherwise one answer is drawn and read: 1 or 0 for whichever it names first.

    Raises:
        ConfigError: `scored`, and the subject cannot.
    """
    if not choices:
        return np.zeros(0)
    if scored:
        found = bench.score([(c.messages, text) for c in choices for text in (c.first, c.second)], label)
        nats = np.array([sum(s.logprobs_nats) if s.logprobs_nats else np.nan for s in found]).reshape(-1, 2)
        nats = np.clip(nats, -1e6, 0.0)
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(nats[:, 1] - nats[:, 0], -700.0, 700.0))))
    prompts = [Prompt(prompt_id=c.unit, messages=c.messages) for c in choices]
    answers = [rows[0] for rows in bench.ask(prompts, label, decoding=_DECODING)]
    return np.array(
        [
            np.nan if answer.status in MISSING else named(answer.response, choice.first, choice.second)
            for answer, choice in zip(answers, choices, strict=True)
        ]
    )


def named(answer: str, first: str, second: str) -> float:
    """1 if an answer names the first option before the second, 0 the other way round, NaN if it names neither.

    Letters count only in brackets or at the start, as `a` and `I` are words too.

    >>> named("Yes, no doubt.", "Yes", "No"), named("The answer is (B)", "(A)", "(B)"), named("Hm", "Yes", "No")
    (1.0, 0.0, nan)
    """
    at = [_place(answer[:_READ_CHARACTERS], option) for option in (first, second)]
    if at[0] == at[1]:
        return float("nan")
    return float(at[0] < at[1])


def _place(answer: str, option: str) -> float:
    words = _WORDS.findall(option.casefold())
    said = answer.casefold()
    if not words:
        return float("inf")
    joined = r"\W+".join(re.escape(word) for word in words)
    pattern = rf"\(\s*{joined}\s*\)|^\W*{joined}\b" if len(joined) == 1 else rf"\b{joined}\b"
    match = re.search(pattern, said)
    return float(match.start()) if match else float("inf")
