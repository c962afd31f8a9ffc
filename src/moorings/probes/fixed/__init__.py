"""Published question sets, read from the user's own downloads; nothing is fetched at run time."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from moorings.errors import ConfigError, nearest
from moorings.probes.files import ItemSet
from moorings.probes.fixed.fixed_set import OpenSet, fixed_sets

__all__ = ["OpenSet", "fixed_sets", "load"]


def load(name: str, path: Path | str, **settings: Any) -> ItemSet | OpenSet:
    """Read a published set.

    Args:
        name: One of `fixed_sets.names()`, such as `bbq`.
        path: The downloaded file, or a folder of such files.
        settings: Settings of that set, such as `min_confidence`; each is a keyword of its function.

    Raises:
        ConfigError: Unknown set or setting, or a value that is not allowed.
        InputError: The file is missing, or a row is not of that set's format; the row is named.
    """
    read = fixed_sets.get(name)
    allowed = list(inspect.signature(read).parameters)[1:]
    for setting in settings:
        if setting not in allowed:
            known = nearest(setting, allowed) if allowed else "it has none; remove it"
            raise ConfigError(f"probe set '{name}': unknown setting {setting!a}; {known}")
    return read(Path(path), **settings)
