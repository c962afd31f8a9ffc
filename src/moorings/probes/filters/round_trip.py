"""Does the text say what the graph says: signed edges are read back from the text and compared with the graph's.

The reader shares no template with the writer and never looks at the graph, so an edge whose sign was flipped in one of
the two, or a sentence that was lost, is found. Edges are compared by the names of their nodes. Gates, times and who
takes part are not edges; `answerable` covers them, since an answer depends on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from moorings.probes.filters.filter import FilterConfig, FilterReport, Flag, filters
from moorings.probes.item import Graph, Item
from moorings.probes.language.parse import edges_of

__all__ = ["Config", "RoundTrip", "named_edges"]

NamedEdges = frozenset[tuple[str, str, int]]


class Config(FilterConfig):
    """Settings of `round_trip`."""

    tolerated: float = Field(default=0.0, ge=0, le=1)
    """Largest share of items that a passing set may have whose text and graph differ."""


def named_edges(graph: Graph) -> NamedEdges:
    """Edges by the names of their nodes."""
    names = {node.id: node.name or node.id for node in graph.nodes}
    return frozenset((names.get(e.source, e.source), names.get(e.to, e.to), e.sign) for e in graph.edges)


class RoundTrip:
    """Edges read back from the text."""

    challenge: Literal["C1", "C2", "C3", "C4"] = "C4"
    statement = "A reader that sees the text alone finds the causes of the graph, with their signs."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        readable = [(item, item.graph) for item in items if item.graph is not None]
        if not readable:
            return FilterReport(0, (), "not applicable", "No item has a graph that its text could be compared with.")
        found = {item.item_id: (item, _fault(item, graph)) for item, graph in readable}
        flags = tuple(Flag(item_id, fault) for item_id, (_, fault) in found.items() if fault)
        share = len(flags) / len(readable)
        kinds = Counter(flag.reason.split(":")[0] for flag in flags)
        most = f"; most often: {kinds.most_common(1)[0][0]}" if flags else ""
        return FilterReport(
            n_in=len(readable),
            flags=flags,
            verdict="fail" if share > self.config.tolerated else "pass",
            said=f"{len(flags)} of {len(readable)} texts do not say what their graph says{most}.",
            figures={"share of texts that differ": share},
            examples=tuple(_example(found[flag.item_id][0], flag.reason) for flag in flags[:10]),
        )


def _fault(item: Item, graph: Graph) -> str | None:
    said, meant = edges_of(item), named_edges(graph)
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


def _example(item: Item, reason: str) -> dict[str, Any]:
    return {"item_id": item.item_id, "reason": reason, "stem": item.prompt[:400]}


@filters.register("round_trip", config=Config)
def round_trip(config: Config) -> RoundTrip:
    """Read the causes back from the text and compare them with the graph."""
    return RoundTrip(config)
