from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.confirm import confirm
from moorings.compare.merge import explained_share, lead_findings
from moorings.compare.predicate import FeaturePredicate, Hypothesis, OutcomePredicate, PhrasePredicate
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import SampleStatus
from tests.compare.corpora import make_corpus

CORPUS = make_corpus(300, 2, groups=3)
SPLIT = split_families(CORPUS)


def style(name: str = "words", **more) -> Hypothesis:
    return Hypothesis(FeaturePredicate(feature=name), "More", "Less", "style", "battery", binary=False, **more)


def phrase(name: str = "river", **more) -> Hypothesis:
    return Hypothesis(PhrasePredicate(phrases=(name,)), "More", "Less", "content", "phrases", **more)


def outcome() -> Hypothesis:
    return Hypothesis(OutcomePredicate(outcome=SampleStatus.REFUSED), "More", "Less", "outcome", "outcomes")


def leads(*found: tuple[Hypothesis, np.ndarray]) -> list[int | None]:
    values = np.stack([v for _, v in found], axis=1).astype(np.float32)
    tested = confirm([h for h, _ in found], values, CORPUS, SPLIT, Settings(n_draws=1000))
    assert all(t.verdict == "changed" for t in tested)
    return lead_findings(tested, CORPUS, SPLIT.confirm)


def words(effect: float = 60.0, seed: int = 0) -> np.ndarray:
    return 200 + 30 * np.random.default_rng(seed).standard_normal(len(CORPUS.arm)) + effect * CORPUS.arm


def test_what_follows_from_length_is_part_of_it():
    n_words = words()
    sentences = n_words / 12 + 1.5 * np.random.default_rng(1).standard_normal(len(n_words))
    assert leads((style(), n_words), (style("sentences"), sentences)) == [None, 0]


def test_a_small_change_of_its_own_is_not_hidden_by_a_large_one():
    hidden = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        own = (rng.random(len(CORPUS.arm)) < np.where(CORPUS.arm == 1, 0.4, 0.15)).astype(float)
        hidden += leads((style(), words(90.0, seed)), (phrase(), own))[1] is not None
    assert hidden <= 3


def test_refusals_are_never_explained_away_by_length():
    rng = np.random.default_rng(2)
    refused = rng.random(len(CORPUS.arm)) < np.where(CORPUS.arm == 1, 0.3, 0.1)
    n_words = np.where(refused, 20, words(-100.0))
    assert leads((style(), n_words), (outcome(), refused)) == [None, None]


def test_the_same_predicate_under_another_name_is_one_finding():
    rng = np.random.default_rng(3)
    held = (rng.random(len(CORPUS.arm)) < np.where(CORPUS.arm == 1, 0.5, 0.1)).astype(float)
    assert sorted(map(str, leads((phrase(), held), (phrase("stone"), held)))) in (["0", "None"], ["1", "None"])


def test_a_scoped_finding_explains_nothing_outside_its_scope():
    rng = np.random.default_rng(4)
    inside = np.array([g == "g1" for g in CORPUS.groups])[CORPUS.prompt]
    held = (rng.random(len(inside)) < np.where(CORPUS.arm == 1, 0.7, 0.1)).astype(float)
    only = np.where(inside, held, np.nan)
    order = leads((phrase(groups=frozenset({"g1"})), only), (phrase("stone"), held))
    assert order[1] is None


def test_leads_are_never_part_of_another():
    rng = np.random.default_rng(5)
    base = words()
    found = [(style(f"f{k}"), base + k * 10 * rng.standard_normal(len(base))) for k in range(6)]
    part_of = leads(*found)
    assert all(part_of[lead] is None for lead in part_of if lead is not None)


@pytest.mark.parametrize("slope", [0.5, -2.0])
def test_the_explained_share_is_slope_times_gap_over_gap(slope):
    rng = np.random.default_rng(6)
    whole = rng.standard_normal(4000)
    part = slope * whole + 0.1 * rng.standard_normal(4000)
    assert explained_share(part, whole, 3.0, 1.5) == pytest.approx(slope * 1.5 / 3.0, abs=0.01)


def test_nothing_is_explained_by_what_does_not_vary_or_by_chance():
    rng = np.random.default_rng(7)
    noise = rng.standard_normal(500)
    assert explained_share(noise, np.zeros(500), 1.0, 1.0) == 0.0
    assert explained_share(noise, rng.standard_normal(500), 0.0, 1.0) == 0.0
    shares = [explained_share(rng.standard_normal(500), noise, 0.1, 3.0) for _ in range(400)]
    assert np.mean(np.array(shares) != 0) < 0.02


def test_findings_of_the_opposite_arm_order_have_the_same_leads():
    n_words = words()
    sentences = n_words / 12 + 1.5 * np.random.default_rng(1).standard_normal(len(n_words))
    found = [(style(), n_words), (style("sentences"), sentences), (phrase(), (n_words > 240).astype(float))]
    values = np.stack([v for _, v in found], axis=1).astype(np.float32)
    both = []
    for corpus in (CORPUS, replace(CORPUS, arm=1 - CORPUS.arm)):
        tested = confirm([h for h, _ in found], values, corpus, SPLIT, Settings(n_draws=1000))
        both.append(lead_findings(tested, corpus, SPLIT.confirm))
    assert both[0] == both[1]
