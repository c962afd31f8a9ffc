"""Write the run directories that later versions must go on reading: `python tests/histories/make_history.py`.

Run once for each schema version and commit the result; an existing history is never written again. Names of the
machine and its user are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "store"))

from store_kit import BATCH, CONFIG, STEPS  # noqa: E402

from moorings.store import Run  # noqa: E402
from moorings.store import journal as journal_module  # noqa: E402
from moorings.store import run as run_module  # noqa: E402
from moorings.store.migrate import SCHEMA_VERSION  # noqa: E402


def nobody() -> dict[str, Any]:
    """Stands for the writer."""
    return {"host": "host", "pid": 1, "user": "user", "since": "2026-01-01T00:00:00+00:00"}


def add(run: Run, steps: list[Any]) -> None:
    """Store steps of the small workload."""
    for kind, rows in steps:
        (run.add_interactions if kind == "batch" else run.add_part)(rows, BATCH)


def make(home: Path) -> None:
    """Write a complete run, an interrupted one, and the rows that both hold in the end."""
    run_module.SEAL_ROWS = 8
    run_module.owner_here = journal_module.owner_here = nobody
    with Run.create(home / "complete", CONFIG) as run:
        run.put_artifact("prompts.jsonl", b'{"prompt_id":"p1","messages":[{"role":"user","content":"question 1"}]}\n')
        run.note("planned", {"reused": [], "rest": "0" * 64})
        add(run, STEPS[:4])
    with Run.open(home / "complete", write=True) as run:
        add(run, STEPS[4:])
        run.finish()
    with Run.create(home / "interrupted", CONFIG) as run:
        add(run, STEPS[:5])
    with (home / "interrupted" / "journal.log").open("ab") as file:
        file.write(b"0123456789abcdef")
    rows = [row.model_dump(mode="json") for _, step in STEPS for row in step]
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows]
    (home / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for lock in home.glob("*/lock.json"):
        lock.unlink()


if __name__ == "__main__":
    goal = HERE / f"v{SCHEMA_VERSION}"
    if (goal / "rows.jsonl").exists():
        raise SystemExit(f"{goal} exists; a history is never written again. Raise SCHEMA_VERSION for a new one")
    make(goal)
