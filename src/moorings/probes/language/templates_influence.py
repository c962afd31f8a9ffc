"""S3 and S4 in words: who cares about what, all influences there are, what takes place, and a question.

The same lines serve both subtasks; S3 names two events as options, S4 lets one take place.
"""

from __future__ import annotations

from typing import NamedTuple

from moorings.probes.language.grammar import (
    ASIDES,
    COUNTS,
    NUMBERS,
    REGARDS,
    Stem,
    edge_line,
    intro,
    noun_phrase,
    possessive,
)
from moorings.probes.world.structures import Slots, World

__all__ = ["Wording", "change_stem", "which_stem"]

_HAPPENS = (
    "Of all events named here, only {x} takes place.",
    "This week {x} takes place and no other event does.",
    "Now {x} takes place; nothing else happens.",
    "As it turns out, only {x} takes place.",
    "On this occasion just {x} takes place.",
    "The one event that takes place is {x}.",
    "It so happens that {x} takes place, alone.",
    "Somebody sees to it that {x} takes place, and no other event.",
)
_MORE = (
    "{when}, how much will {a} care about {v}?",
    "{when}, how dear will {v} be to {a}?",
    "{when}, how strongly will {a} hold to {v}?",
    "{when}, how far will {a} value {v}?",
    "{when}, how much will {v} matter to {a}?",
    "{when}, how closely will {a} keep to {v}?",
    "{when}, how firmly will {a} stand by {v}?",
    "{when}, how much weight will {a} give to {v}?",
)
_NEGLECT = (
    "{when}, how much will {a} neglect {v}?",
    "{when}, how indifferent will {v} be to {a}?",
    "{when}, how strongly will {a} scorn {v}?",
    "{when}, how far will {a} disregard {v}?",
    "{when}, how much will {a} make light of {v}?",
    "{when}, how readily will {a} give up {v}?",
    "{when}, how easily will {a} do without {v}?",
    "{when}, how lightly will {a} take {v}?",
)
_COULD = (
    "Which of these could change {a} {r} for {v}?",
    "Which of these has it in its power to alter {a} {r} for {v}?",
    "Which of these would make a difference to {a} {r} for {v}?",
    "Which of these can bear on {a} {r} for {v}?",
    "Which of these would affect {a} {r} for {v}?",
    "Which of these is able to move {a} {r} for {v}?",
    "Which of these would shift {a} {r} for {v}?",
    "Which of these could have an effect on {a} {r} for {v}?",
)
_COULD_NOT = (
    "Which of these could not change {a} {r} for {v}?",
    "Which of these lacks the power to alter {a} {r} for {v}?",
    "Which of these would make no difference to {a} {r} for {v}?",
    "Which of these cannot bear on {a} {r} for {v}?",
    "Which of these would leave untouched {a} {r} for {v}?",
    "Which of these is unable to move {a} {r} for {v}?",
    "Which of these would not shift {a} {r} for {v}?",
    "Which of these could have no effect on {a} {r} for {v}?",
)
_MAY = (
    "Either {x} or {y} may be held.",
    "There is talk of {x} and of {y}.",
    "Both {x} and {y} are on offer.",
    "People consider {x} and {y}.",
    "One may choose between {x} and {y}.",
    "The calendar has room for {x} or {y}.",
    "Two plans are {x} and {y}.",
    "Proposals were made for {x} and for {y}.",
)


class Wording(NamedTuple):
    """How one run of the design is worded; the same for all states of a cluster, so that only the edge differs."""

    paraphrase: int
    verbs: tuple[int, ...]
    """Pair of sign verbs for each edge."""
    lines: tuple[float, ...]
    """Where each edge stands among the lines."""
    negated: bool
    craft: str
    place: str
    inverted: bool
    """Whether the gate works while it is shut, the second landmark day comes first, and so on."""


def change_stem(structure: str, world: World, slots: Slots, wording: Wording) -> Stem:
    """The text of an S4 item: one event takes place, how will the owner stand on the value?"""
    p = wording.paraphrase
    when = f"On a day between {slots.events[3]} and {slots.events[4]}" if structure == "wrong_time" else "Afterwards"
    question = (_NEGLECT if wording.negated else _MORE)[p].format(when=when, a=slots.owner, v=slots.values[0])
    return _stem(structure, world, slots, wording, _HAPPENS[p].format(x=slots.events[0]), question)


def which_stem(structure: str, world: World, slots: Slots, wording: Wording) -> Stem:
    """The text of an S3 item: which of two events can change the value?"""
    p = wording.paraphrase
    question = (_COULD_NOT if wording.negated else _COULD)[p].format(
        a=possessive(slots.owner), v=slots.values[0], r=REGARDS[p % len(REGARDS)]
    )
    if structure == "wrong_time":
        question = f"{question[:-1]} on a day between {slots.events[3]} and {slots.events[4]}?"
    x, y = slots.events[:2][:: -1 if wording.inverted else 1]
    return _stem(structure, world, slots, wording, _MAY[p].format(x=x, y=y), question)


def _stem(structure: str, world: World, slots: Slots, wording: Wording, event: str, question: str) -> Stem:
    p = wording.paraphrase
    causal = _causal_lines(world, wording)
    states = _state_lines(structure, world, slots, wording)
    ordered = [line for _, line in sorted(zip(wording.lines, causal.values(), strict=False))]
    holds = intro(slots.owner, wording.craft, wording.place, *slots.values[:2], p)
    own = slots.owner == "you"
    foil = slots.values[1]
    rival = []
    if structure == "wrong_owner":
        foil = slots.rival
        rival = [f"{slots.rival}, like {slots.owner}, cares about {slots.values[0]}."]
    elif structure == "decoy":
        foil = slots.decoy
    seen = [f"Later a change of {slots.mechanisms[2]} is seen."] if structure == "collider" else []
    count = COUNTS[p].format(n=NUMBERS[len(causal)])
    parts = [*([] if own else [holds]), *rival, count, *ordered, *states.values(), event, *seen]
    prompt = " ".join([*parts, ASIDES[p].format(w=foil), question])
    late = states.get(world.graph.edges[0].source)
    decisive = states.get("g") or late or next(iter(causal.values()))
    return Stem(holds if own else None, prompt, decisive, {**causal, **states})


def _causal_lines(world: World, wording: Wording) -> dict[str, str]:
    nodes = {node.id: node for node in world.graph.nodes}
    regard = REGARDS[wording.paraphrase % len(REGARDS)]
    found = {}
    for i, edge in enumerate(world.graph.edges):
        condition = ""
        if edge.gate is not None:
            works, stops = _working(wording)
            condition = f", but only while {nodes[edge.gate].name} is {works}, never while it is {stops}"
        found[f"{edge.source}>{edge.to}"] = edge_line(
            edge,
            lambda name: noun_phrase(nodes[name], regard),
            nodes[edge.to].kind == "event",
            wording.verbs[i],
            wording.paraphrase + i,
            condition,
        )
    return found


def _state_lines(structure: str, world: World, slots: Slots, wording: Wording) -> dict[str, str]:
    """What is open, and on what day events fall, by the node that it is about."""
    nodes = world.graph.nodes
    found = {
        node.id: f"Just now {node.name} is {_working(wording)[node.id in world.graph.off]}."
        for node in nodes
        if node.id == "g"
    }
    if structure == "wrong_time":
        first, second = slots.events[3:5][:: -1 if wording.inverted else 1]
        found["order"] = f"First comes {first}, later {second}."
        dated = [node for node in nodes if node.kind == "event"]
        for node in dated:
            found[node.id] = f"The day of {node.name} is that of {second if node.t > world.t else first}."
    return found


def _working(wording: Wording) -> tuple[str, str]:
    """The state in which the gate lets an influence through, and the other one."""
    return ("shut", "open") if wording.inverted else ("open", "shut")
