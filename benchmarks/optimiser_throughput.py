"""Tokens a second and memory of our GRPO and RLOO steps against TRL's, same model, prompts, batch and lengths.

Sampling, grading, the reference's pass and the update are timed together, as a step is of no use without them; loading and
saving are not. Both do plain sampling at temperature 1 in fp32 on the same LoRA adapter, hold the divergence from the base in
their loss or reward, and answer up to the same number of tokens; the reward costs nothing. Answers differ, as each draws its
own, so tokens a second are compared: prompt and answer tokens of all answers, over CPU seconds of the process on one thread
(other jobs disturb them less) or wall-clock seconds on several. Each run is a process of its own; the arms take turns at
coming first; the figure is the median over repetitions of the ratio. TRL is measured tuned: without gradient checkpointing,
which its defaults have, and without padding of prompts to a multiple. Memory is the process's peak (VmHWM), imports included.

TRL 1.16 has no PPO trainer any more, so ours is listed without a bar.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from _common import finish, options

BASE = "bundled:smollm2-135m"
BAR, MEMORY_BAR = 0.9, 1.0
SETTINGS: dict[str, Any] = {"group_size": 4, "max_length": 256, "beta": 0.04, "precision": "fp32", "save_steps": 1000}
TEXTS = Path(__file__).parent.parent / "examples" / "prompts.jsonl"


def job_of(n: int, folder: Path, threads: int) -> Any:
    from moorings.improve.data import make_row
    from moorings.improve.training import TrainJob
    from moorings.sampling.prompts import load_prompts
    from moorings.subjects.spec import SubjectSpec

    spec = SubjectSpec(uri=BASE, device="cpu", threads=threads)
    prompts = sorted(load_prompts(TEXTS).prompts, key=lambda prompt: prompt.prompt_id)[:n]
    rows = [make_row(prompt.messages, "", origin="template", method="file", round=1) for prompt in prompts]
    return TrainJob(start=spec, anchor=spec, rows=rows, out=folder / "out", work=folder / "work", round=1, seed=0)


def arm(name: str, given: dict[str, Any], n: int, threads: int) -> dict[str, float]:
    """One training in this process: tokens, seconds of its steps, and the process's peak memory."""
    from moorings.charter_run import Use
    from moorings.improve.training import trainers

    marks: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        job = job_of(n, Path(folder), threads)

        def note(point: str) -> None:
            if point in ("start", "step"):
                marks.append((time.perf_counter(), time.process_time()))

        if name.startswith("trl"):
            # TRL's trainer announces no start; its first step warms up instead, as does ours.
            marks.append((time.perf_counter(), time.process_time()))
        result = trainers.make(Use(use=name, **given))(replace(job, on_point=note))
        log = [json.loads(line) for line in (job.out / "updates.jsonl").read_text().splitlines()]
    answers = given["batch_size"] * given["group_size"]
    passes = given.get("passes", 1)
    # The first batch pays for first uses of everything; it is not timed.
    first, last = marks[passes], marks[-1]
    n_prompt = result.n_tokens - sum(entry["tokens"] for entry in log) * answers if name.startswith("trl") else None
    return {
        "answer_tokens": sum(entry["tokens"] for entry in log[1:]) * answers,
        "prompt_tokens": n_prompt if n_prompt is not None else float("nan"),
        "wall_s": last[0] - first[0],
        "cpu_s": last[1] - first[1],
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """VmHWM; ru_maxrss is inherited from the parent at fork."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run_arm(name: str, given: dict[str, Any], n: int, threads: int) -> dict[str, float]:
    """One arm in a process of its own."""
    command = [sys.executable, __file__, "--arm", json.dumps([name, given, n, threads])]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(algorithm: str, given: dict[str, Any], n: int, n_rounds: int, threads: int) -> dict[str, Any]:
    """Both arms in turn."""
    arms = [algorithm, f"trl_{algorithm}"]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    for number in range(n_rounds):
        for name in arms if number % 2 == 0 else arms[::-1]:
            found[name].append(run_arm(name, given, n, threads))
    clock = "cpu_s" if threads == 1 else "wall_s"
    # Prompts are the same for both and in the same batches, so only TRL's count is needed; one batch in n is not timed.
    batches = given["epochs"] * n // given["batch_size"]
    for ours, theirs in zip(*found.values(), strict=True):
        ours["prompt_tokens"] = theirs["prompt_tokens"]
    for runs in found.values():
        for run in runs:
            run["tokens_per_s"] = (run["answer_tokens"] + run["prompt_tokens"] * (batches - 1) / batches) / run[clock]
    pairs = list(zip(*found.values(), strict=True))
    result = {
        "algorithm": algorithm,
        "clock": clock,
        "runs": found,
        "ratios": [ours["tokens_per_s"] / theirs["tokens_per_s"] for ours, theirs in pairs],
        "memory": [ours["peak_mb"] / theirs["peak_mb"] for ours, theirs in pairs],
    }
    for name, runs in found.items():
        rate, peak = (statistics.median(run[key] for run in runs) for key in ("tokens_per_s", "peak_mb"))
        length = statistics.mean(run["answer_tokens"] for run in runs)
        print(
            f"{name}: {rate:.1f} tokens/s ({clock}), peak {peak:,.0f} MB, {length:.0f} answer tokens timed", flush=True
        )
    return result


def main() -> None:
    if "--arm" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--arm", type=json.loads)
        print(json.dumps(arm(*parser.parse_args().arm)))
        return
    args = options(__doc__.splitlines()[0])
    threads = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
    n, n_rounds, length = (4, 1, 8) if args.quick else (8, 3, 24)
    given = {**SETTINGS, "batch_size": 2 if args.quick else 4, "epochs": 1, "max_new_tokens": length}
    given["rewards"] = [{"use": "feature", "name": "words"}]
    names = ("grpo",) if args.quick else ("grpo", "rloo")
    print(f"{n} prompts x {given['group_size']} answers of at most {length} tokens, {threads} threads", flush=True)
    rows = [measure(name, given, n, n_rounds, threads) for name in names]
    ppo = None if args.quick else run_arm("ppo", {**given, "passes": 1}, n, threads)
    bars = {
        "ratio to TRL": (min(statistics.median(row["ratios"]) for row in rows), ">=", BAR),
        "memory over TRL's": (max(statistics.median(row["memory"]) for row in rows), "<=", MEMORY_BAR),
    }
    finish("optimiser_throughput", args, bars=bars, rows=rows, ppo=ppo, settings=given)


if __name__ == "__main__":
    main()
