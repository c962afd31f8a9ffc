"""Competence and conformity in turn, at equal tokens (arXiv:2503.07660); where weak supervision recovers most (arXiv:2312.09390); easy to hard.

Rounds: the embedded model learns the last word of a list from terse answers (K: share of exact answers) and is to go on admitting
what it cannot know (F: share of answers that do), for four rounds through the trainer `alternate`. Arms: competence only,
conformity only, joint (one step on all rows), alternating, alternating without undoing. K and F are measured after each half-step on
prompts that no trainer sees; intervals (95 %) are over prompts, means over seeds first. Bars: alternating ends with F
at or above its start (lower end of the paired difference not below -0.10) and with K within 0.10 of competence only; the arms'
tokens differ by at most 5 %. What competence alone does to F is printed. --quick: simulated subjects with planted effects, the same code.

Weak to strong: teachers of six strengths (logistic regression on hashed words, or on some pixels) label for a student that sees
all (MiniLM embeddings; all pixels); plain, confidence and product loss; PGR with a bootstrap over seeds, imitation of the teacher's
errors, raw accuracies, and where PGR is largest. It is reported and held to no bar. Reviews need text-differences of the
development data (MOORINGS_DATA); digits come with scikit-learn.

Easy to hard: an evaluator that learned on short lists picks among the embedded model's answers about longer ones (arXiv:2403.09472),
beside sampling, majority and an evaluator that learned on longer ones. Held to no bar; left out by --quick.

    python benchmarks/alternation.py                        can be stopped and started again
    python benchmarks/alternation.py --only rounds --seed 1 one part, one seed
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _alternation_rounds import ARMS, KINDS, TOLERANCE, Chain, Size
from _common import finish, mean_low_high
from _easy_to_hard import easy_to_hard, told_easy_to_hard
from _weak_to_strong import digits, reviews, sweep, told

BAR_F, BAR_K, BAR_TOKENS = -0.10, -0.10, 1.05
LETTERS = dict(zip(KINDS, "KF", strict=True))
Bars = dict[str, tuple[float, str, float]]


def interval(values: np.ndarray) -> dict[str, float]:
    """Mean over prompts and its 95 % t-interval."""
    return dict(zip(("mean", "low", "high"), mean_low_high(values), strict=True))


def shown(of: dict[str, float]) -> str:
    """An interval for people."""
    return f"{of['mean']:+.2f} [{of['low']:+.2f}, {of['high']:+.2f}]"


def run_chains(size: Size) -> dict[str, list[Chain]]:
    """All arms and seeds; real ones are kept in the user's cache."""
    if size.simulated:
        with tempfile.TemporaryDirectory() as place:
            return _chains(size, Path(place))
    print(f"kept in {Chain.folder(size)}")
    return _chains(size, Chain.folder(size))


def _chains(size: Size, place: Path) -> dict[str, list[Chain]]:
    return {
        name: [Chain(ARMS[name], seed, size, place / f"{name}-{seed}").run() for seed in size.seeds]
        for name in size.arms
    }


def ends(chains: list[Chain], kind: int, *, less_start: bool = False) -> np.ndarray:
    """Value of each held-out prompt after the last half-step that was kept, mean over seeds."""
    found = []
    for chain in chains:
        kept = [half for half in chain.halves if not half.undone]
        last = np.array(chain.start[kind] if not kept else (kept[-1].competence, kept[-1].conformity)[kind])
        found.append(last - np.array(chain.start[kind]) if less_start else last)
    return np.mean(found, axis=0)


def rounds_rows(found: dict[str, list[Chain]]) -> list[dict[str, Any]]:
    """K and F after each half-step, for the page."""
    rows = []
    for name, chains in found.items():
        start = {f"{LETTERS[kind]}": np.mean([c.start[at] for c in chains], axis=0) for at, kind in enumerate(KINDS)}
        rows.append({"arm": name, "round": 0, "after": "start", **_cells(start), "undone": ""})
        for halves in zip(*(chain.halves for chain in chains), strict=True):
            values = {
                "K": np.mean([half.competence for half in halves], axis=0),
                "F": np.mean([half.conformity for half in halves], axis=0),
            }
            undone = f"{sum(half.undone for half in halves)} of {len(halves)}"
            rows.append(
                {"arm": name, "round": halves[0].round, "after": halves[0].name, **_cells(values), "undone": undone}
            )
    return rows


def _cells(values: dict[str, np.ndarray]) -> dict[str, float]:
    of = {name: interval(some) for name, some in values.items()}
    return {f"{name}{'' if end == 'mean' else f' {end}'}": round(of[name][end], 3) for name in of for end in of[name]}


def judge_rounds(found: dict[str, list[Chain]]) -> tuple[Bars, dict[str, Any]]:
    """Bars and differences of the arms."""
    changes = {
        name: {LETTERS[kind]: interval(ends(chains, at, less_start=True)) for at, kind in enumerate(KINDS)}
        for name, chains in found.items()
    }
    for name, of in changes.items():
        print(f"{name:20} end less start: K {shown(of['K'])}, F {shown(of['F'])}")
    behind = interval(ends(found["alternating"], 0) - ends(found["competence only"], 0))
    print(f"K of alternating less competence only: {shown(behind)}")
    alone = changes["competence only"]["F"]
    verdict = "falls" if alone["high"] < 0 else "rises" if alone["low"] > 0 else "does not surely change"
    print(f"with competence alone, F {verdict}: {shown(alone)}")
    tokens = {
        name: float(np.mean([sum(h.n_tokens for h in c.halves) for c in chains])) for name, chains in found.items()
    }
    bars = {
        "F of alternating, end less start, lower end": (changes["alternating"]["F"]["low"], ">=", BAR_F),
        "K of alternating less competence only": (behind["mean"], ">=", BAR_K),
    }
    if not any(chain.size.simulated for chains in found.values() for chain in chains):
        ratio = max(tokens.values()) / min(tokens.values())
        bars["tokens of the dearest arm over the cheapest"] = (ratio, "<=", BAR_TOKENS)
    facts = {"changes": changes, "K behind competence only": behind, "tokens": tokens, "tolerance": TOLERANCE}
    return bars, facts


def arguments() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="simulated subjects and digits, at most 60 s on 2 cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--only", choices=("rounds", "weak to strong", "easy to hard"), help="one part")
    parser.add_argument(
        "--seed", type=int, action="append", metavar="N", help="seeds of the rounds; 1 and 2 if not given"
    )
    parser.add_argument(
        "--arm",
        action="append",
        choices=list(ARMS),
        help="arms of the rounds; the bars need 'alternating' and 'competence only'",
    )
    return parser.parse_args()


def main() -> None:
    """Run both parts and compare with the bars."""
    args = arguments()
    bars: Bars = {}
    facts: dict[str, Any] = {}
    if args.only in (None, "rounds"):
        size = Size(tuple(args.seed or (1, 2)), tuple(args.arm or ARMS))
        if args.quick:
            print("rounds with simulated subjects: effects are planted, only the machinery is tested")
            size = Size((1,), ("competence only", "alternating"), n_steering=64, simulated=True)
        found = run_chains(size)
        if not {"alternating", "competence only"} <= found.keys():
            raise SystemExit("made and kept; the bars need the arms 'alternating' and 'competence only'")
        bars, facts = judge_rounds(found)
        facts["rows"] = rounds_rows(found)
    if args.only in (None, "weak to strong"):
        worlds = [world for world in ((digits(),) if args.quick else (reviews(), digits())) if world is not None]
        facts["weak to strong"] = []
        for world in worlds:
            one = sweep(world, range(2 if args.quick else 10))
            told(one)
            facts["weak to strong"].append(one)
    if args.only == "easy to hard" or (args.only is None and not args.quick):
        facts["easy to hard"] = easy_to_hard()
        told_easy_to_hard(facts["easy to hard"])
    finish("alternation", args, bars=bars, **facts)


if __name__ == "__main__":
    main()
