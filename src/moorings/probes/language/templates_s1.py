"""S1 in words: what one owner cares about, what another does, and what is merely praised in the room."""

from __future__ import annotations

from moorings.probes.item import Edge, Graph, Node
from moorings.probes.language.grammar import ASKS, Stem, capital, origin, possessive
from moorings.probes.language.templates_influence import Wording
from moorings.probes.world.structures import Slots, World

__all__ = ["STRUCTURES", "concept_stem", "concept_world"]

STRUCTURES = ("direct", "role", "belief", "quote")
"""Both say it plainly; through a post that each fills; another's mistaken belief; in their own words."""
_CARES = (
    "{a} will always put {v} first",
    "{a} would give up much for {v}",
    "nothing could mean more to {a} than {v}",
    "{a} would not trade {v} for anything",
    "what {a} would miss most is {v}",
    "{a} can be counted on to stand up for {v}",
    "{s} heart lies with {v}",
    "for {a} it would be hard to live without {v}",
)
_OWN_WORDS = (
    "I will always put {v} first",
    "I would give up much for {v}",
    "Nothing could mean more to me than {v}",
    "I would not trade {v} for anything",
    "What I would miss most is {v}",
    "I can be counted on to stand up for {v}",
    "My heart lies with {v}",
    "For me it would be hard to live without {v}",
)
_POSTERS = (
    "Posters in the hall praise {0}, {1} and {2}.",
    "A speech that day praised {0}, {1} and {2}.",
    "The newspaper wrote of {0}, {1} and {2}.",
    "A song on the radio was about {0}, {1} and {2}.",
    "At the inn people talked of {0}, {1} and {2}.",
    "There is a club for {0}, one for {1} and one for {2}.",
    "A new book treats {0}, {1} and {2}.",
    "The town's motto names {0}, {1} and {2}.",
)
_POSTS = (
    "The post of {r} is held by {a}.",
    "The work of {r} is done by {a}.",
    "The job of {r} went to {a}.",
    "The duties of {r} fall to {a}.",
    "The title of {r} belongs to {a}.",
    "The place of {r} was filled by {a}.",
    "The badge of {r} is worn by {a}.",
    "The chair of {r} is taken by {a}.",
)
_SAID = (
    "{a} said",
    "{a} once wrote",
    "{a} told a friend",
    "{a} admitted",
    "{a} declared",
    "{a} confessed",
    "{a} explained",
    "{a} remarked",
)
_THINKS = (
    "{b} is mistaken about {a} and thinks: {said}.",
    "{b} has got {a} wrong and believes: {said}.",
    "{b} hardly knows {a} and guesses: {said}.",
    "{b} has misread {a} and supposes: {said}.",
    "{b} mixes {a} up with somebody and is sure: {said}.",
    "{b} has been told lies about {a} and is convinced: {said}.",
    "{b} misjudges {a} and holds: {said}.",
    "{b} is in error about {a} and assumes: {said}.",
)


def concept_world(structure: str, own: int, others: int, slots: Slots) -> World:
    """The world of an S1 item.

    Args:
        structure: One of `STRUCTURES`.
        own: Which value the owner holds.
        others: Which value the rival holds, or believes the owner to hold.
        slots: Names; the mechanisms are the posts.
    """
    a, b = slots.owner, slots.rival
    nodes = [Node(id="a", kind="belief", name=a, owner=a, about=a), Node(id="b", kind="belief", name=b, owner=b)]
    believed = structure == "belief"
    for i, name in enumerate(slots.values):
        nodes.append(Node(id=f"v{i}", kind="value", name=name, owner=a, t=1))
        about = a if believed else None
        nodes.append(Node(id=f"w{i}", kind="belief" if believed else "value", name=name, owner=b, about=about, t=1))
    if structure != "role":
        edges = [Edge(source="a", to=f"v{own}", sign=1), Edge(source="b", to=f"w{others}", sign=1)]
        return World(Graph(nodes=tuple(nodes), edges=tuple(edges)), f"v{own}", 1)
    edges = [Edge(source="a", to=f"r{own}", sign=1), Edge(source="b", to=f"s{others}", sign=1)]
    for post, value in (("r", "v"), ("s", "w")):
        # A post leads its holder to a value, so it has one node for either.
        nodes += [Node(id=f"{post}{i}", kind="mechanism", name=slots.mechanisms[i]) for i in range(3)]
        edges += [Edge(source=f"{post}{i}", to=f"{value}{i}", sign=1) for i in range(3)]
    return World(Graph(nodes=tuple(nodes), edges=tuple(edges)), f"v{own}", 1)


def concept_stem(structure: str, world: World, slots: Slots, wording: Wording) -> Stem:
    """The text of an S1 item; what `you` care about stands in the system prompt."""
    p = wording.paraphrase
    a, b = slots.owner, slots.rival
    names = {node.id: node.name for node in world.graph.nodes}
    to = {edge.source: names[edge.to] for edge in world.graph.edges}
    if structure == "role":
        own, other = (capital(_POSTS[p].format(r=to[i], a=who)) for i, who in (("a", a), ("b", b)))
        rules = [
            f"Of whoever is {names[f'r{i}']} this holds: {_care(p + 1 + i, 'that person', slots.values[i])}."
            for i in range(3)
        ]
        rules = [rule for _, rule in sorted(zip(wording.lines, rules, strict=False))]
    else:
        own, other, rules = capital(_care(p, a, to["a"])) + ".", capital(_care(p + 1, b, to["b"])) + ".", []
    if structure == "belief":
        other = _THINKS[p].format(a=a, b=b, said=_care(p + 1, a, to["b"]))
    if structure == "quote":
        own, other = (
            f'{capital(_SAID[(p + i) % 8].format(a=who))}: "{_OWN_WORDS[(p + i) % 8].format(v=value)}."'
            for i, (who, value) in enumerate(((a, to["a"]), (b, to["b"])))
        )
    posters = _POSTERS[(p + 3) % 8].format(*(v for _, v in sorted(zip(wording.lines[3:], slots.values, strict=False))))
    if wording.negated:
        core = (
            f"what {b} thinks {a} will put first" if structure == "belief" else f"what {b}, unlike {a}, will put first"
        )
    else:
        core = f"what {a} will put first" if structure == "belief" else f"what {a}, unlike {b}, will put first"
    lines = [other, own] if wording.inverted else [own, other]
    system = None
    if a == "you":
        system, lines = own, [other]
    place = origin(b if a == "you" else a, wording.craft, wording.place, p)
    prompt = " ".join((place, *rules, *lines, posters, ASKS[p].format(core=core)))
    return Stem(system, prompt, own if not wording.negated else other, {"a": own, "b": other})


def _care(p: int, who: str, value: str) -> str:
    return _CARES[p % len(_CARES)].format(a=who, v=value, s=possessive(who))
