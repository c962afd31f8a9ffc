"""What all benchmarks share: options, facts about the machine, and the closing line."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def options(description: str) -> argparse.Namespace:
    """Parse --quick and --json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="at most 60 s on 2 cores, same bar")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """Processor, cores and versions."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    names = ("torch", "transformers", "ctranslate2", "sentence-transformers", "pyarrow", "duckdb")
    return {
        "cpu": cpu[1] if cpu else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
    }


def mean_low_high(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Mean over seeds with its t interval, 95 %; of one seed the interval is not finite."""
    from moorings.improve.exact.scaling import mean_interval

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, -math.inf, math.inf
    interval = mean_interval(np.array(values))
    return mean, interval.low, interval.high


def on_few_lines(result: dict[str, Any]) -> str:
    """JSON for people, with each list of plain values on a line of its own: curves have thousands."""
    text = json.dumps(result, indent=2)
    plain = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")
    return plain.sub(lambda found: "[" + re.sub(r"\s*\n\s*", " ", found[1]) + "]", text) + "\n"


def finish(name: str, args: argparse.Namespace, *, bars: dict[str, tuple[float, str, float]], **facts: Any) -> None:
    """Print each figure against its bar, write JSON, exit 1 if a bar is missed.

    Args:
        name: The benchmark's name.
        args: Its options.
        bars: From a figure's name to (value, ">=" or "<=", bar).
        facts: Everything else worth keeping.
    """
    checks = {k: (value >= bar if sign == ">=" else value <= bar) for k, (value, sign, bar) in bars.items()}
    passed = all(checks.values())
    if args.json:
        result = {
            "name": name,
            "quick": args.quick,
            "passed": passed,
            "bars": {k: {"value": v, "sign": s, "bar": b, "passed": checks[k]} for k, (v, s, b) in bars.items()},
            **machine(),
            **facts,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(on_few_lines(result))
    text = "; ".join(f"{k} {v:,.4g} (bar {s} {b:,.4g})" for k, (v, s, b) in bars.items())
    print(f"{name}: {'PASS' if passed else 'MISSED'}: {text}")
    sys.exit(not passed)
