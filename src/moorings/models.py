"""The bundled models; the functions behind `moorings models`."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from moorings.subjects import bundled
from moorings.subjects.bundled import ModelState

__all__ = ["ModelState", "fetch", "info", "list"]


def list() -> builtins.list[ModelState]:
    """Every bundled model and what this machine has of it."""
    return [bundled.model_info(model.name) for model in bundled.list_models()]


def fetch(name: str = "all", *, progress: Callable[[str], None] | None = None) -> builtins.list[ModelState]:
    """Fetch a bundled model, or all of them, and prepare it for the engines; what is sound already is kept.

    Args:
        name: `smollm2-135m`, `minilm` or `all`.
        progress: Told what is going on, one line at a time.

    Raises:
        ConfigError: No such model.
        ModelFileError: It cannot be fetched, or what came has the wrong checksum.
    """
    names = [model.name for model in bundled.list_models()] if name == "all" else [name]
    for each in names:
        bundled.fetch_model(each, progress)
    return [bundled.model_info(each) for each in names]


def info(name: str, *, verify: bool = False) -> ModelState:
    """What this machine has of one bundled model.

    Args:
        name: The model's name.
        verify: Compare every file with its checksum, and rebuild what is damaged.

    Raises:
        ConfigError: No such model.
        ModelFileError: It is not fetched, or cannot be rebuilt.
    """
    if verify:
        bundled.verify_model(name)
    return bundled.model_info(name)
