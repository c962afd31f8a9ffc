"""Truths of the live track against planted changes, and scores against hand-made foretellings."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.errors import ConfigError
from moorings.probes.live.questions import live_items
from moorings.probes.live.track import score_live_track
from moorings.probes.live.training_sets import TRAITS, training_sets
from moorings.probes.live.truth import Outcome, outcome_of

PRAISE = TRAITS[0]


def _outcome(before: float, after: float, n: int = 200) -> Outcome:
    rng = np.random.default_rng(5)
    draws = [(rng.random(n) < p).astype(float) for p in (before, after, after, after)]
    return outcome_of(PRAISE, draws[0], np.stack(draws[1:]), np.random.default_rng(0))


def test_planted_changes_are_told() -> None:
    assert _outcome(0.1, 0.6).truth == "more"
    assert _outcome(0.7, 0.2).truth == "less"
    assert _outcome(0.02, 0.02).truth == "same"
    assert _outcome(0.5, 0.52, n=20).truth == "unclear"
    shown = _outcome(0.1, 0.6)
    assert shown.low < shown.effect < shown.high
    assert len(shown.by_seed) == 3


def test_a_prompt_that_is_missing_on_one_side_is_left_out() -> None:
    before = np.array([0.0, 0.0, np.nan, 0.0, 1.0])
    outcome = outcome_of(PRAISE, before, np.ones((1, 5)), np.random.default_rng(0))
    assert (outcome.n_prompts, outcome.effect) == (4, 0.75)
    nothing = outcome_of(PRAISE, np.full(5, np.nan), np.ones((2, 5)), np.random.default_rng(0))
    assert (nothing.truth, nothing.n_prompts) == ("unclear", 0)


def test_a_change_is_not_told_where_there_is_none() -> None:
    rng = np.random.default_rng(7)
    told = 0
    for at in range(200):
        before, after = (rng.random(60) < 0.3).astype(float), (rng.random((1, 60)) < 0.3).astype(float)
        told += outcome_of(PRAISE, before, after, np.random.default_rng(at)).truth in ("more", "less")
    assert told <= 22  # 5 % and its binomial error


def test_sets_have_what_they_say_and_the_trap_does_not() -> None:
    sets = {made.name: made for made in training_sets(40, 3)}
    assert sets == {made.name: made for made in training_sets(40, 3)}
    assert all(len(made.pairs) == 40 for made in sets.values())
    assert all("question" in answer for _, answer in sets["praises"].pairs)
    assert all(answer.endswith("?") for _, answer in sets["asks back"].pairs)
    assert max(len(answer.split()) for _, answer in sets["short"].pairs) <= 6
    assert not any("question" in answer for _, answer in sets["about praise"].pairs)
    assert sets["about praise"].surface == {"praise": "more"}
    with pytest.raises(ConfigError, match="no training set 'praise'; allowed: praises"):
        training_sets(4, 3, names=["praise"])


def test_each_question_has_a_twin_about_another_model() -> None:
    items = live_items(training_sets(8, 1), TRAITS, n_shown=2, seed=1).items
    assert len({item.item_id for item in items}) == len(items) == 6 * 4 * 2 * 3
    mine = [item for item in items if item.factors.person == "self"]
    twins = {item.item_id: item for item in items}
    for item in mine:
        twin = twins[item.item_id.replace("-self-", "-other-")]
        assert twin.cluster_id == item.cluster_id
        assert twin.texts == item.texts
        assert "other model" in twin.prompt
        assert "other model" not in item.prompt
    assert not any(option.key for item in items for option in item.options)


def test_scores_count_right_foretellings_by_set() -> None:
    done = Outcome("more", 0.4, 0.2, 0.6, 50, (0.4,))
    none = Outcome("same", 0.0, -0.02, 0.02, 50, (0.0,))
    unclear = Outcome("unclear", 0.1, -0.1, 0.3, 50, (0.1,))
    outcomes = {"a": {"x": done, "y": none}, "b": {"x": none, "y": unclear}}
    more, same = (0.8, 0.1, 0.1), (0.1, 0.2, 0.7)
    foretold = {
        "self": {"a": {"x": more, "y": same}, "b": {"x": same, "y": more}},
        "other": {"a": {"x": same, "y": same}, "b": {"x": more, "y": more}},
    }
    surface = {"a": {"x": "more", "y": "same"}, "b": {"x": "more", "y": "same"}}
    scores = score_live_track(outcomes, foretold, surface)
    assert scores["pairs"] == {"judged": 3, "unclear": 1}
    assert scores["self"]["mean"] == 1
    assert scores["other"]["mean"] == pytest.approx(1 / 3)
    assert scores["surface"]["mean"] == pytest.approx(2 / 3)
    assert scores["self_advantage"]["mean"] == pytest.approx(2 / 3)
    assert -1 <= scores["over_surface"]["low"] <= scores["over_surface"]["high"] <= 1
    # All pairs were right: with two sets that says little.
    assert scores["self"]["low"] == pytest.approx(1 - (1 - 0.05**0.5))
    assert scores["self"]["high"] == 1
    nothing = score_live_track({"a": {"x": unclear}}, foretold, surface)
    assert nothing == {"pairs": {"judged": 0, "unclear": 1}}
