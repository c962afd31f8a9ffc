"""How often does a comparison find something where nothing differs? (protocol B4)

Stored samples of the embedded model are divided at random, within each prompt, into two arms that differ in nothing, and analysed
in full: battery, phrases, clusters, sparse code, checks, tests. `warm` is temperature 1 (i); `cold` is temperature 0.2, where many
responses are equal (ii). The bar is q = 0.1 plus two standard errors of the simulation. The full run adds real second draws: the same
model at another batch size and prompt order (v), whose any-finding result is shown, and another engine and precision of the same
weights, which must be refused, and be named in the report when it is allowed.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import finish, options
from _pool import load_pool, read_pool

from moorings.compare.selftest import SelfTest, selftest
from moorings.compare.settings import Settings

Q = 0.1
SETTINGS = Settings(q=Q, n_draws=5000)


def row(name: str, found: SelfTest, n_prompts: int, seconds: float) -> dict[str, Any]:
    return {
        "arms": name,
        "runs": found.n_runs,
        "prompts": n_prompts,
        "with_findings": found.n_with_findings,
        "rate": found.rate,
        "low": found.interval.low,
        "high": found.interval.high,
        "false_findings": ", ".join(f"{n} {origin}" for origin, n in found.findings.items()) or "none",
        "seconds_a_run": seconds / found.n_runs,
    }


def simulate(name: str, n_runs: int, n_prompts: int, n_samples: int | None) -> dict[str, Any]:
    pool = load_pool(name, n_prompts=None if n_runs > 100 else max(n_prompts, 100), n_samples=n_samples)
    start = time.monotonic()
    found = selftest(pool, n_runs=n_runs, n_prompts=n_prompts, settings=SETTINGS, seed=7)
    result = row("pool" if name == "pool" else "pool at temperature 0.2", found, n_prompts, time.monotonic() - start)
    print({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}, flush=True)
    return result


def real_draws() -> dict[str, Any]:
    """Two more draws of the same weights: at another batch size and order, and by another engine."""
    from moorings.compare.diff import compare_runs
    from moorings.compare.load import ArmSource
    from moorings.errors import ConfigError
    from moorings.records import Decoding, Message, Prompt
    from moorings.sampling.prompts import PromptSet
    from moorings.sampling.sample import sample
    from moorings.subjects.spec import SubjectSpec

    texts = list(dict.fromkeys(row["prompt"] for row in read_pool("pool")))[:60]
    arms = {
        "as usual": ({"engine": "ctranslate2", "batch_size": 64}, texts, 11),
        "batch 16, reversed": ({"engine": "ctranslate2", "batch_size": 16}, texts[::-1], 12),
        "another engine": ({"engine": "transformers", "precision": "bf16"}, texts, 13),
    }
    with tempfile.TemporaryDirectory() as folder:
        runs = {}
        for name, (settings, order, seed) in arms.items():
            prompts = tuple(Prompt(prompt_id=t, messages=(Message(role="user", content=t),)) for t in order)
            run = Path(folder) / name
            sample(
                SubjectSpec(uri="bundled:smollm2-135m", **settings),
                PromptSet(name="null", prompts=prompts, sha256="0" * 64),
                run,
                n_samples=2,
                decoding=Decoding(max_new_tokens=16),
                seed=seed,
                cache=False,
            )
            runs[name] = ArmSource(name, str(run))
        usual, order, engine = (runs[name] for name in arms)
        settings = Settings(map_points=0)
        again = compare_runs([usual, order], settings=settings, allow_mixed=True)
        try:
            compare_runs([usual, engine], settings=settings)
            refused = False
        except ConfigError as error:
            refused = "engine" in str(error)
        other = compare_runs([usual, engine], settings=settings, allow_mixed=True)
    return {
        "order_and_batch_findings": len(again.pairs[0].findings),
        "engine_refused": refused,
        "engine_findings": len(other.pairs[0].findings),
        "engine_warnings": list(other.warnings),
        "engine_omnibus_p": [test.p for test in other.pairs[0].omnibus],
    }


def main() -> None:
    """Simulate and compare with the bars."""
    args = options(__doc__ or "")
    plan = (
        [("pool", 60, 60, 4), ("pool_cold", 40, 60, 4)]
        if args.quick
        else [("pool", 500, 150, None), ("pool_cold", 500, 100, None)]
    )
    rows = [simulate(*part) for part in plan]
    bars = {
        f"any-finding rate, {r['arms']}": (r["rate"], "<=", Q + 2 * math.sqrt(Q * (1 - Q) / r["runs"])) for r in rows
    }
    draws = {} if args.quick else real_draws()
    if draws:
        print(draws)
        bars["engine change named"] = (float(draws["engine_refused"] and bool(draws["engine_warnings"])), ">=", 1)
    finish("null", args, bars=bars, rows=rows, real_draws=draws, settings=SETTINGS.model_dump(mode="json"))


if __name__ == "__main__":
    main()
