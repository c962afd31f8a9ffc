"""Stored samples of the embedded model, measured once: where the benchmarks of the comparison start."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

from moorings.compare.battery import known_features
from moorings.compare.battery.measure import BatteryTable, measure_battery
from moorings.compare.corpus import Corpus
from moorings.compare.embed import embed_responses
from moorings.compare.predicate import Table
from moorings.records import SampleStatus
from moorings.subjects.bundled import cache_dir
from moorings.subjects.embedders import open_embedder

DATA = Path(__file__).parent / "data"


def read_pool(name: str) -> list[dict[str, str]]:
    """Rows of `benchmarks/data/NAME.jsonl.gz`: prompt, group, response; a prompt's rows are together."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def load_pool(name: str, n_prompts: int | None = None, n_samples: int | None = None) -> Table:
    """A one-armed table of the pool's first prompts and samples."""
    chosen, seen = [], dict[str, int]()
    for row in read_pool(name):
        seen[row["prompt"]] = seen.get(row["prompt"], 0) + 1
        if (n_prompts is None or len(seen) <= n_prompts) and (n_samples is None or seen[row["prompt"]] <= n_samples):
            chosen.append(row)
    return measured(one_arm(chosen))


def one_arm(rows: list[dict[str, str]]) -> Corpus:
    """Rows of prompt, group and response as a corpus of one arm."""
    groups = {row["prompt"]: row["group"] for row in rows}
    prompts = sorted(groups)
    at = {prompt: i for i, prompt in enumerate(prompts)}
    rows = sorted(rows, key=lambda row: at[row["prompt"]])
    return Corpus(
        arm_names=("pool",),
        prompt_ids=tuple(prompts),
        prompts=tuple(prompts),
        families=np.arange(len(prompts)),
        groups=tuple(groups[prompt] for prompt in prompts),
        texts=[row["response"] for row in rows],
        arm=np.zeros(len(rows), dtype=int),
        prompt=np.array([at[row["prompt"]] for row in rows]),
        status=[SampleStatus.COMPLETED] * len(rows),
    )


def measured(corpus: Corpus) -> Table:
    """Battery (kept from earlier runs) and embeddings (kept by text)."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    embeddings = embed_responses(corpus.texts, open_embedder(), cache=cache / "embeddings.sqlite")
    return Table(corpus, _battery(corpus, cache), embeddings)


def _battery(corpus: Corpus, cache: Path) -> BatteryTable:
    known = known_features()
    key = hashlib.sha256(
        json.dumps([[f.feature.name for f in known], list(corpus.texts), corpus.row_prompts]).encode()
    ).hexdigest()[:16]
    file = cache / f"benchmark-battery-{key}.npy"
    if file.exists():
        return BatteryTable(tuple(f.feature for f in known), np.load(file, allow_pickle=False))
    table = measure_battery(list(corpus.texts), corpus.row_prompts, jobs=2)
    np.save(file, table.values)
    return table
