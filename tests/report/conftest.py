"""A browser for the modules that look at pages."""

from __future__ import annotations

from collections.abc import Iterator

import browser
import pytest


@pytest.fixture(scope="module")
def tab() -> Iterator[browser.Browser]:
    """One tab for a module."""
    with browser.chromium() as opened:
        yield opened
