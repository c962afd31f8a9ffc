"""Do constraints keep composite rewards from being over-optimised? (Moskovitz et al. 2023, arXiv:2310.04373)

Policies over stored answers, moved by exact natural gradients, so that KL and gold are exact and only worlds differ by seed. Two
worlds: `made`, where gold peaks at a place inside, and `real`, stored answers of the embedded model (closeness to a
reference reply and sentiment; gold is chrF, distinct trigrams and length, which no method sees). In each: single rewards
without KL; fixed weights, without KL and with an adaptive one; satisficing; mu, all, xi with thresholds at the joint proxy point;
mu with loose thresholds (adaptive weights without their constraints); early stopping on gold. All runs are three times as
long as the runs that the thresholds were read off. Figures are medians or means over seeds with intervals (t, 95 %).
Bars: gold of single-reward runs rises, then falls (lower end of the interval of the drop above 0); xi ends within 10 %
of its thresholds, and its gold above that of fixed weights; mu, all and xi end at least, at most and at their thresholds;
the search's best is within 5 % of the grid's gain at a third of its looks at gold.
In `real` only the constraints are held to a bar: whether gold peaks inside is for the answers to say, and is printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from _common import finish, mean_low_high, options
from _composite_worlds import ANSWERS, World, made_world, real_world

from moorings.charter_run import Use
from moorings.improve.exact.kl import AdaptiveKl
from moorings.improve.exact.optimise import Trace, optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.exact.proxy_points import joint_proxy_point
from moorings.improve.exact.threshold_search import SearchSettings, search_thresholds
from moorings.improve.objectives.objective import objectives

RATE, LONGER, LATE, SLACK = 0.05, 3, 0.2, 0.10
ARMS = ("weights", "weights, adaptive KL", "satisfice", "mu", "all", "xi", "mu, loose")


@dataclass(frozen=True)
class Size:
    """How much is run."""

    seeds: int
    steps: int
    """Of a run that thresholds are read off."""
    grid: int
    """Thresholds along each reward."""
    looks: int
    """At gold that the search has: a third of the grid's."""


def run(world: World, steps: int, use: str, kl_weight: float | AdaptiveKl = 0.0, **settings: Any) -> Trace:
    objective = objectives.make(Use(use=use, **settings))
    rate = 0.5 if use.endswith("_constrained") else RATE
    return optimise(
        world.policy,
        world.rewards,
        objective,
        steps,
        rate,
        gold=world.gold,
        watched=world.watched,
        kl_weight=kl_weight,
        natural=True,
    )


def arms_of(world: World, steps: int, thresholds: dict[str, float]) -> dict[str, Trace]:
    loose = {name: value / 2 for name, value in thresholds.items()}
    adaptive = AdaptiveKl(0.2, target_nats=0.5)
    return {
        "weights": run(world, steps, "weighted"),
        "weights, adaptive KL": run(world, steps, "weighted", adaptive),
        "satisfice": run(world, steps, "satisfice", thresholds=thresholds),
        "mu": run(world, steps, "mu_constrained", thresholds=thresholds),
        "all": run(world, steps, "all_constrained", thresholds=thresholds),
        "xi": run(world, steps, "xi_constrained", thresholds=thresholds),
        "mu, loose": run(world, steps, "mu_constrained", thresholds=loose),
    }


def late(values: np.ndarray) -> float:
    """Mean over the last fifth: multipliers oscillate, averages converge."""
    return float(values[-max(1, round(LATE * len(values))) :].mean())


def one_seed(world: World, size: Size) -> dict[str, Any]:
    singles = {name: run(world, size.steps, "weighted", weights={name: 1.0}) for name in world.rewards}
    both = run(world, size.steps, "weighted")
    point = joint_proxy_point([*singles.values(), both], list(world.rewards))
    found = arms_of(world, LONGER * size.steps, point.thresholds)
    drops = {name: float(trace.gold.max() - trace.gold[-1]) for name, trace in singles.items()}
    peaks = {name: float(trace.gold.max() - trace.gold[0]) for name, trace in singles.items()}
    return {
        "thresholds": point.thresholds,
        "drops": drops,
        "rises": peaks,
        "ends": {name: late(trace.gold) for name, trace in found.items()},
        "early": float(found["weights"].gold.max()),
        "kl": {name: late(trace.kl) for name, trace in found.items()},
        "rewards": {name: {r: late(v) for r, v in trace.rewards.items()} for name, trace in found.items()},
        "words": {name: late(trace.watched["words"]) for name, trace in found.items() if "words" in trace.watched},
        "curves": {name: _thinned(trace) for name, trace in {**singles, **found}.items()},
    }


def _thinned(trace: Trace, n: int = 60) -> dict[str, list[float]]:
    at = np.unique(np.linspace(0, len(trace.gold) - 1, n).round().astype(int))
    columns = {"gold": trace.gold, "kl": trace.kl, **trace.rewards}
    return {name: [round(float(x), 4) for x in values[at]] for name, values in columns.items()}


def search_against_grid(world: World, size: Size) -> dict[str, float]:
    """Gold of the best thresholds of a grid and of a search with a third of its looks, above the start policy's."""

    def gold(policy: SoftmaxPolicy) -> float:
        return float(policy.mean(world.gold).mean())

    start = gold(world.policy)
    axis = np.linspace(0.1, 2.0, size.grid)
    names = list(world.rewards)
    grid = []
    for one in axis:
        for other in axis:
            trace = run(world, 60, "xi_constrained", thresholds={names[0]: float(one), names[1]: float(other)})
            grid.append(gold(trace.policy))
    searched = search_thresholds(world.policy, world.rewards, gold, SearchSettings(steps=60 * size.looks, spread=0.6))
    best = max(one.gold for one in searched.tried[: size.looks])
    gain = max(grid) - start
    return {"grid": gain, "search": best - start, "short": (max(grid) - best) / gain, "looks": float(len(grid))}


def beyond(rows: list[dict[str, Any]], arm: str, side: str) -> float:
    """Largest miss of a threshold, as a share of it, median over seeds; `side` says which direction is a miss."""
    worst = []
    for row in rows:
        misses = [
            (row["rewards"][arm][name] - theta) / max(abs(theta), 1e-9) for name, theta in row["thresholds"].items()
        ]
        kind = {"least": [-m for m in misses], "most": misses, "equal": [abs(m) for m in misses]}[side]
        worst.append(max(kind))
    return float(np.median(worst))


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "drop": {r: mean_low_high([row["drops"][r] for row in rows]) for r in rows[0]["drops"]},
        "rise": {r: mean_low_high([row["rises"][r] for row in rows]) for r in rows[0]["rises"]},
        "end gold": {arm: mean_low_high([row["ends"][arm] for row in rows]) for arm in ARMS},
        "early stopping": mean_low_high([row["early"] for row in rows]),
        "xi over weights": mean_low_high([row["ends"]["xi"] - row["ends"]["weights"] for row in rows]),
        "xi over adaptive KL": mean_low_high([row["ends"]["xi"] - row["ends"]["weights, adaptive KL"] for row in rows]),
        "xi over loose": mean_low_high([row["ends"]["xi"] - row["ends"]["mu, loose"] for row in rows]),
        "mu short": beyond(rows, "mu", "least"),
        "all over": beyond(rows, "all", "most"),
        "xi off": beyond(rows, "xi", "equal"),
    }
    print(f"{name}: {len(rows)} seeds; gold in standard deviations of the start policy's answers")
    for reward, found in said["drop"].items():
        rise = said["rise"][reward][0]
        print(f"  {reward} alone: gold rises by {rise:.2f}, then falls by {_told(found)}")
    for arm, found in {**said["end gold"], "early stopping": said["early stopping"]}.items():
        print(f"  {arm:22} gold at the end {_told(found)}")
    for pair in ("xi over weights", "xi over adaptive KL", "xi over loose"):
        print(f"  {pair}: {_told(said[pair])}")
    print(
        f"  mu falls short by {said['mu short']:.1%}, all is over by {said['all over']:.1%}, xi off by {said['xi off']:.1%}"
    )
    return said


def _told(found: tuple[float, float, float]) -> str:
    return f"{found[0]:+.3f} ({found[1]:+.3f} to {found[2]:+.3f})"


def main() -> None:
    args = options(__doc__.splitlines()[0])
    size = Size(3, 100, 6, 12) if args.quick else Size(10, 120, 9, 27)
    began = time.monotonic()
    real = partial(real_world, n_prompts=6) if args.quick else real_world
    makers: dict[str, Callable[[int], World]] = {"made": made_world, **({"real": real} if ANSWERS.is_file() else {})}
    rows = {name: [one_seed(make(seed), size) for seed in range(size.seeds)] for name, make in makers.items()}
    found = {name: summary(name, each) for name, each in rows.items()}
    where, n = ({"made": made_world}, 1) if args.quick else (makers, 2)
    searched = {name: [search_against_grid(make(seed), size) for seed in range(n)] for name, make in where.items()}
    for name, each in searched.items():
        told = ", ".join(f"{one['search']:.3f} of {one['grid']:.3f}" for one in each)
        print(f"{name}: the search's gain with {size.looks} looks of the grid's with {size.grid**2}: {told}")
    made = found["made"]
    bars: dict[str, tuple[float, str, float]] = {
        f"drop of {reward} alone, lower end": (drop[1], ">=", 0.0) for reward, drop in made["drop"].items()
    }
    bars["xi over fixed weights, lower end"] = (made["xi over weights"][1], ">=", 0.0)
    for name, said in found.items():
        bars[f"{name}: xi off its thresholds"] = (said["xi off"], "<=", SLACK)
        bars[f"{name}: mu short of its thresholds"] = (said["mu short"], "<=", SLACK)
        bars[f"{name}: all over its thresholds"] = (said["all over"], "<=", SLACK)
    shorts = [one["short"] for one in searched["made"]]
    bars["search short of the grid's gain"] = (float(np.mean(shorts)), "<=", 0.05)
    print(f"{time.monotonic() - began:.0f} s")
    finish("composite", args, bars=bars, worlds=found, seeds=rows, search=searched)


if __name__ == "__main__":
    main()
