"""Is the key what the world makes it: recomputed from the graph by two routines that share no step.

    eff(e, v, t) = sum over directed paths e -> ... -> v within t and with all gates on of the product of s * w
    direction = sign(eff) if |eff| >= tau and |eff| >= rho * sum of |contributions|; none without a path; else excluded

One routine enumerates paths, the other steps the whole graph through time with and without the event. Where they
disagree, one of them is wrong and the set fails whatever its keys say; where opposing paths leave no clear answer, the
item is left out. Design of this package; arithmetic in `probes.world`.
"""

from __future__ import annotations

from collections.abc import Sequence

from moorings.probes.filters.by_item import FAULTY, ItemFilterConfig, each_item
from moorings.probes.filters.filter import Challenge, FilterReport, filters
from moorings.probes.item import Item
from moorings.probes.world.keys import key_by_forward, key_by_paths

__all__ = ["Solver"]

_DISAGREE = "the two routines disagree"


class Solver:
    """Keys recomputed from the graph."""

    challenge: Challenge = "C4"
    statement = "Two independent routines compute every key from the item's graph, and agree with it."

    def __init__(self, config: ItemFilterConfig) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        solvable = [item for item in items if item.graph is not None and item.query is not None]
        if not solvable:
            return FilterReport(0, (), "not applicable", "No item has a graph and a question about it.")
        report = each_item(solvable, _fault, self.config, "keys are not what the graph gives")
        n_disagree = sum(flag.reason == _DISAGREE for flag in report.flags)
        return report._replace(
            verdict="fail" if n_disagree else report.verdict,
            figures={
                "share of faulty keys": report.figures[FAULTY],
                "agreement of the two routines": 1 - n_disagree / len(solvable),
            },
        )


def _fault(item: Item) -> str | None:
    try:
        by_paths, by_forward = key_by_paths(item), key_by_forward(item)
        marked = item.key_at
    except (KeyError, ValueError) as error:
        return f"it cannot be computed: {type(error).__name__}"
    if by_paths != by_forward:
        return _DISAGREE
    if by_paths is None:
        return "the graph gives no clear answer"
    if by_paths != marked:
        return f"the graph gives {item.options[by_paths].text[:40]!a}, marked is {item.options[marked].text[:40]!a}"
    return None


@filters.register("solver", config=ItemFilterConfig)
def solver(config: ItemFilterConfig) -> Solver:
    """Recompute keys from graphs by two routines."""
    return Solver(config)
