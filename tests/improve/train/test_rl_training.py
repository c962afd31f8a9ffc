"""Whole trainings by policy gradient: resume, rewards, truncation, defences, refusals, and that they learn."""

from __future__ import annotations

import json
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_rl import RESUMED, SETTINGS, learn
from tiny_training import make_job, make_rows

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.feedback.reward import Graded
from moorings.improve.data import make_row
from moorings.improve.train.errors import TrainingError
from moorings.improve.train.grpo import GrpoSettings
from moorings.improve.train.rl_rewards import Grader, RewardTools, distinct_share
from moorings.improve.training import BaseDefence, trainers
from moorings.records import Message
from moorings.subjects.safe_files import check_adapter_folder
from moorings.subjects.spec import open_subject

CASES = (
    "rloo:sampled:2",
    "rloo:checkpoint_before_rename:2",
    "rloo:before_rename:1",
    "grpo:step:2",
    "ppo:step:5",
    "ppo:checkpoint_written:1",
    "ppo:trained:1",
)


class EndAtTwo(BaseDefence):
    def should_stop(self, session) -> bool:
        return session.step == 2


class Drag(BaseDefence):
    """A penalty on the logits of every place."""

    def penalty(self, session, batch, output):
        assert output.logits.shape[:2] == batch["input_ids"].shape
        assert int((batch["labels"] != -100).sum()) > 0
        session.metrics["drag"] = session.metrics.get("drag", 0.0) + 1
        return output.logits.square().mean()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "updates.jsonl").read_text().splitlines()]


def one_sided(model: Path) -> str:
    """Characters whose embeddings lie on one side of a plane, so that a random model can learn to prefer them."""
    embeddings = load_file(model / "model.safetensors")["model.embed_tokens.weight"]
    vocabulary = json.loads((model / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return "".join(token for token, at in vocabulary.items() if token in string.printable and embeddings[at, 0] > 0)


@pytest.mark.slow
def test_killed_training_ends_with_the_same_bytes(model: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("tiny_rl.py")
    command = [sys.executable, str(script), str(model), str(tmp_path), *CASES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    statuses = [json.loads(line) for line in done.stdout.splitlines()]
    assert statuses == [[case, 9, 0] for case in CASES], done.stderr
    for name in ("rloo", "grpo", "ppo"):
        job = make_job(model, tmp_path / name, make_rows(5))
        learn(name, job, **RESUMED[name])
        for case in CASES:
            if case.startswith(name):
                assert files(tmp_path / case.replace(":", "-") / "out") == files(job.out), case


@pytest.mark.parametrize("trainer", ["rloo", "grpo", "ppo"])
def test_an_easy_reward_rises_and_the_result_is_a_subject(model: Path, tmp_path: Path, trainer: str) -> None:
    job = make_job(model, tmp_path, make_rows(4))
    settings: dict[str, Any] = {"rewards": [{"use": "test_letters", "letters": one_sided(model)}]}
    settings |= {"epochs": 5, "batch_size": 4, "group_size": 32, "beta": 0.001, "passes": 1 + (trainer == "ppo")}
    result = learn(trainer, job, **settings)
    log = lines(job.out)
    assert len(log) == 5
    assert np.mean([entry["reward.test_letters"] for entry in log[-2:]]) > 1.25 * log[0]["reward.test_letters"]
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert log[-1]["kl"] > 0.05
    assert log[0]["truncated"] > 0.5
    assert all(0 <= entry["distinct_1"] <= 1 for entry in log)
    assert result.uri == f"hf:{model}+{job.out}"
    assert result.metrics["reward.test_letters_end"] == log[-1]["reward.test_letters"]
    check_adapter_folder(job.out)
    assert open_subject(result.uri, engine="transformers", device="cpu", threads=1).describe().adapter
    assert learn(trainer, job, **settings) == result


def test_parts_make_no_difference(model: Path, tmp_path: Path) -> None:
    for name, changes in {"whole": {}, "parts": {"micro_batch": 1, "sample_batch": 4}}.items():
        learn("grpo", make_job(model, tmp_path / name, make_rows(4)), max_steps=2, **changes)
    whole, parts = (lines(tmp_path / name / "out") for name in ("whole", "parts"))
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


def test_minibatches_start_from_the_probabilities_of_sampling(model: Path, tmp_path: Path) -> None:
    settings = {"max_steps": 1, "passes": 2, "minibatches": 3, "learning_rate": 1e-9, "clip": 1e-4}
    result = learn("rloo", make_job(model, tmp_path, make_rows(4)), **settings)
    assert result.n_steps == 6
    assert lines(tmp_path / "out")[0]["clip_share"] == 0.0


def test_the_reference_is_the_start_of_the_round_not_the_base(model: Path, tmp_path: Path) -> None:
    first = learn("rloo", make_job(model, tmp_path / "one", make_rows(4)), beta=0.0, epochs=2)
    assert lines(tmp_path / "one" / "out")[-1]["kl"] > 1e-4
    job = make_job(model, tmp_path / "two", make_rows(4))
    start = job.start.model_copy(update={"uri": first.uri})
    learn("rloo", make_job(model, tmp_path / "two", make_rows(4), start=start), beta=0.0, epochs=2)
    log = lines(tmp_path / "two" / "out")
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert log[-1]["kl"] > 1e-4
    weights = [load_file(tmp_path / n / "out" / "adapter_model.safetensors") for n in ("one", "two")]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_full_weights_know_their_divergence(model: Path, tmp_path: Path) -> None:
    job = make_job(model, tmp_path, make_rows(4))
    learn("grpo", job, mode="full", learning_rate=0.003, epochs=2)
    log = lines(job.out)
    assert log[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert log[3]["kl"] > 0


def test_gradient_checkpointing_changes_nothing(model: Path, tmp_path: Path) -> None:
    for name, wanted in (("plain", False), ("twice", True)):
        job = make_job(model, tmp_path / name, make_rows(4))
        learn("rloo", job, max_steps=2, gradient_checkpointing=wanted)
    one, other = (lines(tmp_path / name / "out") for name in ("plain", "twice"))
    assert one[-1] == pytest.approx(other[-1], rel=1e-3, abs=1e-5)


def test_sampled_divergence_only(model: Path, tmp_path: Path) -> None:
    learn("rloo", make_job(model, tmp_path, make_rows(4)), exact_kl=False, max_steps=2)
    log = lines(tmp_path / "out")
    assert "entropy" not in log[0]
    assert [entry["kl"] for entry in log] == [entry["k1"] for entry in log]


def test_beta_follows_its_target(model: Path, tmp_path: Path) -> None:
    learn("rloo", make_job(model, tmp_path, make_rows(4)), target_kl=100.0, max_steps=3, epochs=2)
    assert [entry["beta"] for entry in lines(tmp_path / "out")] == pytest.approx([0.05, 0.05 * 0.98, 0.05 * 0.98**2])


@pytest.mark.parametrize(("truncated", "moves"), [("keep", True), ("penalise", True), ("drop", False)])
def test_cut_answers(model: Path, tmp_path: Path, truncated: str, moves: bool) -> None:
    job = make_job(model, tmp_path, make_rows(4))
    learn("grpo", job, truncated=truncated, max_steps=1, max_new_tokens=3, beta=0.1)
    entry = lines(job.out)[0]
    assert entry["truncated"] == 1.0
    assert (entry["grad_norm"] > 0) == moves


def test_grades_are_standardised_on_the_first_batch_and_missing_ones_are_neutral(tmp_path: Path) -> None:
    rewards = [
        {"use": "test_letters", "letters": "a", "missing": "x"},
        {"use": "test_letters", "name": "b", "letters": "b"},
    ]
    settings = GrpoSettings(
        rewards=rewards, objective=Use(use="test_sum"), truncated="penalise", truncation_penalty=0.5
    )
    grader = Grader(settings, RewardTools(tmp_path, tmp_path))
    question = (Message(role="user", content="?"),)
    items = [Graded(question, text) for text in ("aa", "x", "a", "aaab")]
    found = grader.grade(items, np.array([True, True, True, False]), 2)
    raw = np.array([2.0, np.nan, 1.0, 3.0])
    wanted = (raw - 2.0) / np.nanstd(raw)
    assert found.missing.tolist() == [[False, True], [False, False]]
    np.testing.assert_allclose(found.values[0].ravel(), [wanted[0], wanted[0], wanted[2], wanted[3] - 0.5])
    assert found.logged["reward.test_letters"] == 2.0
    assert found.logged["missing"] == pytest.approx(1 / 8)
    again = grader.grade(items, np.array([True] * 4), 2)
    np.testing.assert_allclose(again.values[0, 1], wanted[2:])
    none = grader.grade([Graded(question, t) for t in ("x", "x", "a", "aa")], np.array([True] * 4), 2)
    np.testing.assert_allclose(none.values[0, 0], none.values[0, 1].mean())


def test_broken_rewards_are_named(model: Path, tmp_path: Path) -> None:
    job = make_job(model, tmp_path, make_rows(4))
    for changes in ({"infinite": True}, {"everywhere": True}):
        rewards = [{"use": "test_letters", "letters": "a", **changes}]
        with pytest.raises(TrainingError, match="gave infinity or no value at all"):
            learn("rloo", job, rewards=rewards)


def test_defences_take_part(model: Path, tmp_path: Path) -> None:
    job = make_job(model, tmp_path, make_rows(4), defences=(EndAtTwo(), Drag()))
    result = learn("ppo", job, epochs=3)
    assert result.n_steps == 2
    assert result.metrics["drag"] == 2.0
    assert len(lines(job.out)) == 1


def test_prompts_are_asked_once_an_epoch_and_long_ones_left_out(model: Path, tmp_path: Path) -> None:
    rows = [*make_rows(4), *make_rows(4)]
    long = make_row((Message(role="user", content="Why? " * 40),), "So.", origin="human", method="file", round=1)
    result = learn("rloo", make_job(model, tmp_path, [*rows, long]), batch_size=1)
    assert result.metrics["prompts"] == 4.0
    assert result.metrics["prompts_left_out"] == 1.0
    assert result.n_steps == 4
    with pytest.raises(TrainingError, match="nothing to train on: 1 rows given, no prompt leaves room for 8 tokens"):
        learn("rloo", make_job(model, tmp_path / "none", [long]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 0.1}, "dropout=0.1 would make ratios"),
        ({"max_new_tokens": 128}, "must be below max_length=128"),
        ({"target_kl": 1.0, "beta": 0.0}, "beta must start above 0"),
        ({"minibatches": 13}, "more than the answers of a batch"),
        ({"rewards": [{"use": "test_letters", "letters": "a"}] * 2}, "equal names: test_letters, test_letters"),
        ({"rewards": [{"use": "test_letters", "letters": "a", "weight": 2.0}]}, "weights beside an objective"),
        ({"rewards": [{"use": "test_leters"}]}, "did you mean 'test_letters'"),
        ({"rewards": [{"use": "test_letters", "letters": "a", "leters": "a"}]}, "unknown setting 'leters'"),
        ({"objective": {"use": "test_summ"}}, "did you mean 'test_sum'"),
        ({"rewards": []}, "at least 1 item"),
        ({"group_size": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_are_checked_before_anything_runs(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trainers.make(Use(use="rloo", **(SETTINGS | changes)))


def test_several_processes_are_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate

    monkeypatch.setattr(accelerate.Accelerator, "num_processes", 2)
    with pytest.raises(ConfigError, match="trainer rloo runs on one device, 2 processes were started; use trl_grpo"):
        learn("rloo", make_job(model, tmp_path, make_rows(4)))


def test_losses_that_are_not_finite_stop_training(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"of step \d+ is (nan|inf)|not finite"):
        learn("grpo", make_job(model, tmp_path, make_rows(4)), learning_rate=1e30, max_grad_norm=1e30, epochs=5)
    assert not (tmp_path / "out").exists()


def test_a_feature_keeps_its_own_name() -> None:
    settings = GrpoSettings(rewards=[{"use": "feature", "name": "words"}])
    assert settings.rewards[0].known_as == "words"
    assert settings.rewards[0].component.settings == {"name": "words"}
    settings.check_components()


def test_distinct_share_of_nothing() -> None:
    assert distinct_share(["", "one"], 2) == 0.0
