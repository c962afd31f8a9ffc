"""The training rows of a round: made by the data methods, cleared of sealed prompts, screened, and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moorings.errors import ConfigError, InputError
from moorings.improve.data import DataRow
from moorings.improve.pipeline import collect
from moorings.monitors.data_poisoning import row_losses
from moorings.monitors.data_screen import screen_rows
from moorings.records import canonical_json
from moorings.supervise.benches import RoundWorkbench
from moorings.supervise.lineage import Lineage
from moorings.supervise.questions import training_prompts

if TYPE_CHECKING:
    from moorings.supervise.round import RoundTry

__all__ = ["audit_rows", "collect_rows", "finite", "read_rows"]

_MOST_SCORED = 2000
"""Rows above which the audit does without their loss under the anchor, which would take long."""


def collect_rows(attempt: RoundTry) -> dict[str, Any]:
    """Run the data methods of a try and record what they made.

    Raises:
        MooringsError: A method failed, or no row is left.
    """
    section, plan = attempt.plan.section, attempt.plan
    data, _, _ = attempt.methods()
    subject = attempt.bench(attempt.start, "subject", "data")
    anchor = attempt.bench(section.subject, "anchor", "data")
    workbench = RoundWorkbench(
        subject=subject,
        anchor=anchor,
        prompts=training_prompts(section, plan.folder),
        round=attempt.round,
        history=attempt.past_rows(),
        folder=plan.folder,
        kept=attempt.folder / "data",
        seed=attempt.seed,
        embed=attempt.embed,
    )
    try:
        collected = collect(data, workbench)
    finally:
        subject.close()
        anchor.close()
    sealed = {row.row_id for row in plan.questions.trained_on(collected.rows)}
    rows = [row for row in collected.rows if row.row_id not in sealed]
    if not rows:
        raise InputError(
            f"round {attempt.round} has no training rows: all {len(collected.rows)} collected ones are sealed gate prompts"
        )
    dropped = {**collected.dropped, "pipeline": {"sealed gate prompts": len(sealed)}} if sealed else collected.dropped
    digest = attempt.lineage.run.put_artifact(f"rows-{attempt.key}.jsonl", _to_lines(rows))
    return attempt.lineage.add(
        f"{attempt.key} collected",
        "collected",
        {
            **attempt.place,
            "rows": digest,
            "n_rows": len(rows),
            "origins": _counts([row.origin for row in rows]),
            "methods": _counts([row.method for row in rows]),
            "dropped": dropped,
            "metrics": {name: finite(values) for name, values in collected.metrics.items()},
        },
    )


def audit_rows(attempt: RoundTry, rows: Sequence[DataRow]) -> None:
    """Screen the rows of a try, once, and record which ones are flagged and left out."""
    if attempt.lineage.get(f"{attempt.key} audited") is not None:
        return
    with attempt.phase("audit data"):
        report = screen_rows(
            rows,
            reference=[row.response for past in attempt.past_rows() for row in past],
            losses_nats=_losses(attempt, rows),
            embeddings=attempt.embed([row.response for row in rows]),
        )
        text = canonical_json(report.model_dump(mode="json"))
        digest = attempt.lineage.run.put_artifact(f"audit-{attempt.key}.json", text.encode("utf-8", "surrogatepass"))
        flagged = [row.row_id for row in report.flagged]
        left_out = flagged if attempt.plan.section.audit == "drop" else []
        attempt.lineage.add(
            f"{attempt.key} audited",
            "audited",
            {**attempt.place, "report": digest, "n_flagged": len(flagged), "left_out": left_out},
        )


def read_rows(lineage: Lineage, digest: str) -> list[DataRow]:
    """Training rows that were kept as an artifact.

    Raises:
        StorageError: They are missing or damaged.
    """
    text = lineage.run.get_artifact(digest).decode("utf-8", "surrogatepass")
    return [DataRow.model_validate(json.loads(line)) for line in text.split("\n") if line]


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Numbers for the log; one that is none is left out.

    >>> finite({"share": 0.5, "loss": float("nan")})
    {'share': 0.5}
    """
    return {name: round(float(value), 6) for name, value in metrics.items() if math.isfinite(value)}


def _losses(attempt: RoundTry, rows: Sequence[DataRow]) -> list[float] | None:
    """Mean nats a token of each response under the anchor, kept where the gate looks for them; None where it cannot tell."""
    if not 0 < len(rows) <= _MOST_SCORED:
        return None
    try:
        return row_losses(attempt.anchor, list(rows))
    except ConfigError:
        return None
    finally:
        attempt.anchor.close()


def _to_lines(rows: Sequence[DataRow]) -> bytes:
    lines = [canonical_json(row.model_dump(mode="json")) for row in rows]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
