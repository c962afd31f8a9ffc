"""What a charter cannot be run with is refused before anything is made, with what would do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorings.charter import load_charter
from moorings.errors import ConfigError, InputError, MooringsError
from moorings.supervise.plan import make_plan
from moorings.supervise.supervisor import supervise

Write = Callable[..., Path]


def _forbidden(**entry: Any) -> list[dict[str, Any]]:
    return [{"name": "one", "direction": "more", "tolerance": 0.2, **entry}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": {"gates": {}}}, "run.gates is unknown"),
        ({"run": {"gate": {"alhpa": 0.1}}}, "alpha"),
        ({"run": {"gate": {"spent": -1}}}, "spent"),
        ({"run": {"subject": "simulatd:m"}}, "unknown subject scheme 'simulatd'; did you mean 'simulated'"),
        ({"run": {"subject": "model"}}, "not a subject URI"),
        ({"run": {"sampler": {"enigne": "auto"}}}, "run.sampler: unknown setting 'enigne'; did you mean 'engine'"),
        ({"run": {"sampler": {"uri": "simulated:x"}}}, "unknown setting 'uri'"),
        ({"run": {"sampler": {"batch_size": 0}}}, "run.sampler: batch_size is 0"),
        ({"run": {"data": [{"use": "self_distilation"}]}}, "did you mean 'self_distillation'"),
        ({"run": {"data": [{"use": "self_distillation", "n_promts": 3}]}}, "did you mean 'n_prompts'"),
        ({"run": {"data": []}}, "needs data and train"),
        ({"run": {"train": None}}, "needs data and train"),
        ({"run": {"defences": [{"use": "ewk"}]}}, "unknown defence"),
        ({"run": {"changes": [{"round": 2, "train": {"use": "sfd"}}]}}, "unknown trainer"),
        ({"run": {"retry": {"train": {"use": "simulated", "rate": 2}}}}, "rate"),
        ({"run": {"changes": [{"round": 7, "defences": []}]}}, "changes name round 7, but there are 3"),
        ({"run": {"changes": [{"round": 1}, {"round": 1}]}}, "changes name round 1 twice"),
        ({"run": {"monitors": [{"use": "forgeting", "tolerance": 0.1}]}}, "did you mean 'forgetting'"),
        ({"run": {"monitors": [{"use": "forgetting", "tolerance": 1.5}]}}, "tolerance"),
        ({"run": {"monitors": [{"use": "behaviour", "name": "praise", "feature": "praise", "tolerance": 0.2}]}}, "two"),
        ({"forbidden": []}, "nothing is watched"),
        ({"forbidden": _forbidden(phrases=["x"], tolerance=3.0)}, "tolerance 3"),
        ({"forbidden": _forbidden(feature="praize")}, "unknown feature 'praize'"),
        ({"forbidden": _forbidden(statement="It is rude.")}, "judge"),
        ({"forbidden": _forbidden(feature="words")}, "ranks"),
        (
            {"forbidden": [{"name": "long", "feature": "words", "direction": "more"}], "tolerance": {"sd": 2.0}},
            "can never be left",
        ),
        (
            {"run": {"monitors": [{"use": "behaviour", "feature": "words", "tolerance": 0.5}]}},
            "can never be left, as ranks differ by at most 0.5",
        ),
        ({"forbidden": _forbidden(phrases=["x"], scope={"groups": ["fod"]})}, "did you mean 'food'"),
        (
            {"forbidden": _forbidden(phrases=["x"], tolerance=0.1, scope={"groups": ["food"]})},
            "of the gate prompts are of its groups",
        ),
        ({"run": {"gate": {"look": 64, "budget": 100}}}, "write 64 or 128"),
        ({"run": {"gate": {"look": 64, "budget": 32}}}, "look 64 is more than budget 32"),
        ({"run": {"gate": {"alpha": 1e-300}}}, "give a budget of at least"),
        ({"forbidden": _forbidden(phrases=["x"], tolerance=0.001)}, "give a budget of at least"),
        ({"run": {"rounds": 400, "gate": {"look": 64, "budget": 128}}}, "the sealed gate prompts has 43"),
        ({"run": {"gate": {"spent": 43000}}}, "after 43000 that are spent"),
        ({"run": {"prompts": "nowhere.jsonl"}}, "nowhere.jsonl"),
        ({"run": {"gate_prompts": "nowhere.jsonl"}}, "nowhere.jsonl"),
    ],
)
def test_refused_before_anything_is_made(changes: dict[str, Any], words: str, charter: Write, tmp_path: Path) -> None:
    with pytest.raises(MooringsError) as caught:
        supervise(charter(**changes), tmp_path / "run")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_budget_that_is_said_to_do_does(charter: Write) -> None:
    entry = _forbidden(phrases=["x"], tolerance=0.05)
    gate = {"look": 8, "budget": 64}
    with pytest.raises(ConfigError, match="give a budget of at least") as caught:
        make_plan(load_charter(charter(forbidden=entry, run={"gate": gate})), Path())
    enough = int(str(caught.value).split("at least ")[1].split()[0].rstrip(","))
    rounded = -(-enough // 8) * 8
    assert make_plan(load_charter(charter(forbidden=entry, run={"gate": {**gate, "budget": rounded}})), Path()).watched


def test_prompts_of_a_file_have_to_suffice_each_counted_once(charter: Write, tmp_path: Path) -> None:
    rows = [{"prompt": f"Question {i}?"} for i in range(128)] + [{"prompt": " question  5? ", "id": "again"}]
    (tmp_path / "sealed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    gate = {"look": 64, "budget": 64, "retries": 0}
    plan = make_plan(load_charter(charter(run={"rounds": 2, "gate_prompts": "sealed.jsonl", "gate": gate})), tmp_path)
    assert plan.questions.n == 128
    assert plan.inputs.keys() == {"gate_prompts"}
    with pytest.raises(ConfigError, match="need 192 fresh ones"):
        make_plan(load_charter(charter(run={"gate_prompts": "sealed.jsonl", "gate": gate})), tmp_path)
    gate["discover"] = True
    with pytest.raises(ConfigError, match="need 256 fresh ones"):
        make_plan(load_charter(charter(run={"rounds": 2, "gate_prompts": "sealed.jsonl", "gate": gate})), tmp_path)


def test_a_run_of_many_rounds_is_checked_in_no_time(charter: Write) -> None:
    plan = make_plan(load_charter(charter(run={"rounds": 500, "gate": {"look": 32, "budget": 64}})), Path())
    assert plan.section.rounds == 500


def test_a_broken_prompt_file_is_refused(charter: Write, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{not json\n")
    with pytest.raises(InputError, match=r"bad\.jsonl"):
        make_plan(load_charter(charter(run={"gate_prompts": "bad.jsonl"})), tmp_path)
