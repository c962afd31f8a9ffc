"""Fixtures of the store's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_kit import QuickDisk, work

from moorings.store import run as run_module


@pytest.fixture
def small_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal after 8 rows instead of thousands."""
    monkeypatch.setattr(run_module, "SEAL_ROWS", 8)


@pytest.fixture
def finished(tmp_path: Path, small_seals: None) -> Path:
    """A complete run of the small workload."""
    root = tmp_path / "finished"
    work(root, QuickDisk(), [])
    return root
