"""Multiple-choice data of other makers as items: which reader takes a file is told by its first row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from moorings.errors import ConfigError, InputError, nearest
from moorings.probes.files import ItemSet, read_items
from moorings.probes.item import Item
from moorings.probes.readers import anthropic, generic, inspect_task, lm_eval
from moorings.subjects.tables import RowReader, hash_source

__all__ = ["FORMATS", "Loaded", "load"]

Row = dict[str, Any]
Kind = Literal["ability", "disposition"]


class _Format(NamedTuple):
    fits: Callable[[Row], bool]
    read: Callable[[Row, str], Item]


FORMATS: dict[str, _Format] = {
    "anthropic": _Format(anthropic.fits, anthropic.read),
    "lm-eval": _Format(lm_eval.fits, lm_eval.read),
    "inspect": _Format(inspect_task.fits, inspect_task.read),
    "generic": _Format(generic.fits, generic.read),
}
"""Readers by name, in the order in which they are tried."""


class Loaded(NamedTuple):
    """Items of a file, and what could not be read."""

    items: ItemSet
    n_bad: int
    """Rows that are no item; the file `PATH.quarantine` holds them."""
    format: str


def load(
    path: Path | str, *, format: str = "auto", kind: Kind | None = None, name: str | None = None, skip_bad: bool = False
) -> Loaded:
    """Read any multiple-choice data as items.

    Args:
        path: JSON lines, JSON, CSV, Parquet or a dataset folder; a set of `probe build` is read as what it is.
        format: A name in `FORMATS`, or `auto`.
        kind: Whether the items have right answers; None goes by the format.
        name: Of the set; None takes the file's.
        skip_bad: Set rows aside that are no item, instead of raising.

    Raises:
        ConfigError: No such format.
        InputError: No such file, no row, no reader for it, or a row that is no item; the row is named.
    """
    path = Path(path)
    if format not in ("auto", *FORMATS):
        raise ConfigError(f"unknown format {format!a}; {nearest(format, ['auto', *FORMATS])}")
    title = name or path.name.split(".")[0]
    rows = RowReader(path, skip_bad=skip_bad)
    items: list[Item] = []
    chosen = None if format == "auto" else format
    for number, row in rows:
        if "moorings_probe" in row and not items:
            return Loaded(read_items(path), 0, "moorings")
        chosen = chosen or _which(path, row)
        try:
            items.append(FORMATS[chosen].read(row, f"{title}-{number}"))
        except ValueError as error:
            rows.reject(str(error))
    if not items or chosen is None:
        raise InputError(f"{path} holds no multiple-choice item; {rows.n_bad} rows were set aside")
    if kind is not None:
        items = [item.model_copy(update={"kind": kind}) for item in items]
    about = {"format": chosen, "n_bad": rows.n_bad, "source_sha256": hash_source(path)}
    return Loaded(ItemSet(title, tuple(items), about), rows.n_bad, chosen)


def _which(path: Path, row: Row) -> str:
    for name, one in FORMATS.items():
        if one.fits(row):
            return name
    columns = ", ".join(ascii(column)[:40] for column in list(row)[:12])
    raise InputError(
        f"{path}: no reader knows rows with the columns {columns}; rename them to question, choices and answer, "
        f"or name the format: {', '.join(FORMATS)}"
    )
