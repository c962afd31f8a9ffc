"""Does the text say what the graph says: signed edges are read back from the text and compared with the graph's.

The reader shares no template with the writer and never looks at the graph, so an edge whose sign was flipped in one of
the two, or a sentence that was lost, is found. Edges are compared by the names of their nodes. Gates, times and who
takes part are not edges; `answerable` covers them, since an answer depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence

from moorings.probes.filters.by_item import FAULTY, ItemFilterConfig, each_item
from moorings.probes.filters.filter import Challenge, FilterReport, filters
from moorings.probes.item import Graph, Item
from moorings.probes.language.parse import edges_of

__all__ = ["RoundTrip", "named_edges"]

NamedEdges = frozenset[tuple[str, str, int]]


def named_edges(graph: Graph) -> NamedEdges:
    """Edges by the names of their nodes."""
    names = {node.id: node.name or node.id for node in graph.nodes}
    return frozenset((names.get(e.source, e.source), names.get(e.to, e.to), e.sign) for e in graph.edges)


class RoundTrip:
    """Edges read back from the text."""

    challenge: Challenge = "C4"
    statement = "A reader that sees the text alone finds the causes of the graph, with their signs."

    def __init__(self, config: ItemFilterConfig) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        readable = [item for item in items if item.graph is not None]
        if not readable:
            return FilterReport(0, (), "not applicable", "No item has a graph that its text could be compared with.")
        report = each_item(readable, _fault, self.config, "texts do not say what their graph says")
        return report._replace(figures={"share of texts that differ": report.figures[FAULTY]})


def _fault(item: Item) -> str | None:
    said, meant = edges_of(item), named_edges(item.graph) if item.graph else frozenset()
    if said is None:
        return "the text cannot be read, or has fewer causes than it announces"
    if said == meant:
        return None
    flipped = {(source, to) for source, to, _ in said - meant} & {(source, to) for source, to, _ in meant - said}
    if flipped:
        source, to = min(flipped)
        return f"the text and the graph differ in a sign: {source[:30]!a} to {to[:30]!a}"
    source, to, _ = min((said - meant) or (meant - said))
    where = "text" if said - meant else "graph"
    return f"only the {where} has a cause: {source[:30]!a} to {to[:30]!a}"


@filters.register("round_trip", config=ItemFilterConfig)
def round_trip(config: ItemFilterConfig) -> RoundTrip:
    """Read the causes back from the text and compare them with the graph."""
    return RoundTrip(config)
