"""A filter that judges each item by itself: which items are faulty, why, and whether they are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from pydantic import Field

from moorings.probes.filters.by_subtask import MAX_EXAMPLES
from moorings.probes.filters.filter import FilterConfig, FilterReport, Flag
from moorings.probes.item import Item

__all__ = ["FAULTY", "ItemFilterConfig", "each_item"]

FAULTY = "share of faulty items"
"""Name of the figure that `each_item` gives."""
_STEM_CHARS = 400


class ItemFilterConfig(FilterConfig):
    """Settings of a filter that judges each item by itself."""

    tolerated: float = Field(default=0.0, ge=0, le=1)
    """Largest share of faulty items in a set that passes."""


def each_item(
    items: Sequence[Item], fault: Callable[[Item], str | None], config: ItemFilterConfig, wrong: str
) -> FilterReport:
    """Flag every item that has a fault.

    Args:
        items: Those that can be judged; at least one.
        fault: What is wrong with an item, or None; what follows a colon is particular to the item.
        config: With the share that is tolerated.
        wrong: Ends the sentence "3 of 100 ...".
    """
    found = {item.item_id: (item, reason) for item in items if (reason := fault(item))}
    flags = tuple(Flag(item_id, reason) for item_id, (_, reason) in found.items())
    share = len(flags) / len(items)
    kinds = Counter(flag.reason.split(":")[0] for flag in flags)
    most = f"; most often: {kinds.most_common(1)[0][0]}" if flags else ""
    return FilterReport(
        n_in=len(items),
        flags=flags,
        verdict="fail" if share > config.tolerated else "pass",
        said=f"{len(flags)} of {len(items)} {wrong}{most}.",
        figures={FAULTY: share},
        examples=tuple(
            {"item_id": item_id, "reason": reason, "stem": item.prompt[:_STEM_CHARS]}
            for item_id, (item, reason) in list(found.items())[:MAX_EXAMPLES]
        ),
    )
