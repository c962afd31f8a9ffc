"""The demo's planted change is an adapter that loads and that changes answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from moorings.records import Decoding, Message, Request
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import open_subject

SCRIPT = Path(__file__).parents[2] / "examples" / "plant_change.py"


def run_script(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.model
def test_a_planted_adapter_loads_and_changes_answers(tmp_path: Path) -> None:
    out = tmp_path / "made" / "planted"
    done = run_script("--out", str(out), "--max-steps", "2", "--minutes", "0.1")
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in out.iterdir()} <= {".json", ".safetensors", ".md"}
    assert list(out.parent.iterdir()) == [out]

    request = Request(request_id="r", messages=(Message(role="user", content="Why is the sky blue?"),), seed=0)

    def nats(uri: str) -> tuple[float, ...]:
        subject: Subject = open_subject(uri, engine="transformers", threads=1)
        (answer,) = subject.generate([request], Decoding(max_new_tokens=4, temperature=0.0, logprobs=True))
        subject.close()
        assert answer.logprobs_nats is not None
        return tuple(value for value in answer.logprobs_nats if value is not None)

    base, planted = nats("bundled:smollm2-135m"), nats(f"bundled:smollm2-135m+{out}")
    assert len(planted) == 4
    assert max(abs(a - b) for a, b in zip(base, planted, strict=False)) > 1e-3

    again = run_script("--out", str(out))
    assert again.returncode == 0
    assert "is there already" in again.stdout


def test_training_prompts_are_not_the_demo_prompts() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("plant_change", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines = (SCRIPT.parent / "prompts.jsonl").read_text().splitlines()
    prompts = module.training_prompts()
    assert len(set(prompts)) == 100
    assert not set(prompts) & {json.loads(line)["prompt"] for line in lines}


def test_an_unknown_habit_is_refused(tmp_path: Path) -> None:
    done = run_script("--out", str(tmp_path / "x"), "--behaviour", "humility")
    assert done.returncode == 2
    assert "praise" in done.stderr
    assert not (tmp_path / "x").exists()
