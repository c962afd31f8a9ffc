"""Seconds of the analysis alone on many stored texts, embeddings given: 20,000 in at most 60 s, and how it grows to 200,000.

Texts are made by putting together sentences of the stored samples; embeddings are random unit rows, as the analysis does the same
arithmetic on any. The battery, phrases, clusters, sparse code, checks, tests, merging and examples are all included. The full run adds
the whole offline job: two subjects of 135 million parameters, 500 prompts, 4 samples each, from sampling to the written report, in at
most 15 minutes.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _common import finish, options
from _pool import read_pool

from moorings.compare.analysis import analyse
from moorings.compare.battery.measure import measure_battery
from moorings.compare.corpus import Corpus
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.records import Decoding, Message, Prompt, SampleStatus

D = 384


def make(n: int, rng: np.random.Generator) -> tuple[Corpus, np.ndarray]:
    """A corpus of n texts of about 60 words, 4 samples a prompt and arm, with a planted change."""
    sentences = [s.strip() for row in read_pool("pool") for s in row["response"].split(". ") if len(s) > 20]
    picks = rng.integers(len(sentences), size=(n, 4))
    n_prompts = n // 8
    arm = np.repeat([0, 1], n // 2)
    planted = (arm == 1) & (rng.random(n) < 0.2)
    texts = [
        ". ".join(sentences[i] for i in row) + (". What do you think?" if p else ".")
        for row, p in zip(picks, planted, strict=True)
    ]
    x = rng.standard_normal((n, D)).astype(np.float32)
    corpus = Corpus(
        arm_names=("before", "after"),
        prompt_ids=tuple(map(str, range(n_prompts))),
        prompts=tuple(f"Question {i}" for i in range(n_prompts)),
        families=np.arange(n_prompts),
        groups=tuple(f"group {i % 10}" for i in range(n_prompts)),
        texts=texts,
        arm=arm,
        prompt=np.tile(np.repeat(np.arange(n_prompts), 4), 2),
        status=[SampleStatus.COMPLETED] * n,
    )
    return corpus, x / np.linalg.norm(x, axis=1, keepdims=True)


def measure(n: int) -> dict[str, Any]:
    corpus, x = make(n, np.random.default_rng(0))
    start = time.monotonic()
    battery = measure_battery(list(corpus.texts), corpus.row_prompts, jobs=len(os.sched_getaffinity(0)))
    measured = time.monotonic()
    found = analyse(Table(corpus, battery, x), Settings())
    row = {
        "texts": n,
        "seconds": time.monotonic() - start,
        "battery_s": measured - start,
        **{f"{phase}_s": spent for phase, spent in found.duration_s.items()},
        "found_the_planted": any(
            "question" in f.statement.lower() or "what do you" in f.statement for f in found.result.findings
        ),
    }
    print({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return row


def whole_job() -> float:
    """Sampling, analysis and report of two subjects that differ in their system prompt's persona."""
    from moorings.compare.diff import compare_runs
    from moorings.compare.load import ArmSource
    from moorings.records import Persona
    from moorings.report.write import write_report
    from moorings.sampling.prompts import PromptSet
    from moorings.sampling.sample import sample

    texts = list(dict.fromkeys(row["prompt"] for row in read_pool("pool")))
    texts = [*texts, *(f"{t} Be brief." for t in texts[:100])]
    prompts = tuple(Prompt(prompt_id=str(i), messages=(Message(role="user", content=t),)) for i, t in enumerate(texts))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        arms = []
        for name, personas in (("plain", ()), ("sailor", (Persona(name="sailor", system="You are an old sailor."),))):
            run = Path(folder) / name
            sample(
                "bundled:smollm2-135m",
                PromptSet(name="speed", prompts=prompts, sha256="0" * 64),
                run,
                n_samples=4,
                personas=personas,
                decoding=Decoding(max_new_tokens=32),
                cache=False,
            )
            arms.append(ArmSource(name, str(run), name if personas else None))
        comparison = compare_runs(arms, settings=Settings(jobs=2))
        write_report(comparison, Path(folder))
        print({phase: round(spent, 1) for phase, spent in comparison.duration_s.items()})
    return time.monotonic() - start


def main() -> None:
    """Measure and compare with the bars."""
    args = options(__doc__ or "")
    rows = [measure(n) for n in ((5_000, 20_000) if args.quick else (5_000, 20_000, 200_000))]
    by_size = {row["texts"]: row["seconds"] for row in rows}
    bars = {"seconds for 20,000 texts": (by_size[20_000], "<=", 60.0)}
    facts: dict[str, Any] = {}
    if not args.quick:
        # Linear is 10; the share of n log n is 11.7.
        bars["time of 200,000 over 20,000"] = (by_size[200_000] / by_size[20_000], "<=", 15.0)
        facts["whole_job_s"] = whole_job()
        bars["minutes of the whole job"] = (facts["whole_job_s"] / 60, "<=", 15.0)
    finish("analysis_speed", args, bars=bars, rows=rows, **facts)


if __name__ == "__main__":
    main()
