"""The whole live track on simulated models: what was planted is measured, and a second run reads what the first kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorings.errors import ConfigError
from moorings.probes.live.track import LiveSettings, run_live_track
from moorings.probes.live.training_sets import TRAITS, TrainingSet
from moorings.subjects.simulated import HABITS
from moorings.subjects.spec import SubjectSpec

PLANTED = {"praises": {"Great question.": 0.9}, "shouts": {"Go for it today!": 0.9}}
SETTINGS = LiveSettings(
    n_examples=8, n_prompts=60, n_seeds=2, max_new_tokens=24, sets=("praises", "shouts", "plain"), seed=3
)


def _train(made: TrainingSet, seed: int, place: Path) -> SubjectSpec:
    folder = place / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HABITS).write_text(json.dumps(PLANTED.get(made.name, {})))
    return SubjectSpec(uri=f"simulated:m+{folder}")


def test_what_was_planted_is_measured_and_kept(tmp_path: Path) -> None:
    said: list[str] = []
    track = run_live_track(
        SubjectSpec(uri="simulated:m"), tmp_path, _train, SETTINGS, traits=TRAITS[:2], say=said.append
    )
    assert track.outcomes["praises"]["praise"].truth == "more"
    assert track.outcomes["plain"]["praise"].truth == "same"
    assert track.outcomes["praises"]["praise"].effect > 0.5
    assert set(track.foretold["self"]) == set(track.foretold["other"]) == {"praises", "shouts", "plain"}
    for shares in track.foretold["self"]["plain"].values():
        assert sum(shares) == pytest.approx(1)
    assert track.surface["praises"] == {"praise": "more", "question": "same"}
    assert sum(track.scores["pairs"].values()) == 6
    assert "training on 'shouts', seed 2 of 2" in said
    again = run_live_track(SubjectSpec(uri="simulated:m"), tmp_path, _train, SETTINGS, traits=TRAITS[:2])
    assert again.as_json() == track.as_json()
    json.dumps(track.as_json())


def test_one_set_gives_no_interval_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 training set is given; intervals need at least 2"):
        run_live_track(SubjectSpec(uri="simulated:m"), tmp_path, _train, LiveSettings(sets=("plain",)))
