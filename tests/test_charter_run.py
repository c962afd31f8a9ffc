"""The charter's section `run`: what it takes, what it refuses, and what each try of a round is made with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from moorings.charter import load_charter
from moorings.charter_run import GatePlan, RunSection, Use
from moorings.errors import InputError

SECTION = {
    "subject": "simulated:m",
    "rounds": 4,
    "data": [{"use": "self_distillation", "n_prompts": 12}],
    "train": {"use": "simulated", "rate": 0.5},
    "defences": [{"use": "ewc"}],
    "changes": [{"round": 2, "train": {"use": "simulated", "rate": 1.0}}, {"round": 3, "defences": []}],
    "retry": {"data": [{"use": "file", "path": "human.jsonl"}]},
}


def _load(tmp_path: Path, **run: object) -> RunSection:
    path = tmp_path / "charter.yaml"
    path.write_text(yaml.safe_dump({"title": "t", "purpose": "p", "run": {**SECTION, **run}}))
    section = load_charter(path).run
    assert section is not None
    return section


def test_each_try_has_its_methods(tmp_path: Path) -> None:
    section = _load(tmp_path)
    own = (section.data, section.train, section.defences)
    assert section.at(1, 0) == own
    data, train, defences = section.at(2, 0)
    assert (data, defences) == (section.data, section.defences)
    assert train is not None
    assert train.settings == {"rate": 1.0}
    assert section.at(3, 0)[2] == ()
    # A try that broke is made again as the round's own methods say, and one that was rolled back as `retry` says.
    assert section.at(2, 1) == own
    data, train, _ = section.at(2, 1, rolled_back=True)
    assert data[0].settings == {"path": "human.jsonl"}
    assert train == section.train
    assert _load(tmp_path, retry=None).at(2, 1, rolled_back=True) == own


def test_lists_that_are_left_empty_are_empty(tmp_path: Path) -> None:
    section = _load(tmp_path, data=None, defences=None, changes=None, monitors=None)
    assert (section.data, section.defences, section.changes, section.monitors) == ((), (), (), ())


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": "smollm"}, "is not a subject URI"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": 3.0}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"seed": -1}, "seed"),
        ({"audit": "ignore"}, "audit"),
        ({"data": [{"n": 3}]}, "use"),
        ({"data": {"use": "file"}}, "data"),
        ({"train": "sft"}, "train"),
        ({"monitors": [{"use": "forgetting"}]}, "tolerance"),
        ({"monitors": [{"use": "forgetting", "tolerance": 0}]}, "tolerance"),
        ({"monitors": [{"use": "forgetting", "tolerance": float("nan")}]}, "tolerance"),
        ({"retry": {"data": []}}, "retry"),
        ({"retry": {"rounds": 2}}, "rounds"),
        ({"changes": [{"train": {"use": "sft"}}]}, "round"),
        ({"changes": [{"round": 5}]}, "changes name round 5, but there are 4"),
        ({"changes": [{"round": 2}, {"round": 2}]}, "twice"),
        ({"gate": {"alpha": 0.5}}, "alpha"),
        ({"gate": {"promote_alpha": 0}}, "promote_alpha"),
        ({"gate": {"look": 4}}, "look"),
        ({"gate": {"retries": 21}}, "retries"),
        ({"gate": {"unlisted": "ask"}}, "unlisted"),
        ({"gate": {"unknown_share": 1}}, "unknown_share"),
        ({"gate": {"on_stop": "retry"}}, "on_stop"),
        ({"gate": {"spent": -1}}, "spent"),
        ({"gate": {"decoding": {"max_tokens": 3}}}, "max_tokens"),
        ({"gte": {}}, "did you mean"),
    ],
)
def test_a_mistake_is_refused_with_its_place(run: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _load(tmp_path, **run)
    assert words in str(caught.value)
    assert "charter.yaml" in str(caught.value)


def test_a_use_keeps_its_settings_apart_from_its_name() -> None:
    use = Use(use="sft", epochs=2, **{"lr": {"peak": 1e-4}})
    assert (use.use, use.settings) == ("sft", {"epochs": 2, "lr": {"peak": 1e-4}})
    with pytest.raises(ValidationError):
        use.use = "dpo"  # type: ignore[misc]
    assert Use.model_validate(use.model_dump()) == use


def test_defaults_are_those_of_the_docs() -> None:
    gate = GatePlan()
    assert (gate.alpha, gate.promote_alpha, gate.look, gate.budget, gate.spent) == (0.05, 0.05, 64, 1024, 0)
    assert (gate.on_stop, gate.retries, gate.discover, gate.unlisted) == ("rollback", 1, True, "hold")


@given(round=st.integers(1, 4), attempt=st.integers(0, 3), rolled_back=st.booleans())
def test_every_try_has_data_and_a_trainer(round: int, attempt: int, rolled_back: bool) -> None:
    data, train, _ = RunSection.model_validate(SECTION, strict=False).at(round, attempt, rolled_back=rolled_back)
    assert data
    assert train is not None
