"""Reward models: training, files, and the registered reward."""

from __future__ import annotations

import json

import numpy as np
import pytest
from feedback_tools import BAD, GOOD, FakeTools, graded, made_preferences
from safetensors.numpy import load_file, save_file

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.feedback.aggregate import uncertainty_weighted, worst_case
from moorings.feedback.label_noise import flip_labels
from moorings.feedback.reward import rewards
from moorings.feedback.reward_inputs import RewardInput
from moorings.feedback.reward_model import load_reward_model, save_reward_model, train_reward_model
from moorings.feedback.reward_training import HeadSettings

ITEMS = [graded(" ".join(words)) for words in (GOOD, BAD, ["kind", "rude"], ["the", "river"])]


@pytest.fixture
def tools(tmp_path) -> FakeTools:
    return FakeTools(tmp_path)


@pytest.mark.parametrize("kind", ["embedding", "words", "projection"])
@pytest.mark.parametrize("hidden", [0, 16])
def test_it_learns_what_was_preferred(tools, kind, hidden):
    model = train_reward_model(
        made_preferences(300), tools, input=RewardInput(kind=kind, d=64), heads=HeadSettings(members=3, hidden=hidden)
    )
    assert (model.accuracy(made_preferences(100, seed=1), tools) > 0.9).all()
    scores = model.of_items(ITEMS, tools)
    assert (scores[:, 0] > scores[:, 1] + 1).all()


def test_it_learns_through_a_quarter_of_flipped_labels(tools):
    noisy = flip_labels(made_preferences(400), 0.25, np.random.default_rng(0))
    model = train_reward_model(noisy, tools, heads=HeadSettings(members=2))
    assert (model.accuracy(made_preferences(100, seed=1), tools) > 0.85).all()


def test_members_stand_on_one_scale_which_can_be_fitted_again(tools):
    some = made_preferences(100)
    model = train_reward_model(some, tools)
    answers = [graded(text, one.prompt[0].content) for one in some for text in (one.chosen, one.rejected)]
    scores = model.of_items(answers, tools)
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(scores.std(axis=1), 1)
    moved = model.restandardised(ITEMS, tools).of_items(ITEMS, tools)
    np.testing.assert_allclose(moved.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(moved.std(axis=1), 1)


def test_a_saved_model_scores_the_same_and_its_bytes_are_fixed(tools, tmp_path):
    some = made_preferences(60)
    first = save_reward_model(train_reward_model(some, tools), tmp_path / "one")
    second = save_reward_model(train_reward_model(some, FakeTools(tmp_path)), tmp_path / "two")
    for name in ("weights.safetensors", "reward_model.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert {path.name for path in first.iterdir()} == {"weights.safetensors", "reward_model.json"}
    model = train_reward_model(some, tools)
    np.testing.assert_array_equal(load_reward_model(first).of_items(ITEMS, tools), model.of_items(ITEMS, tools))


def test_the_reward_takes_an_aggregate_or_a_member(tools, tmp_path):
    model = train_reward_model(made_preferences(60), tools, heads=HeadSettings(members=3))
    save_reward_model(model, tmp_path / "r")
    values = model.of_items(ITEMS, tools)

    def scored(**settings: object) -> np.ndarray:
        made = rewards.make(Use(use="reward_model", path="r", **settings))
        assert made.direction == "higher"
        return made(ITEMS, tools)

    np.testing.assert_allclose(scored(), values.mean(axis=0))
    np.testing.assert_allclose(scored(aggregation={"kind": "worst_case"}), worst_case(values))
    uwo = scored(aggregation={"kind": "uncertainty_weighted", "lam": 0.1})
    np.testing.assert_allclose(uwo, uncertainty_weighted(values, 0.1))
    np.testing.assert_allclose(scored(aggregation={"kind": "weighted_sum", "weights": {"m2": 1.0}}), values[2])
    np.testing.assert_allclose(scored(member=1), values[1])
    thresholds = {"m0": {"at_least": 0.0}}
    constraints = rewards.make(
        Use(use="reward_model", path="r", aggregation={"kind": "constraints", "thresholds": thresholds})
    )
    assert constraints.unit == "share of constraints"
    np.testing.assert_array_equal(constraints(ITEMS, tools), values[0] >= 0)
    with pytest.raises(ConfigError, match="member 3 of r; allowed: 0 to 2"):
        scored(member=3)


def test_soft_labels_can_turn_a_label_round(tools):
    some = made_preferences(200)
    turned = train_reward_model(some, tools, soft_labels=np.zeros(200), heads=HeadSettings(members=1))
    assert turned.accuracy(some, tools)[0] < 0.1


def test_nothing_to_learn_is_refused(tools):
    with pytest.raises(ConfigError, match="0 pairs given"):
        train_reward_model([], tools)


def spoil_weights(folder):
    weights = load_file(folder / "weights.safetensors")
    save_file({**weights, "w1": weights["w1"] + 1}, folder / "weights.safetensors")


def spoil_members(folder):
    about = json.loads((folder / "reward_model.json").read_text("utf-8"))
    about["heads"]["members"] = 4
    (folder / "reward_model.json").write_text(json.dumps(about), "utf-8")


def spoil_json(folder):
    (folder / "reward_model.json").write_text("{}", "utf-8")


def spoil_safetensors(folder):
    (folder / "weights.safetensors").write_bytes(b"\x80\x04pickle")


def spoil_settings(folder):
    about = json.loads((folder / "reward_model.json").read_text("utf-8"))
    about["input"]["kind"] = "hidden"
    (folder / "reward_model.json").write_text(json.dumps(about), "utf-8")


def remove(folder):
    (folder / "weights.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_weights, "do not belong together"),
        (spoil_members, "do not belong together"),
        (spoil_json, "holds no reward model"),
        (spoil_safetensors, "holds no reward model"),
        (spoil_settings, "holds no reward model"),
        (remove, "holds no reward model"),
    ],
)
def test_damaged_files_are_refused(tools, tmp_path, spoil, reason):
    folder = save_reward_model(train_reward_model(made_preferences(20), tools), tmp_path / "r")
    spoil(folder)
    with pytest.raises(InputError, match=reason):
        load_reward_model(folder)


@pytest.mark.model
@pytest.mark.slow
def test_hidden_states_of_the_embedded_model_can_be_read(tools):
    from moorings.subjects.spec import SubjectSpec

    subject = SubjectSpec(uri="bundled:smollm2-135m", engine="transformers", device="cpu")
    given = RewardInput(kind="hidden", subject=subject, layer=15, pooling="mean", question=False)
    some = made_preferences(6)
    model = train_reward_model(some, tools, input=given, heads=HeadSettings(members=2, hidden=0, epochs=50))
    assert model.heads.w1.shape == (2, 576, 1)
    assert (model.accuracy(some, tools) == 1).all()
