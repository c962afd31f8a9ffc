"""Questions a second of the probes' runner against the bare engine, and what a SIGKILL costs.

Items of all five subtasks from the generator, three options in a Latin square of orders, log-probabilities of the symbols.
Arms are interleaved in one process: the whole of `ask` (showing, planning, reading, storing, sealing), a bare CTranslate2 loop
over the same token rows in the same calls, and the engine's own `score_batch` over whole rows. Then a run is killed half-way
and resumed; its sheet must be that of a run in one piece, byte by byte. Full mode asks 2,000 items in 4 orders on average, as
three options have 3 (`balanced`, 1,332 items) or 6 (`all`, 668 items): 8,004 questions, with a SIGKILL and a new process on the
way. Quick mode extrapolates from its rate and says so.

The work that cannot be avoided is one reading of every distinct beginning (the nodes of the rows' prefix tree).
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import finish, options
from sampling_throughput import limits

from moorings.probes.build import SUBTASKS, build
from moorings.probes.files import ItemSet, read_items, write_items
from moorings.probes.framing import PLAIN
from moorings.probes.orders import Orders, plan_orders
from moorings.probes.runner import ask
from moorings.probes.sheets import ANSWERS
from moorings.probes.show import show
from moorings.subjects.spec import SubjectSpec, open_subject

SUBJECT = "bundled:smollm2-135m"
N_QUESTIONS = 8000
BODY_PARAMETERS, HEAD_PARAMETERS = 106.2e6, 28.3e6
"""Weights that every token passes, and those of the row of logits (SmolLM2-135M; the embeddings are tied)."""


def items_of(n: int) -> ItemSet:
    """n items, about a fifth of each subtask."""
    made = [item for subtask in SUBTASKS for item in build(subtask, 2 * -(-n // (2 * len(SUBTASKS))), 7).items]
    return ItemSet("throughput", tuple(made[at] for at in np.linspace(0, len(made) - 1, n).astype(int)))


def n_questions(items: ItemSet) -> int:
    return sum(len(orders) for orders in plan_orders(items.items, "balanced"))


class Plan(NamedTuple):
    """The runner's own calls of the engine, in its chunks, as token strings."""

    calls: list[tuple[list[str], list[list[str]]]]
    rows: list[list[str]]
    n_shown: int
    n_read: int
    n_tree: int


def plan_of(subject: Any, items: ItemSet, chunk: int) -> Plan:
    """What the engine is asked to read for a set."""
    chats = [
        show(item, order, PLAIN).messages
        for item, orders in zip(items.items, plan_orders(items.items, "balanced"), strict=True)
        for order in orders
    ]
    calls, rows, n_read, n_tree = [], [], 0, 0
    for start in range(0, len(chats), chunk):
        ids = list(dict.fromkeys(subject._model.encode(chats[start : start + chunk])))
        rows += [subject._tokens(row) for row in ids]
        for _, prefix, endings in subject._prefix_calls(ids):
            calls.append((subject._tokens(prefix), [subject._tokens(ending) for ending in endings]))
            n_read += len(prefix) + sum(map(len, endings))
        n_tree += len({row[:end] for row in ids for end in range(1, len(row) + 1)})
    return Plan(calls, rows, sum(map(len, rows)), n_read, n_tree)


class Bare:
    """The engine without anything around it."""

    def __init__(self, subject: Any) -> None:
        import ctranslate2

        info = subject.describe()
        self.generator = ctranslate2.Generator(
            str(subject._converted()), compute_type="int8", inter_threads=info.workers, intra_threads=info.threads
        )

    def same_calls(self, plan: Plan) -> None:
        """The runner's calls; each row of logits is reduced to three log-probabilities, nothing is kept."""
        pending = [
            self.generator.generate_batch(
                endings,
                static_prompt=prefix or None,
                cache_static_prompt=False,
                include_prompt_in_result=False,
                max_length=1,
                return_logits_vocab=True,
                asynchronous=True,
            )
            for prefix, endings in plan.calls
        ]
        for results in pending:
            for result in results:
                logits = np.array(result.result().logits[0]).reshape(-1)
                logits[:3] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()

    def whole_rows(self, plan: Plan, every: int) -> None:
        """The engine's scoring function, one symbol a row, on every n-th row."""
        self.generator.score_batch(
            [[*row, "A"] for row in plan.rows[::every]], max_batch_size=1024, batch_type="tokens"
        )


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process on all its cores."""
    start, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - cpu


def killed_and_resumed(items: ItemSet, chunk: int, folder: Path, n_kept: int, orders: Orders = "balanced") -> float:
    """Seconds of two processes that ask a set, the first of which is killed when `n_kept` chunks are kept."""
    path = write_items(items, folder.with_suffix(".jsonl"))
    code = f"from probe_throughput import child; child({str(path)!r}, {chunk}, {str(folder)!r}, {orders!r})"
    start = time.perf_counter()
    first = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    kept = folder / "asked" / "compared" / "artifacts"
    while not kept.is_dir() or len(list(kept.iterdir())) < n_kept:
        if first.poll() is not None:
            raise SystemExit(f"the run ended with status {first.returncode} before it could be killed")
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
    return time.perf_counter() - start


def full_seconds(root: Path) -> float:
    """Seconds of 2,000 items in 4 orders on average, half of the questions with a kill on the way."""
    items = items_of(2000).items
    # Every third minimal pair, so that both parts hold all subtasks.
    many = ItemSet("all", tuple(item for at, item in enumerate(items) if at // 2 % 3 == 0))
    few = ItemSet("balanced", tuple(item for at, item in enumerate(items) if at // 2 % 3))
    balanced_s = killed_and_resumed(few, 256, root / "balanced", 8)
    start = time.perf_counter()
    ask(SubjectSpec(uri=SUBJECT), many, root / "all", orders="all")
    return balanced_s + time.perf_counter() - start


def child(path: str, chunk: int, folder: str, orders: Orders) -> None:
    """Ask the items of a file, with progress."""
    ask(SubjectSpec(uri=SUBJECT), read_items(path), Path(folder), orders=orders, chunk=chunk, progress=True)


Seconds = dict[str, list[tuple[float, float]]]
"""By arm: seconds by the clock and of CPU time of each round."""


def arms(subject: Any, items: ItemSet, plan: Plan, chunk: int, rounds: int, root: Path) -> Seconds:
    """The three arms in turn; a single round scores every fourth row with `score_batch`, which is slow, and scales it up."""
    bare, n = Bare(subject), n_questions(items)
    seconds: Seconds = {"runner": [], "same calls": [], "score_batch": []}
    ask(subject, items_of(5), root / "warm")
    for number in range(rounds):
        # A fresh folder: the content-free prompts are asked each time, as a user would.
        seconds["runner"].append(timed(lambda at=number: ask(subject, items, root / f"arm{at}", chunk=chunk)))
        seconds["same calls"].append(timed(lambda: bare.same_calls(plan)))
        every = 1 if rounds > 1 else 4
        share = len(plan.rows[::every]) / len(plan.rows)
        clock_s, cpu_s = timed(lambda n=every: bare.whole_rows(plan, n))
        seconds["score_batch"].append((clock_s / share, cpu_s / share))
        print({name: round(n / values[-1][0], 2) for name, values in seconds.items()}, "questions/s", flush=True)
    return seconds


def same_after_kill(subject: Any, n_items: int, chunk: int, root: Path) -> bool:
    """Whether the sheet of a killed and resumed run is that of a run in one piece, byte by byte."""
    ask(subject, items_of(n_items), root / "whole", chunk=chunk)
    killed_and_resumed(items_of(n_items), chunk, root / "killed", 1)
    return (root / "whole" / ANSWERS).read_bytes() == (root / "killed" / ANSWERS).read_bytes()


def ratios_to(seconds: Seconds, at: int) -> dict[str, float]:
    """Median over rounds of each bare arm's seconds over the runner's; `at` picks clock (0) or CPU time (1)."""
    return {
        name: statistics.median(b[at] / a[at] for a, b in zip(seconds["runner"], seconds[name], strict=True))
        for name in ("same calls", "score_batch")
    }


def main() -> None:
    """Measure and compare with the bars."""
    args = options(__doc__ or "")
    n_arm, rounds, chunk, n_identity = (20, 1, 60, 8) if args.quick else (100, 3, 256, 200)
    subject: Any = open_subject(SUBJECT)
    items = items_of(n_arm)
    questions, plan = n_questions(items), plan_of(subject, items, chunk)
    with tempfile.TemporaryDirectory() as folder:
        seconds = arms(subject, items, plan, chunk, rounds, Path(folder))
        same = same_after_kill(subject, n_identity, 8 if args.quick else 256, Path(folder))
        subject.close()
        rate = questions / statistics.median(clock_s for clock_s, _ in seconds["runner"])
        full_s = N_QUESTIONS / rate if args.quick else full_seconds(Path(folder))
    ratios, cpu_ratios = ratios_to(seconds, 0), ratios_to(seconds, 1)
    machine_limits = limits(len(os.sched_getaffinity(0)))
    flops = 2 * (BODY_PARAMETERS * plan.n_read + HEAD_PARAMETERS * len(plan.rows)) / questions * rate / 1e9
    print(f"ratios by CPU time: { ({name: round(value, 3) for name, value in cpu_ratios.items()}) }")
    print(f"{'extrapolated' if args.quick else 'measured'}: 2,000 items in 4 orders in {full_s:.0f} s")
    print(
        f"tokens a question: {plan.n_shown / questions:.0f} shown, {plan.n_read / questions:.0f} read, "
        f"{plan.n_tree / questions:.0f} if every beginning were read once; {flops:.0f} GFLOP/s, "
        f"{flops / machine_limits['gemm_fp32_gflops']:.0%} of this machine's fp32 matrix product rate"
    )
    finish(
        "probe_throughput",
        args,
        bars={
            "ratio to the same bare calls": (ratios["same calls"], ">=", 0.8),
            "ratio to bare score_batch": (ratios["score_batch"], ">=", 0.8),
            "seconds for 2,000 items in 4 orders": (full_s, "<=", 600),
            "resumed sheet is identical": (float(same), ">=", 1),
        },
        full_seconds_measured=not args.quick,
        questions_per_s={name: [questions / clock_s for clock_s, _ in v] for name, v in seconds.items()},
        questions_per_cpu_s={name: [questions / cpu_s for _, cpu_s in v] for name, v in seconds.items()},
        ratios_by_cpu_time=cpu_ratios,
        tokens_a_question={
            "shown": plan.n_shown / questions,
            "read": plan.n_read / questions,
            "prefix_tree": plan.n_tree / questions,
        },
        limits={**machine_limits, "gflops_reached": flops},
        n_items=n_arm,
        chunk=chunk,
    )


if __name__ == "__main__":
    main()
