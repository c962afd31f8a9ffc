"""Two hundred thousand rows stay under a gigabyte, in bulk and live."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_kit import child

N_ROWS = 200_000


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("how", "size"), [("add_part", 5000), ("add_interactions", 64)])
def test_memory_stays_flat(tmp_path: Path, how: str, size: int) -> None:
    code = """
import sys
from store_kit import *
how, size, n_rows = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def peak_mib():
    # ru_maxrss would start at the size of the process that spawned this one.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
with Run.create(sys.argv[1], CONFIG, disk=QuickDisk()) as run:
    for start in range(0, n_rows, size):
        stop = min(start + size, n_rows)
        getattr(run, how)([make_row(i, f"answer {i} " * 40) for i in range(start, stop)], BATCH)
    run.finish()
print("written", peak_mib(), flush=True)
with Run.open(sys.argv[1], write=True) as run:
    assert run.n_stored == n_rows
assert verify(sys.argv[1]).n_rows == n_rows
print("checked", peak_mib(), flush=True)
"""
    process = child(code, str(tmp_path / "r"), how, str(size), str(N_ROWS))
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    peaks = {line.split()[0]: float(line.split()[1]) for line in out.splitlines()}
    assert peaks["written"] < 1024
    assert peaks["checked"] < 1024
    print(f"\n{how}: {peaks}")
