"""Take 10,000, 50,000 and 200,000 recorded responses into a run: peak memory, and time a row as the file grows.

Each size runs in a process of its own, with the whole of `moorings record`: reading, checking, hashing, Parquet, fsync.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import finish, options

from moorings.subjects.lorem import LOREM_WORDS


def write_file(path: Path, n_rows: int) -> None:
    """Rows of about a thousand characters, four responses a prompt."""
    rng = random.Random(n_rows)
    with path.open("w") as file:
        for i in range(n_rows):
            response = " ".join(rng.choices(LOREM_WORDS, k=150))
            file.write(json.dumps({"prompt": f"question {i // 4}", "response": response, "group": f"g{i % 9}"}) + "\n")


def child(path: str, run: str) -> None:
    """Record and print seconds and peak resident bytes."""
    from moorings.sampling.record import record

    start = time.perf_counter()
    result = record(f"recorded:{path}", run)
    spent = time.perf_counter() - start
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"n_rows": result.n_samples, "seconds": spent, "peak_bytes": peak_bytes}))


def main() -> None:
    """Measure and compare with the bars."""
    args = options(__doc__ or "")
    sizes = (5_000, 20_000, 50_000) if args.quick else (10_000, 50_000, 200_000)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n_rows in sizes:
            path = Path(folder) / f"{n_rows}.jsonl"
            write_file(path, n_rows)
            command = [sys.executable, __file__, "--child", str(path), f"{folder}/run{n_rows}"]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert row["n_rows"] == n_rows
            rows.append({**row, "file_bytes": path.stat().st_size})
            print(
                f"{n_rows:,} rows: {row['seconds']:.1f} s, {row['seconds'] / n_rows * 1e6:.0f} us a row, peak {row['peak_bytes'] / 1e6:.0f} MB"
            )
    per_row = [row["seconds"] / row["n_rows"] for row in rows]
    finish(
        "recording_scale",
        args,
        bars={
            "peak GB": (max(row["peak_bytes"] for row in rows) / 1e9, "<=", 1.0),
            "time a row, largest over smallest": (per_row[-1] / per_row[0], "<=", 1.5),
        },
        rows=rows,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:4])
    else:
        main()
