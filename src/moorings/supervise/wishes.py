"""What people ask of a run: stop, approve, take back. A running run is asked through a file; one at rest is written to."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

from moorings.errors import ConfigError, RunLockedError, StorageError
from moorings.records import Decision
from moorings.store import Run
from moorings.store.disk import Disk, write_atomic
from moorings.supervise.lineage import Lineage
from moorings.supervise.state import RunState, read_state

__all__ = ["GATE", "approve", "stop", "take_back", "take_wish"]

_WISH = "requests/stop.json"
GATE = "gate"
"""Who decided where no person did."""


def take_wish(lineage: Lineage) -> bool:
    """Record a wish to stop that somebody left for a running run; whether there was one."""
    path = lineage.folder / _WISH
    if not path.is_file():
        return False
    try:
        wish = json.loads(path.read_bytes())
        reason, by = str(wish["reason"]), str(wish["by"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        reason, by = "a request to stop that could not be read", "unknown"
    lineage.add("stopped", "stopped", {"reason": reason, "by": by})
    # A wish that stays is not taken twice: the run is over.
    with contextlib.suppress(OSError):
        path.unlink()
    return True


def stop(folder: Path | str, *, reason: str, by: str) -> bool:
    """Stop a run for good; the present model stays.

    Returns:
        True if it is stopped now, False if it is running and stops before its next try of a round.

    Raises:
        ConfigError: It is over already.
    """
    _require(reason, by)
    try:
        with Run.open(folder, write=True) as run:
            lineage = Lineage(run)
            state = _state(run, lineage)
            if state.status in ("stopped", "finished"):
                raise ConfigError(f"run {folder} is over ({state.status}: {state.why}); there is nothing to stop")
            lineage.add("stopped", "stopped", {"reason": reason, "by": by})
            return True
    except RunLockedError:
        wish = {"reason": reason, "by": by, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        write_atomic(Path(folder) / _WISH, json.dumps(wish).encode(), Disk())
        return False


def approve(folder: Path | str, *, reason: str, by: str) -> Decision:
    """Promote the round that is held, on a person's word.

    Raises:
        ConfigError: No round is held, or no reason or name is given.
        RunLockedError: The run is being written.
    """
    _require(reason, by)
    with Run.open(folder, write=True) as run:
        lineage = Lineage(run)
        state = _state(run, lineage)
        if state.status != "held":
            raise ConfigError(f"run {folder} is {state.status}, no round is held; there is nothing to approve")
        decision = Decision(
            round=state.round,
            attempt=state.attempt,
            action="promote",
            rule=f"approved by hand after the gate held it ({state.why}): {reason}",
            by=by,
        )
        lineage.add(f"{state.round}.{state.attempt} approved", "decided", decision.model_dump(mode="json"))
        return decision


def take_back(folder: Path | str, *, to: int, reason: str, by: str) -> RunState:
    """Take an earlier promoted model as the present one, or refuse a held round.

    After a round that was held or failed the run goes on with the next one; a round that was under way begins anew.

    Args:
        folder: Of the run.
        to: Round whose model is taken; 0 is the anchor.
        reason: Why, recorded.
        by: Who, recorded.

    Raises:
        ConfigError: That round was not promoted, or the run is over.
        RunLockedError: The run is being written; stop it first.
    """
    _require(reason, by)
    with Run.open(folder, write=True) as run:
        lineage = Lineage(run)
        state = _state(run, lineage)
        rounds = [0, *(one.round for one in state.promoted)]
        if to not in rounds:
            raise ConfigError(
                f"round {to} is not among the promoted ones ({', '.join(map(str, rounds))}); name one of them"
            )
        if state.status not in ("held", "failed", "running"):
            raise ConfigError(
                f"run {folder} is over ({state.status}: {state.why}); go on from a round with `moorings fork`"
            )
        number = sum(event.kind == "taken_back" for event in lineage.events())
        begun = (lineage.folder / "rounds" / f"{state.round}.{state.attempt}").exists()
        told = {"to": to, "reason": reason, "by": by, "round": state.round, "begun": begun}
        lineage.add(f"taken back {number}", "taken_back", told)
        return _state(run, lineage)


def _state(run: Run, lineage: Lineage) -> RunState:
    rounds = run.config.get("rounds")
    if not isinstance(rounds, int) or "charter" not in run.config:
        raise StorageError(f"{run.files.url} is no supervised run; name a folder made by `moorings run`")
    return read_state(lineage, rounds)


def _require(reason: str, by: str) -> None:
    missing: list[str] = [name for name, value in (("reason", reason), ("by", by)) if not value.strip()]
    if missing:
        raise ConfigError(f"{' and '.join(missing)} is empty; say who decides and why, it is recorded for good")
    if by.strip() == GATE:
        raise ConfigError(f"{by!a} is the gate's own name; give the name of the person who decides")
