"""Generated tokens a second of `moorings sample` against transformers' batched `generate` and a bare CTranslate2 loop.

Same weights, prompts and lengths (every answer has exactly the same number of tokens), one process, arms interleaved; the figure
is the median of the rounds' ratios. transformers runs at its best batch size and precision found beforehand in the same run.
A second table shows what sharing a long prompt's prefix among several samples brings.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _common import finish, options

N_PARAMETERS = 134.5e6


def chat_tokens(tokenizer, prompts: list[str]) -> list[list[int]]:
    return [
        tokenizer.apply_chat_template([{"role": "user", "content": p}], add_generation_prompt=True)["input_ids"]
        for p in prompts
    ]


class Transformers:
    """The obvious way: left-padded batches through `generate`."""

    def __init__(self, folder: Path, precision: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)

    def run(self, prompts: list[str], n_tokens: int, batch_size: int) -> float:
        """Seconds for all prompts."""
        start = time.perf_counter()
        ordered = sorted(chat_tokens(self.tokenizer, prompts), key=len)
        for at in range(0, len(ordered), batch_size):
            batch = self.tokenizer.pad({"input_ids": ordered[at : at + batch_size]}, return_tensors="pt")
            with self.torch.inference_mode():
                out = self.model.generate(
                    **batch, max_new_tokens=n_tokens, min_new_tokens=n_tokens, do_sample=True, temperature=1.0, top_k=0
                )
            self.tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :])
        return time.perf_counter() - start


class BareCTranslate2:
    """A loop over `generate_batch` with the same workers and the same sub-batches, and nothing else."""

    def __init__(self, folder: Path, tokenizer, workers: int) -> None:
        import ctranslate2

        self.tokenizer, self.workers = tokenizer, workers
        self.generator = ctranslate2.Generator(
            str(folder), device="cpu", compute_type="int8", inter_threads=workers, intra_threads=1
        )

    def run(self, prompts: list[str], n_tokens: int, batch_size: int) -> float:
        """Seconds for all prompts."""
        start = time.perf_counter()
        tokens = [self.tokenizer.convert_ids_to_tokens(ids) for ids in chat_tokens(self.tokenizer, prompts)]
        results = self.generator.generate_batch(
            tokens,
            max_batch_size=batch_size // self.workers,
            max_length=n_tokens,
            min_length=n_tokens,
            sampling_temperature=1.0,
            sampling_topk=0,
            end_token="<|im_end|>",
            include_prompt_in_result=False,
        )
        assert all(len(r.sequences_ids[0]) == n_tokens for r in results)
        self.tokenizer.batch_decode([r.sequences_ids[0] for r in results])
        return time.perf_counter() - start


def moorings_run(subject, prompts: list[str], n_tokens: int, n_samples: int = 1) -> float:
    """Seconds of the whole of `moorings sample` on a loaded model, as the others: planning, drawing, storing, sealing."""
    from moorings.records import Decoding, Message, Prompt
    from moorings.sampling.prompts import PromptSet
    from moorings.sampling.sample import sample

    made = PromptSet(
        name="benchmark",
        prompts=tuple(
            Prompt(prompt_id=str(i), messages=(Message(role="user", content=p),)) for i, p in enumerate(prompts)
        ),
        sha256="0" * 64,
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = sample(
            subject,
            made,
            Path(folder) / "run",
            n_samples=n_samples,
            decoding=Decoding(max_new_tokens=n_tokens, min_new_tokens=n_tokens),
            cache=False,
        )
        spent = time.perf_counter() - start
    assert result.n_output_tokens == len(prompts) * n_samples * n_tokens
    return spent


def limits(n_threads: int) -> dict[str, float]:
    """What the machine can do: fp32 matrix products and memory reads, all cores."""
    import numpy as np
    import torch

    torch.set_num_threads(n_threads)
    a = torch.randn(1024, 1024)
    best = min(_timed(lambda: a @ a) for _ in range(10))
    block = np.ones(64 * 2**20, dtype=np.float32)
    read = min(_timed(block.sum) for _ in range(3))
    return {"gemm_fp32_gflops": 2 * 1024**3 / best / 1e9, "read_gb_s_one_thread": block.nbytes / read / 1e9}


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def quick_search() -> list[tuple[str, int]]:
    """Only the settings that can win: bf16 loses fourfold on processors that have no instructions for it."""
    native = any(flag in Path("/proc/cpuinfo").read_text() for flag in ("avx512_bf16", "amx_bf16"))
    return [("fp32", 64), ("bf16", 64)] if native else [("fp32", 64)]


def prompts_of(n: int) -> list[str]:
    from moorings.sampling.prompts import load_prompts

    base = [
        p.messages[-1].content
        for p in load_prompts(Path(__file__).parent.parent / "examples" / "prompts.jsonl").prompts
    ]
    return [base[i % len(base)] + (f" ({i})" if i >= len(base) else "") for i in range(n)]


def main() -> None:
    """Measure and compare with the bars."""
    args = options(__doc__ or "")
    from moorings.subjects.bundled import model_path
    from moorings.subjects.spec import open_subject

    n_threads = len(os.sched_getaffinity(0))
    folder = model_path("smollm2-135m")
    n_prompts, n_tokens, rounds = (64, 24, 1) if args.quick else (128, 64, 3)
    prompts = prompts_of(n_prompts)
    machine_limits = limits(n_threads)
    search = quick_search() if args.quick else [(p, b) for p in ("fp32", "bf16") for b in (16, 32, 64, 128)]
    models = {precision: Transformers(folder, precision) for precision in {p for p, _ in search}}
    n_probe = 16
    found = {
        f"{p} batch {b}": b * n_probe / models[p].run(prompts[:b], n_probe, b) if len(search) > 1 else 0.0
        for p, b in search
    }
    best = max(found, key=found.__getitem__)
    best_precision, best_batch = best.split()[0], int(best.split()[2])
    subject = open_subject("bundled:smollm2-135m")
    info = subject.describe()
    bare = BareCTranslate2(subject._converted(), models[best_precision].tokenizer, info.workers)
    moorings_run(subject, prompts[:8], 2)
    total = n_prompts * n_tokens
    rates: dict[str, list[float]] = {"moorings": [], "transformers": [], "ctranslate2": []}
    for _ in range(rounds):
        rates["moorings"].append(total / moorings_run(subject, prompts, n_tokens))
        rates["ctranslate2"].append(total / bare.run(prompts, n_tokens, info.batch_size))
        rates["transformers"].append(total / models[best_precision].run(prompts, n_tokens, best_batch))
        print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    ratio = {
        k: [a / b for a, b in zip(rates["moorings"], rates[k], strict=True)] for k in ("transformers", "ctranslate2")
    }
    prefix = {} if args.quick else prefix_sharing(subject)
    flops = 2 * N_PARAMETERS * statistics.median(rates["moorings"]) / 1e9
    share = flops / machine_limits["gemm_fp32_gflops"]
    print(
        f"best transformers setting: {best}; moorings: {info.engine} {info.precision}, batch {info.batch_size}, {info.workers} workers"
    )
    print(
        f"arithmetic at that rate: {flops:.0f} GFLOP/s, {share:.0%} of this machine's fp32 matrix product rate {machine_limits['gemm_fp32_gflops']:.0f} GFLOP/s"
    )
    finish(
        "sampling_throughput",
        args,
        bars={
            "ratio to transformers": (statistics.median(ratio["transformers"]), ">=", 1.8),
            "ratio to bare CTranslate2": (statistics.median(ratio["ctranslate2"]), ">=", 0.9),
        },
        tokens_per_s=rates,
        ratios=ratio,
        transformers_settings=found,
        best_transformers=best,
        prefix_sharing=prefix,
        limits={**machine_limits, "gflops_reached": flops, "share_of_fp32_gemm": share},
        n_prompts=n_prompts,
        n_tokens=n_tokens,
    )


def prefix_sharing(subject) -> dict[str, float]:
    """Eight samples of long prompts: drawn together, and as if each were a prompt of its own."""
    long = [p + " " + "Think about the following background first. " * 30 for p in prompts_of(16)]
    together = 16 * 8 * 16 / moorings_run(subject, long, 16, n_samples=8)
    apart = 16 * 8 * 16 / moorings_run(subject, [f"{p} {i}" for p in long for i in range(8)], 16)
    print(
        f"8 samples of prompts of about 230 tokens: {together:.0f} tokens/s sharing the prefix, {apart:.0f} without ({together / apart:.2f}x)"
    )
    return {"together": together, "apart": apart, "ratio": together / apart}


if __name__ == "__main__":
    main()
