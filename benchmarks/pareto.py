"""Do several rewards rise together, and what does choosing their weights cost? (PAMA, arXiv:2508.07768)

Policies over stored answers of the embedded model, moved by exact gradients until their KL to the start policy reaches a budget, so that
methods are compared at equal KL and not at equal steps. Pairs of rewards: sentiment and length, clip(tokens / 24, 0.5, 1.5), as in the source;
sentiment and brevity; closeness to the question and distinct words. A reward's normalised gain is its gain over what
optimising it alone gains with the same KL; figures are the smaller gain of the pair, means over seeds (each takes half of
the prompts) with intervals (t, 95 %), differences paired by seed, and hypervolume over the start point.
Bars: PAMA (answer) raises both rewards of the source's pair, the lower end of the interval above 0; its smaller gain is not below
that of equal weights by more than 0.02, nor below exact MGDA's; the time to solve for weights does not grow from d = 1e2 to 1e7.
Beside them: Noon clipping with equal weights tells whether the clipping or the weighting does it; a grid of fixed weights.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _common import finish, mean_low_high, options
from _composite_worlds import ANSWERS, distinct, embedded, sentiment, standard, tilts

from moorings.charter_run import Use
from moorings.improve.exact.optimise import Trace, optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.objectives.min_norm import min_norm_weights, weights_to_zero
from moorings.improve.objectives.objective import objectives
from moorings.report.align.view import hypervolume

BUDGET_NATS, RATE, MOST_STEPS, CHUNK = 0.5, 0.5, 1500, 5
PAIRS = (("sentiment", "length"), ("sentiment", "brevity"), ("on topic", "varied"))
METHODS: dict[str, dict[str, Any]] = {
    "equal weights": {"use": "weighted"},
    "noon, equal weights": {"use": "pama", "equal": True},
    "PAMA, answer": {"use": "pama", "granularity": "answer"},
    "PAMA, batch": {"use": "pama", "granularity": "batch"},
    "PAMA, batch, no clipping": {"use": "pama", "granularity": "batch", "noon": False},
    "MGDA": {"use": "mgda"},
    "MGDA, normalised": {"use": "mgda", "normalise": True},
    **{f"weights {w:.2f}": {"use": "weighted", "share": w} for w in (0.25, 0.75)},
}


def load() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rewards of all stored answers, standardised, and the directions along which a policy may tilt."""
    from moorings.feedback.stored_answers import read_answers

    stored = read_answers(ANSWERS)
    shape = stored.shape
    flat = [text for row in stored.responses for text in row]
    asked = [prompt.messages[-1].content for prompt in stored.prompts]
    vectors = embedded(flat + asked)
    answers, questions = vectors[: len(flat)].reshape(*shape, -1), vectors[len(flat) :]
    length = np.clip(stored.n_tokens / 24, 0.5, 1.5)
    rewards = {
        "sentiment": sentiment(flat).reshape(shape),
        "length": length,
        "brevity": -length,
        "on topic": (answers * questions[:, None]).sum(axis=-1),
        "varied": np.array([distinct(text, 1) for text in flat]).reshape(shape),
    }
    tilt = tilts(answers, 48, rewards["length"], rewards["varied"])
    return {name: standard(values) for name, values in rewards.items()}, tilt


def until_budget(
    policy: SoftmaxPolicy, rewards: dict[str, np.ndarray], use: dict[str, Any]
) -> tuple[Trace, np.ndarray]:
    """Train until the KL budget is reached; the last trace, and the rewards' gains there, between two steps if need be."""
    use = dict(use)
    share = use.pop("share", None)
    if share is not None:
        use["weights"] = dict(zip(rewards, (share, 1 - share), strict=True))
    objective = objectives.make(Use(**use))
    start = np.array([policy.mean(values).mean() for values in rewards.values()])
    now, kl, gains = policy, 0.0, np.zeros(len(rewards))
    for _ in range(MOST_STEPS // CHUNK):
        trace = optimise(now, rewards, objective, CHUNK, RATE)
        at = int(np.argmax(trace.kl >= BUDGET_NATS)) if (trace.kl >= BUDGET_NATS).any() else -1
        points = np.stack(list(trace.rewards.values()), axis=1) - start
        if at > 0:
            share = (BUDGET_NATS - trace.kl[at - 1]) / (trace.kl[at] - trace.kl[at - 1])
            return trace, points[at - 1] + share * (points[at] - points[at - 1])
        now, kl, gains = trace.policy, trace.kl[-1], points[-1]
    print(f"  {use['use']}: the KL budget was not reached, {kl:.2f} of {BUDGET_NATS} nats")
    return trace, gains


def one_seed(rewards: dict[str, np.ndarray], tilt: np.ndarray, pair: tuple[str, str], seed: int) -> dict[str, Any]:
    chosen = np.random.default_rng([21, seed]).permutation(len(tilt))[: len(tilt) // 2]
    policy = SoftmaxPolicy.uniform(len(chosen), tilt.shape[1], tilt[chosen])
    both = {name: rewards[name][chosen] for name in pair}
    alone = np.array(
        [until_budget(policy, both, {"use": "weighted", "share": share})[1][i] for i, share in enumerate((1.0, 0.0))]
    )
    found = {}
    for method, use in METHODS.items():
        trace, gains = until_budget(policy, both, use)
        found[method] = {
            "gains": gains.tolist(),
            "min": float((gains / alone).min()),
            "hypervolume": hypervolume(gains[None]),
            "active": float(trace.logged["active"][-1]) if "active" in trace.logged else 1.0,
        }
    return {"alone": alone.tolist(), "methods": found}


def solve_times(sizes: tuple[int, ...], n: int = 4, repeats: int = 9) -> dict[str, dict[str, float]]:
    """Seconds to find weights: from n mean advantages, and from n gradients of d numbers."""
    rng = np.random.default_rng(3)
    found: dict[str, dict[str, float]] = {"PAMA": {}, "MGDA": {}}
    for d in sizes:
        gradients = rng.standard_normal((n, d), dtype=np.float32)
        advantages = gradients[:, :64].mean(axis=1)
        taken = {"PAMA": [], "MGDA": []}
        for _ in range(repeats):
            start = time.perf_counter()
            for _ in range(1000):
                weights_to_zero(advantages)
            taken["PAMA"].append((time.perf_counter() - start) / 1000)
            start = time.perf_counter()
            min_norm_weights(gradients)
            taken["MGDA"].append(time.perf_counter() - start)
        for name, values in taken.items():
            found[name][f"{d:.0e}"] = min(values)
    return found


def main() -> None:
    args = options(__doc__.splitlines()[0])
    n_seeds = 3 if args.quick else 10
    rewards, tilt = load()
    rows = {
        pair: [one_seed(rewards, tilt, pair, seed) for seed in range(n_seeds)]
        for pair in PAIRS[: 1 if args.quick else 3]
    }
    found: dict[str, Any] = {}
    for pair, each in rows.items():
        print(
            f"{pair[0]} and {pair[1]}, {n_seeds} seeds, at {BUDGET_NATS} nats; smaller normalised gain, hypervolume, share of active answers"
        )
        found[" and ".join(pair)] = by_method = {}
        for method in METHODS:
            least = mean_low_high([row["methods"][method]["min"] for row in each])
            less = mean_low_high(
                [row["methods"]["PAMA, answer"]["min"] - row["methods"][method]["min"] for row in each]
            )
            mean = {k: float(np.mean([row["methods"][method][k] for row in each])) for k in ("hypervolume", "active")}
            raw = [mean_low_high([row["methods"][method]["gains"][i] for row in each]) for i in range(2)]
            by_method[method] = {"min": least, "PAMA minus it": less, "gains": raw, **mean}
            print(
                f"  {method:26} {least[0]:+.3f} ({least[1]:+.3f} to {least[2]:+.3f})  {mean['hypervolume']:.3f}  {mean['active']:.2f}"
                f"  PAMA minus it {less[0]:+.3f} ({less[1]:+.3f} to {less[2]:+.3f})"
            )
    times = solve_times((100, 10_000, 1_000_000) if args.quick else (100, 10_000, 1_000_000, 10_000_000))
    for name, by_size in times.items():
        print(f"{name} weights: " + ", ".join(f"d = {d}: {s * 1e6:,.1f} us" for d, s in by_size.items()))
    first = found["sentiment and length"]
    growth = max(times["PAMA"].values()) / min(times["PAMA"].values())
    bars = {
        "PAMA's smaller gain, lower end": (first["PAMA, answer"]["min"][1], ">=", 0.0),
        "PAMA minus equal weights": (first["equal weights"]["PAMA minus it"][0], ">=", -0.02),
        "PAMA minus MGDA": (first["MGDA"]["PAMA minus it"][0], ">=", 0.0),
        "growth of PAMA's solve time over d": (growth, "<=", 2.0),
    }
    finish(
        "pareto", args, bars=bars, pairs=found, times=times, seeds={" and ".join(p): each for p, each in rows.items()}
    )


if __name__ == "__main__":
    main()
