from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.confirm import confirm
from moorings.compare.predicate import Hypothesis, OutcomePredicate, PhrasePredicate
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import SampleStatus
from tests.compare.corpora import make_corpus

SETTINGS = Settings(n_draws=2000)


def hypothesis(number: int = 0, **changes) -> Hypothesis:
    base = Hypothesis(PhrasePredicate(phrases=(f"w{number}",)), "More", "Fewer", "content", "phrases")
    return replace(base, **changes)


def run(values, corpus, hypotheses=None, settings=SETTINGS):
    found = hypotheses or [hypothesis(k) for k in range(values.shape[1])]
    return confirm(found, values.astype(np.float32), corpus, split_families(corpus, settings.split), settings)


def test_a_large_effect_is_found_with_its_size_and_sign():
    corpus, rng = make_corpus(300), np.random.default_rng(0)
    rate = np.where(corpus.arm == 1, 0.5, 0.2)
    values = (rng.random((len(rate), 3)) < np.stack([rate, rate[::-1], np.full_like(rate, 0.3)], 1)).astype(float)
    up, down, none = run(values, corpus)
    assert (up.verdict, down.verdict, none.verdict) == ("changed", "changed", "undecided")
    assert up.effect.interval.low < 0.3 < up.effect.interval.high
    assert down.effect.estimate < -0.15
    assert up.guaranteed
    assert up.exceeds_tolerance


def test_discovered_hypotheses_never_see_the_discovery_prompts():
    corpus = make_corpus(300)
    split = split_families(corpus, SETTINGS.split)
    values = ((corpus.arm == 1) & split.discover[corpus.prompt]).astype(float)[:, None]
    (found,) = run(values, corpus)
    assert found.effect.estimate == 0
    assert found.effect.n_prompts == split.confirm.sum()
    (registered,) = run(values, corpus, [hypothesis(registered=True)])
    assert registered.verdict == "changed"
    assert registered.effect.n_prompts == (split.confirm | split.discover).sum()


def test_the_reserve_is_never_opened():
    corpus = make_corpus(300)
    split = split_families(corpus, SETTINGS.split)
    values = ((corpus.arm == 1) & split.reserve[corpus.prompt]).astype(float)[:, None]
    for registered in (False, True):
        (found,) = run(values, corpus, [hypothesis(registered=registered)])
        assert found.effect.estimate == 0
        assert found.effect.candidate == 0


def test_missing_values_that_could_turn_a_result_leave_it_undecided():
    corpus, rng = make_corpus(300), np.random.default_rng(1)
    values = (rng.random(len(corpus.arm)) < np.where(corpus.arm == 1, 0.35, 0.15)).astype(float)
    missing = (rng.random(len(values)) < 0.5) & (corpus.arm == 1)
    status = [SampleStatus.FAILED if gone else SampleStatus.COMPLETED for gone in missing]
    holed = np.where(missing, np.nan, values)[:, None]
    (found,) = run(holed, replace(corpus, status=status))
    assert found.effect.worst_case is not None
    assert found.effect.worst_case.low < 0 < found.effect.worst_case.high
    assert found.verdict == "undecided"
    assert found.effect.n_missing > 0
    (whole,) = run(values[:, None], corpus)
    assert whole.verdict == "changed"
    assert whole.effect.worst_case is None


def test_nothing_ever_seen_is_equivalent_only_with_enough_prompts():
    few, many = make_corpus(60), make_corpus(600)
    (small,) = run(np.zeros((len(few.arm), 1)), few)
    (large,) = run(np.zeros((len(many.arm), 1)), many)
    assert small.verdict == "undecided"
    assert small.effect.interval.high > 0.02
    assert large.verdict == "equivalent"


def test_too_few_families_are_unknown_never_certain():
    corpus = make_corpus(60)
    split = split_families(corpus, SETTINGS.split)
    corpus = replace(corpus, families=corpus.families % 5)
    values = (corpus.arm == 1).astype(np.float32)[:, None]
    (found,) = confirm([hypothesis(registered=True)], values, corpus, split, SETTINGS)
    assert found.verdict == "undecided"
    assert found.effect.p == 1.0


def test_charter_hypotheses_are_a_family_of_their_own():
    corpus, rng = make_corpus(300), np.random.default_rng(2)
    noise = (rng.random((len(corpus.arm), 200)) < 0.3).astype(float)
    weak = (rng.random(len(corpus.arm)) < np.where(corpus.arm == 1, 0.42, 0.3)).astype(float)[:, None]
    hypotheses = [hypothesis(entry="concise", registered=True), *(hypothesis(k) for k in range(1, 201))]
    found = run(np.hstack([weak, noise]), corpus, hypotheses)
    assert found[0].verdict == "changed"
    assert found[0].effect.interval.level == pytest.approx(0.95)


def test_outcomes_are_measured_on_rows_without_a_response():
    corpus = make_corpus(200)
    status = [
        SampleStatus.FAILED if arm == 1 and p % 4 == 0 else SampleStatus.COMPLETED
        for arm, p in zip(corpus.arm, corpus.prompt, strict=True)
    ]
    values = np.array([s == SampleStatus.FAILED for s in status])[:, None]
    outcome = hypothesis(predicate=OutcomePredicate(outcome=SampleStatus.FAILED), registered=True, kind="outcome")
    (found,) = run(values, replace(corpus, status=status), [outcome])
    assert found.verdict == "changed"
    assert found.effect.candidate == pytest.approx(0.25, abs=0.03)


def test_any_finding_rate_without_a_change_is_at_most_q():
    n_runs, hits = 60, 0
    for seed in range(n_runs):
        corpus, rng = make_corpus(80, seed=seed), np.random.default_rng(seed)
        base = rng.random((80, 40))[corpus.prompt]
        values = (rng.random((len(corpus.arm), 40)) < base).astype(float)
        hits += any(t.verdict == "changed" for t in run(values, corpus))
    assert hits / n_runs <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / n_runs)
