"""Forgetting under each defence, on digits and on a real language model; and which replay buffers drift.

Digits (1,797 real images, a 64-100-100 network, five tasks in sequence). `split`: two digits a task, a head a task, the
task is told. `permuted`: all ten digits, the pixels shuffled anew for each task, one head, the task is not told. `new classes`:
two new digits a task under one head, the task is not told. Strengths of EWC, LwF, SI and VCL are chosen on three validation
seeds by final accuracy; the figures are of other seeds. Columns are told the task also where the others are not.

Self-training on digits: a model labels its own stream, six rounds, and keeps a buffer of the past: a random sample of it, or the
images that it is surest of.

Language model: SmolLM2-135M with an adapter learns small skills in sequence through the trainer and the defences of
`moorings run`; after each round it is asked for every skill. Left out by --quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from _common import finish, mean_low_high, options
from _digits_learning import SCENARIOS, Metrics, Scenario, joint, metrics, progressive, sequence
from _replay_drift import Loop

SWEEPS = {
    "ewc": (1.0, 10.0, 100.0, 1e3, 1e4, 1e5),
    "lwf": (0.01, 0.1, 1.0, 10.0, 100.0),
    "si": (0.1, 1.0, 10.0, 100.0, 1e3, 1e4),
    "vcl": (0.01, 0.1, 1.0),
}
QUICK = {"split": {"ewc": 1e3, "lwf": 0.1}, "permuted": {"ewc": 100.0}}
"""Strengths that the full form chose, for the form that has no time to choose."""
VALIDATION = (100, 101, 102)
REPLAY = (0.02, 0.1)
BAR_SHARE = 0.1
"""Share of each old task that is kept, of the arm that the bar is about."""


def interval(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Mean over seeds and its 95 % t-interval."""
    return dict(zip(("mean", "low", "high"), mean_low_high(values), strict=True))


def members(a: np.ndarray) -> list[Metrics]:
    return [metrics(a[:, :, at]) for at in range(a.shape[2])]


def sweep(scenario: Scenario, name: str) -> tuple[float, list[dict[str, float]]]:
    """The strength with the best final accuracy on validation seeds, and what each gave."""
    strengths = SWEEPS[name]
    found = members(sequence(scenario, name, VALIDATION * len(strengths), np.repeat(strengths, len(VALIDATION))))
    rows = []
    for at, strength in enumerate(strengths):
        some = found[at * len(VALIDATION) : (at + 1) * len(VALIDATION)]
        rows.append(
            {
                "strength": strength,
                "average": float(np.mean([m.average for m in some])),
                "forgetting": float(np.mean([m.forgetting for m in some])),
            }
        )
    return max(rows, key=lambda row: row["average"])["strength"], rows


def digits(scenario: Scenario, seeds: Sequence[int], quick: bool) -> dict[str, Any]:
    """All methods on one scenario: the four numbers of each seed, and the sweeps."""
    arms: dict[str, list[Metrics]] = {"naive": members(sequence(scenario, "naive", seeds))}
    sweeps, chosen = {}, {}
    for share in REPLAY[1:] if quick else REPLAY:
        arms[f"replay {share:.0%}"] = members(sequence(scenario, "replay", seeds, share))
    for name in QUICK.get(scenario.name, {}) if quick else SWEEPS:
        strength = QUICK[scenario.name][name] if quick else 0.0
        if not quick:
            strength, sweeps[name] = sweep(scenario, name)
        chosen[name] = strength
        arms[name] = members(sequence(scenario, name, seeds, strength))
    if not quick:
        arms["joint"] = members(joint(scenario, seeds))
    if scenario.name != "new classes":
        arms["columns"] = members(progressive(scenario, seeds))
    table = {
        arm: {field: interval([getattr(m, field) for m in some]) for field in Metrics._fields}
        for arm, some in arms.items()
    }
    for arm, row in table.items():
        print(
            f"{scenario.name:11} {arm:10} "
            + "  ".join(f"{field} {v['mean']:+.3f} [{v['low']:+.3f}, {v['high']:+.3f}]" for field, v in row.items())
            + (f"  strength {chosen[arm]:g}" if arm in chosen else ""),
            flush=True,
        )
    return {"arms": arms, "table": table, "sweeps": sweeps, "chosen": chosen}


def saved(found: dict[str, Any], arm: str) -> dict[str, float]:
    """How much less an arm forgets than plain training, paired by seed."""
    pairs = zip(found["arms"]["naive"], found["arms"][arm], strict=True)
    return interval([naive.forgetting - other.forgetting for naive, other in pairs])


def left_over(found: dict[str, Any], arm: str) -> float:
    """Mean forgetting as a share of plain training's."""
    return float(found["table"][arm]["forgetting"]["mean"] / found["table"]["naive"]["forgetting"]["mean"])


def drift(seeds: Sequence[int]) -> dict[str, Any]:
    """Both buffers, each round: interval over seeds of every measure."""
    found = {fill: Loop(seeds, fill).run() for fill in ("random", "selected")}
    rounds = {
        fill: [{name: interval(values) for name, values in row.items()} for row in rows] for fill, rows in found.items()
    }
    last = {fill: rows[-1]["mmd2"] for fill, rows in found.items()}
    for fill, rows in rounds.items():
        said = {name: f"{v['mean']:.4f} [{v['low']:.4f}, {v['high']:.4f}]" for name, v in rows[-1].items()}
        print(f"buffer {fill}: {said}", flush=True)
    return {"rounds": rounds, "selected_minus_random": interval(last["selected"] - last["random"])}


def digit_bars(found: dict[str, Any], loop: dict[str, Any]) -> dict[str, tuple[float, str, float]]:
    """Each claim about digits with its bar."""
    split, permuted = found["split"], found["permuted"]
    replay = f"replay {BAR_SHARE:.0%}"
    random, selected = (loop["rounds"][fill][-1]["mmd2"] for fill in ("random", "selected"))
    columns = max(abs(m.forgetting) for some in (split, permuted) for m in some["arms"]["columns"])
    bars = {
        "split: plain training forgets, lower end": (split["table"]["naive"]["forgetting"]["low"], ">=", 0.01),
        "permuted: plain training forgets, lower end": (permuted["table"]["naive"]["forgetting"]["low"], ">=", 0.2),
        "split: share of it left by replay of 10 %": (left_over(split, replay), "<=", 1 / 3),
        "permuted: share of it left by replay of 10 %": (left_over(permuted, replay), "<=", 1 / 3),
        "split: forgotten less with EWC, lower end": (saved(split, "ewc")["low"], ">=", 0.01),
        "split: forgotten less with LwF, lower end": (saved(split, "lwf")["low"], ">=", 0.01),
        "permuted: forgotten less with EWC, lower end": (saved(permuted, "ewc")["low"], ">=", 0.01),
        "largest forgetting with columns": (columns, "<=", 0.0),
        "drift of the selected buffer, lower end of MMD2": (selected["low"], ">=", 0.005),
        "drift of the random buffer against that": (abs(random["mean"]) / selected["mean"], "<=", 0.1),
    }
    if "joint" in split["table"]:
        top = split["table"]["joint"]["average"]["mean"]
        above = max(split["table"][arm]["average"]["mean"] - top for arm in ("ewc", "lwf"))
        bars["split: EWC and LwF above joint training"] = (above, "<=", 0.005)
    return bars


def main() -> None:
    args = options(__doc__.splitlines()[0])
    torch.set_num_threads(1)
    seeds = range(10, 16) if args.quick else range(10, 20)
    names = ("split", "permuted") if args.quick else tuple(SCENARIOS)
    found = {name: digits(SCENARIOS[name], list(seeds), args.quick) for name in names}
    loop = drift(list(seeds))
    bars = digit_bars(found, loop)
    language: dict[str, Any] | None = None
    if not args.quick:
        from _skill_sequence import language_bars, skill_sequence

        language = skill_sequence()
        bars |= language_bars(language)
    kept = {name: {k: v for k, v in some.items() if k != "arms"} for name, some in found.items()}
    finish("defences", args, bars=bars, n_seeds=len(seeds), digits=kept, replay_drift=loop, language=language)


if __name__ == "__main__":
    main()
