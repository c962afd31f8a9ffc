"""The audit on Anthropic's model-written evaluations, against the figures that were published for the whole sets.

The local files hold half of the source's rows, drawn by a hash of the question, so a figure has a sampling error of its
own, and learners have half the rows to learn from. Shares are compared as they are. Repeats are scaled: a stem that occurs k times in
the source is seen about k/2 times, so the number of different stems in the source is estimated by twice the number of
stems that are seen an odd number of times (Goodman 1949), which is unbiased for any k. All sets ask for dispositions:
that options betray the matching answer is what these sets are like, and no defect of theirs.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _common import finish, options

from moorings.charter_run import Use
from moorings.probes.audit import AuditRow, audit
from moorings.probes.files import ItemSet
from moorings.probes.filters.by_subtask import grouped
from moorings.probes.filters.text_features import normal
from moorings.probes.item import Item
from moorings.probes.readers import load

SHARED = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DATA = SHARED / "anthropic-evals" / "advanced_ai_risk.jsonl.gz"
TABLE = {
    "survival-instinct": (0.97, 0.79, 0.057, 0.65),
    "corrigible-neutral-HHH": (0.98, 0.93, 0.012, 0.46),
    "coordinate-other-versions": (0.98, 0.92, 0.029, 0.70),
    "self-awareness-general-ai": (0.99, 0.94, 0.239, 0.61),
    "power-seeking-inclination": (0.97, 0.92, 0.004, 0.48),
    "self-awareness-good-text-model": (0.95, 0.73, 0.041, 0.64),
}
"""Choices-only accuracy of the model-written and the human-written set; repeated stems and keys that are longest of the former."""
TOLERANCE = 0.03
N_DRAWS = 5
"""Draws of the folds over which an accuracy is averaged; a single one moves by up to 0.04 in the smallest sets."""


class Compared(NamedTuple):
    """One figure of the table and ours."""

    behaviour: str
    figure: str
    published: float
    ours: float
    error: float
    """Standard error of a share of a half drawn without replacement."""
    n: int

    @property
    def off(self) -> float:
        return abs(self.ours - self.published)


def half_error(share: float, n: int) -> float:
    """Standard error of a share in n of 2n rows drawn without replacement."""
    return float(np.sqrt(share * (1 - share) / (2 * n)))


def repeats(items: list[Item]) -> float:
    """Estimated share of repeated stems in the source; empty stems are a fault of their own and no repeat."""
    stems = Counter(normal(item.prompt) for item in items)
    del stems[""]
    n = sum(stems.values())
    return (n - sum(count % 2 for count in stems.values())) / n


def uses(seed: int) -> list[Use]:
    """The learner of the table, then form and duplicates; nothing is dropped before the last of them."""
    return [
        Use(use="choices_only", families=("naive bayes",), seed=seed),
        Use(use="artefacts"),
        Use(use="duplicates"),
    ]


def compared(items: ItemSet, draws: list[tuple[AuditRow, ...]]) -> list[Compared]:
    """Every figure of the table."""
    by_name = {row.subtask: row for row in draws[0]}
    accuracy_of = {
        name: float(np.mean([row.choices_only["naive bayes"] for rows in draws for row in rows if row.subtask == name]))
        for name in by_name
    }
    members = grouped(items.items)
    found = []
    for behaviour, (lm, human, repeated, longest) in TABLE.items():
        for by, accuracy in (("lm", lm), ("human", human)):
            row = by_name[f"{behaviour} ({by})"]
            ours = accuracy_of[row.subtask]
            error = half_error(accuracy, row.n_items)
            found.append(Compared(behaviour, f"choices only, {by}", accuracy, ours, error, row.n_items))
        row = by_name[f"{behaviour} (lm)"]
        ours = repeats(members[row.subtask])
        found.append(
            Compared(behaviour, "repeated stems", repeated, ours, half_error(repeated, row.n_items), row.n_items)
        )
        found.append(
            Compared(
                behaviour, "key longest", longest, row.longest or 0.0, half_error(longest, row.n_items), row.n_items
            )
        )
        human_row = by_name[f"{behaviour} (human)"]
        found.append(
            Compared(behaviour, "repeated stems, human", 0.0, human_row.repeated_stems or 0, 0.0, human_row.n_items)
        )
    return found


def main() -> None:
    args = options(__doc__.splitlines()[0])
    if not DATA.exists():
        print(f"probe_audit: MISSED: {DATA} is not there; put the data beside the checkout")
        sys.exit(1)
    every = load(DATA)
    wanted = {f"{behaviour} ({by})" for behaviour in TABLE for by in ("lm", "human")}
    items = ItemSet("table", tuple(item for item in every.items.items if item.subtask in wanted))
    table = compared(items, [audit(items, uses=uses(seed)).rows for seed in range(N_DRAWS)])
    for row in table:
        mark = (
            ""
            if row.off <= TOLERANCE
            else f"  off by {row.off:.3f}, {row.off / max(row.error, 1e-9):.1f} standard errors"
        )
        print(f"{row.behaviour:32s}{row.figure:24s}published {row.published:.3f}  here {row.ours:.3f}  n {row.n}{mark}")
    written, others = ([row for row in table if ("human" in row.figure) is human] for human in (False, True))
    beyond = sum(row.off > TOLERANCE + 2 * row.error for row in table)
    print(f"{beyond} of {len(table)} figures are off by more than 0.03 plus two standard errors of the half")
    finish(
        "probe_audit",
        args,
        bars={
            "model-written figures within 0.03": (float(np.mean([row.off <= TOLERANCE for row in written])), ">=", 1.0),
            "human-written figures within 0.03": (float(np.mean([row.off <= TOLERANCE for row in others])), ">=", 1.0),
        },
        beyond_sampling_error=beyond,
        within_tolerance=float(np.mean([row.off <= TOLERANCE for row in table])),
        largest=float(max(row.off for row in table)),
        n_unreadable=every.n_bad,
        table=[{**row._asdict(), "off": row.off} for row in table],
    )


if __name__ == "__main__":
    main()
