"""Each round's comparison for people: everything that was asked at the gate, the candidate against the anchor.

The comparison splits the round's prompts into those it searches and those it confirms on, so what it reports stands at its
own error rate for this one round; what the run is stopped by is the gate's evidence alone. So a comparison that breaks is noted, and
the round is decided without it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moorings.compare.as_json import comparison_to_json
from moorings.compare.comparison import ArmSummary
from moorings.compare.diff import compare_runs
from moorings.compare.load import ArmSource
from moorings.compare.settings import Settings
from moorings.sampling.bench import Bench
from moorings.store import Run
from moorings.store.notes import batch_note
from moorings.supervise.faults import FAULTS, fault_of
from moorings.supervise.models import movable
from moorings.supervise.round import RoundTry

__all__ = ["compare_round", "relocated"]

_MAP_POINTS = 400
_MOST_LISTED = 50
_LEAST_PROMPTS = 40
"""General prompts of a round below which a comparison has too little to search and confirm on."""


def compare_round(attempt: RoundTry) -> None:
    """Compare the candidate with the anchor, and with the last promoted model, on this round's general prompts; once."""
    if attempt.lineage.get(f"{attempt.key} compared") is not None or not attempt.plan.section.gate.compare:
        return
    sides = {"anchor": attempt.anchor, "candidate": attempt.candidate}
    if attempt.previous is not None:
        sides["previous"] = attempt.previous
    found: dict[str, object] = dict(attempt.place)
    try:
        runs = {name: _joined(name, bench) for name, bench in sides.items()}
        if None not in runs.values():
            for name in sides.keys() - {"candidate"}:
                found[name] = _compare(attempt, name, str(runs[name]), str(runs["candidate"]))
    except FAULTS as error:
        found["error"] = fault_of(error, attempt.lineage.folder)
        attempt.observer.message(f"round {attempt.key} could not be compared: {found['error']}")
    attempt.lineage.add(f"{attempt.key} compared", "compared", found)


def _compare(attempt: RoundTry, before: str, precursor: str, candidate: str) -> dict[str, object]:
    """One comparison: kept whole as an artifact, its findings in short in the lineage."""
    comparison = compare_runs(
        [ArmSource(_names(attempt)[before], precursor), ArmSource(_names(attempt)["candidate"], candidate)],
        charter=attempt.plan.charter,
        settings=Settings(map_points=_MAP_POINTS, seed=attempt.plan.section.seed % 2**31),
        title=f"{attempt.plan.charter.title}: round {attempt.round}",
    )
    # How long it took is no part of what was found.
    arms = tuple(relocated(arm, lambda text: movable(text, attempt.lineage.folder)) for arm in comparison.arms)
    plain = comparison.model_copy(update={"duration_s": {}, "arms": arms})
    digest = attempt.lineage.run.put_artifact(
        f"comparison-{attempt.key}-{before}.json", comparison_to_json(plain, indent=None).encode()
    )
    pair = comparison.pairs[0]
    return {
        "comparison": digest,
        "verdict": pair.verdict,
        "findings": [
            {
                "id": finding.finding_id,
                "statement": finding.statement,
                "kind": finding.kind,
                "verdict": finding.intent.verdict,
                "estimate": round(finding.effect.estimate, 6),
                "unit": finding.effect.unit,
            }
            for finding in pair.findings
            if finding.part_of is None
        ][:_MOST_LISTED],
    }


def relocated(arm: ArmSummary, move: Callable[[str], str]) -> ArmSummary:
    """The arm with its paths moved."""
    info = arm.info and arm.info.model_copy(update={"uri": move(arm.info.uri)})
    return arm.model_copy(update={"run": move(arm.run or ""), "info": info})


def _names(attempt: RoundTry) -> dict[str, str]:
    return {
        "anchor": "round 0",
        "previous": f"round {attempt.state.promoted_round}",
        "candidate": f"round {attempt.round}",
    }


def _joined(name: str, bench: Bench) -> Path | None:
    """One run with the answers of all looks of a round; None where too few general prompts were asked."""
    looks = _general_looks(bench)
    folder = bench.folder.parent / f"all-{name}"
    if not looks:
        return None
    with Run.open(looks[0]) as first:
        config = {**first.config, "prompts": {"name": "gate", "n": len(looks)}}
    with Run.create_or_open(folder, config) as joined:
        for look in looks:
            with Run.open(look) as run:
                rows = list(run.interactions())
                joined.add_interactions(rows, batch_note((row.key for row in rows), "recorded"))
        joined.finish()
        n = joined.n_stored
    return folder if n >= _LEAST_PROMPTS else None


def _general_looks(bench: Bench) -> list[Path]:
    return sorted(
        (path for path in bench.folder.glob("look*") if path.name.removeprefix("look").isdigit()),
        key=lambda path: int(path.name.removeprefix("look")),
    )
