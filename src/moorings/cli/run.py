"""`moorings run` and what people do with a supervised run: resume, approve, rollback, stop, fork, verify, improve."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moorings.cli.models import AsJson
from moorings.cli.terminal import print_json, print_table, safe_text

if TYPE_CHECKING:
    from moorings.supervise.state import RunState

__all__ = [
    "RUN_EXAMPLES",
    "approve",
    "fork",
    "improve",
    "methods",
    "resume",
    "rollback",
    "run",
    "stop",
    "verify",
    "watch",
]

RUN_EXAMPLES = """
**Three rounds of self-training** of the embedded model, watched and gated as the charter says:

    moorings run examples/self_training.yaml --out runs/self-training

**A round is held:** look at its report, then say yes or no; who said it and why is recorded.

    moorings approve runs/self-training --reason "shorter answers are what we want"
    moorings rollback runs/self-training --to 1 --reason "round 2 praises too much"
    moorings resume runs/self-training

Exit code 0: finished. 1: held, stopped or failed; the reason is one line. 2: it could not be started, or no room was left. 130: interrupted.
"""

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a supervised run.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; recorded for good.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; your user name by default.")]
Exporters = Annotated[
    list[str] | None,
    typer.Option("--export", help="Also log to tensorboard, mlflow or wandb, where installed; may be repeated."),
]


def run(
    charter: Annotated[Path, typer.Argument(help="Charter with a section `run` (YAML).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; the same command takes it up again.")],
    export: Exporters = None,
    as_json: AsJson = False,
) -> None:
    """Let a model improve itself round after round, and promote, hold, roll back or stop it by the charter."""
    from moorings.report.run.watching import watching
    from moorings.supervise.supervisor import supervise

    with watching(out, export or ()) as observer:
        state = supervise(charter, out, observer=observer)
    _told(out, state, as_json=as_json)


def resume(folder: Folder, export: Exporters = None, as_json: AsJson = False) -> None:
    """Take up a run that was interrupted, has failed, or was approved."""
    from moorings.report.run.watching import watching
    from moorings.supervise.supervisor import resume as go_on

    with watching(folder, export or ()) as observer:
        state = go_on(folder, observer=observer)
    _told(folder, state, as_json=as_json)


def improve(
    charter: Annotated[Path, typer.Argument(help="Charter with a section `run` (YAML).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; `moorings run` goes on from there.")],
    as_json: AsJson = False,
) -> None:
    """Collect data and train once, without the gate: the first half of a round."""
    from moorings.report.run.watching import watching
    from moorings.supervise.supervisor import improve as make

    with watching(out, ()) as observer:
        uri = make(charter, out, observer=observer)
    if as_json:
        print_json({"subject": uri})
    else:
        print(f"the new model, not looked at yet, is {uri}")


def watch(
    checkpoints: Annotated[Path, typer.Argument(metavar="DIR", help="Where a trainer writes one folder a checkpoint.")],
    charter: Annotated[
        Path, typer.Option("--charter", "-c", help="Charter with a section `run`; it needs no data and no train.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; the same command takes it up again.")],
    idle_minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Give up after so long without a new checkpoint; by default never.")
    ] = None,
    export: Exporters = None,
    as_json: AsJson = False,
) -> None:
    """Judge each checkpoint that another program writes; on stop, leave moorings-stop.json beside them."""
    from moorings.report.run.watching import watching
    from moorings.supervise.watch import watch as judge_each

    with watching(out, export or ()) as observer:
        idle_s = None if idle_minutes is None else 60 * idle_minutes
        state = judge_each(checkpoints, charter, out, observer=observer, idle_s=idle_s)
    _told(out, state, as_json=as_json)


def approve(folder: Folder, reason: Reason, by: By = None) -> None:
    """Promote the round that is held; `moorings resume` then goes on."""
    from moorings.supervise.wishes import approve as promote

    decision = promote(folder, reason=reason, by=by or _user())
    print(f"round {decision.round} is promoted; go on with: moorings resume {shlex.quote(str(folder))}")


def rollback(
    folder: Folder,
    to: Annotated[int, typer.Option("--to", min=0, help="Promoted round whose model is taken; 0 is the anchor.")],
    reason: Reason,
    by: By = None,
) -> None:
    """Take an earlier round's model as the present one; also how a held round is refused."""
    from moorings.supervise.wishes import take_back

    state = take_back(folder, to=to, reason=reason, by=by or _user())
    print(
        f"the present model is that of round {state.promoted_round}; go on with: moorings resume {shlex.quote(str(folder))}"
    )


def stop(folder: Folder, reason: Reason, by: By = None) -> None:
    """Stop a run for good, also one that is running; its present model stays."""
    from moorings.supervise.wishes import stop as end

    if end(folder, reason=reason, by=by or _user()):
        print("stopped")
    else:
        print("asked to stop; it ends before its next try of a round")


def fork(
    folder: Folder,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder to make.")],
    round: Annotated[int, typer.Option("--round", min=1, help="Round whose model the new run begins with.")],
    charter: Annotated[Path | None, typer.Option("--charter", "-c", help="Charter of the new run.")] = None,
) -> None:
    """Begin a new run, with settings of its own, where a round of another one ended."""
    from moorings.supervise.fork import fork as branch

    path = branch(folder, new, round=round, charter=charter)
    print(f"look at {path}, then: moorings run {shlex.quote(str(path))} --out {shlex.quote(str(new / 'run'))}")


def verify(
    folder: Folder,
    lineage: Annotated[
        str | None,
        typer.Option("--lineage", help="Lineage hash that you noted earlier; it must be part of the history."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that nothing of a run was altered or lost: journal, data, answers, models. Exit code 1 if something was."""
    from moorings.supervise.proof import verify_run

    proof = verify_run(folder, noted=lineage)
    if as_json:
        print_json(proof._asdict())
    else:
        for line in (*proof.problems, *proof.notes):
            print(safe_text(line))
        print(
            f"{'whole' if proof.ok else 'NOT whole'}: {proof.n_events} events, {proof.n_runs} sets of answers, "
            f"{proof.n_models} models; lineage {proof.lineage}"
        )
    if not proof.ok:
        raise typer.Exit(1)


def methods(
    name: Annotated[str | None, typer.Argument(help="Show the settings of this one.")] = None, as_json: AsJson = False
) -> None:
    """List what a charter can name with `use:`: data methods, trainers, defences and monitors."""
    from moorings.supervise.catalogue import catalogue, settings_of

    if name is not None:
        rows = settings_of(name)
        if as_json:
            print_json([row._asdict() for row in rows])
        else:
            print_table(name, ["setting", "default", "meaning"], rows)
        return
    found = catalogue()
    if as_json:
        print_json([row._asdict() for row in found])
    else:
        print_table("", ["kind", "name", "what it does"], found)


def _user() -> str:
    """Who runs this program."""
    from moorings.store.journal import owner_here

    return str(owner_here()["user"])


def _told(folder: Path, state: RunState, *, as_json: bool) -> None:
    report = folder / "report.html"
    if as_json:
        print_json(
            {
                "status": state.status,
                "round": state.round,
                "promoted_round": state.promoted_round,
                "why": state.why,
                "report": str(report),
            }
        )
    else:
        why = state.why or "no checkpoint came for a while; the same command goes on"
        print(f"{state.status}: {safe_text(why)}")
        print(f"the present model is that of round {state.promoted_round}; report: {report}")
    if state.status not in ("finished", "running"):
        raise typer.Exit(1)
