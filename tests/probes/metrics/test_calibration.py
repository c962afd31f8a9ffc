"""A calibrated responder looks calibrated, an overconfident one does not, and each score agrees with its library."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Item, Option
from moorings.probes.metrics import calibration as module
from moorings.probes.metrics.calibration import auroc, calibration, ece, equal_mass_bins, fit_temperature, selective
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap
from moorings.probes.metrics.table import Table
from moorings.probes.simulated import Responder, simulated_items


def judge(sheet, **settings):
    return calibration(Table.of(sheet), rng=np.random.default_rng(0), **{"n_draws": 300, **settings})


def made(confidence, right, clusters=None, split="test"):
    """Two options, the first with the given share; it is the key where the answer is to be right."""
    items, answers = [], []
    for at, (share, hit) in enumerate(zip(confidence, right, strict=True)):
        options = (Option(symbol="A", text="a", key=bool(hit)), Option(symbol="B", text="b", key=not hit))
        cluster = str(at if clusters is None else clusters[at])
        items.append(Item(item_id=str(at), cluster_id=cluster, subtask="X", prompt="?", options=options, split=split))
        answers.append(Answer(str(at), (0, 1), "plain", "logprobs", 0, (np.log(share), np.log1p(-share))))
    return AnswerSheet("s", "f", tuple(items), tuple(answers))


def test_scores_agree_with_slow_references():
    rng = np.random.default_rng(0)
    confidence = np.round(0.51 + 0.48 * rng.random(200), 2)
    right = (rng.random(200) < confidence).astype(float)
    got = judge(made(confidence, right))
    key_share = np.where(right > 0, confidence, 1 - confidence)
    assert got.brier.value == pytest.approx(2 * brier_score_loss(right, confidence))
    assert got.log_score.value == pytest.approx(-np.log(key_share).mean())
    assert got.auroc.value == pytest.approx(roc_auc_score(right, confidence))
    bins = equal_mass_bins(confidence)
    slow = sum(abs((right - confidence)[bins == b].sum()) for b in set(bins.tolist())) / 200
    assert got.ece.value == pytest.approx(slow)
    assert ece(confidence, right) == pytest.approx(slow)
    assert [point.n_items for point in got.curve] == np.bincount(bins)[np.bincount(bins) > 0].tolist()
    assert got.overconfidence.value == pytest.approx((confidence - right).mean())


def test_weighted_scores_are_those_of_repeated_items():
    rng = np.random.default_rng(1)
    confidence, right = np.round(rng.random(40), 1), rng.integers(0, 2, 40).astype(float)
    weights = rng.integers(0, 4, (5, 40)).astype(float)
    for row, area, kept in zip(
        weights, auroc(confidence, right, weights), selective(confidence, right, weights), strict=True
    ):
        many = np.repeat(np.arange(40), row.astype(int))
        assert area == pytest.approx(roc_auc_score(right[many], confidence[many]))
        order = many[np.argsort(-confidence[many], kind="stable")]
        n = 0.8 * len(many)
        edge = confidence[order][int(n) if n % 1 else int(n) - 1]
        above, at = confidence[order] > edge, confidence[order] == edge
        want = (right[order][above].sum() + (n - above.sum()) * right[order][at].mean()) / n
        assert kept == pytest.approx(want)


def test_bins_have_equal_mass_and_ties_share_one():
    assert np.bincount(equal_mass_bins(np.random.default_rng(2).random(150))).tolist() == [10] * 15
    assert set(equal_mass_bins(np.full(30, 0.5)).tolist()) == {0}


def test_a_calibrated_responder_lies_in_its_band_and_its_interval_holds_zero():
    rng = np.random.default_rng(3)
    inside, low, n = 0, 0, 400
    bootstrap = ClusterBootstrap(np.repeat(np.arange(100), 3), rng=rng, n_draws=300)
    for _ in range(n):
        # Luck is shared by the items of a cluster, so that single items would give too narrow a band.
        confidence = 0.3 + 0.65 * rng.random(300)
        luck = np.where(rng.random(300) < 0.5, np.repeat(rng.random(100), 3), rng.random(300))
        right = (luck < confidence).astype(float)
        figure = module._ece_figure(confidence, right, bootstrap)
        inside += figure.value <= module._band(confidence, right, bootstrap, rng).high
        low += figure.interval.low == 0.0
    # The band is central, so the upper end errs in 2.5 %; three binomial errors below.
    assert inside / n >= 0.975 - 3 * np.sqrt(0.025 * 0.975 / n)
    assert low / n >= 0.95


def test_the_interval_of_an_uncalibrated_responder_holds_its_true_error():
    rng = np.random.default_rng(5)
    covered, n = 0, 400
    bootstrap = ClusterBootstrap(np.repeat(np.arange(200), 2), rng=rng, n_draws=300)
    for _ in range(n):
        confidence = 0.5 + 0.5 * rng.random(400)
        right = (rng.random(400) < confidence - 0.15).astype(float)
        interval = module._ece_figure(confidence, right, bootstrap).interval
        covered += interval.low <= 0.15 <= interval.high
    assert covered / n >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / n)


@pytest.mark.parametrize("seed", [0, 1])
def test_simulated_responders_are_told_apart_and_temperature_comes_from_dev_alone(seed):
    rng = np.random.default_rng(seed)
    items = simulated_items(400, rng=rng, dev=0.4)
    good = judge(Responder(theta=0.5).answer(items, rng=rng, orders="stored"))
    loud = judge(Responder(theta=0.5, sharpness=2.5).answer(items, rng=rng, orders="stored"))
    assert good.looks_calibrated
    assert good.temperature == pytest.approx(1.0, abs=0.2)
    assert not loud.looks_calibrated
    assert loud.ece.interval.low > 0
    assert loud.overconfidence.interval.low > 0.05
    assert loud.temperature == pytest.approx(2.5, abs=0.4)
    assert loud.ece_scaled.value < loud.ece.value / 2
    assert loud.log_score_scaled.value < loud.log_score.value
    assert loud.n_items + loud.n_dev == 1600
    assert loud.auroc.value == pytest.approx(good.auroc.value, abs=0.05)


def test_temperature_by_closed_form():
    shares = np.tile([0.9, 0.1], (100, 1))
    key = (np.arange(100) >= 75).astype(int)
    want = np.log(9) / np.log(3)
    assert fit_temperature(shares, key, np.ones((100, 2), bool)) == pytest.approx(want, rel=1e-3)


def test_without_dev_logprobs_or_clusters_less_is_said():
    sheet = made([0.7] * 6, [1, 0, 1, 1, 0, 1])
    got = judge(sheet)
    assert got.temperature is None
    assert got.ece_scaled is None
    assert got.looks_calibrated is None
    assert got.ece.interval is None
    assert judge(made([0.7] * 6, [1] * 6)).auroc is None
    assert judge(made([0.7] * 6, [1] * 6, split="dev")).n_items == 6
    texts = tuple(answer._replace(logprobs=(), mode="text") for answer in sheet.answers)
    mixed = AnswerSheet("s", "f", sheet.items, (*texts[:2], *sheet.answers[2:]))
    assert judge(mixed).n_left_out == 2
    assert judge(AnswerSheet("s", "f", sheet.items, texts)) is None
