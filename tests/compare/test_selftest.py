from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.predicate import Table
from moorings.compare.selftest import divide_within_prompts, selftest
from moorings.errors import InputError
from tests.compare.corpora import SMALL, keep_rows, make_corpus, make_table


def one_arm(n_prompts: int = 60, n_samples: int = 4, **more) -> Table:
    corpus = make_corpus(n_prompts, n_samples, **more)
    rows = np.flatnonzero(corpus.arm == 0)
    return make_table(keep_rows(replace(corpus, arm_names=("only",), arm=np.zeros_like(corpus.arm)), rows))


def test_halves_are_equal_within_each_prompt_and_share_no_response():
    table = one_arm(30, 5)
    texts = [f"{i} {t}" for i, t in enumerate(table.corpus.texts)]
    table.corpus = replace(table.corpus, texts=texts)
    halves = divide_within_prompts(table, np.random.default_rng(0)).corpus
    assert (np.bincount(halves.prompt * 2 + halves.arm) == 2).all()
    assert len(set(halves.texts)) == len(halves.texts) == 120
    for text, prompt in zip(halves.texts, halves.prompt, strict=True):
        assert table.corpus.prompt[int(text.split()[0])] == int(halves.prompt_ids[prompt][1:])


def test_measurements_go_with_their_responses():
    table = one_arm(20, 4)
    halves = divide_within_prompts(table, np.random.default_rng(1), n_prompts=12)
    assert len(halves.corpus.prompts) == 12
    again = make_table(halves.corpus)
    assert np.array_equal(halves.battery.values, again.battery.values, equal_nan=True)
    assert np.allclose(halves.embeddings, again.embeddings, atol=1e-6)


def test_one_sample_a_prompt_cannot_be_divided():
    with pytest.raises(InputError, match="at least 2"):
        divide_within_prompts(one_arm(10, 1), np.random.default_rng(0))


def test_the_any_finding_rate_is_at_most_q_and_the_report_adds_up():
    done: list[int] = []
    result = selftest(one_arm(50, 4, groups=2), n_runs=25, settings=SMALL, progress=done.append)
    assert done == list(range(1, 26))
    assert result.holds
    assert result.rate == result.n_with_findings / 25 <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 25)
    assert result.interval.low <= result.rate <= result.interval.high
    assert (sum(result.findings.values()) > 0) == (result.n_with_findings > 0)


def test_the_same_seed_gives_the_same_result():
    table = one_arm(40, 2)
    assert selftest(table, n_runs=2, settings=SMALL, seed=3) == selftest(table, n_runs=2, settings=SMALL, seed=3)
