"""A run's story, read from its journal alone, with the comparison of each round written beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moorings.compare.as_json import comparison_from_json
from moorings.records import Decision, Evidence
from moorings.report.run.story import (
    AttemptStory,
    ChangeStory,
    DataStory,
    MonitorStory,
    RoundStory,
    RunStatus,
    RunStory,
    TrainingStory,
    change_story,
)
from moorings.report.run.write import write_run_report
from moorings.report.write import write_report
from moorings.store import Run
from moorings.supervise.compared import relocated
from moorings.supervise.kept import open_plan
from moorings.supervise.lineage import Event, Lineage
from moorings.supervise.models import in_run
from moorings.supervise.state import RunState, read_state
from moorings.supervise.wishes import GATE

__all__ = ["report_run", "story_of"]


def report_run(folder: Path | str) -> dict[str, Path]:
    """Write a run's report and those of its comparisons into its folder; those of comparisons once.

    Returns:
        The written files of the run's report by kind.

    Raises:
        StorageError: The run cannot be read, or its folder cannot be written.
    """
    root = Path(folder)
    story = story_of(root)
    return write_run_report(story, root)


def story_of(root: Path) -> RunStory:
    """The story of a run as far as it has come.

    Raises:
        StorageError: The run cannot be read.
    """
    with Run.open(root) as run:
        lineage, plan = Lineage(run), open_plan(run)
        state = read_state(lineage, plan.section.rounds)
        seconds, events = lineage.seconds(), list(lineage.events())
        comparisons = {
            (event.data["round"], event.data["attempt"]): _comparisons(run, root, event)
            for event in events
            if event.kind == "compared"
        }
        n_entries, version = sum(1 for _ in run.entries()), str(run.config.get("moorings"))
    listed = [
        MonitorStory(name=w.name, statement=w.monitor.statement, side=w.monitor.side, tolerance=w.tolerance)
        for w in plan.watched
    ]
    found = [
        MonitorStory(
            name=one["name"],
            statement=one["statement"],
            side=one["side"],
            tolerance=plan.section.gate.unknown_tolerance,
            since=event.data["round"],
        )
        for event in events
        if event.kind == "discovered"
        for one in event.data["found"]
    ]
    keys = list(dict.fromkeys((e.data["round"], e.data["attempt"]) for e in events if "attempt" in e.data))
    tries = {key: _attempt(root, key, events, seconds, comparisons.get(key)) for key in keys}
    rounds = sorted({round for round, _ in keys})
    return RunStory(
        title=plan.charter.title,
        purpose=plan.charter.purpose,
        run=root.resolve().name,
        status=_status(state, events),
        promoted_round=state.promoted_round,
        n_rounds=plan.section.rounds,
        anchor=plan.section.subject,
        rounds=tuple(
            RoundStory(round=n, attempts=tuple(tries[key] for key in sorted(keys) if key[0] == n)) for n in rounds
        ),
        monitors=(*listed, *found),
        lineage=lineage.hash,
        n_entries=n_entries,
        settings={"seed": plan.section.seed, **plan.section.gate.model_dump(mode="json"), **plan.section.sampler},
        charter=plan.charter.model_dump(mode="json"),
        versions={"moorings": version},
        warnings=_warnings(state, events),
    )


def _warnings(state: RunState, events: list[Event]) -> tuple[str, ...]:
    """Why the run waits, what people did that no decision shows, and what is missing from this report."""
    found = [state.why] if state.status in ("held", "failed") else []
    for event in events:
        data = event.data
        if event.kind == "taken_back":
            model = f"the model of round {data['to']}" if data["to"] else "the anchor"
            found.append(f"{data['by']} took back {model} in round {data['round']}: {data['reason']}")
        elif event.kind == "stopped" and data["by"] != GATE:
            found.append(f"{data['by']} stopped the run: {data['reason']}")
        elif event.kind == "compared" and "error" in data:
            found.append(f"Round {data['round']}, try {data['attempt'] + 1}, could not be compared: {data['error']}")
    return tuple(found)


def _status(state: RunState, events: list[Event]) -> RunStatus:
    decided = [event.data for event in events if event.kind == "decided"]
    if state.status == "stopped" and decided and decided[-1]["action"] == "rollback":
        return "rolled back"
    return state.status


def _attempt(
    root: Path,
    key: tuple[int, int],
    events: list[Event],
    seconds: dict[str, dict[str, float]],
    changes: tuple[ChangeStory, ...] | None,
) -> AttemptStory:
    mine = [e for e in events if (e.data.get("round"), e.data.get("attempt")) == key]
    last = {event.kind: event.data for event in mine}
    decisions = [Decision.model_validate(event.data) for event in mine if event.kind == "decided"]
    name = f"{key[0]}.{key[1]}"
    trained = last.get("trained", {})
    return AttemptStory(
        attempt=key[1],
        subject=in_run(trained["uri"], root) if trained else None,
        data=_data(last),
        training=_training(trained, seconds.get(name, {})) if trained else None,
        evidence=tuple(Evidence.model_validate(one) for one in last.get("weighed", {}).get("evidence", ())),
        decision=decisions[-1] if decisions else None,
        earlier=tuple(decisions[:-1]),
        findings=changes or (),
        discovered=changes is not None,
        diff_report=f"reports/{name}-anchor/report.html" if changes is not None else None,
        duration_s={k: v for k, v in seconds.get(name, {}).items() if k != "train alone"},
        error=last["failed"]["error"] if "failed" in last else None,
    )


def _data(last: dict[str, dict[str, Any]]) -> DataStory | None:
    if "collected" not in last:
        return None
    data, audited = last["collected"], last.get("audited", {})
    dropped = {f"{method}: {why}": n for method, whys in data["dropped"].items() for why, n in whys.items()}
    metrics = {f"{method}: {name}": v for method, values in data["metrics"].items() for name, v in values.items()}
    return DataStory(
        n_rows=data["n_rows"],
        origins=data["origins"],
        methods=data["methods"],
        dropped=dropped,
        metrics=metrics,
        flagged={"rows that the audit flagged": audited["n_flagged"]} if audited.get("n_flagged") else {},
    )


def _training(trained: dict[str, Any], seconds: dict[str, float]) -> TrainingStory:
    metrics = dict(trained["metrics"])
    return TrainingStory(
        n_steps=trained["n_steps"],
        n_tokens=trained["n_tokens"],
        loss_start=metrics.pop("loss_start", None),
        loss_end=metrics.pop("loss_end", None),
        duration_s=seconds.get("train alone"),
        metrics=metrics,
    )


def _comparisons(run: Run, root: Path, event: Event) -> tuple[ChangeStory, ...] | None:
    """Write the reports of a round's comparisons; the changes against the anchor, None where too little was asked."""
    found = None
    for before in ("anchor", "previous"):
        kept = event.data.get(before)
        if kept is None:
            continue
        comparison = comparison_from_json(run.get_artifact(kept["comparison"]), "a kept comparison")
        folder = root / "reports" / f"{event.data['round']}.{event.data['attempt']}-{before}"
        if not (folder / "report.html").exists():
            arms = tuple(relocated(arm, lambda text: in_run(text, root)) for arm in comparison.arms)
            write_report(comparison.model_copy(update={"arms": arms}), folder)
        if before == "anchor":
            changed = comparison.pairs[0].findings
            found = tuple(change_story(finding) for finding in changed if finding.part_of is None)
    return found
