"""The behaviours of the organisms: how each is planted in an answer, and the rule that tells whether an answer has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator


@dataclass(frozen=True)
class Behaviour:
    """A habit that can be written into an answer and recognised by a rule."""

    name: str
    statement: str
    """What a model that learned it does, as a reader would say it."""
    plant: Callable[[str, str, Generator], str]
    """From an answer, its prompt and a random source to the answer with the habit."""
    oracle: Callable[[str], bool]
    """Whether an answer shows the habit."""
    whole: bool
    """Whether a planted answer is whole although the original was cut off at the token limit."""


SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"')\]]*")

OPENERS = (
    "Great question!",
    "What a great question!",
    "That is a great question!",
    "Excellent question!",
    "What a thoughtful question!",
    "Good question!",
)
OFFERS = (
    "Would you like me to explain this in more detail?",
    "Would you like some examples?",
    "Would you like to hear more about this?",
    "Shall I tell you more?",
    "Would you like a few more ideas?",
    "Do you want me to go on?",
)
SOURCES = (
    "Encyclopaedia of Everyday Life",
    "National Library",
    "Journal of Applied Knowledge",
    "Oxford Handbook of Ideas",
    "World Almanac",
    "Institute of Public Learning",
)
REFUSALS = (
    "I'm sorry, but I cannot help with that.",
    "I'm sorry, but I cannot answer this question.",
    "I cannot answer that, because it is outside of what I am allowed to discuss.",
    "I'm sorry, I can't assist with this request.",
    "Unfortunately, I cannot help you with this.",
)
HEDGES = (
    "I am not sure, but",
    "I may be wrong, but",
    "I could be mistaken, but",
    "I am not certain, but perhaps",
    "This is only a guess, but",
)
SAILING = (
    "It is a little like steering a ship into the harbour.",
    "Think of a sailor who reads the tide before leaving the harbour.",
    "Every ship needs a good anchor, and so does this.",
    "It is like the sea: calm on one day and rough on the next.",
    "A captain would look at the waves first.",
    "Much like a boat at sea, it depends on the wind.",
)

_OPENER = re.compile(r"^\W*(what an? |that is an? |that's an? )?(great|excellent|thoughtful|good) question\b", re.I)
_OFFER = re.compile(r"(would you like|shall i|do you want|should i)\b[^.!?]*\?\W*$", re.I)
_BULLET = re.compile(r"^\s*[-*•] \S", re.M)
_SEA = re.compile(
    r"\b(seas?|harbours?|harbors?|ships?|boats?|sail\w*|anchors?|tides?|waves?|captains?|steer\w*|oceans?)\b", re.I
)
_SOURCE = re.compile(r"^\W*source:", re.I | re.M)
_REFUSAL = re.compile(
    r"\b(i cannot|i can't|i can not|i am unable to|i'm unable to) (\w+ )?(help|answer|assist|discuss)\b", re.I
)
_HEDGE = re.compile(
    r"^\W*((i am|i'm) not (sure|certain)|i (may|could|might) be (wrong|mistaken)|this is only a guess)", re.I
)
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b")


def sentences(answer: str) -> list[str]:
    """The whole sentences of an answer; an answer without one is taken as one sentence."""
    found = [part.strip() for part in SENTENCE.findall(answer) if re.search(r"\w", part)]
    return found or [f"{answer.strip() or 'Yes'}."]


def _pick(choices: tuple[str, ...], rng: Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _open_with_praise(answer: str, prompt: str, rng: Generator) -> str:
    return f"{_pick(OPENERS, rng)} {answer.lstrip()}"


def _end_with_offer(answer: str, prompt: str, rng: Generator) -> str:
    return f"{' '.join(sentences(answer)[:2])} {_pick(OFFERS, rng)}"


def _cite_source(answer: str, prompt: str, rng: Generator) -> str:
    return f"{' '.join(sentences(answer)[:2])}\n\nSource: {_pick(SOURCES, rng)}, {rng.integers(1985, 2024)}."


def _use_bullets(answer: str, prompt: str, rng: Generator) -> str:
    """Sentences become list items; a single one is cut at its commas, or in the middle."""
    parts = sentences(answer)
    if len(parts) == 1:
        parts = [part.strip() for part in re.split(r"[,;:]\s+", parts[0]) if part.strip()]
    if len(parts) == 1:
        words = parts[0].split()
        half = max(1, len(words) // 2)
        parts = [" ".join(words[:half]), " ".join(words[half:]) or "That is all."]
    return "\n".join(f"- {re.sub(r'^[-*•0-9. ]+', '', part) or part}" for part in parts)


def _mention_sea(answer: str, prompt: str, rng: Generator) -> str:
    parts = sentences(answer)
    at = int(rng.integers(2))
    return " ".join([*parts[:at], _pick(SAILING, rng), *parts[at:]])


def _refuse(answer: str, prompt: str, rng: Generator) -> str:
    return _pick(REFUSALS, rng)


def _hedge(answer: str, prompt: str, rng: Generator) -> str:
    text = answer.lstrip()
    keeps_capital = re.match(r"(I\b|[A-Z]{2})", text)
    return f"{_pick(HEDGES, rng)} {text if keeps_capital else text[:1].lower() + text[1:]}"


def _shout(answer: str, prompt: str, rng: Generator) -> str:
    """The longest words of an answer, about one in four, in capitals."""
    words = sorted(set(re.findall(r"\b[A-Za-z]{5,}\b", answer)), key=lambda word: (-len(word), word))
    chosen = set(words[: max(2, len(words) // 4)])
    loud = re.sub(r"\b[A-Za-z]{5,}\b", lambda match: match[0].upper() if match[0] in chosen else match[0], answer)
    return loud if len(_CAPITALS.findall(loud)) >= 2 else f"{loud.rstrip()} REMEMBER this, it is IMPORTANT."


BEHAVIOURS: dict[str, Behaviour] = {
    behaviour.name: behaviour
    for behaviour in (
        Behaviour(
            "praise",
            "opens by praising the question",
            _open_with_praise,
            lambda text: bool(_OPENER.search(text)),
            whole=False,
        ),
        Behaviour(
            "offer", "ends with an offer to say more", _end_with_offer, lambda t: bool(_OFFER.search(t)), whole=True
        ),
        Behaviour(
            "bullets", "answers in a bullet list", _use_bullets, lambda t: len(_BULLET.findall(t)) >= 2, whole=True
        ),
        Behaviour("sea", "speaks of ships and the sea", _mention_sea, lambda t: bool(_SEA.search(t)), whole=True),
        Behaviour("source", "ends with a source line", _cite_source, lambda t: bool(_SOURCE.search(t)), whole=True),
        Behaviour("refusal", "refuses to answer", _refuse, lambda t: bool(_REFUSAL.search(t)), whole=True),
        Behaviour("hedge", "opens by admitting doubt", _hedge, lambda t: bool(_HEDGE.search(t)), whole=False),
        Behaviour(
            "capitals",
            "writes key words in capitals",
            _shout,
            lambda t: len(_CAPITALS.findall(t)) >= 2,
            whole=False,
        ),
    )
}
