"""The whole loop: rounds of self-improvement, each looked at before the next one may build on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moorings import __version__
from moorings.charter import Charter, load_charter
from moorings.errors import ConfigError, MooringsError, StorageError
from moorings.store import Run
from moorings.store.disk import Disk, write_atomic
from moorings.supervise.benches import SharedEmbedder
from moorings.supervise.compared import compare_round
from moorings.supervise.lineage import Lineage
from moorings.supervise.looks import GateKeeper
from moorings.supervise.models import in_run
from moorings.supervise.observer import Observer, Silent
from moorings.supervise.plan import RunPlan, make_plan
from moorings.supervise.proof import nested_runs, seal_of
from moorings.supervise.round import RoundTry
from moorings.supervise.state import RunState, read_state
from moorings.supervise.wishes import take_wish

__all__ = ["CHARTER", "improve", "judge", "keep_charter", "open_plan", "resume", "run_config", "supervise"]

CHARTER = "charter.yaml"
_FOLDER = "charter-folder.txt"
KIND = "supervised run"


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
    read = load_charter(path)
    plan = make_plan(read, path.parent)
    with Run.create_or_open(folder, run_config(read)) as run:
        run.on_point = on_point or run.on_point
        keep_charter(run, path)
        return _go_on(plan, Lineage(run), observer or Silent())


def resume(
    folder: Path | str, *, observer: Observer | None = None, on_point: Callable[[str], None] | None = None
) -> RunState:
    """Take up a run where it stands; see `supervise`."""
    with Run.open(folder, write=True) as run:
        run.on_point = on_point or run.on_point
        if run.config.get("kind") != KIND:
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
    read = load_charter(path)
    plan = make_plan(read, path.parent)
    with Run.create_or_open(folder, run_config(read)) as run:
        keep_charter(run, path)
        lineage = Lineage(run)
        state = read_state(lineage, plan.section.rounds)
        if state.status != "running":
            raise ConfigError(f"run {folder} is {state.status}: {state.why}; name a new folder")
        attempt = RoundTry(plan, lineage, state, observer or Silent(), SharedEmbedder())
        try:
            return in_run(attempt.make_candidate().uri, lineage.folder)
        finally:
            attempt.close()


def run_config(charter: Charter, kind: str = KIND) -> dict[str, object]:
    """What makes two starts the same run."""
    section = charter.run
    return {
        "kind": kind,
        "title": charter.title,
        "subject": {"uri": section.subject if section else ""},
        "rounds": section.rounds if section else 0,
        "charter": charter.fingerprint(),
        "moorings": __version__,
    }


def keep_charter(run: Run, path: Path) -> None:
    """Keep the charter, and where it lay, with the run."""
    run.put_artifact(CHARTER, path.read_bytes())
    run.put_artifact(_FOLDER, str(path.parent.resolve()).encode())


def open_plan(run: Run) -> RunPlan:
    """The plan of a run that was started, from the charter kept in it.

    Raises:
        StorageError: The run keeps no charter, or one that is not the one it was started with.
    """
    kept = run.artifacts()
    if CHARTER not in kept:
        raise StorageError(
            f"{run.files.url} is no supervised run: it keeps no charter; name a folder made by `moorings run`"
        )
    path = Path(run.files.url) / CHARTER
    write_atomic(path, run.get_artifact(kept[CHARTER]), Disk())
    charter = load_charter(path)
    if run.config.get("charter") != charter.fingerprint():
        raise StorageError(
            f"the charter kept in {run.files.url} is not the one it was started with; do not trust this run"
        )
    folder = Path(run.get_artifact(kept[_FOLDER]).decode())
    return make_plan(charter, folder, trains=False)


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
    if state.status == "failed":
        lineage.add(
            f"{state.round}.{state.attempt + 1} retried",
            "retried",
            {"round": state.round, "attempt": state.attempt + 1},
        )
        state = read_state(lineage, section.rounds)
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


def judge(attempt: RoundTry, keeper: GateKeeper) -> None:
    """Make a candidate, look at it and decide; what breaks leaves the last good model where it was."""
    lineage, place = attempt.lineage, {"round": attempt.round, "attempt": attempt.attempt}
    try:
        attempt.make_candidate()
        keeper.look_at(attempt)
        with attempt.phase("compare"):
            compare_round(attempt)
            _seal(attempt)
    except StorageError:
        raise
    except MooringsError as error:
        lineage.add(f"{attempt.key} failed", "failed", {**place, "error": f"{type(error).__name__}: {error}"})
        attempt.observer.message(f"round {attempt.key} failed: {error}")
        return
    decision = keeper.decide(attempt.round, attempt.attempt)
    evidence = keeper.gate.evidence(attempt.round)
    lineage.add(
        f"{attempt.key} evidence",
        "weighed",
        {**place, "evidence": [one.model_dump(mode="json") for one in evidence]},
    )
    lineage.add(f"{attempt.key} decided", "decided", decision.model_dump(mode="json"))
    attempt.observer.decided(decision)


def _seal(attempt: RoundTry) -> None:
    """Record what all answers of the round hash to, so that none can be exchanged later."""
    if attempt.lineage.get(f"{attempt.key} sealed") is None:
        root = attempt.lineage.folder
        runs = {path.relative_to(root).as_posix(): seal_of(path) for path in nested_runs(attempt.folder)}
        place = {"round": attempt.round, "attempt": attempt.attempt}
        attempt.lineage.add(f"{attempt.key} sealed", "sealed", {**place, "runs": runs})


def _tries_used_up(state: RunState, plan: RunPlan, lineage: Lineage) -> bool:
    """End a run whose rollbacks have spent the error budget."""
    if state.n_rollbacks <= plan.section.gate.retries:
        return False
    reason = (
        f"round {state.round} was rolled back and no tries are left ({plan.section.gate.retries} allowed in the run); "
        f"the model of round {state.promoted_round} stays"
    )
    lineage.add("stopped", "stopped", {"reason": reason, "by": "gate"})
    return True
