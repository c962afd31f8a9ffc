"""Keep sets apart: by cluster, by lexicon, and over rounds by forms that only their anchors share.

A form is a set of items nobody has seen, from another lexicon. Each holds the same anchors, so that scores of different
forms can be put on one scale (common-item design, Kolen & Brennan 2014, "Test Equating, Scaling, and Linking").
"""

from __future__ import annotations

import hashlib
import re

from moorings.errors import ConfigError
from moorings.probes.build import build
from moorings.probes.files import ItemSet
from moorings.probes.item import Item

__all__ = ["ANCHOR_SHARE", "lexical_overlap", "linked_form", "split_by_cluster"]

ANCHOR_SHARE = 0.2
"""Share of a form that its anchors have: at least a fifth, by the rule of thumb of Kolen and Brennan."""


def linked_form(subtask: str, n: int, seed: int, form: int, *, anchor_share: float = ANCHOR_SHARE) -> ItemSet:
    """A form for one round: new items, and the anchors that all forms of this size share.

    Args:
        subtask: `S1` to `S5`.
        n: Items in all, even.
        seed: Of the new items.
        form: Number of the round's form.
        anchor_share: Share of anchors, more than 0 and less than 1.

    Raises:
        ConfigError: A share out of range, or see `build`.
    """
    if not 0 < anchor_share < 1:
        raise ConfigError(f"anchor_share is {anchor_share}; it must lie between 0 and 1")
    n_anchors = 2 * max(1, round(n * anchor_share / 2))
    anchors = build(subtask, n_anchors, seed, split="anchor")
    own = build(subtask, n - n_anchors, seed, form=form)
    about = {**own.about, "split": "linked", "n_anchors": n_anchors}
    return ItemSet(f"{own.name}-linked", (*anchors.items, *own.items), about)


def split_by_cluster(items: ItemSet, share: float, seed: int) -> tuple[ItemSet, ItemSet]:
    """Two parts of a set, no cluster in both. A cluster's part depends on its name and the seed alone.

    Args:
        items: Any set.
        share: Expected share of the first part.
        seed: Another one gives another division.
    """

    def first(item: Item) -> bool:
        digest = hashlib.blake2b(f"{seed}:{item.cluster_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < share * 2**64

    parts = [tuple(item for item in items.items if first(item) == wanted) for wanted in (True, False)]
    return ItemSet(f"{items.name}-1", parts[0], items.about), ItemSet(f"{items.name}-2", parts[1], items.about)


def lexical_overlap(a: ItemSet, b: ItemSet) -> frozenset[str]:
    """Names of people, values, events and other things that both sets speak of."""
    return _entries(a) & _entries(b)


def _entries(items: ItemSet) -> frozenset[str]:
    found = set()
    for item in items.items:
        found |= {value.name for value in item.values}
        found |= {value.owner for value in item.values}
        found |= {node.name for node in item.graph.nodes} if item.graph else set()
        found |= set(re.findall(r" from (.+)$", item.owner.description)) if item.owner else set()
    return frozenset(found - {"you", ""})
