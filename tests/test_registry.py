"""Registries: lazy, one owner a name, nearest name suggested, other packages' components found."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint

import pytest

from moorings import registry as registry_module
from moorings.errors import ConfigError
from moorings.registry import Registry


def test_a_builtin_is_imported_when_it_is_asked_for(monkeypatch):
    found: Registry = Registry("thing", builtin={"late": "late_module"})
    module = types.ModuleType("late_module")
    monkeypatch.setitem(sys.modules, "late_module", module)
    found.register("late")(len)
    assert found.get("late") is len
    assert found.names() == ["late"]


def test_a_name_has_one_owner():
    found: Registry = Registry("thing")
    found.register("a")(len)
    found.register("a")(len)
    with pytest.raises(ConfigError, match="registered twice"):
        found.register("a")(max)


def test_an_unknown_name_is_answered_with_the_nearest():
    found: Registry = Registry("thing")
    found.register("scripted")(len)
    with pytest.raises(ConfigError, match="unknown thing 'scriptd'; did you mean 'scripted'"):
        found.get("scriptd")


def test_components_of_other_packages_are_found(monkeypatch):
    found: Registry = Registry("thing")
    other = types.ModuleType("other_package")
    monkeypatch.setitem(sys.modules, "other_package", other)
    found.register("theirs")(len)
    point = EntryPoint(name="x", value="other_package", group="moorings")
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [point])
    assert "theirs" in found.names()
