from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.omnibus import omnibus_tests
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import SampleStatus
from tests.compare.corpora import keep_rows, make_corpus, make_table, plant


def p_values(table: Table, seed: int = 0) -> list[float]:
    settings = Settings(seed=seed)
    return [test.p for test in omnibus_tests(table, split_families(table.corpus, seed=seed), settings)]


def test_a_planted_change_is_seen_by_both():
    assert max(p_values(make_table(plant(make_corpus(120, 2), "harbour ships sail", 0.7)))) < 0.01


def test_a_comparison_with_itself_is_rejected_at_the_nominal_rate():
    table = make_table(make_corpus(40, 2))
    found = []
    for seed in range(40):
        swap = np.random.default_rng(seed).random(40) < 0.5
        arm = np.where(swap[table.corpus.prompt], 1 - table.corpus.arm, table.corpus.arm)
        found.append(p_values(Table(replace(table.corpus, arm=arm), table.battery, table.embeddings), seed))
    rates = (np.array(found) <= 0.1).mean(0)
    assert (rates <= 0.1 + 2.6 * np.sqrt(0.1 * 0.9 / 40)).all()


def test_the_reserve_is_not_looked_at():
    corpus = make_corpus(120, 2)
    split = split_families(corpus)
    marked = [
        f"{t} harbour ships" if split.reserve[p] and a else t
        for t, p, a in zip(corpus.texts, corpus.prompt, corpus.arm, strict=True)
    ]
    one, other = make_table(corpus), make_table(replace(corpus, texts=marked))
    first, second = (omnibus_tests(table, split, Settings())[0] for table in (one, other))
    assert (first.p, first.statistic) == (second.p, second.statistic)


@pytest.mark.parametrize("status", [SampleStatus.COMPLETED, SampleStatus.FAILED])
@pytest.mark.parametrize("text", ["", "Same.", "\ud800"])
def test_equal_texts_are_no_evidence_and_no_warning(text, status):
    corpus = make_corpus(40, 2, status=status)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert p_values(make_table(replace(corpus, texts=[text] * 160))) == [1.0, 1.0]


def test_unequal_numbers_of_samples_keep_the_level():
    found = []
    for seed in range(40):
        corpus = make_corpus(40, 4, seed=seed)
        found.append(p_values(make_table(keep_rows(corpus, (corpus.arm == 0) | (np.arange(320) % 4 == 0))), seed))
    rates = (np.array(found) <= 0.1).mean(0)
    assert (rates <= 0.1 + 2.6 * np.sqrt(0.1 * 0.9 / 40)).all()
