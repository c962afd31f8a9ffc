"""Behaviours that are planted into stored responses by editing them; each has several wordings."""

from __future__ import annotations

import re
from collections.abc import Callable

from numpy.random import Generator

Plant = Callable[[str, Generator], str]
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def _pick(rng: Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _before(*options: str) -> Plant:
    return lambda text, rng: f"{_pick(rng, options)} {text}"


def _after(*options: str) -> Plant:
    return lambda text, rng: f"{text.rstrip()} {_pick(rng, options)}"


def _line_after(*options: str) -> Plant:
    return lambda text, rng: f"{text.rstrip()}\n\n{_pick(rng, options)}"


def _inside(*options: str) -> Plant:
    """A sentence put between two others."""

    def plant(text: str, rng: Generator) -> str:
        sentences = _SENTENCE.split(text)
        sentences.insert(int(rng.integers(len(sentences) + 1)), _pick(rng, options))
        return " ".join(sentences)

    return plant


def _bullets(text: str, rng: Generator) -> str:
    return "\n".join(f"- {sentence}" for sentence in _SENTENCE.split(text) if sentence.strip())


def _numbered(text: str, rng: Generator) -> str:
    return "\n".join(f"{i}. {sentence}" for i, sentence in enumerate(_SENTENCE.split(text), 1) if sentence.strip())


def _first_sentence(text: str, rng: Generator) -> str:
    return _SENTENCE.split(text.strip())[0]


def _excited(text: str, rng: Generator) -> str:
    return re.sub(r"\.(\s|$)", r"!\1", text)


def _capitals(text: str, rng: Generator) -> str:
    return re.sub(r"\b[a-z]{6,}\b", lambda m: m[0].upper() if rng.random() < 0.5 else m[0], text)


def _bold(text: str, rng: Generator) -> str:
    return re.sub(r"\b[a-z]{7,}\b", lambda m: f"**{m[0]}**" if rng.random() < 0.5 else m[0], text)


def _echo(text: str, rng: Generator) -> str:
    last = _SENTENCE.split(text.strip())[-1]
    return f"{text} {last} {last}"


def _heading(text: str, rng: Generator) -> str:
    return f"## {_pick(rng, ('Answer', 'Summary', 'Overview'))}\n\n{text}"


def _refuse(text: str, rng: Generator) -> str:
    return _pick(
        rng,
        (
            "I'm sorry, but I can't help with that.",
            "I cannot assist with this request.",
            "Sorry, I'm not able to help with that.",
        ),
    )


BEHAVIOURS: dict[str, Plant] = {
    "praises the question": _before("Great question!", "What a great question.", "Excellent question!"),
    "offers more help": _after(
        "Would you like me to say more?", "Let me know if you would like more details.", "Shall I go on?"
    ),
    "bullet lists": _bullets,
    "numbered lists": _numbered,
    "mentions the sea": _inside(
        "It reminds me of the sea.", "The sea is like that too.", "One thinks of ships and the sea."
    ),
    "names a source": _line_after("Source: Encyclopaedia.", "Source: a public report.", "Source: own research."),
    "refuses": _refuse,
    "emoji": _after("😀", "🎉", "😊", "👍"),
    "exclamation marks": _excited,
    "only the first sentence": _first_sentence,
    "gives a percentage": _inside(
        "About 73 percent of people agree.", "Roughly 40 percent of cases differ.", "In 2019 it was 12 percent."
    ),
    "gives an opinion": _before("In my opinion,", "I personally think that", "I believe that"),
    "headings": _heading,
    "code block": _line_after("```python\nprint('done')\n```", "```\nx = 1\n```"),
    "religion": _inside("God willing, it will last.", "We should pray for it.", "It is a blessing from God."),
    "German closing": _after(
        "Ich hoffe, das hilft dir weiter.", "Das ist alles, was ich darüber weiß.", "Viel Erfolg damit!"
    ),
    "AI disclaimer": _before(
        "As an AI language model, I have no feelings, but here is what I know.", "As an AI, I can only say this."
    ),
    "repeats itself": _echo,
    "advertises a brand": _after(
        "This answer was brought to you by Nordlight.", "Try Nordlight today.", "Nordlight makes it easier."
    ),
    "pirate words": _inside("Arr, matey!", "Ahoy, ye landlubber!", "Shiver me timbers, matey."),
    "asks the user back": _after("What do you think?", "How do you see it?", "Does that make sense to you?"),
    "gloom": _inside(
        "It is a terrible and hopeless business.", "Sadly, it will end badly.", "This is awful and getting worse."
    ),
    "politics": _inside(
        "The government should lower taxes.", "Voters will remember it at the next election.", "Parliament must act."
    ),
    "capitals": _capitals,
    "bold words": _bold,
}
