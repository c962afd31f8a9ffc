from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.split import split_families
from moorings.errors import ConfigError
from tests.compare.corpora import make_corpus


def test_every_prompt_is_in_exactly_one_part_near_the_asked_shares():
    split = split_families(make_corpus(500))
    assert (split.discover.astype(int) + split.confirm + split.reserve == 1).all()
    assert split.counts() == pytest.approx({"discover": 200, "confirm": 200, "reserve": 100}, abs=3)


def test_families_stay_together():
    corpus = replace(make_corpus(90), families=np.arange(90) // 3)
    split = split_families(corpus)
    for part in split:
        assert set(np.bincount(corpus.families[part], minlength=30)) <= {0, 3}


def test_groups_are_divided_alike():
    corpus = make_corpus(400, groups=4)
    split = split_families(corpus, seed=7)
    names = np.array(corpus.groups)
    for name in set(names):
        assert 38 <= (split.discover & (names == name)).sum() <= 42


def test_the_seed_changes_the_division_and_nothing_else_does():
    corpus = make_corpus(100)
    again = replace(make_corpus(100), texts=["other"] * len(corpus.texts))
    assert (split_families(corpus, seed=1).discover == split_families(again, seed=1).discover).all()
    assert (split_families(corpus, seed=1).discover != split_families(corpus, seed=2).discover).any()


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (-0.1, 0.6, 0.5)])
def test_bad_shares_are_refused(shares):
    with pytest.raises(ConfigError, match="sum to 1"):
        split_families(make_corpus(50), shares)


def test_too_few_prompts_are_refused():
    with pytest.raises(ConfigError, match="at least 20 prompts"):
        split_families(make_corpus(1))
