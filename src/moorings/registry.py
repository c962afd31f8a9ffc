"""One decorator per kind of component, and one entry-point group for other packages.

A component is registered under a kind ("subject", "reader", …) and a name. Packages outside this
one list a module under the entry-point group ``moorings``; importing that module registers what it holds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from moorings.errors import ConfigError, nearest

__all__ = ["Registry"]

T = TypeVar("T", bound=Callable[..., Any])


@dataclass
class Registry(Generic[T]):
    """Names of one kind of component and where each lives.

    Args:
        kind: What is registered, for error messages and entry points ("subject").
        builtin: Name to module that registers it, imported only when the name is asked for.
    """

    kind: str
    builtin: dict[str, str] = field(default_factory=dict)
    _found: dict[str, T] = field(default_factory=dict)
    _scanned: bool = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a component with its name; a name can be taken once."""

        def add(component: T) -> T:
            if self._found.get(name, component) is not component:
                raise ConfigError(f"{self.kind} '{name}' is registered twice; rename one of them")
            self._found[name] = component
            return component

        return add

    def get(self, name: str) -> T:
        """Return a component, importing its module if needed.

        Raises:
            ConfigError: No such name; the nearest one is suggested.
        """
        if name not in self._found and name in self.builtin:
            importlib.import_module(self.builtin[name])
        if name not in self._found:
            self._scan()
        if name not in self._found:
            raise ConfigError(f"unknown {self.kind} '{name}'; {nearest(name, self.names())}")
        return self._found[name]

    def names(self) -> list[str]:
        """All known names, those of other packages included."""
        self._scan()
        return sorted({*self._found, *self.builtin})

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        for point in entry_points(group="moorings"):
            point.load()
