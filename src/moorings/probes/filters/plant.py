"""Known faults planted in a set, to measure what each filter finds.

Each function takes items and a generator and returns a new set with the ids that are faulty and the name of the filter
that is meant to find them. The kinds are those that the design lists; `KINDS` holds them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moorings.probes.item import Edge, Item, Option

__all__ = [
    "KINDS",
    "Planted",
    "cyclic_graph",
    "flipped_edge",
    "key_word",
    "label_imbalance",
    "long_key",
    "near_duplicates",
    "second_option_reworded",
    "second_valid_option",
    "wrong_key",
]


@dataclass(frozen=True)
class Planted:
    """A set with known faults."""

    kind: str
    items: tuple[Item, ...]
    faulty: frozenset[str]
    """Ids of the items that were made faulty."""
    filter: str
    """The filter that is meant to find them."""
    judges_set: bool = False
    """Whether the fault is one of the set as a whole, so that its verdict counts and not single items."""


Plant = Callable[[Sequence[Item], np.random.Generator], Planted]


def wrong_key(items: Sequence[Item], rng: np.random.Generator, share: float = 0.05) -> Planted:
    """Mark another option as the right one."""

    def change(item: Item) -> Item:
        wrong = [at for at, option in enumerate(item.options) if not option.key]
        return _keyed(item, int(rng.choice(wrong)))

    return _replaced("wrong key", "solver", items, _drawn([_has_graph(item) for item in items], rng, share), change)


def flipped_edge(items: Sequence[Item], rng: np.random.Generator, share: float = 0.05) -> Planted:
    """Turn the sign of one edge round; the text stays."""

    def change(item: Item) -> Item:
        assert item.graph is not None
        at = int(rng.integers(len(item.graph.edges)))
        edges = tuple(_turned(edge) if i == at else edge for i, edge in enumerate(item.graph.edges))
        return item.model_copy(update={"graph": item.graph.model_copy(update={"edges": edges})})

    allowed = [item.graph is not None and len(item.graph.edges) > 0 for item in items]
    return _replaced("sign-flipped edge", "round_trip", items, _drawn(allowed, rng, share), change)


def cyclic_graph(items: Sequence[Item], rng: np.random.Generator, share: float = 0.05) -> Planted:
    """Add an edge that closes a cycle."""

    def change(item: Item) -> Item:
        assert item.graph is not None
        edge = item.graph.edges[int(rng.integers(len(item.graph.edges)))]
        back = Edge(source=edge.to, to=edge.source, sign=1, delay=1)
        return item.model_copy(update={"graph": item.graph.model_copy(update={"edges": (*item.graph.edges, back)})})

    allowed = [item.graph is not None and len(item.graph.edges) > 0 for item in items]
    return _replaced("cyclic graph", "well_formed", items, _drawn(allowed, rng, share), change)


def near_duplicates(items: Sequence[Item], rng: np.random.Generator, share: float = 0.1) -> Planted:
    """Add copies under new ids, with an opening word, other case or other punctuation; no minimal pair."""
    chosen = _drawn([True] * len(items), rng, share)
    openings = ("", "Now: ", "Well, ", "Again, ")
    copies = []
    for at in chosen:
        item = items[at]
        prompt = openings[int(rng.integers(len(openings)))] + item.prompt
        if rng.random() < 0.3:
            prompt = prompt.replace(".", " .")
        if rng.random() < 0.2:
            prompt = prompt.upper()
        new = {"item_id": f"{item.item_id}-copy", "cluster_id": f"{item.cluster_id}-copy-{at}", "pair": None}
        copies.append(item.model_copy(update={**new, "prompt": prompt}))
    faulty = frozenset(copy.item_id for copy in copies)
    return Planted("near duplicates", (*items, *copies), faulty, "duplicates")


def long_key(items: Sequence[Item], rng: np.random.Generator, share: float = 0.1) -> Planted:
    """Lengthen the key until it is longer than every other option."""

    def change(item: Item) -> Item:
        longest = max(len(option.text) for option in item.options)
        text = item.options[item.key_at].text
        grown = text + ", that is to say" * (1 + max(0, longest - len(text)) // 16) + f", {text}"
        return _with_key_text(item, grown)

    return _replaced("longer key", "artefacts", items, _drawn([True] * len(items), rng, share), change)


def key_word(items: Sequence[Item], rng: np.random.Generator, share: float = 0.1, word: str = "surely") -> Planted:
    """Put a word before the key that no other option has."""

    def change(item: Item) -> Item:
        return _with_key_text(item, f"{word} {item.options[item.key_at].text}")

    return _replaced("key-specific word", "artefacts", items, _drawn([True] * len(items), rng, share), change)


def label_imbalance(items: Sequence[Item], rng: np.random.Generator, share: float = 0.2) -> Planted:
    """Move the key to the first place."""

    def change(item: Item) -> Item:
        order = [item.key_at, *(at for at in range(len(item.options)) if at != item.key_at)]
        symbols = [option.symbol for option in item.options]
        moved = [item.options[at].model_copy(update={"symbol": s}) for at, s in zip(order, symbols, strict=True)]
        return item.model_copy(update={"options": tuple(moved), "key": symbols[0]})

    planted = _replaced("label imbalance", "artefacts", items, _drawn([True] * len(items), rng, share), change)
    return Planted(planted.kind, planted.items, planted.faulty, planted.filter, judges_set=True)


def second_valid_option(items: Sequence[Item], rng: np.random.Generator, share: float = 0.05) -> Planted:
    """Let a wrong option say what the key says, or mark a second one as right."""

    def change(item: Item) -> Item:
        wrong = [at for at, option in enumerate(item.options) if not option.key]
        chosen = int(rng.choice(wrong))
        key = item.options[item.key_at].text
        says_the_same = rng.random() < 0.5

        def second(option: Option) -> Option:
            return option.model_copy(update={"text": f"{key.capitalize()}."} if says_the_same else {"key": True})

        options = [second(option) if at == chosen else option for at, option in enumerate(item.options)]
        return item.model_copy(update={"options": tuple(options)})

    return _replaced("second valid option", "well_formed", items, _drawn([True] * len(items), rng, share), change)


def second_option_reworded(items: Sequence[Item], rng: np.random.Generator, share: float = 0.05) -> Planted:
    """Let a wrong option of S3 to S5 say what the key says in slightly other words."""

    def change(item: Item) -> Item:
        wrong = [at for at, option in enumerate(item.options) if not option.key]
        chosen = int(rng.choice(wrong))
        text = f"{item.options[item.key_at].text}, it seems"
        options = [o.model_copy(update={"text": text}) if at == chosen else o for at, o in enumerate(item.options)]
        return item.model_copy(update={"options": tuple(options)})

    allowed = [item.subtask in ("S3", "S4", "S5") and item.graph is not None for item in items]
    return _replaced("second valid option, reworded", "answerable", items, _drawn(allowed, rng, share), change)


KINDS: dict[str, Plant] = {
    "wrong key": wrong_key,
    "sign-flipped edge": flipped_edge,
    "near duplicates": near_duplicates,
    "longer key": long_key,
    "key-specific word": key_word,
    "label imbalance": label_imbalance,
    "cyclic graph": cyclic_graph,
    "second valid option": second_valid_option,
    "second valid option, reworded": second_option_reworded,
}


def _drawn(allowed: Sequence[bool], rng: np.random.Generator, share: float) -> list[int]:
    """Places of items to change: a share of all, among those that can be."""
    places = np.flatnonzero(allowed)
    n = min(len(places), round(share * len(allowed)))
    return sorted(int(at) for at in rng.choice(places, n, replace=False)) if n else []


def _replaced(
    kind: str, meant: str, items: Sequence[Item], chosen: Sequence[int], change: Callable[[Item], Item]
) -> Planted:
    at = set(chosen)
    new = tuple(change(item) if i in at else item for i, item in enumerate(items))
    return Planted(kind, new, frozenset(items[i].item_id for i in chosen), meant)


def _has_graph(item: Item) -> bool:
    return item.graph is not None and item.query is not None


def _keyed(item: Item, right: int) -> Item:
    options = tuple(option.model_copy(update={"key": at == right}) for at, option in enumerate(item.options))
    return item.model_copy(update={"options": options, "key": options[right].symbol})


def _with_key_text(item: Item, text: str) -> Item:
    options = [option.model_copy(update={"text": text}) if option.key else option for option in item.options]
    return item.model_copy(update={"options": tuple(options)})


def _turned(edge: Edge) -> Edge:
    return edge.model_copy(update={"sign": -edge.sign})
