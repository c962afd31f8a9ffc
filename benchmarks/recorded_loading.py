"""Load 20 files of 805 recorded responses through `recorded:` and time it.

    python benchmarks/recorded_loading.py [--quick] [--json FILE]

The files are `alpaca_eval_outputs/*.jsonl.gz` of the data folder beside the checkout, or of
MOORINGS_DATA. Hashing each file for the fingerprint is part of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import pydantic

import moorings
from moorings.subjects.recorded import RecordedSubject

BAR_S = 10.0
DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the loading of recorded responses.")
    parser.add_argument("--quick", action="store_true", help="load 3 files instead of all")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    files = sorted((DATA / "alpaca_eval_outputs").glob("*.jsonl.gz"))
    if not files:
        print(f"skipped: no alpaca_eval_outputs/*.jsonl.gz in {DATA}; set MOORINGS_DATA")
        return 0
    files = files[:3] if args.quick else files
    started = time.perf_counter()
    n_rows = n_chars = 0
    for file in files:
        subject = RecordedSubject(file)
        subject.describe()
        for row in subject.rows():
            n_rows += 1
            n_chars += len(row.response)
    value = time.perf_counter() - started
    passed = value < BAR_S
    print(
        f"{len(files)} files, {n_rows} rows, {n_chars / 1e6:.1f} million characters of answers, {n_rows / value:.0f} rows/s"
    )
    figures = {
        "name": "recorded_loading",
        "bar": f"< {BAR_S:g} s",
        "value": round(value, 3),
        "passed": passed,
        "n_files": len(files),
        "n_rows": n_rows,
        "versions": {
            "moorings": moorings.__version__,
            "python": platform.python_version(),
            "pydantic": pydantic.VERSION,
        },
        "cpu": _cpu(),
    }
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"{value:.2f} s for {len(files)} files; bar: < {BAR_S:g} s; {'met' if passed else 'MISSED'}")
    return 0 if passed else 1


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores usable"


if __name__ == "__main__":
    sys.exit(main())
