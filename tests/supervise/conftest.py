"""A charter over simulated models, whose truth is known."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from run_tools import ONE_LOOK, write_charter

from moorings.method import MethodConfig, Methods
from moorings.supervise.supervisor import supervise


@pytest.fixture
def charter(tmp_path: Path) -> Callable[..., Path]:
    """Write the charter, with changes, and return its path."""

    def write(name: str = "charter.yaml", **changes: Any) -> Path:
        return write_charter(tmp_path / name, **changes)

    return write


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    path = write_charter(folder / "charter.yaml", run={"rounds": 2, "gate": ONE_LOOK})
    assert supervise(path, folder / "run").status == "finished"
    return folder / "run"


@pytest.fixture
def finished(_finished: Path, tmp_path: Path) -> Path:
    """A finished run of two rounds, to be damaged."""
    return Path(shutil.copytree(_finished, tmp_path / "finished"))


@pytest.fixture
def component() -> Iterator[Callable[..., None]]:
    """Register a component for one test."""
    added: list[tuple[Methods[Any], str]] = []

    def register(kind: Methods[Any], name: str, make: Callable[[Any], Any]) -> None:
        kind._registry._found.pop(name, None)
        kind.register(name, MethodConfig)(make)
        added.append((kind, name))

    yield register
    for kind, name in added:
        kind._registry._found.pop(name, None)
