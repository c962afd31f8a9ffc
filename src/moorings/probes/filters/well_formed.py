"""Is each item an item at all: one key, options that differ, and a world whose references resolve and that has no cycle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from moorings.probes.filters.filter import Challenge, FilterConfig, FilterReport, Flag, filters
from moorings.probes.item import Graph, Item

__all__ = ["Config", "WellFormed"]


class Config(FilterConfig):
    """Settings of `well_formed`."""

    tolerated: float = 0.0
    """Largest share of faulty items in a set that passes."""


def faults(item: Item) -> Iterator[str]:
    """What is wrong with an item by itself, most basic first."""
    yield from _option_faults(item)
    if item.graph is not None:
        yield from _graph_faults(item.graph)
        yield from _reference_faults(item, item.graph)


def _option_faults(item: Item) -> Iterator[str]:
    if not item.prompt.strip():
        yield "the stem is empty"
    if len(item.options) < 2:
        yield f"{len(item.options)} options; at least 2 are needed"
        return
    if any(not option.text.strip() for option in item.options):
        yield "an option is empty"
    symbols = [option.symbol for option in item.options]
    if len(set(symbols)) < len(symbols):
        yield "two options have the same symbol"
    texts = [" ".join(text.casefold().split()).rstrip(" .") for text in item.texts]
    if len(set(texts)) < len(texts):
        yield "two options have the same text"
    right = [option.symbol for option in item.options if option.key]
    if len(right) != 1:
        yield f"{len(right)} options are marked right; exactly 1 must be"
    elif item.key != right[0]:
        yield f"the key is {item.key[:20]!a}, but the option marked right is {right[0][:20]!a}"


def _graph_faults(graph: Graph) -> Iterator[str]:
    ids = Counter(node.id for node in graph.nodes)
    if twice := [name for name, count in ids.items() if count > 1]:
        yield f"two nodes have the id {twice[0][:20]!a}"
    used = [name for edge in graph.edges for name in (edge.source, edge.to, edge.gate) if name is not None]
    if lost := [name for name in (*used, *graph.off) if name not in ids]:
        yield f"the graph names {lost[0][:20]!a}, which is no node of it"
    if any(edge.w <= 0 or edge.delay < 0 for edge in graph.edges):
        yield "an edge has a weight of 0 or less, or a negative delay"
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for edge in graph.edges:
        sorter.add(edge.to, edge.source)
    try:
        sorter.prepare()
    except CycleError as error:
        yield f"the graph has a cycle through {str(error.args[1][0])[:20]!a}"


def _reference_faults(item: Item, graph: Graph) -> Iterator[str]:
    nodes = {node.id: node for node in graph.nodes}
    if lost := [moment.node for moment in item.timeline if moment.node not in nodes]:
        yield f"the timeline names {lost[0][:20]!a}, which is no node of the graph"
    if (done := item.intervention.get("do")) is not None and done not in nodes:
        yield f"the intervention is on {done[:20]!a}, which is no node of the graph"
    if item.query is not None:
        asked = nodes.get(item.query.value)
        if asked is None or asked.kind not in ("value", "belief"):
            yield f"the question is about {item.query.value[:20]!a}, which is no value in the graph"
        elif asked.owner is not None and asked.owner != item.query.owner:
            yield f"the value asked for belongs to {asked.owner[:20]!a}, the question to {item.query.owner[:20]!a}"
    known = {(edge.source, edge.to, edge.sign) for edge in graph.edges}
    if lost_edges := [edge for edge in item.key_derivation if edge not in known]:
        source, to, sign = lost_edges[0]
        yield f"the key follows from {source[:20]!a} to {to[:20]!a} ({sign:+d}), which is no edge of the graph"


class WellFormed:
    """Schema, references and acyclicity."""

    challenge: Challenge = "C1"
    statement = "Every item has one key, options that differ, and a world whose references resolve without a cycle."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        flags, seen = [], set()
        for item in items:
            fault = "another item has the same id" if item.item_id in seen else next(faults(item), None)
            seen.add(item.item_id)
            if fault is not None:
                flags.append(Flag(item.item_id, fault))
        kinds = Counter(flag.reason for flag in flags)
        share = len(flags) / max(1, len(items))
        most = f"; most often: {kinds.most_common(1)[0][0]}" if kinds else ""
        return FilterReport(
            n_in=len(items),
            flags=tuple(dict((flag.item_id, flag) for flag in flags).values()),
            verdict="not applicable" if not items else "fail" if share > self.config.tolerated else "pass",
            said=f"{len(flags)} of {len(items)} items are not well formed{most}.",
            figures={"share of faulty items": share},
            examples=tuple({"item_id": flag.item_id, "reason": flag.reason} for flag in flags[:10]),
        )


@filters.register("well_formed", config=Config)
def well_formed(config: Config) -> WellFormed:
    """Find items without exactly one key, with equal or empty options, or with a world that does not hold together."""
    return WellFormed(config)
