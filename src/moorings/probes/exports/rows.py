"""What all exports share: each item as the runner shows it, once an order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from moorings.errors import ConfigError
from moorings.probes.files import ItemSet
from moorings.probes.framing import PLAIN, Framing
from moorings.probes.item import Item
from moorings.probes.orders import Orders, plan_orders
from moorings.probes.show import show
from moorings.records import Message
from moorings.store.disk import Disk, write_atomic

__all__ = ["ShownItem", "file_name", "row_id", "shown_items", "write_file"]

_NAME = re.compile(r"\W+", re.ASCII)


class ShownItem(NamedTuple):
    """An item in one order of its options."""

    row_id: str
    item: Item
    order: tuple[int, ...]
    messages: tuple[Message, ...]
    symbols: tuple[str, ...]
    key_at: int
    """Place of the key as shown."""

    @property
    def texts(self) -> list[str]:
        """Options as shown."""
        return [self.item.options[at].text for at in self.order]

    @property
    def metadata(self) -> dict[str, Any]:
        """What scores are grouped by."""
        return {
            "item_id": self.item.item_id,
            "cluster_id": self.item.cluster_id,
            "subtask": self.item.subtask,
            "kind": self.item.kind,
            "structure": self.item.structure,
            "order": list(self.order),
            "symbols": list(self.symbols),
        }


def shown_items(items: ItemSet, *, orders: Orders, framing: Framing = PLAIN, seed: int = 0) -> Iterator[ShownItem]:
    """Items as the runner asks them, with the same orders under the same seed.

    Raises:
        ConfigError: No items, or one without exactly one key; the filter `well_formed` finds those.
    """
    if not items.items:
        raise ConfigError(f"set '{items.name}' has no items to export")
    for item, planned in zip(items.items, plan_orders(items.items, orders, seed=seed), strict=True):
        try:
            key_at = item.key_at
        except ValueError as error:
            raise ConfigError(f"set '{items.name}': {error}; leave it out with `moorings probe audit`") from None
        for order in planned:
            messages, symbols = show(item, order, framing)
            yield ShownItem(row_id(item, order), item, order, messages, symbols, order.index(key_at))


def row_id(item: Item, order: tuple[int, ...]) -> str:
    """Name of an item in an order, such as `S4-000412-v3 1.2.0`; that of the item itself in the stored order."""
    return item.item_id if order == tuple(range(len(order))) else f"{item.item_id} {'.'.join(map(str, order))}"


def file_name(name: str) -> str:
    """A set's name as a name of files and functions.

    >>> file_name("S4, form 2"), file_name("2 sets")
    ('S4_form_2', 'set_2_sets')
    """
    plain = _NAME.sub("_", name).strip("_")
    return plain if plain[:1].isalpha() else f"set_{plain}"


def write_file(path: Path, text: str) -> Path:
    """Write a text in one step; folders are made."""
    disk = Disk()
    disk.make_folder(path.parent)
    write_atomic(path, text.encode("utf-8", "surrogatepass"), disk)
    return path
