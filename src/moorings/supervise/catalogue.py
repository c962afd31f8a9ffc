"""What a charter can name with `use:`, for people who write one."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from moorings.errors import ConfigError, nearest
from moorings.improve.data import data_methods
from moorings.improve.training import defences, trainers
from moorings.method import MethodConfig, Methods
from moorings.monitors.monitor import monitors

__all__ = ["Component", "Setting", "catalogue", "settings_of"]

_KINDS: tuple[Methods[Any], ...] = (data_methods, trainers, defences, monitors)


class Component(NamedTuple):
    """One component."""

    kind: str
    name: str
    doc: str
    """First line of its settings' or its module's description."""


class Setting(NamedTuple):
    """One setting of a component."""

    name: str
    default: str
    """`required` if it must be given."""
    doc: str


def catalogue() -> list[Component]:
    """All components, by kind and name."""
    return [Component(kind.kind, name, _first_line(kind.config(name))) for kind in _KINDS for name in kind.names()]


def settings_of(name: str) -> list[Setting]:
    """Settings of a component.

    Raises:
        ConfigError: No such component.
    """
    for kind in _KINDS:
        if name in kind.names():
            return _settings(kind.config(name))
    names = [known for kind in _KINDS for known in kind.names()]
    raise ConfigError(f"no component is named {name!a}; {nearest(name, names)}")


def _settings(config: type[MethodConfig]) -> list[Setting]:
    return [
        Setting(
            name,
            "required" if field.is_required() else str(field.get_default(call_default_factory=True)),
            " ".join((field.description or "").split()),
        )
        for name, field in config.model_fields.items()
    ]


def _first_line(config: type[MethodConfig]) -> str:
    module = sys.modules[config.__module__]
    return (module.__doc__ or config.__doc__ or "").strip().split("\n")[0]
