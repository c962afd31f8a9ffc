"""Agreement has its closed forms; drift is found where it was planted; CUSUM runs as long as it is tabled to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from moorings.errors import ConfigError, InputError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Factors, Item, Option
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap
from moorings.probes.metrics.stability import ability, agreement, checkpoints, cusum, orders, paraphrases, theta_drift
from moorings.probes.metrics.table import Table
from moorings.probes.simulated import Responder, simulated_items


def boot(table):
    return ClusterBootstrap(table.clusters, rng=np.random.default_rng(0), n_draws=200)


def test_agreement_agrees_with_a_loop_and_with_fleiss():
    rng = np.random.default_rng(0)
    n, k, m = 60, 4, 3
    votes = rng.integers(0, m, (n, k))
    votes[:, 1:3] = np.where(rng.random((n, 2)) < 0.5, votes[:, :1], votes[:, 1:3])
    units = np.repeat(np.arange(n), k)
    bootstrap = ClusterBootstrap(np.arange(n), rng=rng, n_draws=100)
    right = (votes == 0).ravel().astype(float)
    got = agreement(np.eye(m)[votes.ravel()], right, np.full(n * k, m), units, units, bootstrap)
    pairs = [(i, j) for i in range(k) for j in range(i)]
    same = np.mean([(votes[:, i] == votes[:, j]).mean() for i, j in pairs])
    assert got.same.value == pytest.approx(same)
    assert got.kappa.value == pytest.approx((same - 1 / 3) / (2 / 3))
    table = np.stack([right.reshape(n, k).sum(axis=1), k - right.reshape(n, k).sum(axis=1)], axis=1)
    assert got.kappa_right.value == pytest.approx(fleiss_kappa(table))


def test_a_forgetful_responder_agrees_as_often_as_it_must():
    rng = np.random.default_rng(1)
    items = simulated_items(400, rng=rng, variants=1)
    items = [one.model_copy(update={"irt": {"a": 1.0, "b": 0.0}}) for one in items.items]
    table = Table.of(Responder(theta=0.4, forgetful=0.3).answer(items, rng=rng))
    p = 0.25 + 0.75 * special.expit(0.4)
    anew = p**2 + (1 - p) ** 2 / 3
    want = 0.7**2 + (1 - 0.7**2) * anew
    got = orders(table, boot(table))
    assert got.same.interval.low <= want <= got.same.interval.high
    steady = Table.of(Responder(theta=0.4).answer(items, rng=rng))
    assert orders(steady, boot(steady)).kappa.value == 1.0
    torn = Table.of(Responder(theta=0.4, position=50.0).answer(items, rng=rng))
    assert orders(torn, boot(torn)).same.value == 0.0


def test_paraphrases_are_told_by_text_and_twins_are_none():
    def one(name, texts, paraphrase, person="self"):
        options = tuple(Option(symbol="AB"[at], text=text, key=text == "yes") for at, text in enumerate(texts))
        factors = Factors(paraphrase=paraphrase, person=person)
        return Item(item_id=name, cluster_id=name[:2], subtask="X", prompt="?", options=options, factors=factors)

    items, answers = [], []
    for at in range(10):
        items += [one(f"{at:02d}a", ("yes", "no"), 0), one(f"{at:02d}b", ("no", "yes"), 1)]
        items += [one(f"{at:02d}c", ("yes", "no"), 0, "other")]
        answers += [Answer(f"{at:02d}a", (0, 1), "plain", "text", 0)]
        answers += [Answer(f"{at:02d}b", (0, 1), "plain", "text", int(at < 7))]
        answers += [Answer(f"{at:02d}c", (0, 1), "plain", "text", at % 2)]
    table = Table.of(AnswerSheet("s", "f", tuple(items), tuple(answers)))
    got = paraphrases(table, boot(table))
    assert got.same.value == 0.7
    assert (got.same.n_items, got.same.n_clusters) == (10, 10)
    assert orders(table, boot(table)) is None


def test_checkpoints_are_compared_on_common_items():
    rng = np.random.default_rng(2)
    items = simulated_items(60, rng=rng, n_options=2)
    first = Responder(theta=0.0).answer(items, rng=rng)
    second = Responder(theta=0.0).answer(items.items[40:], rng=rng)
    got = checkpoints(first, second, rng=rng, n_draws=100)
    a, b = Table.of(first).right[40:], Table.of(second).right
    assert got.same.value == pytest.approx((a == b).mean())
    assert got.same.n_items == 200
    assert got.kappa_right.value == pytest.approx(cohen_kappa_score(a, b), abs=0.02), (
        "pooled margins, not each one's own"
    )
    assert checkpoints(first, first, rng=rng, n_draws=100).kappa.value == 1.0
    other = simulated_items(60, rng=rng, n_options=3)
    with pytest.raises(InputError, match="other options in the second sheet"):
        checkpoints(first, Responder().answer(other, rng=rng), rng=rng)


def rounds(thetas, rng, n=400, variants=4, testlet=0.7):
    a, b = np.exp(0.3 * rng.standard_normal(n)), rng.standard_normal(n)
    clusters = np.arange(n) // variants
    g = testlet * rng.standard_normal(n // variants)[clusters]
    p = 0.25 + 0.75 * special.expit(a * (np.array(thetas)[:, None] - b) + g)
    return (rng.random(p.shape) < p).astype(float), a, b, np.full(n, 0.25), clusters


def test_drift_of_ability_is_found_with_its_size():
    rng = np.random.default_rng(8)
    right, a, b, c, clusters = rounds([0.0, 0.0, 0.8], rng)
    right[1, :40] = np.nan
    got = theta_drift(right, a, b, c, clusters, rng=rng)
    assert got.from_first[0].interval.low <= 0 <= got.from_first[0].interval.high
    assert got.from_first[1].interval.low > 0.2
    assert got.from_first[1].value == pytest.approx(got.theta.theta[2] - got.theta.theta[0])
    assert got.from_last[1].value == pytest.approx(got.theta.theta[2] - got.theta.theta[1])


def test_intervals_of_drift_cover_and_pair_the_rounds():
    rng = np.random.default_rng(4)
    hits, n = 0, 200
    for _ in range(n):
        interval = theta_drift(*rounds([0.2, 0.2], rng, 160), rng=rng, n_draws=300).from_first[0].interval
        hits += interval.low <= 0 <= interval.high
    assert 0.95 - 3 * np.sqrt(0.0475 / n) - 0.01 <= hits / n


def test_one_ability_has_an_interval():
    rng = np.random.default_rng(5)
    right, a, b, c, clusters = rounds([0.5], rng, 800, testlet=0.0)
    got = ability(right[0], a, b, c, ClusterBootstrap(clusters, rng=rng))
    assert got.interval.low <= 0.5 <= got.interval.high
    assert got.interval.high - got.interval.low < 0.5


def test_cusum_by_hand():
    got = cusum(np.array([0.0, 1.0, 4.0, 4.0, np.nan, -9.0]), 0.0, 1.0)
    np.testing.assert_allclose(got.up, [0, 0.5, 4, 7.5, 7, 0])
    np.testing.assert_allclose(got.down, [0, 0, 0, 0, 0, 8.5])
    assert (int(got.first_alarm), got.side) == (3, "up")
    assert cusum(-np.array([0.0, 6.0]), 0.0, 1.0).side == "down"
    assert int(cusum(np.zeros(5), 0.0, 1.0).first_alarm) == -1
    with pytest.raises(ConfigError, match="above 0"):
        cusum(np.zeros(3), 0.0, 0.0)


@pytest.mark.parametrize(("shift", "length"), [(0.0, 465.0), (1.0, 10.4)])
def test_run_lengths_are_those_of_the_tables(shift, length):
    rng = np.random.default_rng(6)
    n = 800
    # Montgomery, Introduction to statistical quality control: two-sided, h = 5, k = 0.5.
    seen = cusum(shift + rng.standard_normal((n, 4000 if shift == 0 else 200)), 0.0, 1.0).first_alarm
    assert (seen >= 0).mean() > 0.995
    spread = length if shift == 0 else 5.0
    seen = np.where(seen < 0, 4000, seen)
    assert (seen + 1).mean() == pytest.approx(length, abs=3.5 * spread / np.sqrt(n))
