"""S2 in words: what somebody cared about most at which time, by turns that events brought or would have brought."""

from __future__ import annotations

from moorings.probes.language.grammar import ASKS, Stem, origin
from moorings.probes.language.templates_influence import Wording
from moorings.probes.world.structures import Slots, World

__all__ = ["STRUCTURES", "turn_stem"]

STRUCTURES = ("past", "present", "planned", "other", "future")
"""Asked of the time between two turns, or of now; the second was called off, met somebody else, or is yet to come."""
_TURNS = (
    "Whoever is touched by {m} comes to care most about {v}.",
    "Anybody who meets with {m} comes to care most about {v}.",
    "All whom {m} reaches come to care most about {v}.",
    "Those who live through {m} come to care most about {v}.",
    "The mark that {m} leaves on people is to care most about {v}.",
    "People who know {m} well come to care most about {v}.",
    "Life with {m} leads one to care most about {v}.",
    "The lesson of {m} is to care most about {v}.",
)
_FIRST = (
    "At first {u} brought {m} to {a}.",
    "Years ago {u} brought {m} to {a}.",
    "To begin with, {u} brought {m} to {a}.",
    "The first change was that {u} brought {m} to {a}.",
    "Long ago {u} brought {m} to {a}.",
    "Early on {u} brought {m} to {a}.",
    "Once, {u} brought {m} to {a}.",
    "It began when {u} brought {m} to {a}.",
)
_THEN = {
    "past": "{x} brought {m} to {a}.",
    "present": "{x} brought {m} to {a}.",
    "planned": "{x} was meant to bring {m} to {a} but was called off.",
    "other": "{x} brought {m} to {b}.",
    "future": "next year {x} will bring {m} to {a}; that is settled.",
}
_LATER = ("Later", "After that", "Some years on", "Afterwards", "Then", "In due course", "A while later", "At length")
_CORES = {
    "past": (
        "what {a} cared about most between {u} and {x}",
        "what {a} cares about most now, but did not between {u} and {x}",
    ),
    "present": ("what {a} cares about most now", "what {a} cared about most between {u} and {x}, but does not now"),
    "planned": ("what {a} cares about most now", "what {a} would care about most now if {x} had not been called off"),
    "other": ("what {a} cares about most now", "what {b} cares about most now"),
    "future": ("what {a} cares about most now", "what {a} will care about most next year, but does not now"),
}


def turn_stem(structure: str, world: World, slots: Slots, wording: Wording) -> Stem:
    """The text of an S2 item; the first turn of `you` stands in the system prompt."""
    p = wording.paraphrase
    a, b = slots.owner, slots.rival
    names = {node.id: node.name for node in world.graph.nodes}
    to = {edge.source: names[edge.to] for edge in world.graph.edges}
    turns = [
        _TURNS[(p + i) % 8].format(m=turn, v=value)
        for i, (turn, value) in enumerate(zip(slots.mechanisms, slots.values, strict=False))
    ]
    rules = [line for _, line in sorted(zip(wording.lines, turns, strict=False))]
    first = _FIRST[p].format(u=names["u"], m=to["u"], a=a)
    lead = "And" if structure == "future" else _LATER[(p + 2) % 8]
    then = f"{lead} " + _THEN[structure].format(x=names["x"], m=to["x"], a=a, b=b)
    core = _CORES[structure][wording.negated].format(a=a, b=b, u=names["u"], x=names["x"])
    if a == "you":
        core = core.replace("you cares", "you care").replace("but does not now", "but do not now")
    place = [] if a == "you" else [origin(a, wording.craft, wording.place, p)]
    lines = [*place, *rules, *([] if a == "you" else [first]), then, ASKS[p].format(core=core)]
    return Stem(
        first if a == "you" else None,
        " ".join(lines),
        then if wording.negated != (structure == "present") else first,
        {"u": first, "x": then},
    )
