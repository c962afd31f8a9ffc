"""The example charter can run, its files keep training, trainer's probes and gate apart, and they are what the script makes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from moorings.charter import load_charter
from moorings.improve.train.alternate import AlternateConfig
from moorings.store import Run
from moorings.supervise.lineage import Lineage
from moorings.supervise.plan import make_plan
from moorings.supervise.supervisor import supervise

EXAMPLES = Path(__file__).parents[2] / "examples"
CHARTER = EXAMPLES / "competence_conformity.yaml"
FILES = EXAMPLES / "competence_conformity"
KINDS = ("competence", "conformity")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_competence_conformity", EXAMPLES / f"make_{FILES.name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FILES / name).read_text("utf-8").splitlines()]


def test_the_charter_makes_a_plan_that_watches_both() -> None:
    plan = make_plan(load_charter(CHARTER), EXAMPLES)
    assert {one.name for one in plan.watched} >= {"admits what it cannot know", "last word"}
    assert plan.section.rounds == 4
    assert plan.section.train is not None
    settings = AlternateConfig.model_validate(plan.section.train.settings)
    # A half-step of each kind finds rows.
    assert set(settings.conformity_methods) < {use.use for use in plan.section.data}


def test_the_files_are_what_the_script_makes() -> None:
    made = script().files()
    assert {path.name for path in FILES.iterdir()} == set(made)
    for name, expected in made.items():
        assert rows(name) == expected


def test_no_question_stands_in_two_files() -> None:
    asked = {path.name: [row["prompt"] for row in rows(path.name)] for path in FILES.iterdir()}
    every = [prompt for prompts in asked.values() for prompt in prompts]
    assert len(every) == len(set(every))


def test_phrases_of_the_charter_are_those_of_the_probe() -> None:
    said = yaml.safe_load(CHARTER.read_text("utf-8"))["unchanged"][0]["phrases"]
    assert said == list(script().ADMITS) == rows("conformity_probe.jsonl")[0]["answer"]
    assert all(any(phrase in row["response"] for phrase in said) for row in rows("conformity.jsonl"))


@pytest.mark.slow
@pytest.mark.model
def test_a_tiny_round_trains_both_and_is_judged(tmp_path: Path) -> None:
    charter = yaml.safe_load(CHARTER.read_text("utf-8"))
    run = charter["run"]
    run["rounds"] = 1
    run["gate_prompts"] = str(FILES / "gate_prompts.jsonl")
    run["data"][0].update(path=str(FILES / "competence.jsonl"), n_rows=4)
    run["data"][1]["path"] = str(FILES / "conformity.jsonl")
    # CTranslate2 would convert each half-step's model.
    run["sampler"] = {"engine": "transformers", "device": "cpu", "threads": 1}
    for kind in KINDS:
        run["train"][kind].update(epochs=1, batch_size=4)
        run["train"][f"{kind}_probe"].update(prompts=str(FILES / f"{kind}_probe.jsonl"), n_prompts=4, max_new_tokens=6)
    run["train"]["undo"] = False
    run["monitors"][0].update(file=str(FILES / "competence_gate.jsonl"), max_new_tokens=6, tolerance=0.2)
    charter["unchanged"][0]["tolerance"] = 0.2
    charter["forbidden"] = []
    # The smallest looks that a plan with loose errors allows.
    run["gate"].update(alpha=0.49, promote_alpha=0.49, look=12, budget=12, compare=False)
    run["gate"]["decoding"] = {"max_new_tokens": 6, "temperature": 0.0}
    path = tmp_path / "charter.yaml"
    path.write_text(yaml.safe_dump(charter), "utf-8")
    state = supervise(path, tmp_path / "run")
    assert state.status != "failed", state.why
    with Run.open(tmp_path / "run") as opened:
        trained = Lineage(opened).get("1.0 trained")
    assert trained is not None
    measured = [trained["metrics"][f"{name} after {when}"] for name in "KF" for when in KINDS]
    assert all(0 <= value <= 1 for value in measured)
    assert trained["n_steps"] == 2
