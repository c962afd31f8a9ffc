"""What the embedded model can do of the five subtasks, and whether the measure moves when it should.

Profile: fresh items of each subtask, options in balanced orders, chance-corrected accuracy with cluster-bootstrap intervals. Taught:
an adapter trained on direct S4 items of the dev lexicon is asked direct S4 items of a lexicon that it never saw, and chains.
Shortcut: an adapter trained on S4 items whose right option says `surely` is asked a leaky set and a clean one.
Bars: the taught model's gain on held-out direct items has its lower end above 0; the shortcut model is right on at least 0.8
of the leaky set, and on the clean set at most 0.05 above what always giving one option earns. Whether S1 and S2 lie above chains of S4
and S5 is printed with intervals, and is no bar: the order was inferred, not published.
Answers and adapters are kept in the cache folder, so that it goes on where it was stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _common import finish, options

from moorings.charter_run import Use
from moorings.improve.data import make_row
from moorings.improve.training import TrainJob, trainers
from moorings.probes.answers import AnswerSheet
from moorings.probes.build import SUBTASKS, build
from moorings.probes.files import ItemSet
from moorings.probes.framing import PLAIN
from moorings.probes.item import Item
from moorings.probes.metrics.profile import profile, render_profile
from moorings.probes.orders import plan_orders
from moorings.probes.runner import ask
from moorings.probes.show import show
from moorings.records import Message
from moorings.subjects.model_cache import cache_dir
from moorings.subjects.spec import SubjectSpec

BASE = SubjectSpec(uri="bundled:smollm2-135m", precision="fp32")
"""int8 shifts the log-probabilities of symbols by more than the answers differ."""
VERSION, SEED, DRAWS = 1, 5, 4000
CHAINS = ("chain2", "chain3")


@dataclass(frozen=True)
class Size:
    """How much is asked and taught."""

    profile: int
    test: int
    train: int
    epochs: int


def of_structure(items: Sequence[Item], names: Sequence[str]) -> list[Item]:
    return [item for item in items if item.structure and item.structure.startswith(tuple(names))]


def leaky(items: Sequence[Item]) -> tuple[Item, ...]:
    """The right option of each item says `surely`."""
    return tuple(
        item.model_copy(
            update={
                "options": tuple(
                    option.model_copy(update={"text": f"surely {option.text}"}) if option.key else option
                    for option in item.options
                )
            }
        )
        for item in items
    )


def trained(name: str, items: Sequence[Item], epochs: int, folder: Path) -> SubjectSpec:
    """An adapter that learned to answer items with the symbol of the right option, each in one order."""
    rows = []
    for item, orders in zip(items, plan_orders(items, "balanced", seed=SEED), strict=True):
        order = orders[len(rows) % len(orders)]
        shown = show(item, order, PLAIN)
        symbol = shown.symbols[order.index(item.key_at)]
        messages = tuple(Message(role=m.role, content=m.content) for m in shown.messages)
        rows.append(make_row(messages, symbol, origin="template", method="file", round=1))
    job = TrainJob(
        start=BASE, anchor=BASE, rows=rows, out=folder / name, work=folder / f"{name}-work", round=1, seed=SEED
    )
    use = {"use": "sft", "epochs": epochs, "learning_rate": 1e-3, "batch_size": 8, "learn_end": "always"}
    return BASE.model_copy(update={"uri": trainers.make(Use.model_validate(use))(job).uri})


def right(sheet: AnswerSheet) -> tuple[np.ndarray, np.ndarray]:
    """Whether each item is answered right over its orders (ties count their share), and its cluster."""
    credit = []
    for item, shares in zip(sheet.items, sheet.shares(), strict=True):
        best = np.flatnonzero(shares >= np.nanmax(shares) - 1e-12) if np.isfinite(shares).any() else np.array([])
        credit.append(float(item.key_at in best) / max(1, len(best)))
    names = {name: at for at, name in enumerate(dict.fromkeys(item.cluster_id for item in sheet.items))}
    return np.array(credit), np.array([names[item.cluster_id] for item in sheet.items])


def mean_of(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float, float]:
    """Mean with a cluster-bootstrap interval, 95 %."""
    sums, counts = np.bincount(clusters, values), np.bincount(clusters)
    drawn = np.random.default_rng(SEED).integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def commonest(items: Sequence[Item]) -> float:
    """What always giving the text that is most often right would earn; never below an equal guess."""
    keys = Counter(item.options[item.key_at].text for item in items)
    return max(max(keys.values()) / len(items), 1 / len(items[0].options))


def asked(spec: SubjectSpec, items: Sequence[Item], name: str, folder: Path) -> AnswerSheet:
    began = time.monotonic()
    sheet = ask(spec, ItemSet(name, tuple(items)), folder / "asked" / name, orders="balanced", seed=SEED, progress=True)
    print(f"  {name}: {len(sheet.answers)} answers in {time.monotonic() - began:.0f} s", flush=True)
    return sheet


def profile_of(size: Size, folder: Path) -> dict[str, Any]:
    items = [item for subtask in SUBTASKS for item in build(subtask, size.profile, SEED).items]
    sheet = asked(BASE, items, "profile", folder)
    found = profile(sheet, seed=SEED)
    print(render_profile(found))
    groups = {
        "S1": [i for i in items if i.subtask == "S1"],
        "S2": [i for i in items if i.subtask == "S2"],
        "S4 chains": of_structure([i for i in items if i.subtask == "S4"], CHAINS),
        "S5": [i for i in items if i.subtask == "S5"],
    }
    credit, clusters = right(sheet)
    place = {item.item_id: at for at, item in enumerate(sheet.items)}
    above = {}
    for name, group in groups.items():
        at = np.array([place[item.item_id] for item in group])
        chance = commonest(group)
        raw = mean_of(credit[at], np.unique(clusters[at], return_inverse=True)[1])
        above[name] = tuple((value - chance) / (1 - chance) for value in raw)
        print(
            f"  {name:10} above the commonest key: {above[name][0]:+.3f} ({above[name][1]:+.3f} to {above[name][2]:+.3f})"
        )
    ordered = min(above["S1"][0], above["S2"][0]) > max(above["S4 chains"][0], above["S5"][0])
    print(f"S1 and S2 lie above chains of S4 and S5: {'yes' if ordered else 'no'}")
    return {"profile": found.model_dump(mode="json"), "above_commonest": above, "inferred_order_holds": ordered}


def taught(size: Size, folder: Path) -> dict[str, Any]:
    """Gains of a model that was trained on direct items, on direct items and chains with other names and values."""
    train = of_structure(build("S4", 30 * size.train, SEED, split="dev").items, ("direct",))[: size.train]
    spec = trained("taught", train, size.epochs, folder)
    test = build("S4", 12 * size.test, SEED + 1).items
    found: dict[str, Any] = {"n_train": len(train)}
    for name, structures in (("direct", ("direct",)), ("chains", CHAINS)):
        items = of_structure(test, structures)[: size.test]
        before, clusters = right(asked(BASE, items, f"{name}-before", folder))
        after, _ = right(asked(spec, items, f"{name}-taught", folder))
        gain = mean_of(after - before, clusters)
        found[name] = {"n": len(items), "before": before.mean(), "after": after.mean(), "gain": gain}
        print(
            f"taught, {name}: {before.mean():.3f} to {after.mean():.3f}, gain {gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})"
        )
    return found


def shortcut(size: Size, folder: Path) -> dict[str, Any]:
    """How right a model is that learned to follow a word, where the word is and where it is not."""
    items = build("S4", size.train + size.train % 2, SEED, split="dev").items
    # One word is learned in half the time that causes take.
    spec = trained("shortcut", leaky(items), max(1, size.epochs // 2), folder)
    test = build("S4", size.test + size.test % 2, SEED + 2).items
    on_leaky, clusters = right(asked(spec, leaky(test), "shortcut-leaky", folder))
    on_clean, _ = right(asked(spec, test, "shortcut-clean", folder))
    found = {"leaky": mean_of(on_leaky, clusters), "clean": mean_of(on_clean, clusters), "commonest": commonest(test)}
    print(
        f"shortcut: {found['leaky'][0]:.3f} of the leaky set, {found['clean'][0]:.3f} of the clean one; one option earns {found['commonest']:.3f}"
    )
    return found


def main() -> None:
    args = options(__doc__.splitlines()[0])
    size = Size(12, 24, 32, 2) if args.quick else Size(160, 120, 160, 4)
    folder = cache_dir() / "probe_models" / f"v{VERSION}-{'quick' if args.quick else 'full'}"
    found: dict[str, Any] = {"taught": taught(size, folder), "shortcut": shortcut(size, folder)}
    if not args.quick:
        found["profiled"] = profile_of(size, folder)
    clean = found["shortcut"]["clean"][0] - found["shortcut"]["commonest"]
    bars = {
        "gain on held-out direct items, lower end": (found["taught"]["direct"]["gain"][1], ">=", 0.0),
        "shortcut model on the leaky set": (found["shortcut"]["leaky"][0], ">=", 0.8),
        "shortcut model on the clean set, above one option": (clean, "<=", 0.05),
    }
    finish("probe_models", args, bars=bars, **found)


if __name__ == "__main__":
    main()
