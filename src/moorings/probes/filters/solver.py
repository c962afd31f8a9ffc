"""Is the key what the world makes it: recomputed from the graph by two routines that share no step.

    eff(e, v, t) = sum over directed paths e -> ... -> v within t and with all gates on of the product of s * w
    direction = sign(eff) if |eff| >= tau and |eff| >= rho * sum of |contributions|; none without a path; else excluded

One routine enumerates paths, the other steps the whole graph through time with and without the event. Where they
disagree, one of them is wrong and the set fails whatever its keys say; where opposing paths leave no clear answer, the
item is left out. Design of this package; arithmetic in `probes.world`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from moorings.probes.filters.filter import FilterConfig, FilterReport, Flag, filters
from moorings.probes.item import Item
from moorings.probes.world.keys import key_by_forward, key_by_paths

__all__ = ["Config", "Solver"]

_DISAGREE = "the two routines disagree"


class Config(FilterConfig):
    """Settings of `solver`."""

    tolerated: float = Field(default=0.0, ge=0, le=1)
    """Largest share of wrong or unclear keys in a set that passes."""


class Solver:
    """Keys recomputed from the graph."""

    challenge: Literal["C1", "C2", "C3", "C4"] = "C4"
    statement = "Two independent routines compute every key from the item's graph, and agree with it."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        solvable = [item for item in items if item.graph is not None and item.query is not None]
        if not solvable:
            return FilterReport(0, (), "not applicable", "No item has a graph and a question about it.")
        found = {item.item_id: _fault(item) for item in solvable}
        flags = tuple(Flag(item_id, fault) for item_id, fault in found.items() if fault)
        n_disagree = sum(flag.reason == _DISAGREE for flag in flags)
        share = len(flags) / len(solvable)
        kinds = Counter(flag.reason for flag in flags)
        most = f"; most often: {kinds.most_common(1)[0][0]}" if flags else ""
        return FilterReport(
            n_in=len(solvable),
            flags=flags,
            verdict="fail" if n_disagree or share > self.config.tolerated else "pass",
            said=f"{len(flags)} of {len(solvable)} keys are not what the graph gives{most}.",
            figures={
                "share of faulty keys": share,
                "agreement of the two routines": 1 - n_disagree / len(solvable),
            },
            examples=tuple({"item_id": flag.item_id, "reason": flag.reason} for flag in flags[:10]),
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


@filters.register("solver", config=Config)
def solver(config: Config) -> Solver:
    """Recompute keys from graphs by two routines."""
    return Solver(config)
