"""Write the supervised run that later versions must go on reading: `python tests/histories/make_supervised.py`.

Run once for each version of what a supervised run holds, and commit the result; it is never written again. Names of the
machine and its user are left out.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "supervise"))

from run_tools import FAULT, at_point, write_charter  # noqa: E402

from moorings.store import journal as journal_module  # noqa: E402
from moorings.store import run as run_module  # noqa: E402
from moorings.supervise.supervisor import supervise  # noqa: E402
from moorings.supervise.wishes import take_back  # noqa: E402

PLACE = Path("/tmp/drill")
GATE = {
    "look": 16,
    "budget": 32,
    "discover": True,
    "unlisted": "note",
    "unknown_tolerance": 0.6,
    "alpha": 0.2,
    "promote_alpha": 0.2,
}
PRAISE = [{"name": "praise", "phrases": ["great question"], "direction": "more", "tolerance": 0.35}]
DATA = [{"use": "self_distillation", "n_prompts": 4, "max_new_tokens": 32}]


def nobody() -> dict[str, Any]:
    """Stands for the writer."""
    return {"host": "host", "pid": 1, "user": "user", "since": "2026-01-01T00:00:00+00:00"}


class PowerCut(BaseException):
    """Ends the run in the middle."""


def cut() -> None:
    raise PowerCut


def make(home: Path) -> None:
    """A run with a rollback, a model taken back, and a last round that was cut off in the middle of a look."""
    run_module.owner_here = journal_module.owner_here = nobody
    PLACE.mkdir()
    run = PLACE / "run"
    path = write_charter(PLACE / "charter.yaml", forbidden=PRAISE, run={"data": DATA, "changes": [FAULT], "gate": GATE})
    with contextlib.suppress(PowerCut):
        supervise(path, run, on_point=at_point("after decided", cut, nth=3))
    take_back(run, to=1, reason="a drill", by="Ada")
    with contextlib.suppress(PowerCut):
        supervise(path, run, on_point=at_point("before looked", cut))
    for lock in run.rglob("lock.json"):
        lock.unlink()
    with tarfile.open(home, "w:xz") as archive:
        archive.add(run, arcname="run", filter=_of_nobody)
    shutil.rmtree(PLACE)


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    goal = HERE / "supervised-1.tar.xz"
    if goal.exists():
        raise SystemExit(f"{goal} exists; a history is never written again. Count up for a new one")
    make(goal)
