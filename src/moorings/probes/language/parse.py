"""Read the world of a grammar item back from its text, and answer from the text alone.

Written against the sentences and not against the verbaliser: it shares no template with it, knows only the verbs that
carry a sign and the turns of phrase of each kind of sentence, and never looks at an item's graph, key or metadata.

A text is complete only if it has as many causal sentences as it announces, so that an answer is refused once one is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from moorings.probes.item import Item
from moorings.probes.language.read_stories import concept_answer, concept_edges, turn_answer, turn_edges
from moorings.probes.language.sentences import sentences

__all__ = ["Cause", "Reading", "answer", "edges_of", "read"]

_UP = "raises|strengthens|increases|boosts|heightens|builds up|lifts|enlarges|brings on|triggers|sets off|gives rise to"
_DOWN = "lowers|weakens|decreases|dampens|lessens|wears down|depresses|shrinks|holds off|prevents|fends off|rules out"
_HELD = r"(?:[A-Z]\w*'s|your|Your) (?:earlier )?(?:care|regard|concern|esteem) for [\w' -]+?"
_THING = rf"(?:[Tt]he [a-z][\w' -]*?|{_HELD})"
_EDGE = re.compile(
    rf"(?P<source>{_THING}) (?P<verb>{_UP}|{_DOWN}) (?P<target>{_THING})"
    r"(?:, but only while (?P<gate>the [\w' -]+?) is (?P<works>open|shut), never while it is (?:open|shut))?\.$"
)
_OWNED = re.compile(r"(?P<owner>\w+)(?:'s)? (?P<earlier>earlier )?(?:care|regard|concern|esteem) for (?P<name>.+)")
_COUNT = re.compile(r"\b(one|two|three|four|five|six|seven) influences?\b")
_COUNTED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_STATE = re.compile(r"Just now (the .+) is (open|shut)\.")
_ORDER = re.compile(r"First comes (the .+), later (the .+)\.")
_DAY = re.compile(r"The day of (the .+) is that of (the .+)\.")
_HAPPENS = re.compile(r"(?:takes place is (the [\w' -]+?)\.$|(the [\w' -]+?) takes place)")
_LESS = re.compile(r"\b(?:neglect|indifferent|scorn|disregard|make light|give up|do without|lightly)\b")
_NOT = re.compile(r"\b(?:not|lacks|no|cannot|untouched|unable)\b")
_WHICH = re.compile(r"(your|[A-Z]\w*'s) (?:care|regard|concern|esteem) for (.+?)(?: on a day between .+)?\?$")
_ASKED_OWNER = re.compile(r"\b(?:will|to) (you|[A-Z]\w*)\b")
_BRINGS = re.compile(r"(?:change that (the [\w' -]+?) would bring|Word comes that (the [\w' -]+?) was about)")
_INDIFFERENT = re.compile(r"any change|either way|leave open|to chance|lose no sleep|no wish|not mind|no side")


class Thing(NamedTuple):
    """What a noun phrase stands for."""

    name: str
    owner: str | None = None
    earlier: bool = False


class Cause(NamedTuple):
    """One causal sentence."""

    source: Thing
    target: Thing
    sign: int
    gate: str | None = None
    works: str | None = None
    """State of the gate in which the cause works."""


class Reading(NamedTuple):
    """What a text says."""

    causes: tuple[Cause, ...]
    announced: int | None
    """How many causal sentences there should be."""
    states: dict[str, str]
    """Gate to its state."""
    late: dict[str, bool]
    """Event to whether its day comes second."""
    happens: str | None
    question: str


def read(text: str) -> Reading:
    """Read the text of an item of S3 to S5."""
    causes, states, days, order = [], {}, {}, ("", "")
    announced: int | None = None
    happens: str | None = None
    found = sentences(text)
    for sentence in found:
        if match := _EDGE.search(sentence):
            sign = 1 if re.fullmatch(_UP, match["verb"]) else -1
            causes.append(Cause(_thing(match["source"]), _thing(match["target"]), sign, match["gate"], match["works"]))
        elif match := _COUNT.search(sentence):
            announced = _COUNTED[match[1]]
        elif match := _STATE.fullmatch(sentence):
            states[match[1]] = match[2]
        elif match := _ORDER.fullmatch(sentence):
            order = (match[1], match[2])
        elif match := _DAY.fullmatch(sentence):
            days[match[1]] = match[2]
        elif match := _HAPPENS.search(sentence):
            happens = match[1] or match[2]
    late = {event: day == order[1] for event, day in days.items() if day in order}
    return Reading(tuple(causes), announced, states, late, happens, found[-1] if found else "")


def _thing(phrase: str) -> Thing:
    phrase = phrase[:1].lower() + phrase[1:] if phrase[:4] in ("The ", "Your") else phrase
    if phrase.startswith("the "):
        return Thing(phrase)
    match = _OWNED.fullmatch(phrase)
    assert match is not None
    owner = "you" if match["owner"] == "your" else match["owner"]
    return Thing(match["name"], owner, match["earlier"] is not None)


def edges_of(item: Item) -> frozenset[tuple[str, str, int]] | None:
    """Signed edges that an item's text states, by the names of their nodes.

    Returns:
        None where the text is not one of this grammar, or states fewer causes than it announces.
    """
    text = _text(item)
    if item.subtask == "S1":
        return concept_edges(text)
    if item.subtask == "S2":
        return turn_edges(text)
    if item.subtask not in ("S3", "S4", "S5"):
        return None
    reading = read(text)
    if not reading.causes or reading.announced != len(reading.causes):
        return None
    edges = {(cause.source.name, cause.target.name, cause.sign) for cause in reading.causes}
    if item.subtask == "S5":
        way = _way(text, reading)
        if way is None:
            return None
        edges.add((*way, 1))
    return frozenset(edges)


def answer(item: Item) -> int | None:
    """Index of the option that follows from the text; None where none does."""
    text = _text(item)
    if item.subtask in ("S1", "S2"):
        said = (concept_answer if item.subtask == "S1" else turn_answer)(text)
        return item.texts.index(said) if said in item.texts else None
    if item.subtask not in ("S3", "S4", "S5"):
        return None
    reading = read(text)
    if reading.announced is None or reading.announced != len(reading.causes):
        return None
    solve = {"S3": _which, "S4": _change, "S5": _stance}[item.subtask]
    begins = solve(item, text, reading)
    found = [i for i, option in enumerate(item.texts) if begins is not None and option.startswith(begins)]
    return found[0] if len(found) == 1 else None


def _text(item: Item) -> str:
    return f"{item.system or ''} {item.prompt}"


def _reached(reading: Reading, event: str) -> Iterator[tuple[Thing, int | None]]:
    """Values that an event comes to, with the sign; None where a gate's state is not told."""
    stack: list[tuple[Thing, int | None]] = [(Thing(event), 1)]
    while stack:
        at, sign = stack.pop()
        for cause in reading.causes:
            if cause.source != at:
                continue
            known = sign
            if cause.gate is not None:
                state = reading.states.get(cause.gate)
                if state is not None and state != cause.works:
                    continue
                known = None if state is None else sign
            after = None if known is None else known * cause.sign
            if cause.target.owner is not None:
                yield cause.target, after
            stack.append((cause.target, after))


def _sign(reading: Reading, event: str, owner: str, value: str) -> int | None:
    """Direction in which an event moves a value: 1, -1, or 0 for not at all; None where that is unclear."""
    if reading.states or any(cause.gate for cause in reading.causes):
        gates = {cause.gate for cause in reading.causes if cause.gate}
        if not gates <= set(reading.states):
            return None
    if "On a day between" in reading.question or "on a day between" in reading.question:
        if event not in reading.late:
            return None
        if reading.late[event]:
            return 0
    signs = {sign for thing, sign in _reached(reading, event) if thing == Thing(value, owner)}
    if not signs:
        return 0
    return signs.pop() if len(signs) == 1 else None


def _which(item: Item, text: str, reading: Reading) -> str | None:
    match = _WHICH.search(reading.question)
    if match is None:
        return None
    owner = "you" if match[1] == "your" else match[1][:-2]
    events = [option for option in item.texts if option.startswith("the ")]
    signs = [_sign(reading, event, owner, match[2]) for event in events]
    if None in signs or len(events) != 2:
        return None
    negated = _NOT.search(reading.question[: match.start()]) is not None
    right = [event for event, sign in zip(events, signs, strict=True) if (sign == 0) == negated]
    return right[0] if len(right) == 1 else "both" if right else "neither"


def _change(item: Item, text: str, reading: Reading) -> str | None:
    owner = _ASKED_OWNER.search(reading.question)
    if reading.happens is None or owner is None:
        return None
    things = {thing for cause in reading.causes for thing in (cause.source, cause.target) if thing.owner == owner[1]}
    spoken = [t.name for t in things if re.search(rf"\b{re.escape(t.name)}\b", reading.question)]
    sign = _sign(reading, reading.happens, owner[1], max(spoken, key=len, default=""))
    if sign is None:
        return None
    sign *= -1 if _LESS.search(reading.question) else 1
    return {1: "more", -1: "less", 0: "about"}[sign]


def _way(text: str, reading: Reading) -> tuple[str, str] | None:
    """The event of an S5 item and the process that it works through."""
    event = _BRINGS.search(text)
    if event is None:
        return None
    name = event[1] or event[2]
    processes = {cause.source.name for cause in reading.causes}
    for sentence in sentences(text):
        said = sentence[:1].lower() + sentence[1:]
        if said.startswith(f"{name} would "):
            found = [process for process in processes if said.endswith(f"{process}.")]
            return (name, found[0]) if len(found) == 1 else None
    return None


def _stance(item: Item, text: str, reading: Reading) -> str | None:
    way = _way(text, reading)
    if way is None:
        return None
    moved = list(_reached(reading, way[1]))
    value, sign = moved[0] if len(moved) == 1 else (None, None)
    if value is None or sign is None:
        return None
    wish = re.search(rf"\b{re.escape(value.name)}(?: to| should| would| will)? (grow|fade)\b", text)
    if wish is None:
        open_to = [
            s for s in sentences(text) if re.search(rf"\b{re.escape(value.name)}\b", s) and _INDIFFERENT.search(s)
        ]
        return "as no concern" if open_to else None
    accepted = _accepted(text, {cause.source.name for cause in reading.causes})
    if accepted is None:
        return None
    welcome = (sign > 0) == (wish[1] == "grow") and accepted == way[1]
    if "called off" in text:
        welcome = not welcome
    return "as a change to welcome" if welcome else "as a change to resist"


def _accepted(text: str, sources: set[str]) -> str | None:
    """The process that is named first in the one sentence that weighs two of them."""
    for sentence in sentences(text):
        said = sentence[:1].lower() + sentence[1:]
        named = sorted((said.index(name), name) for name in sources if name in said)
        if len(named) == 2 and not _EDGE.search(sentence):
            return named[0][1]
    return None
