"""Components that a charter names with `use:`: each with its settings, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ConfigDict, ValidationError

from moorings.charter_run import Use
from moorings.errors import ConfigError, nearest
from moorings.records import Record
from moorings.registry import Registry

__all__ = ["MethodConfig", "Methods"]

T = TypeVar("T")


class MethodConfig(Record):
    """Settings of one component: frozen, unknown keys refused, a line under each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class _Made(NamedTuple):
    config: type[MethodConfig]
    make: Callable[[Any], Any]


class Methods(Generic[T]):
    """Components of one kind that are made from settings.

    Args:
        kind: What is registered, for error messages ("data method").
        builtin: Name to module that registers it.
    """

    def __init__(self, kind: str, builtin: dict[str, str]) -> None:
        self.kind = kind
        self._registry: Registry[Callable[[], _Made]] = Registry(kind, builtin)

    def register(self, name: str, config: type[MethodConfig]) -> Callable[[Callable[[Any], T]], Callable[[Any], T]]:
        """Decorate a factory that takes its settings and returns the component."""

        def add(make: Callable[[Any], T]) -> Callable[[Any], T]:
            made = _Made(config, make)
            self._registry.register(name)(lambda: made)
            return make

        return add

    def names(self) -> list[str]:
        """All known names."""
        return self._registry.names()

    def config(self, name: str) -> type[MethodConfig]:
        """Settings that a component takes.

        Raises:
            ConfigError: No such component; the nearest one is suggested.
        """
        return self._registry.get(name)().config

    def check(self, use: Use) -> MethodConfig:
        """The settings of an entry, checked.

        Raises:
            ConfigError: Unknown component or setting, or a value that is not allowed.
        """
        wanted = self.config(use.use)
        try:
            return wanted.model_validate(use.settings)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            if fault["type"] == "extra_forbidden":
                allowed = nearest(place, wanted.model_fields) if wanted.model_fields else "it has none; remove it"
                said = f"unknown setting {place!a}; {allowed}"
            elif fault["type"] == "missing":
                said = f"setting {place!a} is missing; add it"
            else:
                said = f"setting {place!a} is {fault['input']!a:.60}: {fault['msg']}"
            raise ConfigError(f"{self.kind} '{use.use}': {said}") from None

    def make(self, use: Use) -> T:
        """The component, with its settings checked; see `check`."""
        config = self.check(use)
        made: T = self._registry.get(use.use)().make(config)
        return made
