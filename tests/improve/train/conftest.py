from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import make_model


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Hashes of the tests' own models stay out of the user's cache, where the embedded ones are."""
    if not request.node.get_closest_marker("model"):
        monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")
