"""Where a run stands, read off its lineage alone."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from moorings.errors import StorageError
from moorings.records import Decision
from moorings.supervise.lineage import Lineage

__all__ = ["Candidate", "RunState", "read_state"]

Status = Literal["running", "held", "failed", "stopped", "finished"]


class Candidate(NamedTuple):
    """A model that a round made."""

    round: int
    attempt: int
    uri: str
    """With `{run}` where the run's folder stands."""
    rows: str
    """Hash of the artifact with its training rows."""


class RunState(NamedTuple):
    """Where a run stands."""

    status: Status
    """`held`: waits for a person. `failed`: the last round broke; it is tried again when the run is resumed."""
    round: int
    """Round that is under way or was decided last."""
    attempt: int
    """Of that round, 0 for the first."""
    promoted: tuple[Candidate, ...]
    """Models from the first promoted round to the present one; empty while the anchor is the present model."""
    n_rollbacks: int
    why: str = ""
    """Why it is not running, in a sentence."""

    @property
    def promoted_round(self) -> int:
        """Round of the present model; 0 is the anchor."""
        return self.promoted[-1].round if self.promoted else 0


def read_state(lineage: Lineage, n_rounds: int) -> RunState:
    """Replay the events of a run.

    Raises:
        StorageError: A round was promoted that made no model.
    """
    state = RunState("running", 1, 0, (), 0)
    made: dict[tuple[int, int], Candidate] = {}
    for event in lineage.events():
        state = _after(state, event.kind, event.data, made, n_rounds)
    return state


def _after(
    state: RunState, kind: str, data: dict[str, Any], made: dict[tuple[int, int], Candidate], n_rounds: int
) -> RunState:
    match kind:
        case "trained":
            made[data["round"], data["attempt"]] = Candidate(data["round"], data["attempt"], data["uri"], data["rows"])
            return state
        case "failed":
            return state._replace(status="failed", why=data["error"])
        case "retried":
            return state._replace(status="running", attempt=data["attempt"], why="")
        case "decided":
            return _decided(state, Decision.model_validate(data), made, n_rounds)
        case "stopped":
            return state._replace(status="stopped", why=data["reason"])
        case "taken_back":
            kept = tuple(c for c in state.promoted if c.round <= data["to"])
            state = state._replace(promoted=kept)
            if state.status != "running":
                return _next_round(state, n_rounds)
            # What was begun on a model that is no longer the present one is given up.
            return state._replace(attempt=state.attempt + 1) if data["begun"] else state
        case _:
            return state


def _decided(state: RunState, decision: Decision, made: dict[tuple[int, int], Candidate], n_rounds: int) -> RunState:
    if decision.action == "promote":
        candidate = made.get((decision.round, decision.attempt))
        if candidate is None:
            raise StorageError(
                f"round {decision.round}.{decision.attempt} was promoted but made no model; do not trust this run"
            )
        return _next_round(state._replace(promoted=(*state.promoted, candidate)), n_rounds)
    if decision.action == "hold":
        return state._replace(status="held", why=decision.rule)
    kept = tuple(c for c in state.promoted if c.round <= (decision.back_to or 0))
    state = state._replace(promoted=kept if decision.back_to is not None else state.promoted)
    if decision.action == "stop":
        return state._replace(status="stopped", why=decision.rule)
    state = state._replace(status="running", attempt=state.attempt + 1, why="")
    return state._replace(n_rollbacks=state.n_rollbacks + 1)


def _next_round(state: RunState, n_rounds: int) -> RunState:
    if state.round >= n_rounds:
        return state._replace(status="finished", why="all rounds were run")
    return state._replace(status="running", round=state.round + 1, attempt=0, why="")
