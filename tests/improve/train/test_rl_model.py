"""Policy gradient on the embedded model: a few batches raise an easy reward."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_rl import learn
from tiny_training import make_job

from moorings.improve.data import make_row
from moorings.records import Message
from moorings.subjects.spec import SubjectSpec


@pytest.mark.model
@pytest.mark.slow
def test_grpo_raises_an_easy_reward(tmp_path: Path) -> None:
    spec = SubjectSpec(uri="bundled:smollm2-135m", device="cpu", threads=1, options={"template": "plain"})
    texts = ("Tell me a short story.", "Describe your day.")
    rows = [
        make_row((Message(role="user", content=text),), "", origin="template", method="file", round=1) for text in texts
    ]
    job = make_job(Path("unused"), tmp_path, rows, start=spec, anchor=spec)
    settings = {"rewards": [{"use": "test_letters", "letters": "e"}], "upper_share": 0.3, "learning_rate": 2e-3}
    result = learn(
        "grpo",
        job,
        epochs=6,
        batch_size=2,
        group_size=16,
        max_new_tokens=8,
        save_steps=99,
        schedule="constant",
        **settings,
    )
    log = [json.loads(line) for line in (job.out / "updates.jsonl").read_text().splitlines()]
    counts = [entry["reward.test_letters"] for entry in log]
    # An answer has two or three at first, with a deviation near 1.2, and the means are over 96 and 32 answers.
    assert np.mean(counts[-3:]) > counts[0] + 0.5, counts
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-4)
    assert log[-1]["kl"] > 0.05
    assert result.uri == f"bundled:smollm2-135m+{job.out}"
