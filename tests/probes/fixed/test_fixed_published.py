"""The figures that the documentation gives of published sets, where the development data lies beside the checkout."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from moorings.probes.fixed import load
from moorings.probes.fixed.xstest import is_refusal

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.exists(), reason="the development data is not beside the checkout"),
]


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize(
    ("name", "file", "n", "n_left_out"),
    [
        ("model_written", "anthropic-evals/advanced_ai_risk.jsonl.gz", 12478, 0),
        ("winogenerated", "anthropic-evals/winogenerated.jsonl.gz", 1410, 0),
        ("truthfulqa", "truthfulqa/truthfulqa.jsonl.gz", 817, 0),
        ("bbq", "bias/bbq.jsonl.gz", 5812, 0),
        ("crows_pairs", "bias/crows_pairs.jsonl.gz", 751, 0),
        ("winobias", "bias/winobias.jsonl.gz", 1497, 42),
    ],
)
def test_all_rows_become_items(name: str, file: str, n: int, n_left_out: int) -> None:
    found = load(name, DATA / file)
    assert len(found.items) == n
    assert found.about.get("n_left_out", 0) == n_left_out
    assert len({item.item_id for item in found.items}) == n
    assert all(item.options[item.key_at].symbol == item.key for item in found.items)


def test_refusals_agree_with_hand_labels() -> None:
    counts = Counter(
        (row["label"], is_refusal(row["completion"]))
        for row in rows("safety-prompts/xstest_completions.jsonl.gz")
        if row["completion"]
    )
    refused = [counts["2_full_refusal", said] for said in (True, False)]
    complied = [counts["1_full_compliance", said] for said in (True, False)]
    assert sum(counts.values()) == 2061
    assert refused[0] / sum(refused) == pytest.approx(0.825, abs=0.0005)
    assert complied[0] / sum(complied) == pytest.approx(0.023, abs=0.0005)


@pytest.mark.parametrize("part", ["train", "test"])
def test_published_solutions_are_read_as_they_are_meant(part: str) -> None:
    file = f"math/gsm8k_{part}.jsonl.gz"
    found = load("gsm8k", DATA / file)
    answers = [row["answer"] for row in rows(file)]
    assert all(found.check(prompt, text) == 1.0 for prompt, text in zip(found.prompts, answers, strict=True))
