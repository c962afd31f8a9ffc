"""Write docs/benchmarks/alignment.html from the stored results of the benchmarks of alignment methods.

Run after one of `composite`, `pareto`, `overoptimisation` and `alternation` was run with `--json docs/benchmarks/NAME.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from moorings.report.align.view import AlignReport, Front, Line, Panel, Value, front, line
from moorings.report.align.write import render_align_html

RESULTS = Path(__file__).parent / "benchmarks"
KL = "KL(pi || pi0), nats"
NOISE = 0.25
"""Share of wrong labels in the panel on ensembles."""


def main() -> None:
    """Write the page."""
    composite, pareto, ensembles, rounds = (
        json.loads((RESULTS / f"{name}.json").read_text())
        for name in ("composite", "pareto", "overoptimisation", "alternation")
    )
    report = AlignReport(
        "Alignment methods on stored answers, and in rounds",
        "Made from the stored results of the benchmarks composite, pareto, overoptimisation and alternation, whose settings the page of "
        "benchmarks tells.",
        (ensemble_panel(ensembles), *composite_panels(composite), *alternation_panels(rounds)),
        tuple(fronts(pareto)),
    )
    (RESULTS / "alignment.html").write_text(render_align_html(report), encoding="utf-8")


def ensemble_panel(found: dict[str, Any]) -> Panel:
    """Gold against KL of single proxies and ensembles, without a KL penalty."""
    rows = [
        r
        for r in found["rows"]
        if r["noise"] == NOISE and r["optimiser"] == "gradient 0.0" and r["members differ by"] == "seed"
    ]
    lines = []
    for row in rows:
        ends = [Value(gold) for gold in row["curve"]["gold"]]
        ends[-1] = Value(ends[-1].mean, *row["interval of the end"])
        lines.append(Line(row["reward"], tuple(row["curve"]["kl"]), tuple(ends)))
    n = found["n_retrainings"]
    return Panel(
        "Reward ensembles: gold against KL",
        KL,
        "gold reward",
        tuple(lines),
        about=f"A quarter of the labels is wrong, no KL penalty; means over {n} retrainings. The interval of each end is in the numbers.",
    )


def composite_panels(found: dict[str, Any]) -> list[Panel]:
    """Gold against KL of all arms, and the rewards of xi with their thresholds."""
    panels = []
    for world, seeds in found["seeds"].items():
        arms = list(seeds[0]["curves"])

        def curves(arm: str, of: str, seeds: list[dict[str, Any]] = seeds) -> np.ndarray:
            return np.array([seed["curves"][arm][of] for seed in seeds])

        lines = tuple(line(arm, curves(arm, "kl"), curves(arm, "gold")) for arm in arms)
        panels.append(Panel(f"Composite rewards, {world} world: gold against KL", KL, "gold reward", lines))
        rewards = list(seeds[0]["thresholds"])
        steps = np.tile(np.arange(curves("xi", "kl").shape[1], dtype=float), (len(seeds), 1))
        limits = tuple((f"mean threshold of {r}", float(np.mean([s["thresholds"][r] for s in seeds]))) for r in rewards)
        traces = tuple(line(r, steps, curves("xi", r)) for r in rewards)
        panels.append(
            Panel(f"Composite rewards, {world} world: rewards under xi", "record", "reward, sd", traces, limits)
        )
    return panels


def alternation_panels(found: dict[str, Any]) -> list[Panel]:
    """Competence and conformity after each half-step, by arm."""
    panels = []
    for letter, name in (("K", "competence"), ("F", "conformity")):
        lines = []
        for arm in dict.fromkeys(row["arm"] for row in found["rows"]):
            rows = [row for row in found["rows"] if row["arm"] == arm]
            # A round of one step ends where the second half-step of the others does.
            at = [row["round"] - (0.5 if row["after"] == "competence" else 0.0) for row in rows]
            values = tuple(Value(row[letter], row[f"{letter} low"], row[f"{letter} high"]) for row in rows)
            lines.append(Line(arm, tuple(at), values))
        about = "Share of held-out prompts; bands are over prompts, after the mean over seeds."
        panels.append(
            Panel(f"{name.capitalize()} ({letter}) over half-rounds", "round", letter, tuple(lines), about=about)
        )
    return panels


def fronts(found: dict[str, Any]) -> list[Front]:
    """What each method gains in both rewards of a pair, a point a seed."""
    made = []
    for pair, seeds in found["seeds"].items():
        gains = {name: np.array([seed["methods"][name]["gains"] for seed in seeds]) for name in seeds[0]["methods"]}
        x, y = pair.split(" and ")
        made.append(front(f"Gains in {pair} at equal KL", f"gain in {x}", f"gain in {y}", gains))
    return made


if __name__ == "__main__":
    main()
