"""Texts a second of `embed_texts` against sentence-transformers' default `encode` (fp32, batches of 32), same texts, one run.

Two kinds of texts: openings of about 30 tokens and whole answers. They come from AlpacaEval outputs beside the checkout or
under MOORINGS_DATA, else they are generated with a similar spread of lengths. The arms alternate; the benchmark's figure is the
median over rounds of the ratio of times for all texts together, and each kind is reported as well: long ones gain less. Every
text's vector is compared with the fp32 one.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import finish, options

from moorings.subjects.bundled import fetch_model
from moorings.subjects.embedders import open_embedder

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BAR_SPEED, BAR_COSINE = 2.0, 0.995
D, WIDE, LAYERS = 384, 1536, 6
N_PARAMETERS = LAYERS * (4 * D * D + 2 * D * WIDE)
"""Without embeddings, norms and biases."""
WORDS = """
the a of to and in that is it for on with as was be by this from are or an which you not have will
can model answer harbour rope anchor tide question number time people work water city because
between another important example government history different usually however possible information
several experience temperature development
""".split()  # noqa: SIM905 - a list of one-word lines would fill a page


def answers(rng: random.Random) -> tuple[list[str], str]:
    """Different answers in random order, and where they come from."""
    files = sorted(DATA.glob("alpaca_eval_outputs/*.jsonl.gz"))
    if files:
        texts: set[str] = set()
        for path in files:
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                texts.update(json.loads(line)["response"] for line in stream)
        return rng.sample(sorted(texts), len(texts)), f"AlpacaEval outputs, {len(files)} files"
    lengths = [max(5, int(rng.lognormvariate(5.0, 0.9))) for _ in range(4000)]
    return [" ".join(rng.choices(WORDS, k=k)) for k in lengths], "generated words, log-normal lengths"


def rows(quick: bool) -> tuple[dict[str, list[str]], str]:
    """Texts of each row."""
    rng = random.Random(0)
    texts, source = answers(rng)
    n_short, n_long = (192, 48) if quick else (1536, 384)
    short = [" ".join(text.split()[: rng.randint(10, 34)]) for text in texts[n_long : n_long + n_short]]
    return {"short": short, "long": texts[:n_long]}, source


def gemm_gflops() -> float:
    """Best fp32 matrix product of this moment, all cores."""
    import torch

    a, b = torch.randn(2048, D * 2), torch.randn(D * 2, WIDE)
    best = min(seconds(lambda: a @ b) for _ in range(8))
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / best / 1e9


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gflop(n_tokens: list[int]) -> float:
    """Arithmetic of the texts without padding: two per parameter and token, and attention's two products."""
    return sum(2 * N_PARAMETERS * n + LAYERS * 4 * D * n * n for n in n_tokens) / 1e9


def measure(name: str, texts: list[str], reference: Any, embedder: Any, n_rounds: int) -> dict[str, Any]:
    arms = {"reference": lambda some: reference.encode(some, show_progress_bar=False), "moorings": embedder.embed_texts}
    times: dict[str, list[float]] = {arm: [] for arm in arms}
    vectors: dict[str, np.ndarray] = {}
    gemm = []
    for encode in arms.values():
        encode(texts[:32])
    for _ in range(n_rounds):
        gemm.append(gemm_gflops())
        for arm, encode in arms.items():
            times[arm].append(seconds(lambda arm=arm, encode=encode: vectors.update({arm: encode(texts)})))
    ratios = [a / b for a, b in zip(times["reference"], times["moorings"], strict=True)]
    cosines = (vectors["moorings"] * vectors["reference"]).sum(1)
    n_tokens = [len(ids) for ids in reference.tokenizer(texts, truncation=True, max_length=256)["input_ids"]]
    speed = {arm: len(texts) / statistics.median(values) for arm, values in times.items()}
    return {
        "row": name,
        "n_texts": len(texts),
        "tokens_mean": statistics.mean(n_tokens),
        "reference_texts_per_s": speed["reference"],
        "moorings_texts_per_s": speed["moorings"],
        "seconds": times,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "cosine_min": float(cosines.min()),
        "cosine_median": float(np.median(cosines)),
        "cosine_min_at_tokens": n_tokens[int(cosines.argmin())],
        "fp32_gemm_gflops": max(gemm),
        "gflops": {arm: gflop(n_tokens) / min(values) for arm, values in times.items()},
    }


def main() -> None:
    args = options(__doc__.splitlines()[0])
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(fetch_model("minilm", print)), device="cpu", local_files_only=True)
    embedder = open_embedder()
    texts, source = rows(args.quick)
    print(f"texts: {source}; engine: {embedder.describe().engine} ({embedder.describe().precision})")
    found = []
    for name, some in texts.items():
        row = measure(name, some, reference, embedder, n_rounds=3 if args.quick else 7)
        print(
            f"{name:5s} {row['n_texts']} texts of {row['tokens_mean']:.0f} tokens: sentence-transformers "
            f"{row['reference_texts_per_s']:.1f} texts/s, moorings {row['moorings_texts_per_s']:.1f} texts/s, ratio "
            f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f}), least cosine {row['cosine_min']:.5f} "
            f"(a text of {row['cosine_min_at_tokens']} tokens; median {row['cosine_median']:.5f})"
        )
        found.append(row)
    limit = max(row["fp32_gemm_gflops"] for row in found)
    print(
        f"limit: {limit:.0f} GFLOP/s in this machine's best fp32 matrix product of the run; int8 products can pass it"
    )
    for row in found:
        row["share_of_fp32_limit"] = {arm: rate / limit for arm, rate in row["gflops"].items()}
        reached = ", ".join(f"{arm} {share:.0%}" for arm, share in row["share_of_fp32_limit"].items())
        print(f"  share of it in the best round, {row['row']}: {reached}")
    rounds = [
        {arm: sum(row["seconds"][arm][i] for row in found) for arm in ("reference", "moorings")}
        for i in range(len(found[0]["seconds"]["moorings"]))
    ]
    value = statistics.median(spent["reference"] / spent["moorings"] for spent in rounds)
    cosine = min(row["cosine_min"] for row in found)
    finish(
        "embedding_throughput",
        args,
        bars={"texts/s ratio": (value, ">=", BAR_SPEED), "least cosine": (cosine, ">=", BAR_COSINE)},
        bar=BAR_SPEED,
        value=float(np.round(value, 4)),
        rows=found,
        texts=source,
        embedder=embedder.describe().__dict__,
    )


if __name__ == "__main__":
    main()
