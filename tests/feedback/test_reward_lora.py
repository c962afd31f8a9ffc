"""Whole language models as reward models, on a random model of a few kilobytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from feedback_tools import BAD, GOOD, FakeTools, graded

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.feedback.preferences import Preference
from moorings.feedback.reward import rewards
from moorings.feedback.reward_lora import (
    LoraSettings,
    RewardLora,
    _base_files,
    _encoded,
    load_reward_lora,
    save_reward_lora,
    train_reward_lora,
)
from moorings.records import Message
from moorings.subjects.spec import SubjectSpec

sys.path.append(str(Path(__file__).parents[1] / "improve" / "train"))
from tiny_training import make_model


def short_preferences(n: int, seed: int = 0) -> list[Preference]:
    """Pairs of one word, as the model reads single letters."""
    rng = np.random.default_rng(seed)
    return [
        Preference(
            prompt=(Message(role="user", content=f"Q{at % 3}"),),
            chosen=str(rng.choice(GOOD)),
            rejected=str(rng.choice(BAD)),
        )
        for at in range(n)
    ]


ITEMS = [graded(text, "Q1") for text in ("kind", "rude", "honest and warm", "")]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("lora") / "model")


def settings_of(folder: Path, **more: object) -> LoraSettings:
    given = {"r": 4, "max_length": 80, "learning_rate": 0.02, "epochs": 4, "batch_size": 8, "seed": 3}
    return LoraSettings(base=SubjectSpec(uri=f"hf:{folder}"), **{**given, **more})


@pytest.fixture(scope="module")
def trained(model_folder) -> RewardLora:
    return train_reward_lora(short_preferences(32), settings_of(model_folder))


def margins(model: RewardLora, some: list[Preference]) -> np.ndarray:
    chosen = model.scores([graded(one.chosen, one.prompt[0].content) for one in some])
    return chosen - model.scores([graded(one.rejected, one.prompt[0].content) for one in some])


def test_a_few_steps_learn_what_was_preferred(trained):
    assert np.mean(margins(trained, short_preferences(30, seed=1)) > 0) > 0.9
    assert trained.n_pairs == 32


def test_scores_are_standardised_on_the_training_answers(trained):
    some = short_preferences(32)
    answers = [graded(text, one.prompt[0].content) for one in some for text in (one.chosen, one.rejected)]
    found = trained.scores(answers)
    assert found.mean() == pytest.approx(0, abs=1e-5)
    assert found.std() == pytest.approx(1, abs=1e-5)


def test_the_score_is_the_head_on_the_last_token_s_state(trained):
    ids = _encoded(trained.files, ITEMS[2], trained.settings)
    inner = trained.model.base_model.model
    with torch.inference_mode():
        state = inner.model(torch.tensor([ids])).last_hidden_state[0, -1]
        head = inner.score.modules_to_save["default"] if hasattr(inner.score, "modules_to_save") else inner.score
        expected = float(head(state)[0])
    assert ids[-1] == trained.files.end_ids[0]
    assert trained.raw_scores([ITEMS[2]])[0] == pytest.approx(expected, abs=1e-5)


def test_company_and_order_do_not_matter(trained):
    together = trained.raw_scores(ITEMS)
    np.testing.assert_allclose([trained.raw_scores([item])[0] for item in ITEMS], together, atol=1e-5)
    np.testing.assert_array_equal(trained.raw_scores(ITEMS[::-1])[::-1], together)


def test_equal_seeds_give_equal_weights_whatever_was_drawn_before(model_folder):
    found = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        before = torch.random.get_rng_state()
        one = train_reward_lora(short_preferences(8), settings_of(model_folder, epochs=1))
        assert torch.equal(torch.random.get_rng_state(), before)
        found.append(one.raw_scores(ITEMS))
    np.testing.assert_array_equal(*found)
    other = train_reward_lora(short_preferences(8), settings_of(model_folder, epochs=1, seed=4))
    assert not np.allclose(other.raw_scores(ITEMS), found[0])


def test_it_survives_its_folder_and_is_a_reward(trained, tmp_path):
    folder = save_reward_lora(trained, tmp_path / "r")
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "reward_lora.json",
    ]
    np.testing.assert_array_equal(load_reward_lora(folder).scores(ITEMS), trained.scores(ITEMS))
    made = rewards.make(Use(use="reward_lora", path="r"))
    np.testing.assert_array_equal(made(ITEMS, FakeTools(tmp_path)), trained.scores(ITEMS))
    with pytest.raises(ConfigError, match="is there already"):
        save_reward_lora(trained, folder)


def test_other_base_weights_are_refused(trained, tmp_path):
    folder = save_reward_lora(trained, tmp_path / "r")
    about = json.loads((folder / "reward_lora.json").read_text("utf-8"))
    (folder / "reward_lora.json").write_text(json.dumps({**about, "base_weights": "0" * 64}), "utf-8")
    with pytest.raises(InputError, match="was trained on other weights"):
        load_reward_lora(folder)
    (folder / "reward_lora.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match="holds no reward model"):
        load_reward_lora(folder)


def test_long_answers_are_cut_and_long_prompts_are_missing(trained):
    long = [graded("a" * 500, "Q1"), graded("a" * 600, "Q1"), graded("a", "Q" * 500)]
    found = trained.raw_scores(long)
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert np.isnan(found[2])
    assert np.isfinite(trained.raw_scores([graded("\ud800", "Q1")])).all()


def test_what_cannot_be_trained_is_refused(model_folder, tmp_path):
    with pytest.raises(ConfigError, match="none of 2 preferences fits 3 tokens"):
        train_reward_lora(short_preferences(2), settings_of(model_folder, max_length=3))
    with pytest.raises(ConfigError, match="cannot be trained"):
        train_reward_lora(short_preferences(2), LoraSettings(base=SubjectSpec(uri="openai:m@http://x")))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    with pytest.raises(ConfigError, match="has an adapter"):
        train_reward_lora(short_preferences(2), LoraSettings(base=SubjectSpec(uri=f"hf:{model_folder}+{adapter}")))
    with pytest.raises(ConfigError, match="takes no flip rate"):
        settings_of(model_folder, flip_rate=0.1)
    untrained = RewardLora(None, _base_files(settings_of(model_folder)), settings_of(model_folder))
    with pytest.raises(ConfigError, match="not trained yet"):
        untrained.scores(ITEMS)
    with pytest.raises(ConfigError, match="not trained yet"):
        save_reward_lora(untrained, tmp_path / "r")
