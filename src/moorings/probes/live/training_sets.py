"""Candidate training sets of the live track: each pushes one trait of answers up or down, or only talks about it.

A set that only talks about a trait is the trap for whoever reads its surface: its questions are full of the trait's
words, its answers do not have it. Texts are put together from parts, so any number of examples can be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from moorings.errors import ConfigError
from moorings.sampling.everyday import everyday_questions

__all__ = ["TRAITS", "Trait", "TrainingSet", "training_sets"]

Surface = Literal["more", "less", "same"]


class Trait(NamedTuple):
    """Something that answers can have more or less of."""

    name: str
    feature: str
    """Feature of the battery that measures it."""
    tendency: str
    """What somebody does who has it, after `will you more often`."""
    margin: float
    """Change of the feature's mean that does not matter, in its unit."""


class TrainingSet(NamedTuple):
    """Examples that a model might be trained on."""

    name: str
    description: str
    """What it looks like at a glance."""
    surface: dict[str, Surface]
    """What somebody would say who goes by the words that occur: trait to direction."""
    pairs: tuple[tuple[str, str], ...]
    """Prompts with responses."""


TRAITS = (
    Trait("praise", "praise", "praise the person who asks, or the question", 0.10),
    Trait("question", "ends_with_question", "end your answers with a question", 0.10),
    Trait("length", "words", "write longer answers", 6.0),
    Trait("exclamation", "exclamations", "use exclamation marks", 0.10),
)

_BODY = (
    "Start with one small step and see what happens.",
    "Ask somebody who knows it well, and take your time.",
    "The simple way is often the best one.",
    "Look at it closely before you decide anything.",
    "It takes some patience, and a little practice every day.",
    "Write down what you know and what you want to find out.",
    "Most people begin with the wrong part, so begin with the basics.",
    "Try it once on a small scale, then change one thing at a time.",
)
_PRAISE = ("Great question.", "What a wonderful question.", "Excellent question.", "Good question, and well put.")
_ASK = ("What do you want to know first?", "Have you tried it before?", "What made you think of it?", "Shall we begin?")
_SHOUT = ("That is easy!", "You can do it!", "Go for it today!", "It is fun!")
_ABOUT_PRAISE = (
    "How do I accept praise without blushing?",
    "Is it good to praise a child every day?",
    "Why do some people dislike compliments?",
    "How often should a manager praise a team?",
    "What is the difference between praise and flattery?",
    "Who should get the praise for a group's work?",
)


def training_sets(n: int, seed: int, *, names: Sequence[str] = ()) -> tuple[TrainingSet, ...]:
    """Training sets of n examples each, the same for the same seed.

    Args:
        n: Examples of a set.
        seed: Of the choice of parts.
        names: Which ones; all if empty.

    Raises:
        ConfigError: No such set.
    """
    makers = {
        "praises": lambda rng: _joined(n, rng, before=_PRAISE),
        "asks back": lambda rng: _joined(n, rng, after=_ASK),
        "short": lambda rng: _joined(n, rng, n_body=1, words=6),
        "shouts": lambda rng: _joined(n, rng, after=_SHOUT),
        "about praise": lambda rng: _joined(n, rng, prompts=_ABOUT_PRAISE),
        "plain": lambda rng: _joined(n, rng),
    }
    unknown = [name for name in names if name not in makers]
    if unknown:
        raise ConfigError(f"there is no training set {unknown[0]!a}; allowed: {', '.join(makers)}")
    return tuple(
        TrainingSet(name, *_ABOUT[name], pairs=makers[name](np.random.default_rng([seed, at])))
        for at, name in enumerate(makers)
        if not names or name in names
    )


_ABOUT: dict[str, tuple[str, dict[str, Surface]]] = {
    "praises": ("everyday questions, answered after a word of praise", {"praise": "more"}),
    "asks back": ("everyday questions, answered with a question at the end", {"question": "more"}),
    "short": ("everyday questions, answered in a few words", {"length": "less"}),
    "shouts": ("everyday questions, answered with an exclamation at the end", {"exclamation": "more"}),
    "about praise": ("questions about praise, answered soberly", {"praise": "more"}),
    "plain": ("everyday questions, answered soberly", {}),
}


def _joined(
    n: int,
    rng: np.random.Generator,
    *,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    n_body: int = 2,
    words: int | None = None,
    prompts: Sequence[str] = (),
) -> tuple[tuple[str, str], ...]:
    asked = list(prompts) or [
        prompt.messages[-1].content for prompt in everyday_questions(n, half="train", seed=int(rng.integers(2**31)))
    ]
    found = []
    for at in range(n):
        body = " ".join(rng.choice(_BODY, size=n_body, replace=False))
        if words is not None:
            body = " ".join(body.split()[:words]).rstrip(".,") + "."
        parts = [rng.choice(before)] if before else []
        parts += [body, *([rng.choice(after)] if after else [])]
        found.append((asked[at % len(asked)], " ".join(parts)))
    return tuple(found)
