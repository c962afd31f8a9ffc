"""Read items of S1 and S2: who holds what, and which turns came to whom and when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from moorings.probes.language.sentences import sentences

__all__ = ["concept_answer", "concept_edges", "turn_answer", "turn_edges"]

_WHO = r"(?P<who>you|You|I|me|[Mm]y|[Yy]our|that person(?:'s)?|[A-Z]\w*?(?:'s)?)"
_CARES = [
    re.compile(pattern.replace("WHO", _WHO).replace("VALUE", r"(?P<value>[a-z][\w' -]*)"))
    for pattern in (
        r"WHO will always put VALUE first",
        r"WHO would give up much for VALUE",
        r"[Nn]othing could mean more to WHO than VALUE",
        r"WHO would not trade VALUE for anything",
        r"[Ww]hat WHO would miss most is VALUE",
        r"WHO can be counted on to stand up for VALUE",
        r"WHO heart lies with VALUE",
        r"[Ff]or WHO it would be hard to live without VALUE",
    )
]
_POST = re.compile(
    r"The (?:post|work|job|duties|title|place|badge|chair) of (the [\w -]+?) (?:is|was|went|fall|belongs)\b.* (\w+)\."
)
_RULE = re.compile(r"Of whoever is (the [\w -]+?) this holds: (.+)\.")
_QUOTE = re.compile(r'(\w+) [\w ]+: "(.+)\."')
_THINKS = re.compile(r"([A-Z]\w*) [\w ]+: (.+)\.")
_ASKED = re.compile(r"what (?:(?P<thinker>[A-Z]\w*) thinks )?(?P<who>you|[A-Z]\w*)(?:, unlike \w+,)? will put first")

_REACH = [
    re.compile(
        pattern.replace("TURN", r"(?P<turn>the [\w' -]+?)")
        + r" (?:comes?|is|leads one) ?to care most about (?P<value>[\w' -]+)\."
    )
    for pattern in (
        r"Whoever is touched by TURN",
        r"Anybody who meets with TURN",
        r"All whom TURN reaches",
        r"Those who live through TURN",
        r"The mark that TURN leaves on people",
        r"People who know TURN well",
        r"Life with TURN",
        r"The lesson of TURN",
    )
]
_BROUGHT = re.compile(
    r"(?P<event>the [\w' -]+?) (?:brought|will bring|was meant to bring) (?P<turn>the [\w' -]+?) to "
    r"(?P<who>you|[A-Z]\w*)(?P<off> but was called off)?(?:; that is settled)?\.$"
)


class _Held(NamedTuple):
    who: str
    value: str
    thinker: str | None = None


def _care(text: str) -> _Held | None:
    """Who holds what by one clause."""
    for pattern in _CARES:
        if match := pattern.fullmatch(text):
            who = match["who"].removesuffix("'s")
            return _Held("you" if who.lower() in ("you", "your") else who, match["value"])
    return None


def _concepts(text: str) -> Iterator[_Held]:
    rules: dict[str, str] = {}
    posts: dict[str, str] = {}
    for sentence in sentences(text):
        if match := _RULE.fullmatch(sentence):
            held = _care(match[2])
            if held is not None:
                rules[match[1]] = held.value
        elif match := _POST.fullmatch(sentence):
            posts[match[2]] = match[1]
        elif match := _QUOTE.fullmatch(sentence):
            held = _care(match[2])
            if held is not None:
                yield _Held("you" if match[1] == "You" else match[1], held.value)
        elif match := _THINKS.fullmatch(sentence):
            held = _care(match[2])
            if held is not None:
                yield held._replace(thinker=match[1])
        elif held := _care(sentence[:-1]):
            yield held
    yield from (_Held(who, rules[post]) for who, post in posts.items() if post in rules)


def concept_edges(text: str) -> frozenset[tuple[str, str, int]] | None:
    """Signed edges of an S1 text; None where nothing is said of anybody."""
    found = [sentence for sentence in sentences(text)]
    rules = [match for sentence in found if (match := _RULE.fullmatch(sentence))]
    if rules:
        posts = [match for sentence in found if (match := _POST.fullmatch(sentence))]
        cares = [(match[1], _care(match[2])) for match in rules]
        edges = {(name, held.value, 1) for name, held in cares if held is not None}
        return frozenset(edges | {(match[2], match[1], 1) for match in posts})
    held = list(_concepts(text))
    return frozenset((one.thinker or one.who, one.value, 1) for one in held) or None


def concept_answer(text: str) -> str | None:
    """What the one who is asked about holds, or is believed to hold; None where that is not said once."""
    asked = _ASKED.search(text)
    if asked is None:
        return None
    wanted = (asked["who"], asked["thinker"])
    found = {held.value for held in _concepts(text) if (held.who, held.thinker) == wanted}
    return found.pop() if len(found) == 1 else None


class _Brought(NamedTuple):
    event: str
    turn: str
    who: str
    when: int
    """0 for the first turn, 1 for the later one, 2 for next year."""
    off: bool


def _history(text: str) -> tuple[dict[str, str], list[_Brought]]:
    leads: dict[str, str] = {}
    brought: list[_Brought] = []
    for sentence in sentences(text):
        for pattern in _REACH:
            if match := pattern.fullmatch(sentence):
                leads[match["turn"]] = match["value"]
        if match := _BROUGHT.search(sentence):
            when = 2 if "will bring" in sentence else len(brought)
            brought.append(_Brought(match["event"], match["turn"], match["who"], when, match["off"] is not None))
    return leads, brought


def turn_edges(text: str) -> frozenset[tuple[str, str, int]] | None:
    """Signed edges of an S2 text; None where nothing happens in it."""
    leads, brought = _history(text)
    edges = {(one.event, one.turn, 1) for one in brought} | {(turn, value, 1) for turn, value in leads.items()}
    return frozenset(edges) if brought else None


def turn_answer(text: str) -> str | None:
    """What was, is or would be cared about most at the time asked; None where the text does not tell."""
    leads, brought = _history(text)
    question = sentences(text)[-1]
    asked = re.search(r"what (you|[A-Z]\w*) (?:care|would|will)", question)
    if asked is None or len(brought) != 2:
        return None
    if "next year" in question:
        latest = 2
    elif " cared about most between " in question:
        latest = 0
    else:
        latest = 1
    hypothetical = "had not been called off" in question
    mine = [one for one in brought if one.who == asked[1] and one.when <= latest and (hypothetical or not one.off)]
    last = max(mine, key=lambda one: one.when, default=None)
    return None if last is None else leads.get(last.turn)
