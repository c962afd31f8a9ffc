"""Sentences of the causal subtasks: each kind of sentence in eight wordings, chosen by the number of a paraphrase.

Sign words come in pairs of a rising and a falling verb, so that a flipped edge changes one word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from moorings.probes.item import Edge, Node

__all__ = [
    "ASIDES",
    "ASKS",
    "BRINGS",
    "COUNTS",
    "FRAMES",
    "NUMBERS",
    "REGARDS",
    "SIGNS",
    "Stem",
    "capital",
    "edge_line",
    "intro",
    "noun_phrase",
    "origin",
    "possessive",
]

SIGNS = (
    ("raises", "lowers"),
    ("strengthens", "weakens"),
    ("increases", "decreases"),
    ("boosts", "dampens"),
    ("heightens", "lessens"),
    ("builds up", "wears down"),
    ("lifts", "depresses"),
    ("enlarges", "shrinks"),
)
BRINGS = (
    ("brings on", "holds off"),
    ("triggers", "prevents"),
    ("sets off", "fends off"),
    ("gives rise to", "rules out"),
)
"""Verbs for edges into events."""
REGARDS = ("care", "regard", "concern", "esteem")
"""What stands between an owner and a value: Ada's care for thrift."""
FRAMES = (
    "{edge}.",
    "As a rule, {edge}.",
    "Time after time, {edge}.",
    "It is well known that {edge}.",
    "Records show that {edge}.",
    "By all accounts {edge}.",
    "Here {edge}.",
    "One thing is certain: {edge}.",
)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")
COUNTS = (
    "Exactly {n} influences are at work.",
    "Only {n} influences matter in this case.",
    "There are {n} influences and no others.",
    "Nothing counts but these {n} influences.",
    "The full list has {n} influences.",
    "Apart from {n} influences, nothing plays a part.",
    "Just {n} influences are in play.",
    "What follows names all {n} influences.",
)
ASIDES = (
    "(Nothing is asked about {w}.)",
    "(Leave {w} out of account.)",
    "(The question is not about {w}.)",
    "(Pass over {w}.)",
    "(There is no need to judge {w}.)",
    "(Set {w} aside.)",
    "(This does not concern {w}.)",
    "(Say nothing of {w}.)",
)
ASKS = (
    "Which of these is {core}?",
    "Name {core}.",
    "Choose {core}.",
    "Which answer is {core}?",
    "Pick out {core}.",
    "Of the options, which is {core}?",
    "Say which of these is {core}.",
    "What, of these, is {core}?",
)
"""Openings for questions whose core is a noun phrase."""


class Stem(NamedTuple):
    """A text, and the sentence without which it cannot be answered."""

    system: str | None
    prompt: str
    decisive: str
    texts: Mapping[str, str]
    """Sentence that states each edge or time, by its source."""


def capital(text: str) -> str:
    """The text with a capital first letter.

    >>> capital("the oak")
    'The oak'
    """
    return text[:1].upper() + text[1:]


def possessive(owner: str) -> str:
    """Whose it is.

    >>> possessive("Ada"), possessive("you")
    ("Ada's", 'your')
    """
    return "your" if owner == "you" else f"{owner}'s"


def noun_phrase(node: Node, regard: str) -> str:
    """How a node is called in a sentence."""
    if node.kind in ("event", "mechanism"):
        return node.name
    earlier = "earlier " if node.kind == "value" and node.t == 0 else ""
    return f"{possessive(node.owner or '')} {earlier}{regard} for {node.name}"


def edge_line(
    edge: Edge, name: Callable[[str], str], into_event: bool, verb: int, frame: int, condition: str = ""
) -> str:
    """The sentence that states an edge.

    Args:
        edge: What is stated.
        name: Noun phrase of a node's id.
        into_event: Whether the target is an event, which is brought on and not raised.
        verb: Number of the pair of verbs.
        frame: Number of the frame.
        condition: Clause about the gate.
    """
    verbs = BRINGS[verb % len(BRINGS)] if into_event else SIGNS[verb % len(SIGNS)]
    said = f"{name(edge.source)} {verbs[edge.sign < 0]} {name(edge.to)}{condition}"
    return capital(FRAMES[frame % len(FRAMES)].format(edge=said))


def origin(owner: str, craft: str, place: str, p: int) -> str:
    """A line about somebody that bears on nothing, in eight wordings."""
    article = "an" if craft[0] in "aeiou" else "a"
    return (
        "{a} is {an} {craft} from {place}.",
        "{a} lives in {place} and is {an} {craft}.",
        "In {place} there is {an} {craft} called {a}.",
        "{a}, by trade {an} {craft}, grew up in {place}.",
        "This is about {a}, {an} {craft} in {place}.",
        "Everybody in {place} knows {a}, {an} {craft}.",
        "{a} earns a living in {place} as {an} {craft}.",
        "A few years back {a} moved to {place} to become {an} {craft}.",
    )[p].format(a=owner, an=article, craft=craft, place=place)


def intro(owner: str, craft: str, place: str, first: str, second: str, p: int) -> str:
    """Who an item is about and two things that they care about, in eight wordings; for `you` without a craft."""
    who = "you" if owner == "you" else f"{owner}, {'an' if craft[0] in 'aeiou' else 'a'} {craft} from {place},"
    cares = "care" if owner == "you" else "cares"
    wordings = (
        "{who} {cares} about {a} and about {b}.",
        "At present {who} {cares} about {a} and about {b}.",
        "Among the things about which {who} {cares} are {a} and {b}.",
        "Both {a} and {b} matter to {whom}.",
        "It is plain that {who} {cares} about {a} and about {b}.",
        "It is {a} and {b} that matter to {whom}.",
        "Some weight is given to {a} and to {b} by {whom}.",
        "So far {who} {cares} about {a} and {b}.",
    )
    text = wordings[p].format(who=who, whom=who.rstrip(","), cares=cares, a=first, b=second)
    return capital(text.replace(",.", "."))
