"""The same charters by TRL's trainers of policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tiny_rl import SETTINGS, learn, letters
from tiny_rl import LettersConfig as Letters
from tiny_training import make_job, make_rows

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.objectives.objective import Batch, leave_one_out, objectives
from moorings.improve.train.grpo import GrpoSettings
from moorings.improve.train.rl_rewards import RewardTools
from moorings.improve.train.rl_settings import objective_use
from moorings.improve.train.trl_rl import _RewardFunction, _weights
from moorings.improve.training import BaseDefence, trainers
from moorings.subjects.safe_files import check_adapter_folder

pytest.importorskip("trl")
PLAIN = {"objective": None, "max_steps": 2, "epochs": 2}


class Penalty(BaseDefence):
    def penalty(self, session, batch, output):
        return output.logits.sum()


@pytest.mark.parametrize("trainer", ["trl_grpo", "trl_rloo"])
def test_trl_learns_the_same_prompts_by_the_same_rewards(model: Path, tmp_path: Path, trainer: str) -> None:
    job = make_job(model, tmp_path, make_rows(4))
    result = learn(trainer, job, **PLAIN)
    log = [json.loads(line) for line in (job.out / "updates.jsonl").read_text().splitlines()]
    assert result.n_steps == len(log) == 2
    assert result.n_tokens > 0
    assert all(0 <= entry["reward.test_letters"] <= 8 for entry in log)
    assert result.metrics["reward.test_letters_start"] == log[0]["reward.test_letters"]
    assert log[0]["grad_norm"] > 0
    check_adapter_folder(job.out)
    assert any(
        bool(weight.any()) for name, weight in load_file(job.out / "adapter_model.safetensors").items() if "B" in name
    )
    assert learn(trainer, job, **PLAIN) == result


def test_rewards_are_called_as_ours_are(tmp_path: Path) -> None:
    rewards = [{"use": "test_letters", "letters": "a"}]
    settings = GrpoSettings(rewards=rewards, truncated="penalise", truncation_penalty=0.5)
    rows = {row.row_id: row for row in make_rows(2)}
    metrics: dict[str, float] = {}
    function = _RewardFunction(
        "a", letters(Letters(letters="a")), settings, rows, RewardTools(tmp_path, tmp_path), frozenset({2})
    )
    name = next(iter(rows))
    given: dict[str, Any] = {"completion_ids": [[5, 2], [5, 5]], "log_metric": metrics.__setitem__}
    assert function.__name__ == "a"
    assert function(prompts=[name] * 2, completions=["aaa", "a"], **given) == [1.0, -1.5]
    assert metrics == {"reward.a": 2.0}
    np.testing.assert_allclose(function(prompts=[name] * 2, completions=["aaaa", "a"], **given), [2.0, -1.5])


@pytest.mark.parametrize(
    ("objective", "weights"),
    [
        (None, [1.0, 2.0]),
        ({"use": "weighted"}, [0.5, 0.5]),
        ({"use": "weighted", "weights": {"b": 3.0}}, [0.0, 3.0]),
    ],
)
def test_weights_are_those_of_the_weighted_sum(objective: dict[str, Any] | None, weights: list[float]) -> None:
    second = {"use": "test_letters", "letters": "b", "name": "b"} | ({"weight": 2.0} if objective is None else {})
    rewards = [{"use": "test_letters", "letters": "a"}, second]
    settings = GrpoSettings(rewards=rewards, objective=None if objective is None else Use(**objective))
    batch = Batch(np.random.default_rng(0).normal(size=(2, 3, 4)), ("test_letters", "b"), np.zeros((3, 4)))
    assert _weights(settings) == weights
    ours = objectives.make(objective_use(settings)).advantages(batch).values
    np.testing.assert_allclose(ours, leave_one_out(np.tensordot(weights, batch.rewards, axes=1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": {"use": "test_sum"}}, "trl_grpo cannot join rewards by objective 'test_sum'; use trainer grpo"),
        ({"target_kl": 1.0}, "cannot steer beta to target_kl"),
        ({"minibatches": 2}, "cannot split a pass into minibatches=2"),
    ],
)
def test_what_trl_cannot_do_is_refused_beforehand(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trainers.make(Use(use="trl_grpo", **(SETTINGS | PLAIN | changes)))


def test_penalties_of_defences_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trl_rloo cannot add the penalty of Penalty to the loss; use trainer rloo"):
        learn("trl_rloo", make_job(model, tmp_path, make_rows(4), defences=(Penalty(),)), **PLAIN)
