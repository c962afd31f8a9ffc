"""Sample the embedded model once, so that the benchmarks of the comparison start from stored responses.

Writes `benchmarks/data/pool.jsonl.gz` (400 prompts, 6 samples each at temperature 1) and `benchmarks/data/pool_cold.jsonl.gz` (100 of
the prompts, 6 samples each at temperature 0.2, where many responses are equal). Both are recorded responses as `recorded:FILE` reads
them. Prompts are 40 topics in 10 forms; the form is the group.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

from moorings.records import Decoding, Message, Prompt
from moorings.sampling.prompts import PromptSet
from moorings.sampling.sample import sample
from moorings.store import Run

DATA = Path(__file__).parent / "data"
TOPICS = (
    "coffee",
    "glaciers",
    "bicycles",
    "honey bees",
    "the printing press",
    "public libraries",
    "lighthouses",
    "compound interest",
    "chess",
    "vaccines",
    "olive oil",
    "earthquakes",
    "jazz",
    "the night sky",
    "recycling",
    "sleep",
    "bridges",
    "volcanoes",
    "tea",
    "maps",
    "wool",
    "solar panels",
    "migration of birds",
    "bread",
    "the metric system",
    "gardens",
    "trains",
    "rivers",
    "clocks",
    "mushrooms",
    "photography",
    "languages",
    "submarines",
    "rice farming",
    "paper",
    "friendship",
    "running",
    "deserts",
    "museums",
    "weather forecasts",
)
FORMS = {
    "explain": "Explain {} to someone who has never heard of it.",
    "story": "Write the opening of a short story about {}.",
    "advice": "I want to learn more about {}. What should I do first?",
    "list": "List three surprising facts about {}.",
    "opinion": "What do you think about {}?",
    "compare": "How are {} different today from a hundred years ago?",
    "problem": "What problems can come up with {}, and how are they solved?",
    "letter": "Write a short letter to a friend about {}.",
    "question": "Why do people care about {}?",
    "speech": "Write the first lines of a speech about {} for a school assembly.",
}


def main() -> None:
    """Sample both pools; a run that was stopped goes on when its folder is named."""
    work = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    prompts = [
        Prompt(prompt_id=f"{form}/{topic}", group=form, messages=(Message(role="user", content=text.format(topic)),))
        for topic in TOPICS
        for form, text in FORMS.items()
    ]
    make(prompts, 1.0, work / "warm", DATA / "pool.jsonl.gz")
    make(prompts[:100], 0.2, work / "cold", DATA / "pool_cold.jsonl.gz")


def make(prompts: list[Prompt], temperature: float, run: Path, file: Path) -> None:
    """Sample one pool and write it."""
    decoding = Decoding(max_new_tokens=48, temperature=temperature)
    made = PromptSet(name="pool", prompts=tuple(prompts), sha256="0" * 64)
    sample("bundled:smollm2-135m", made, run, n_samples=6, decoding=decoding, seed=1, progress=True)
    with Run.open(run) as store:
        rows = sorted(store.interactions(), key=lambda row: (row.prompt_id, row.index))
    lines = [
        json.dumps(
            {"prompt": row.messages[0].content, "group": row.group, "response": row.response}, ensure_ascii=False
        )
        for row in rows
    ]
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
        packed.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
