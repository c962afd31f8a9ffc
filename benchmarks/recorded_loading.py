"""Load the AlpacaEval outputs of 20 models (805 prompts each) as recorded responses, and time it.

Reads `alpaca_eval_outputs/*.jsonl.gz` of the development data beside the checkout, or of the folder that MOORINGS_DATA
names. `read` is reading, checking and hashing alone; `record` also stores every file as a run.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from _common import finish, options

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> None:
    """Measure and compare with the bar."""
    args = options(__doc__ or "")
    files = sorted((DATA / "alpaca_eval_outputs").glob("*.jsonl.gz"))
    if not files:
        print(f"recorded_loading: skipped: no alpaca_eval_outputs/*.jsonl.gz in {DATA}; set MOORINGS_DATA")
        sys.exit(0)
    from moorings.sampling.record import record
    from moorings.subjects.recorded import RecordedSubject

    start = time.perf_counter()
    n_rows = sum(1 for file in files for _ in RecordedSubject(file).rows())
    read_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        n_stored = sum(record(f"recorded:{file}", Path(folder) / file.name).n_samples for file in files)
        record_s = time.perf_counter() - start
    assert n_rows == n_stored
    print(f"{len(files)} files, {n_rows:,} rows: read in {read_s:.2f} s, stored as runs in {record_s:.2f} s")
    finish(
        "recorded_loading",
        args,
        bars={"read s": (read_s, "<=", 10.0), "record s": (record_s, "<=", 10.0)},
        n_files=len(files),
        n_rows=n_rows,
    )


if __name__ == "__main__":
    main()
