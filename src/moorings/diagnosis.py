"""What works on this machine, and what to install for more; the function behind `moorings doctor`."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from moorings.errors import ModelFileError
from moorings.subjects import bundled

__all__ = ["Finding", "doctor"]

_CORE = ("torch", "transformers", "peft", "ctranslate2", "sentence-transformers", "duckdb", "pyarrow")
_EXTRAS = {
    "ray": ("ray", "several machines: --executor ray"),
    "vllm": ("vllm", "fast sampling on GPUs"),
    "inspect_ai": ("inspect", "Inspect AI logs as recorded responses"),
    "datasets": ("datasets", "Hugging Face datasets on disk as prompts"),
}
_NEEDED_GB = 3.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    state: str
    """`ok`, `missing` (something optional) or `broken` (something needed)."""
    detail: str
    cure: str
    """What to do; empty if nothing."""


def doctor() -> list[Finding]:
    """Look at Python, libraries, models, disk, memory and accelerators; nothing is changed or loaded."""
    return [_python(), *_core(), *_extras(), *_models(), _gpu(), _cores(), _disk()]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding(
        "python", "ok" if good else "broken", sys.version.split()[0], "" if good else "install Python 3.11 or newer"
    )


def _core() -> list[Finding]:
    found = []
    for name in _CORE:
        try:
            found.append(Finding(name, "ok", version(name), ""))
        except PackageNotFoundError:
            found.append(Finding(name, "broken", "not installed", "pip install moorings"))
    return found


def _extras() -> list[Finding]:
    return [
        Finding(f"extra {extra}", "ok", f"{version(module.replace('_', '-'))}: {purpose}", "")
        if find_spec(module)
        else Finding(f"extra {extra}", "missing", purpose, f"pip install 'moorings[{extra}]'")
        for module, (extra, purpose) in _EXTRAS.items()
    ]


def _models() -> list[Finding]:
    found = []
    for model in bundled.list_models():
        try:
            found.append(Finding(f"bundled:{model.name}", "ok", str(bundled.model_path(model.name)), ""))
        except ModelFileError as error:
            found.append(Finding(f"bundled:{model.name}", "missing", str(error), f"moorings models fetch {model.name}"))
    return found


def _gpu() -> Finding:
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*")) if Path("/proc/driver/nvidia/gpus").is_dir() else []
    if cards:
        return Finding("gpu", "ok", f"{len(cards)} NVIDIA", "")
    return Finding("gpu", "missing", "none seen; everything runs on the CPU", "")


def _cores() -> Finding:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Finding("machine", "ok", f"{len(os.sched_getaffinity(0))} cores, {memory_gb:.0f} GB memory", "")


def _disk() -> Finding:
    cache = bundled.cache_dir()
    there = next(p for p in (cache, *cache.parents) if p.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    good = free_gb >= _NEEDED_GB
    return Finding(
        "disk",
        "ok" if good else "broken",
        f"{free_gb:.0f} GB free for the cache {cache}",
        "" if good else "free space, or point MOORINGS_CACHE_DIR elsewhere",
    )
