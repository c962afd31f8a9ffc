"""The whole loop: rounds of self-improvement, each looked at before the next one may build on it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from moorings.charter import load_charter
from moorings.errors import ConfigError, MooringsError
from moorings.store import Run
from moorings.supervise.benches import SharedEmbedder
from moorings.supervise.compared import compare_round
from moorings.supervise.faults import FAULTS, fault_of
from moorings.supervise.kept import SUPERVISED, WATCHED, open_plan, start_run
from moorings.supervise.lineage import Lineage
from moorings.supervise.looks import GateKeeper
from moorings.supervise.models import in_run
from moorings.supervise.observer import Observer, Silent
from moorings.supervise.plan import RunPlan, make_plan
from moorings.supervise.proof import nested_runs, seal_of
from moorings.supervise.round import RoundTry
from moorings.supervise.state import RunState, read_state
from moorings.supervise.wishes import GATE, take_wish

__all__ = ["improve", "judge", "resume", "settle", "supervise"]


def supervise(
    charter: Path | str,
    folder: Path | str,
    *,
    observer: Observer | None = None,
    on_point: Callable[[str], None] | None = None,
) -> RunState:
    """Run a charter; call again with the same charter to take up a run that was stopped in the middle.

    Args:
        charter: YAML file with a section `run`.
        folder: Of the run; made if missing.
        observer: Told what happens.
        on_point: Called at named points of every write, for crash tests.

    Returns:
        Where the run stands: finished, held, failed or stopped.

    Raises:
        ConfigError: The charter cannot be run.
        StorageError: The run was started with another charter, or its folder cannot be written.
    """
    path = Path(charter)
    plan = make_plan(load_charter(path), path.parent)
    with start_run(folder, path, plan, SUPERVISED) as run:
        run.on_point = on_point or run.on_point
        return _go_on(plan, Lineage(run), observer or Silent())


def resume(
    folder: Path | str, *, observer: Observer | None = None, on_point: Callable[[str], None] | None = None
) -> RunState:
    """Take up a run where it stands; see `supervise`.

    Raises:
        ConfigError: A round is held, or the run watches another trainer.
        StorageError: There is no supervised run, or a file that its charter names was changed.
    """
    with Run.open(folder, write=True) as run:
        run.on_point = on_point or run.on_point
        if run.config.get("kind") == WATCHED:
            raise ConfigError(
                f"run {folder} watches another trainer; take it up with the same `moorings watch` command"
            )
        return _go_on(open_plan(run), Lineage(run), observer or Silent())


def improve(charter: Path | str, folder: Path | str, *, observer: Observer | None = None) -> str:
    """Collect data and train once, without the gate; `supervise` goes on from there.

    Returns:
        URI of the new model.

    Raises:
        MooringsError: As `supervise`; what failed can be tried again.
    """
    path = Path(charter)
    plan = make_plan(load_charter(path), path.parent)
    with start_run(folder, path, plan, SUPERVISED) as run:
        lineage = Lineage(run)
        state = read_state(lineage, plan.section.rounds)
        if state.status != "running":
            raise ConfigError(f"run {folder} is {state.status}: {state.why}; name a new folder")
        attempt = RoundTry(plan, lineage, state, observer or Silent(), SharedEmbedder())
        try:
            return in_run(attempt.make_candidate().uri, lineage.folder)
        finally:
            attempt.close()


def _go_on(plan: RunPlan, lineage: Lineage, observer: Observer) -> RunState:
    section, embed = plan.section, SharedEmbedder()
    state = read_state(lineage, section.rounds)
    observer.run_started(
        {
            "title": plan.charter.title,
            "purpose": plan.charter.purpose,
            "rounds": section.rounds,
            "folder": str(lineage.folder),
            "subject": section.subject,
        }
    )
    if state.status == "held":
        raise ConfigError(
            f"round {state.round} is held: {state.why} Look at the report, then `moorings approve` or `moorings rollback` it"
        )
    state = settle(plan, lineage, state)
    keeper = GateKeeper(plan, lineage)
    while state.status == "running":
        if take_wish(lineage) or _tries_used_up(state, plan, lineage):
            state = read_state(lineage, section.rounds)
            continue
        observer.round_started(state.round, state.attempt)
        attempt = RoundTry(plan, lineage, state, observer, embed)
        try:
            judge(attempt, keeper)
        finally:
            attempt.close()
        state = read_state(lineage, section.rounds)
    observer.message(f"{state.status}: {state.why}; the present model is that of round {state.promoted_round}")
    return state


def settle(plan: RunPlan, lineage: Lineage, state: RunState) -> RunState:
    """Take up a run whose last round broke: the round is tried again."""
    if state.status != "failed":
        return state
    again = {"round": state.round, "attempt": state.attempt + 1}
    lineage.add(f"{state.round}.{state.attempt + 1} retried", "retried", again)
    return read_state(lineage, plan.section.rounds)


def judge(attempt: RoundTry, keeper: GateKeeper) -> None:
    """Make a candidate, look at it and decide; what breaks leaves the last good model where it was."""
    lineage = attempt.lineage
    try:
        attempt.make_candidate()
        keeper.look_at(attempt)
    except FAULTS as error:
        _fail(attempt, error, fault_of(error, lineage.folder))
        return
    if lineage.get(f"{attempt.key} sealed") is None:
        with attempt.phase("compare"):
            compare_round(attempt)
            _seal(attempt)
    decision = keeper.decide(attempt.round, attempt.attempt)
    evidence = keeper.gate.evidence(attempt.round)
    lineage.add(
        f"{attempt.key} evidence",
        "weighed",
        {**attempt.place, "evidence": [one.model_dump(mode="json") for one in evidence]},
    )
    lineage.add(f"{attempt.key} decided", "decided", decision.model_dump(mode="json"))
    attempt.observer.decided(decision)


def _fail(attempt: RoundTry, error: BaseException, said: str) -> None:
    """Record that a try broke. Where the cause may be a mistake in a component's code, the trace is kept for its author."""
    if not isinstance(error, MooringsError):
        trace = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
        attempt.lineage.run.put_artifact(f"failure-{attempt.key}.txt", trace)
    _seal(attempt)
    attempt.lineage.add(f"{attempt.key} failed", "failed", {**attempt.place, "error": said})
    attempt.observer.message(f"round {attempt.key} failed: {said}")


def _seal(attempt: RoundTry) -> None:
    """Record what all answers of the round hash to, so that none can be exchanged later."""
    if attempt.lineage.get(f"{attempt.key} sealed") is None:
        root = attempt.lineage.folder
        runs = {path.relative_to(root).as_posix(): seal_of(path) for path in nested_runs(attempt.folder)}
        attempt.lineage.add(f"{attempt.key} sealed", "sealed", {**attempt.place, "runs": runs})


def _tries_used_up(state: RunState, plan: RunPlan, lineage: Lineage) -> bool:
    """End a run whose rollbacks have spent the error budget."""
    if state.n_rollbacks <= plan.section.gate.retries:
        return False
    reason = (
        f"round {state.round} was rolled back and no tries are left ({plan.section.gate.retries} allowed in the run); "
        f"the model of round {state.promoted_round} stays"
    )
    lineage.add("stopped", "stopped", {"reason": reason, "by": GATE})
    return True
