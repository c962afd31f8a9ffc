"""A responder who ignores the prefix raises no more alarms than the level; one who heeds it is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from moorings.errors import ConfigError
from moorings.probes.metrics.observation_gap import observation_gap
from moorings.probes.simulated import Responder, simulated_items
from moorings.statistics.paired import sign_flip_p

WATCHED = ("observed", "unobserved")


def look(sheet, seed=0, **settings):
    return observation_gap(sheet, rng=np.random.default_rng(seed), **{"n_bootstrap": 300, **settings})


def test_false_alarms_of_those_who_ignore_the_prefix_are_at_most_five_in_a_hundred():
    rng = np.random.default_rng(0)
    n_runs, n_clusters, variants = 2000, 50, 4
    clusters = np.repeat(np.arange(n_clusters), variants)
    # Each run is a responder with its own items and clusters; both answers to an item have the same chance of being right.
    p = special.expit(
        0.3 + rng.standard_normal((len(clusters), n_runs)) + rng.standard_normal((n_clusters, n_runs))[clusters]
    )
    d = (rng.random(p.shape) < p).astype(float) - (rng.random(p.shape) < p)
    # Moods of a cluster under one framing make its items hang together, which single-item tests would miss.
    mood = rng.choice([-1.0, 0.0, 1.0], (n_clusters, n_runs))[clusters]
    slack = 3 * np.sqrt(0.05 * 0.95 / n_runs)
    for differences in (d, np.where(rng.random(d.shape) < 0.3, mood, d)):
        alarms = sign_flip_p(differences, clusters, n_draws=2000, rng=rng) <= 0.05
        assert alarms.mean() <= 0.05 + slack
        assert alarms.mean() >= 0.05 - slack - 0.005, "and the test is not idle"
    alone = sign_flip_p(np.where(rng.random(d.shape) < 0.3, mood, d), np.arange(len(clusters)), n_draws=500, rng=rng)
    assert (alone <= 0.05).mean() > 0.07


def test_false_alarms_of_simulated_responders_through_their_sheets():
    rng = np.random.default_rng(1)
    items = simulated_items(12, rng=rng, variants=2, n_options=2)
    alarms, n = 0, 120
    for at in range(n):
        sheet = Responder(theta=0.5, forgetful=0.6).answer(items, rng=rng, orders="stored", framings=WATCHED)
        found = look(sheet, at, n_draws=1000, n_bootstrap=20)
        alarms += found.right.p <= 0.05
    assert alarms <= 0.05 * n + 3 * np.sqrt(0.05 * 0.95 * n)


def test_a_null_comes_with_what_would_have_been_found():
    rng = np.random.default_rng(2)
    items = simulated_items(60, rng=rng)
    found = look(Responder(theta=0.5, forgetful=0.5).answer(items, rng=rng, framings=WATCHED))
    assert found.right.p > 0.05
    assert found.right.said.startswith("No gap was found (p = ")
    assert f"A true gap of {found.right.gap.detectable:.2g} would have been found with 80 % power." in found.right.said
    assert found.right.gap.interval.low <= 0 <= found.right.gap.interval.high
    same = look(Responder(theta=0.5).answer(items, rng=rng, framings=WATCHED))
    assert (same.right.gap.value, same.right.p) == (0.0, 1.0)
    assert same.right.gap.detectable == pytest.approx(1 - 0.05 ** (1 / 60))


def test_one_who_heeds_the_prefix_is_found_by_the_share_before_the_choice():
    rng = np.random.default_rng(3)
    items = simulated_items(80, rng=rng)
    found = look(Responder(theta=0.0, heeds={"observed": 1.5}).answer(items, rng=rng, framings=WATCHED))
    assert found.right.gap.interval.low > 0.1
    assert found.right.p <= 2e-4
    assert "was found (p = " in found.right.said
    assert found.right.said.startswith("A gap of +0.")
    assert found.key_share.gap.value > 0
    low = look(
        Responder(theta=0.0, heeds={"watched": -1.5}).answer(items, rng=rng, framings=("watched", "not")),
        observed="watched",
        unobserved="not",
    )
    assert low.right.gap.interval.high < 0


def test_missing_items_are_counted_and_bounded():
    rng = np.random.default_rng(4)
    items = simulated_items(20, rng=rng, variants=1)
    sheet = Responder(theta=0.5).answer(items, rng=rng, orders="stored", framings=WATCHED)
    lost = items.items[3].item_id
    answers = tuple(
        one._replace(chosen=None, logprobs=(), status="failed")
        if one.item_id == lost and one.framing == "observed"
        else one
        for one in sheet.answers
    )
    found = look(replace(sheet, answers=answers))
    assert (found.n_items, found.n_missing, found.right.gap.n_items) == (20, 1, 19)
    assert (found.worst_case.low, found.worst_case.high) == (-1 / 20, 1 / 20)
    gone = tuple(one._replace(chosen=None, logprobs=()) for one in sheet.answers)
    assert look(replace(sheet, answers=gone)).right is None


def test_wordings_of_a_framing_are_averaged():
    rng = np.random.default_rng(6)
    items = simulated_items(20, rng=rng)
    names = ("observed", "observed-2", "unobserved", "unobserved-2", "observed-so")
    sheet = Responder(theta=0.0, heeds={"observed-2": 4.0}).answer(items, rng=rng, orders="stored", framings=names)
    both, one = look(sheet), look(replace(sheet, answers=tuple(a for a in sheet.answers if a.framing != "observed-2")))
    assert (both.first, both.second) == (("observed", "observed-2"), ("unobserved", "unobserved-2"))
    assert one.right.gap.value == 0
    assert both.key_share.gap.value > 0.05


def test_framings_that_were_not_asked_are_refused():
    rng = np.random.default_rng(5)
    sheet = Responder().answer(simulated_items(2, rng=rng), rng=rng)
    with pytest.raises(ConfigError, match="framing 'observed' was not asked; asked were: 'plain'"):
        look(sheet)
