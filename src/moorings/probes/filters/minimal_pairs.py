"""Does each item's minimal pair hold: nearly the same words, one cause flipped or cut, and another key.

A model that gets both right has followed the cause; one that goes by the words alone gets one of them wrong (contrast
sets, Gardner et al. 2020, arXiv 2004.02709). Sets without pairs are not judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from moorings.probes.filters.by_subtask import MAX_EXAMPLES
from moorings.probes.filters.filter import Challenge, FilterConfig, FilterReport, Flag, filters
from moorings.probes.filters.text_features import normal, words
from moorings.probes.item import Graph, Item

__all__ = ["Config", "MinimalPairs"]


class Config(FilterConfig):
    """Settings of `minimal_pairs`."""

    words: int = Field(default=12, ge=1)
    """Most words of a stem that its pair does not have: a flipped verb, or the one line that is cut or put in its place."""
    tolerated: float = Field(default=0.0, ge=0, le=1)
    """Largest share of broken pairs in a set that passes."""


class MinimalPairs:
    """Pairs that differ in one cause and in the key."""

    challenge: Challenge = "C4"
    statement = "Every item has a pair with nearly the same words, one cause changed, and another key."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        known = {item.item_id: item for item in items}
        paired = [item for item in items if item.pair is not None]
        if not paired:
            return FilterReport(0, (), "not applicable", "No item names a minimal pair.")
        found = {item.item_id: self._fault(item, known) for item in paired}
        flags = tuple(Flag(item_id, fault) for item_id, fault in found.items() if fault)
        kinds = Counter(flag.reason for flag in flags)
        share = len(flags) / len(paired)
        return FilterReport(
            n_in=len(paired),
            flags=flags,
            verdict="fail" if share > self.config.tolerated else "pass",
            said=f"{len(flags)} of {len(paired)} items have a minimal pair that does not hold"
            + (f"; most often: {kinds.most_common(1)[0][0]}." if kinds else "."),
            figures={"share of broken pairs": share, "items without a pair": float(len(items) - len(paired))},
            examples=tuple(_example(known[flag.item_id], flag.reason, known) for flag in flags[:MAX_EXAMPLES]),
        )

    def _fault(self, item: Item, known: dict[str, Item]) -> str | None:
        other = known.get(item.pair or "")
        if other is None:
            return "its pair is not in the set"
        if other.cluster_id != item.cluster_id:
            return "its pair is of another cluster"
        if _key_text(item) == _key_text(other):
            return "its pair has the same key"
        if (extra := _extra_words(item, other)) > self.config.words:
            return f"{extra} words of its stem are not in its pair's"
        if item.graph is None or other.graph is None:
            return None
        if item.graph == other.graph and item.endorsements == other.endorsements and item.query == other.query:
            return "nothing in its world differs from its pair's"
        n = changes(item.graph, other.graph)
        return f"{n} causes differ from its pair's; one should" if n > 1 else None


def changes(a: Graph, b: Graph) -> int:
    """Causes that differ: an edge flipped, cut or put elsewhere counts once, and so does a gate or a time.

    Nodes are told apart by name, so that somebody else's copy of a mechanism is not a second change.
    """
    ours, theirs = _named(a), _named(b)
    times = {node.id: node.t for node in a.nodes}
    moved = sum(times.get(node.id, node.t) != node.t for node in b.nodes)
    return max(len(ours - theirs), len(theirs - ours)) + len(set(a.off) ^ set(b.off)) + moved


def _named(graph: Graph) -> set[tuple[str, str, int, float, int, str | None]]:
    names = {node.id: node.name or node.id for node in graph.nodes}
    return {(names.get(e.source, e.source), names.get(e.to, e.to), e.sign, e.w, e.delay, e.gate) for e in graph.edges}


def _key_text(item: Item) -> str:
    return " | ".join(normal(option.text) for option in item.options if option.key)


def _extra_words(a: Item, b: Item) -> int:
    return (Counter(words(a.prompt)) - Counter(words(b.prompt))).total()


def _example(item: Item, reason: str, known: dict[str, Item]) -> dict[str, Any]:
    other = known.get(item.pair or "")
    return {
        "item_id": item.item_id,
        "reason": reason,
        "stem": item.prompt[:400],
        "stem of its pair": other.prompt[:400] if other else None,
    }


@filters.register("minimal_pairs", config=Config)
def minimal_pairs(config: Config) -> MinimalPairs:
    """Check that minimal pairs differ in one cause and in the key."""
    return MinimalPairs(config)
