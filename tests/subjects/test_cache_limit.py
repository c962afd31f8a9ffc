"""The cache of converted models stays below its limit, and what may be in use stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from moorings.subjects.model_cache import build_folder, folder_problem, touch_folder, trim_folders


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for at in range(4):
        folder = tmp_path / f"model{at}"
        build_folder(folder, lambda into: (into / "weights.bin").write_bytes(b"x" * 1000) and None)
        then = time.time() - 10_000 + at
        os.utime(folder, (then, then))
    (tmp_path / ".model9.new-x").mkdir()
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_the_longest_unused_go_first(cache: Path) -> None:
    touch_folder(cache / "model0")
    assert trim_folders(cache, most_bytes=2500) == [cache / "model1", cache / "model2"]
    assert folder_problem(cache / "model0") is None
    assert folder_problem(cache / "model3") is None
    assert (cache / "notes").is_dir()
    assert (cache / ".model9.new-x").is_dir()


def test_what_was_used_lately_stays_whatever_the_size(cache: Path) -> None:
    for at in range(4):
        touch_folder(cache / f"model{at}")
    assert trim_folders(cache, most_bytes=0) == []
    assert len(trim_folders(cache, most_bytes=0, idle_s=-1.0)) == 4


def test_a_cache_that_fits_or_is_not_there_is_left_alone(cache: Path) -> None:
    assert trim_folders(cache, most_bytes=4000) == []
    assert trim_folders(cache / "none", most_bytes=0) == []
    touch_folder(cache / "none")
