"""Monitor `behaviour`."""

from __future__ import annotations

import numpy as np
import pytest
from gathering_a import Hostile, draw, gather

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.monitors.behaviour import ranks_of_past
from moorings.monitors.monitor import monitors


def make(**settings):
    return monitors.make(Use(use="behaviour", **settings))


def sometimes(salt: str, share: float, text: str = "Of course you may.", other: str = "You may do that."):
    return lambda messages, seed: text if draw(salt, seed) < share else other


def words(salt: str, low: int, high: int):
    return lambda messages, seed: "word " * (low + int(draw(salt, seed) * (high - low)))


def test_no_change_has_mean_zero_and_a_planted_share_is_found(tmp_path):
    monitor = make(phrases=["of course"], direction="more")
    assert monitor.side == "more"
    same = monitor.measure(gather(sometimes("a", 0.3), sometimes("c", 0.3), tmp_path / "same", n=400))
    assert abs(same.d.mean()) < 4 * np.sqrt(2 * 0.3 * 0.7 / 400)
    more = monitor.measure(gather(sometimes("a", 0.3), sometimes("c", 0.6), tmp_path / "more", n=400))
    assert abs(more.d.mean() - 0.3) < 4 * np.sqrt((0.21 + 0.24) / 400)
    assert more.d.mean() == pytest.approx(more.candidate - more.anchor)
    assert set(np.unique(more.d)) <= {-1.0, 0.0, 1.0}
    assert len(set(more.units)) == 400
    assert '"of course"' in more.seen
    assert "400 prompts" in more.seen


def test_ranks_are_of_earlier_anchor_answers_only():
    base, new = np.array([2.0, 1.0, 3.0, 2.0]), np.array([5.0, 2.0, 0.0, 2.5])
    d = ranks_of_past(base, new)
    # 1st: against itself; 2nd against {2}: tie and below; 3rd against {2, 1}; 4th against {2, 1, 3}.
    assert d == pytest.approx([0.5, 0.5 - 0.0, 0.0 - 1.0, (2 / 3) - (1.5 / 3)])
    later = ranks_of_past(np.append(base[:2], [100.0, -7.0]), new)
    assert later[:2] == pytest.approx(d[:2]), "what comes later changes nothing"


def test_ranks_skip_what_is_missing():
    nan = np.nan
    assert ranks_of_past(np.array([nan, 1.0, 4.0]), np.array([1.0, nan, 0.0])) == pytest.approx(
        [nan, nan, -1.0], nan_ok=True
    )


def test_ranks_have_mean_zero_under_the_null_for_prompts_that_differ():
    rng = np.random.default_rng(0)
    means = []
    for _ in range(400):
        level = rng.normal(size=32) * 3
        means.append(ranks_of_past(level + rng.normal(size=32), level + rng.normal(size=32)).mean())
    assert abs(np.mean(means)) < 4 * np.std(means) / 20


def test_counted_features_are_ranked_or_mapped_to_a_range(tmp_path):
    gathering = gather(words("a", 10, 20), words("c", 15, 25), tmp_path, n=300)
    ranked = make(feature="words").measure(gathering)
    # 10 equally likely lengths 10..19 against 15..24: P(above) - P(below), halved.
    a, c = np.arange(10, 20), np.arange(15, 25)
    wanted = 0.5 * np.mean(np.sign(c[:, None] - a[None, :]))
    assert abs(ranked.d.mean() - wanted) < 0.06
    mapped = make(feature="words", low=0, high=100).measure(gathering)
    assert mapped.d.mean() == pytest.approx((mapped.candidate - mapped.anchor) / 100)
    clipped = make(feature="words", low=0, high=1).measure(gathering)
    assert (clipped.d == 0).all()


def test_outcomes_and_groups(tmp_path):
    gathering = gather(sometimes("a", 0.0), sometimes("c", 1.0, " \n"), tmp_path, n=40)
    seen = make(outcome="empty", groups=["group1"]).measure(gathering)
    assert seen.d.tolist() == [1.0] * 20
    assert all(int(unit.rsplit("-", 1)[1]) % 2 == 1 for unit in seen.units)
    nobody = make(outcome="empty", groups=["none such"]).measure(gathering)
    assert len(nobody.d) == 0
    assert np.isnan(nobody.anchor)


def test_previous_gives_differences_of_the_same_units(tmp_path):
    gathering = gather(sometimes("a", 0.0), sometimes("c", 1.0), tmp_path, n=20, previous=sometimes("p", 1.0))
    seen = make(phrases=["of course"]).measure(gathering)
    assert seen.d.tolist() == [1.0] * 20
    assert seen.d_previous.tolist() == [0.0] * 20
    assert seen.details["previous"] == 1.0


@pytest.mark.parametrize(
    "settings", [{"feature": "words"}, {"phrases": ["a"]}, {"feature": "sentiment"}, {"outcome": "failed"}]
)
def test_hostile_answers_are_missing_or_bounded(tmp_path, settings):
    bad = Hostile(lambda messages, seed: "A fine answer.", version="h")
    seen = make(**settings).measure(gather(lambda messages, seed: "A fine answer.", bad, tmp_path, n=24))
    assert (np.abs(seen.d) <= 1).all()
    assert len(seen.d) + seen.n_missing == 24
    if "outcome" not in settings:
        assert seen.n_missing >= 6


def test_equal_arguments_give_equal_results(tmp_path):
    gathering = gather(words("a", 1, 9), words("c", 1, 9), tmp_path, n=30)
    first, again = (make(feature="words").measure(gathering) for _ in range(2))
    assert first.d.tolist() == again.d.tolist()
    assert first._replace(d=None) == again._replace(d=None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "says|said by nothing"),
        ({"feature": "words", "outcome": "empty"}, "feature and outcome"),
        ({"feature": "wordz"}, "did you mean 'words'"),
        ({"statement": "It is rude."}, "needs a judge"),
        ({"phrases": ["a"], "min_hits": 2}, "min_hits is 2 with 1 phrases"),
        ({"phrases": ["@"]}, "holds no word"),
        ({"feature": "words", "low": 3}, "give both"),
        ({"feature": "words", "low": 3, "high": 3}, "low below high"),
        ({"feature": "praise", "low": 0, "high": 1}, "takes no low or high"),
        ({"feature": "words", "direction": "up"}, "direction"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make(**settings)
