"""Clusters written by hand, at least twenty for each subtask, each with its graph: what built sets are compared with."""

from __future__ import annotations

from pathlib import Path

from moorings.errors import ConfigError, nearest
from moorings.probes.files import ItemSet, read_items

__all__ = ["gold_items", "gold_path"]


def gold_path(subtask: str) -> Path:
    """File of a subtask's gold clusters.

    Raises:
        ConfigError: No such subtask.
    """
    found = {path.stem: path for path in Path(__file__).parent.glob("S*.jsonl")}
    if subtask not in found:
        raise ConfigError(f"no gold clusters for subtask {subtask!a}; {nearest(subtask, found)}")
    return found[subtask]


def gold_items(subtask: str) -> ItemSet:
    """Gold clusters of a subtask: pairs of items that differ in one cause.

    Raises:
        ConfigError: No such subtask.
    """
    return read_items(gold_path(subtask))
