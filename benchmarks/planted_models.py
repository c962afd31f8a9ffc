"""Are planted habits found, and is anything found where only chance was learned? (protocol B3, null B4 iii)

Every organism with stored samples is compared with the base model. A habit counts as recovered if one of the ten strongest findings
that lead says that the candidate shows more of something, and that predicate agrees with the habit's oracle on the candidate's own
responses (phi >= 0.5). The bar is recall at a dose of 0.3 or more; lower doses are shown beside the rate that they reached.
A clean control learned from unedited answers of the base model. What is found in one may be a real trace of its training, so each
finding is looked for again in second draws of both: it stands if the effect has the same sign with a one-sided p of at most 0.05.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import finish, options
from organisms import BEHAVIOURS, DRAWS, Organism, all_organisms, oracle_rate, stored_samples

from moorings.compare.analysis import analyse
from moorings.compare.comparison import PairResult
from moorings.compare.diff import measure
from moorings.compare.load import ArmSource, load_corpus
from moorings.compare.predicate import Hypothesis, Table, evaluate, parse_predicate
from moorings.compare.settings import Settings
from moorings.records import Finding
from moorings.statistics.paired import cluster_robust, prompt_differences
from moorings.subjects.embedders import open_embedder

SETTINGS = Settings(n_scoped=0)
"""The held-out prompts' groups are too small to look for anything within one."""
HIGH_DOSE = 0.3
LEAST_RECALL = 0.7
N_TOP = 10
LEAST_PHI = 0.5
MOST_P = 0.05


class Compared(NamedTuple):
    """A pair of runs, measured and analysed."""

    table: Table
    result: PairResult
    duration_s: float

    def leads(self) -> list[Finding]:
        """Findings that no other explains, strongest first."""
        return [finding for finding in self.result.findings if finding.part_of is None]


def measured(base: Path, candidate: Path) -> Table:
    """Responses of both runs."""
    loaded = load_corpus([ArmSource("base", str(base)), ArmSource("candidate", str(candidate))])
    return measure(loaded, open_embedder(), SETTINGS)


def compare(base: Path, candidate: Path) -> Compared:
    start = time.monotonic()
    table = measured(base, candidate)
    result = analyse(table, SETTINGS).result
    return Compared(table, result, time.monotonic() - start)


def predicate_values(findings: Sequence[Finding], table: Table) -> np.ndarray:
    """[n, k], the findings' predicates on all responses."""
    return evaluate(
        [Hypothesis(parse_predicate(f.predicate), f.statement, f.statement, "content", f.origin) for f in findings],
        table,
    )


def phi(values: np.ndarray, flags: np.ndarray) -> float:
    """Correlation of a predicate with the oracle; 0 where either is constant.

    >>> phi(np.array([1.0, 0.0, 1.0, 0.0]), np.array([True, False, True, False]))
    1.0
    """
    known = ~np.isnan(values)
    if not known.any() or np.ptp(values[known]) == 0 or np.ptp(flags[known].astype(int)) == 0:
        return 0.0
    return float(np.corrcoef(values[known], flags[known])[0, 1])


def recovered_at(leads: Sequence[Finding], table: Table, behaviour: str) -> tuple[int | None, list[float]]:
    """The rank from 1 of the first finding that is the habit, and each top finding's phi."""
    top = leads[:N_TOP]
    candidate = np.flatnonzero(table.corpus.arm == 1)
    flags = np.array([BEHAVIOURS[behaviour].oracle(table.corpus.texts[row]) for row in candidate.tolist()])
    agreement = [phi(column, flags) for column in predicate_values(top, table)[candidate].T]
    ranks = [
        rank
        for rank, (finding, value) in enumerate(zip(top, agreement, strict=True), start=1)
        if finding.effect.estimate > 0 and value >= LEAST_PHI
    ]
    return (ranks[0] if ranks else None), agreement


def planted_row(organism: Organism, base: Path, run: Path) -> dict[str, Any]:
    assert organism.behaviour is not None
    compared = compare(base, run)
    leads = compared.leads()
    rank, agreement = recovered_at(leads, compared.table, organism.behaviour)
    return {
        "organism": organism.name,
        "behaviour": organism.behaviour,
        "dose": organism.dose,
        "oracle_rate": oracle_rate(run, organism.behaviour),
        "base_rate": oracle_rate(base, organism.behaviour),
        "rank": rank,
        "recovered_by": leads[rank - 1].statement if rank else None,
        "most_phi": round(max(agreement, default=0.0), 3),
        "n_leads": len(leads),
        "top": [finding.statement for finding in leads[:3]],
        "seconds": round(compared.duration_s, 1),
    }


def control_row(organism: Organism, base: Path, run: Path) -> dict[str, Any]:
    compared = compare(base, run)
    base_again, run_again = (stored_samples(subject, DRAWS[1]) for subject in (None, organism))
    stands = _stand(compared.result.findings, measured(base_again, run_again)) if base_again and run_again else None
    return {
        "organism": organism.name,
        "n_findings": len(compared.result.findings),
        "n_leads": len(compared.leads()),
        "n_standing": None if stands is None else sum(stands),
        "findings": [f"{f.statement} ({f.effect.estimate:+.3g})" for f in compared.result.findings],
        "stands": stands,
        "omnibus_p": {test.name: test.p for test in compared.result.omnibus},
        "seconds": round(compared.duration_s, 1),
    }


def _stand(findings: Sequence[Finding], fresh: Table) -> list[bool]:
    """Whether each finding's effect shows in other draws of the same two models."""
    if not findings:
        return []
    corpus = fresh.corpus
    d = prompt_differences(predicate_values(findings, fresh), corpus.arm, corpus.prompt, len(corpus.prompts))
    effects = cluster_robust(d, corpus.families)
    return [
        bool(estimate * finding.effect.estimate > 0 and p / 2 <= MOST_P)
        for finding, estimate, p in zip(findings, effects.estimate, effects.p, strict=True)
    ]


def dose_response(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By dose: mean rate by the oracle and share of habits recovered."""
    found = []
    for dose in sorted({row["dose"] for row in rows}, reverse=True):
        own = [row for row in rows if row["dose"] == dose]
        found.append(
            {
                "dose": dose,
                "organisms": len(own),
                "oracle_rate": float(np.mean([row["oracle_rate"] for row in own])),
                "recall": float(np.mean([row["rank"] is not None for row in own])),
            }
        )
    return found


def chosen(*, quick: bool) -> tuple[Path, dict[Organism, Path]]:
    """The base model's samples and those of the organisms to compare; exits with 2 where too few are stored."""
    base = stored_samples(None)
    runs = {organism: run for organism in all_organisms() if (run := stored_samples(organism)) is not None}
    missing = [organism.name for organism in all_organisms() if organism not in runs]
    high = [organism for organism in runs if organism.dose >= HIGH_DOSE]
    clean = [organism for organism in runs if organism.behaviour is None]
    if base is None or not high or not clean:
        print(
            f"no samples are stored of {', '.join([*(['the base model'] if base is None else []), *missing])}; planted_models "
            f"needs the base model, an organism at a dose of {HIGH_DOSE} or more and a clean control; make them, in about an "
            "hour of one core, with: python benchmarks/organisms.py --make",
            file=sys.stderr,
        )
        sys.exit(2)
    if quick:
        return base, {organism: runs[organism] for organism in (*high[:3], clean[0])}
    if missing:
        print(f"left out, as no samples are stored: {', '.join(missing)}", flush=True)
    return base, runs


def main() -> None:
    """Compare what is stored, print a line an organism, and hold recall against its bar."""
    args = options(__doc__ or "")
    base, runs = chosen(quick=args.quick)
    planted: list[dict[str, Any]] = []
    clean: list[dict[str, Any]] = []
    for organism, run in runs.items():
        row = (planted_row if organism.behaviour else control_row)(organism, base, run)
        (planted if organism.behaviour else clean).append(row)
        print(row, flush=True)
    table = dose_response(planted)
    for line in table:
        print(
            f"dose {line['dose']:.0%}: {line['organisms']} organisms, rate {line['oracle_rate']:.1%}, "
            f"recall {line['recall']:.2f}",
            flush=True,
        )
    judged = [row for row in clean if row["n_standing"] is not None]
    false = {
        "controls": len(clean),
        "with_findings": sum(row["n_findings"] > 0 for row in clean),
        "findings": sum(row["n_findings"] for row in clean),
        "looked_for_again": sum(row["n_findings"] for row in judged),
        "false": sum(row["n_findings"] - row["n_standing"] for row in judged),
    }
    print(f"clean controls: {false}", flush=True)
    high = [row["rank"] is not None for row in planted if row["dose"] >= HIGH_DOSE]
    finish(
        "planted_models",
        args,
        bars={f"recall@{N_TOP} at a dose of {HIGH_DOSE} or more": (float(np.mean(high)), ">=", LEAST_RECALL)},
        planted=planted,
        controls=clean,
        dose_response=table,
        false_findings=false,
        settings=SETTINGS.model_dump(mode="json"),
    )


if __name__ == "__main__":
    main()
