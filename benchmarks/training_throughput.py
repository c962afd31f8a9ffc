"""Tokens a second of `sft` against plain TRL scripts, same tokens, batch size and LoRA, one process, arms interleaved.

Rows are Dolly instructions and answers beside the checkout or under MOORINGS_DATA, else the bundled example prompts with
answers put together from them. Two scripts of TRL are measured: with its defaults (activations computed twice, rows in
random order), and tuned (neither); both in fp32. The figure is the median over repetitions of the ratio to the tuned one.
On one thread CPU seconds of the process are compared, which other jobs on the machine disturb less; wall-clock seconds
are kept beside them. Only steps are timed, not loading or saving.

Without --quick the demo is run too, all three rounds, and what supervision adds is its share of the rounds' wall-clock seconds:
auditing the data, answering and measuring the gate prompts, and comparing; the rest is collecting data and training.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _common import finish, options

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BASE = "bundled:smollm2-135m"
BAR = 0.95
MOST_SUPERVISION = 0.30
CHARTER = Path(__file__).parent.parent / "examples" / "self_training.yaml"
N_LAYERS, D, WIDE, VOCABULARY, KEYS = 30, 576, 1536, 49152, 192
IN_LAYER = 2 * D * D + 2 * D * KEYS + 3 * D * WIDE
"""Weights of the linear layers of one block."""


@dataclass
class Spent:
    """Seconds of each repetition."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def pairs(n: int) -> tuple[list[tuple[str, str]], str]:
    """Prompts with responses, and where they come from."""
    rng = random.Random(0)
    path = DATA / "instructions" / "dolly_3k.jsonl.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        found = [(f"{row['instruction']}\n{row['input']}".strip(), row["output"]) for row in rows if row["output"]]
        return rng.sample(found, n), "Dolly instructions and answers"
    from moorings.sampling.prompts import load_prompts

    file = Path(__file__).parent.parent / "examples" / "prompts.jsonl"
    texts = [prompt.messages[-1].content for prompt in load_prompts(file).prompts]
    return [
        (rng.choice(texts), " ".join(rng.choices(texts, k=rng.randint(1, 12)))) for _ in range(n)
    ], "bundled prompts"


def job_of(rows: list[tuple[str, str]], folder: Path, threads: int) -> Any:
    from moorings.improve.data import make_row
    from moorings.improve.training import TrainJob
    from moorings.records import Message
    from moorings.subjects.spec import SubjectSpec

    spec = SubjectSpec(uri=BASE, device="cpu", threads=threads)
    made = [
        make_row((Message(role="user", content=prompt),), response, origin="human", method="file", round=1)
        for prompt, response in rows
    ]
    return TrainJob(start=spec, anchor=spec, rows=made, out=folder / "out", work=folder / "work", round=1, seed=0)


def moorings_arm(job: Any, settings: Any) -> Callable[[], tuple[float, float]]:
    """A round's training, checkpoint at the end included."""
    from dataclasses import replace

    from moorings.charter_run import Use
    from moorings.improve.training import trainers

    def run() -> tuple[float, float]:
        marks: dict[str, tuple[float, float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            places = {"out": Path(folder) / "out", "work": Path(folder) / "work"}
            timed = replace(job, **places, on_point=lambda point: marks.update({point: clocks()}))
            trainers.make(Use(use="sft", **settings.model_dump()))(timed)
        return tuple(b - a for a, b in zip(marks["start"], marks["trained"], strict=True))

    return run


def trl_arm(job: Any, settings: Any, *, tuned: bool) -> Callable[[], tuple[float, float]]:
    """What a user would write with TRL and PEFT."""

    def run() -> tuple[float, float]:
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl import SFTConfig, SFTTrainer

        from moorings.improve.train.start_model import open_start

        start = open_start(job.start, settings, precision="fp32", device="cpu", seed=0)
        sequences = [row.sequences[0] for row in encoded(job, settings)]
        data = Dataset.from_list(
            [{"input_ids": s.ids, "labels": [-100] * s.n_prompt + list(s.ids[s.n_prompt :])} for s in sequences]
        )
        with tempfile.TemporaryDirectory() as folder:
            arguments = SFTConfig(
                folder,
                per_device_train_batch_size=settings.batch_size,
                num_train_epochs=1,
                learning_rate=2e-4,
                max_length=None,
                bf16=False,
                use_cpu=True,
                save_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                **({"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"} if tuned else {}),
            )
            trainer = SFTTrainer(start.model, arguments, train_dataset=data, processing_class=start.files.tokenizer)
            trainer.remove_callback(PrinterCallback)
            before = clocks()
            trainer.train()
            return tuple(b - a for a, b in zip(before, clocks(), strict=True))

    return run


def encoded(job: Any, settings: Any) -> list[Any]:
    from moorings.improve.train.encode import Encoder
    from moorings.improve.train.start_model import start_files

    encoder = Encoder(start_files(job.start)[0], max_length=settings.max_length, learn_end=settings.learn_end)
    return encoder.encode(job.rows).rows


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def gemm_gflops(n: int) -> float:
    """This moment's fp32 matrix products, at the size of a block's feed-forward layers with n tokens."""
    import torch

    a, b = torch.randn(n, D), torch.randn(WIDE, D)
    best = float("inf")
    for _ in range(8):
        _, before = clocks()
        torch.nn.functional.linear(a, b)
        best = min(best, clocks()[1] - before)
    return 2 * n * D * WIDE / best / 1e9


def gflop(rows: list[Any], upper_share: float) -> float:
    """Least arithmetic of a pass over the rows: every layer forwards, trained ones backwards, the head where it is needed."""
    n, learned = sum(row.n_tokens for row in rows), sum(row.n_learned for row in rows)
    trained = round(N_LAYERS * upper_share)
    return 2 * (n * IN_LAYER * (N_LAYERS + trained) + 2 * learned * D * VOCABULARY) / 1e9


def measure(
    upper_share: float, rows: list[tuple[str, str]], n_rounds: int, threads: int, quick: bool
) -> dict[str, Any]:
    from moorings.improve.train.sft import SftSettings

    settings = SftSettings(batch_size=8, upper_share=upper_share, max_length=256, precision="fp32", save_steps=1000)
    job = job_of(rows, Path("."), threads)
    arms = {"moorings": moorings_arm(job, settings), "trl tuned": trl_arm(job, settings, tuned=True)}
    if not quick:
        arms["trl defaults"] = trl_arm(job, settings, tuned=False)
    spent = {name: Spent() for name in arms}
    rates = []
    for number in range(n_rounds):
        rates.append(gemm_gflops(1024))
        # Each arm comes first in turn, so that none always finds the machine as the same other left it.
        for name in sorted(arms, key=lambda name: (list(arms).index(name) + number) % len(arms)):
            wall, cpu = arms[name]()
            spent[name].wall.append(wall)
            spent[name].cpu.append(cpu)
    found = encoded(job, settings)
    n_tokens = sum(row.n_tokens for row in found)
    clock = "cpu" if threads == 1 else "wall"
    taken = {name: getattr(times, clock) for name, times in spent.items()}
    ratios = {
        name: [theirs / ours for theirs, ours in zip(times, taken["moorings"], strict=True)]
        for name, times in taken.items()
        if name != "moorings"
    }
    work, limit = gflop(found, upper_share), statistics.median(rates) * threads
    result = {
        "upper_share": upper_share,
        "n_rows": len(found),
        "n_tokens": n_tokens,
        "n_learned": sum(row.n_learned for row in found),
        "clock": clock,
        "seconds": {name: times.__dict__ for name, times in spent.items()},
        "tokens_per_s": {name: n_tokens / statistics.median(times) for name, times in taken.items()},
        "ratios": ratios,
        "gemm_gflops": limit,
        "share_of_gemm": {name: work / statistics.median(times) / limit for name, times in taken.items()},
    }
    say(result)
    return result


def say(row: dict[str, Any]) -> None:
    speeds = ", ".join(f"{name} {rate:.1f}" for name, rate in row["tokens_per_s"].items())
    print(f"LoRA on the upper {row['upper_share']:.0%} of layers: tokens/s ({row['clock']} time): {speeds}")
    for name, values in row["ratios"].items():
        print(f"  ratio to {name}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    shares = ", ".join(f"{name} {share:.0%}" for name, share in row["share_of_gemm"].items())
    print(
        f"  needed arithmetic as a share of {row['gemm_gflops']:.0f} GFLOP/s of matrix products: {shares}", flush=True
    )


def supervision() -> dict[str, Any]:
    """Seconds of each phase of the demo, by round, and the share that is supervision; no answer comes from an older run."""
    from moorings.store import Run
    from moorings.subjects.model_cache import cache_dir
    from moorings.supervise.lineage import Lineage
    from moorings.supervise.supervisor import supervise

    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        (cache / "models").symlink_to(cache_dir() / "models")
        os.environ["MOORINGS_CACHE_DIR"] = str(cache)
        supervise(CHARTER, Path(folder) / "run")
        with Run.open(Path(folder) / "run") as run:
            rounds = Lineage(run).seconds()
    spent: dict[str, float] = {}
    for phases in rounds.values():
        for name, seconds in phases.items():
            kind = next((kind for kind in ("collect", "audit", "look", "compare") if name.startswith(kind)), None)
            kind = "train" if name == "train" else kind
            if kind:  # `train alone` is a part of `train`
                spent[kind] = spent.get(kind, 0.0) + seconds
    share = sum(spent.get(kind, 0.0) for kind in ("audit", "look", "compare")) / sum(spent.values())
    print("the demo's rounds: " + ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in spent.items()), flush=True)
    return {"share": share, "seconds": spent, "rounds": rounds}


def main() -> None:
    args = options(__doc__.splitlines()[0])
    import torch

    threads = torch.get_num_threads()
    n_rows, n_rounds, shares = (6, 2, (1.0,)) if args.quick else (16, 3, (1.0, 0.5))
    rows, source = pairs(n_rows)
    if args.quick:
        rows = [(prompt[:200], response[:200]) for prompt, response in rows]
    print(f"rows: {n_rows} of {source}; {threads} threads")
    found = [measure(share, rows, n_rounds, threads, args.quick) for share in shares]
    value = min(statistics.median(row["ratios"]["trl tuned"]) for row in found)
    bars = {"ratio to TRL": (value, ">=", BAR)}
    demo = None if args.quick else supervision()
    if demo:
        bars["supervision's share of a round"] = (demo["share"], "<=", MOST_SUPERVISION)
    finish("training_throughput", args, bars=bars, rows=found, texts=source, demo=demo)


if __name__ == "__main__":
    main()
