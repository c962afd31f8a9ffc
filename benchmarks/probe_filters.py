"""Planted faults are caught by the filter that is meant for them, sound sets pass, and 10,000 items take less than two minutes.

A set of all five subtasks is generated and put through the whole chain. Then each kind of fault is planted in it and the
one filter that is meant for it looks at the planted set alone: recall is the share of planted items that it flags, a
false alarm is a flag on any other item. A fault of the set as a whole (keys that prefer a place) counts by its verdict,
over subtasks and draws. Times are CPU seconds of one process with one thread.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _common import finish, options

from moorings.charter_run import Use
from moorings.probes.build import SUBTASKS, build
from moorings.probes.files import ItemSet
from moorings.probes.filters import plant
from moorings.probes.filters.by_subtask import grouped
from moorings.probes.filters.chain import ChainReport, run_chain
from moorings.probes.filters.filter import filters
from moorings.probes.item import Item

FAMILIES = ("naive bayes", "logistic regression")
LOOKS = ("choices_only again", "context_only again")


def made(n: int, seed: int) -> ItemSet:
    """n items of each subtask."""
    items = tuple(item for subtask in SUBTASKS for item in build(subtask, n, seed).items)
    return ItemSet(f"all-s{seed}", items, {"seed": seed})


def leaks(chain: ChainReport) -> dict[str, Any]:
    """Accuracy over chance of each learner in the last look: pooled over subtasks, and of the worst subtask."""
    pooled, by_subtask = {}, {}
    sizes = {name: len(some) for name, some in grouped(chain.clean.items).items()}
    for look in LOOKS:
        figures = chain.by_filter()[look].figures
        for family in FAMILIES:
            over = {s: figures[f"{s}: {family} accuracy"] - figures[f"{s}: chance"] for s in sizes}
            pooled[f"{look}, {family}"] = sum(over[s] * n for s, n in sizes.items()) / sum(sizes.values())
            by_subtask[f"{look}, {family}"] = over
    return {"pooled": pooled, "by_subtask": by_subtask}


def caught(kind: str, items: tuple[Item, ...], seed: int) -> dict[str, Any]:
    """How well the meant filter finds one kind of fault."""
    planted = plant.KINDS[kind](items, np.random.default_rng([seed, len(kind)]))
    report = filters.make(Use(use=planted.filter)).look(planted.items)
    found = {flag.item_id for flag in report.flags}
    n_sound = len(planted.items) - len(planted.faulty)
    return {
        "filter": planted.filter,
        "n_planted": len(planted.faulty),
        "recall": len(found & planted.faulty) / len(planted.faulty),
        "false_alarms": len(found - planted.faulty) / n_sound,
        "verdict": report.verdict,
    }


def caught_by_verdict(kind: str, items: tuple[Item, ...], n_draws: int) -> dict[str, Any]:
    """How often the verdict on a planted subtask is a fail, and how often that on the unplanted one."""
    hits, alarms = [], []
    one = filters.make(Use(use="artefacts"))
    for subtask in grouped(items).values():
        alarms.append(one.look(subtask).verdict == "fail")
        for draw in range(n_draws):
            planted = plant.KINDS[kind](subtask, np.random.default_rng([draw, 99]))
            hits.append(one.look(planted.items).verdict == "fail")
    return {
        "filter": "artefacts",
        "n_planted": len(hits),
        "recall": float(np.mean(hits)),
        "false_alarms": float(np.mean(alarms)),
        "verdict": "fail",
    }


def main() -> None:
    args = options(__doc__.splitlines()[0])
    sizes = [(600, 7)] if args.quick else [(2000, 7), (400, 8), (400, 9), (400, 10)]
    runs = []
    for n, seed in sizes:
        start, start_wall = time.process_time(), time.monotonic()
        items = made(n, seed)
        built = time.process_time() - start
        chain = run_chain(items)
        took, wall = time.process_time() - start, time.monotonic() - start_wall
        failed = {name: report.said for name, report in chain.by_filter().items() if report.verdict == "fail"}
        runs.append(
            {
                "seed": seed,
                "n": len(items.items),
                "passed": chain.passed,
                "failed": failed,
                "flagged": len(chain.flagged()),
                "agreement": chain.by_filter()["solver"].figures["agreement of the two routines"],
                "build_s": built,
                "total_s": took,
                "wall_s": wall,
                "counts": chain.counts(),
                "leaks": leaks(chain),
            }
        )
        print(
            f"seed {seed}: {len(items.items)} items, passed {chain.passed}, flagged {len(chain.flagged())}, {took:.0f} CPU s {failed}"
        )
    items = made(*sizes[0])
    found = {}
    for kind in plant.KINDS:
        judged = kind == "label imbalance"
        found[kind] = caught_by_verdict(kind, items.items, 4) if judged else caught(kind, items.items, 1)
        row = found[kind]
        print(
            f"{kind:30s}{row['filter']:14s}planted {row['n_planted']:5d}  recall {row['recall']:.3f}  false alarms {row['false_alarms']:.4f}"
        )
    pooled = max(runs[0]["leaks"]["pooled"].values())
    worst = max(v for over in runs[0]["leaks"]["by_subtask"].values() for v in over.values())
    print(f"over chance in the last look: pooled {pooled:+.3f}, worst subtask and learner {worst:+.3f}")
    bars = {
        "least recall": (min(row["recall"] for row in found.values()), ">=", 0.95),
        "most false alarms": (max(row["false_alarms"] for row in found.values()), "<=", 0.02),
        "unplanted sets that pass": (float(np.mean([run["passed"] for run in runs])), ">=", 1.0),
        "agreement of the two key routines": (min(run["agreement"] for run in runs), ">=", 1.0),
        "learners over chance, pooled": (pooled, "<=", 0.03),
        "CPU s for 10,000 items": (runs[0]["total_s"] * 10_000 / runs[0]["n"], "<=", 120.0),
    }
    if not args.quick:
        bars["learners over chance, worst subtask"] = (worst, "<=", 0.03)
    finish("probe_filters", args, bars=bars, runs=runs, planted=found, worst_over_chance=worst)


if __name__ == "__main__":
    main()
