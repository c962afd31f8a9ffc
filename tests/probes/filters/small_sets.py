"""Small sets of items with a world, made by hand-written rules, for tests of the filters."""

from __future__ import annotations

import numpy as np

from moorings.probes.files import ItemSet
from moorings.probes.item import Edge, Graph, Item, Node, Option, Query
from moorings.probes.world.keys import CHANGES

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def word(rng: np.random.Generator, n: int = 3) -> str:
    """A word that means nothing."""
    return "".join(rng.choice(list(CONSONANTS)) + rng.choice(list(VOWELS)) for _ in range(n))


def change_item(number: int, sign: int, order: int, rng: np.random.Generator | None = None) -> Item:
    """An item of S4: one event, one edge, two fixed options in one of two orders."""
    rng = rng or np.random.default_rng(number)
    owner, value, event, place = (word(rng) for _ in range(4))
    verb = "raises" if sign > 0 else "lowers"
    texts = [CHANGES["up"], CHANGES["down"]]
    key = CHANGES["up" if sign > 0 else "down"]
    turned = texts[order:] + texts[:order]
    graph = Graph(
        nodes=(
            Node(id="x", kind="event", name=event, t=1),
            Node(id="v", kind="value", name=value, owner=owner, t=3),
        ),
        edges=(Edge(source="x", to="v", sign=1 if sign > 0 else -1, delay=1),),
    )
    return Item(
        item_id=f"S4-{number}-{'p' if sign > 0 else 'n'}",
        cluster_id=f"S4-{number}",
        subtask="S4",
        prompt=f"In {place}, {owner} holds {value}. The {event} {verb} {value}. It comes. How much will {owner} hold it?",
        options=tuple(Option(symbol="AB"[at], text=text, key=text == key) for at, text in enumerate(turned)),
        key="AB"[turned.index(key)],
        graph=graph,
        query=Query(value="v", owner=owner, t=3),
        structure="direct",
        intervention={"do": "x", "from": "off", "to": "on"},
        pair=f"S4-{number}-{'n' if sign > 0 else 'p'}",
    )


def change_set(n: int = 120) -> ItemSet:
    """n items in pairs with opposite keys; each key is equally often at each place."""
    pairs = [(number, sign) for number in range(n // 2) for sign in (1, -1)]
    return ItemSet("small", tuple(change_item(k, sign, k % 2) for k, sign in pairs))


def open_item(number: int, rng: np.random.Generator, m: int = 3) -> Item:
    """An item with options of its own, of which a random one is right."""
    values = [word(rng, int(rng.integers(2, 5))) for _ in range(m)]
    right = int(rng.integers(m))
    return Item(
        item_id=f"S1-{number}",
        cluster_id=f"S1-{number}",
        subtask="S1",
        prompt=f"{word(rng)} of {word(rng)} lives for {values[right]}, not for {word(rng)}. For what?",
        options=tuple(Option(symbol="ABC"[at], text=text, key=at == right) for at, text in enumerate(values)),
        key="ABC"[right],
    )


def open_set(n: int = 300, seed: int = 0) -> ItemSet:
    """n items with options of their own."""
    rng = np.random.default_rng(seed)
    return ItemSet("open", tuple(open_item(number, rng) for number in range(n)))
