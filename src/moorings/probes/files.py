"""Item sets as JSON lines: a first line says what the file is and carries the canary, then one item a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from moorings.errors import InputError
from moorings.probes.item import Item
from moorings.records import canonical_json, content_hash
from moorings.store.disk import Disk, write_atomic
from moorings.subjects.tables import RowReader

__all__ = ["CANARY", "ItemSet", "read_items", "write_items"]

CANARY = "MOORINGS PROBE DATA: keep out of training corpora; canary 5f1c6a52-7b0e-4f0b-9a86-3a7c1c0f6d1e"
"""Stands in each file, so that a corpus that holds it can be found."""


@dataclass(frozen=True)
class ItemSet:
    """Items, and what is known of the set as a whole."""

    name: str
    items: tuple[Item, ...]
    about: dict[str, Any] = field(default_factory=dict)
    """How it was made: generator, seed, form, counts of the filters."""

    @property
    def sha256(self) -> str:
        """Hash of the items alone."""
        return content_hash([item.model_dump(mode="json", by_alias=True) for item in self.items])


def write_items(items: ItemSet, path: Path | str) -> Path:
    """Write a set; an existing file is replaced in one step. Half a surrogate pair, which UTF-8 cannot hold, becomes `?`."""
    head = {"moorings_probe": 2, "name": items.name, "canary": CANARY, "n_items": len(items.items), **items.about}
    rows = [head, *(item.model_dump(mode="json", by_alias=True, exclude_defaults=True) for item in items.items)]
    path = Path(path)
    write_atomic(path, ("\n".join(canonical_json(row) for row in rows) + "\n").encode("utf-8", "replace"), Disk())
    return path


def read_items(path: Path | str) -> ItemSet:
    """Read a set that `write_items` wrote.

    Raises:
        InputError: No such file, no item set, or a row that is no item; the row is named.
    """
    path = Path(path)
    rows = iter(RowReader(path))
    number, head = next(rows, (0, {}))
    if "moorings_probe" not in head:
        raise InputError(
            f"{path} is no item set: its first line lacks 'moorings_probe'; make one with `moorings probe build`, "
            "or audit other data with `moorings probe audit`"
        )
    items = []
    for number, row in rows:
        try:
            items.append(Item.model_validate(row))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise InputError(f"{path}, line {number}: {place!a} is not that of an item: {fault['msg']}") from None
    if len(items) != head.get("n_items"):
        raise InputError(f"{path} holds {len(items)} items, its first line says {head.get('n_items')}; it is cut short")
    about = {k: v for k, v in head.items() if k not in ("moorings_probe", "name", "canary", "n_items")}
    return ItemSet(str(head.get("name", path.stem)), tuple(items), about)
