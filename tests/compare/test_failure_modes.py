"""The twelve failure modes of existing tools for comparing models, each shown not to be ours."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from moorings.compare.analysis import analyse, find_changes
from moorings.compare.confirm import confirm
from moorings.compare.judge.prompts import Task
from moorings.compare.judge.reply import parse_reply
from moorings.compare.predicate import (
    Hypothesis,
    OutcomePredicate,
    PhrasePredicate,
    StatementPredicate,
    Table,
    evaluate,
)
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import SampleStatus, content_hash
from moorings.statistics.betting import e_process
from tests.compare.corpora import SMALL, keep_rows, make_corpus, make_table, plant

SETTINGS = Settings(n_draws=1000)


def phrase(number: int = 0, **more) -> Hypothesis:
    return Hypothesis(PhrasePredicate(phrases=(f"w{number}",)), "More", "Fewer", "content", "phrases", **more)


def confirmed(values, corpus, **more):
    hypotheses = [phrase(k, **more) for k in range(values.shape[1])]
    return confirm(hypotheses, values.astype(np.float32), corpus, split_families(corpus), SETTINGS)


def test_1_under_a_complete_null_any_finding_is_as_rare_as_promised():
    hits = 0
    for seed in range(40):
        corpus, rng = make_corpus(60, 1, seed=seed), np.random.default_rng(seed)
        hits += any(t.selected for t in confirmed(rng.random((120, 80)) < 0.4, corpus))
    assert binom.sf(hits - 1, 40, SETTINGS.q) > 0.02


def test_2_repeated_or_related_prompts_never_lie_on_both_sides_of_the_split():
    corpus = replace(make_corpus(120, 2), families=np.repeat(np.arange(40), 3))
    for seed in range(5):
        split = split_families(corpus, seed=seed)
        assert not set(corpus.families[split.discover]) & set(corpus.families[split.confirm | split.reserve])


def test_2_pure_noise_that_repeats_within_families_finds_nothing():
    """Every family's two prompts get the same responses, as if rows had been drawn twice."""
    hits = 0
    for seed in range(15):
        corpus = make_corpus(60, 1, seed=seed)
        texts = [corpus.texts[a * 60 + p // 2] for a, p in zip(corpus.arm, corpus.prompt, strict=True)]
        table = make_table(replace(corpus, texts=texts, families=np.arange(60) // 2))
        hits += bool(analyse(table, SMALL.model_copy(update={"seed": seed})).result.findings)
    assert binom.sf(hits - 1, 15, SMALL.q) > 0.02


def test_3_p_is_a_test_on_held_out_prompts_and_not_how_often_something_was_chosen():
    """What is certain to be chosen on the discovery prompts has no evidence if the others do not show it."""
    corpus = make_corpus(120, 2)
    split = split_families(corpus)
    loud = split.discover[corpus.prompt] & (corpus.arm == 1)
    texts = [f"{t} harbour" if chosen else t for t, chosen in zip(corpus.texts, loud, strict=True)]
    search = find_changes(make_table(replace(corpus, texts=texts)), split, SMALL)
    chosen = [t for t in search.tested if t.hypothesis.predicate == PhrasePredicate(phrases=("harbour",))]
    chosen = chosen or [t for t in search.tested if "harbour" in str(t.hypothesis.predicate)]
    assert chosen
    assert all(t.effect.p == 1.0 and t.effect.estimate == 0.0 for t in chosen)


def test_4_the_number_of_prompts_is_counted_and_agrees_with_a_plain_t_test():
    corpus, rng = make_corpus(100, 1), np.random.default_rng(0)
    values = np.where(rng.random(200) < 0.3, np.nan, rng.normal(corpus.arm * 0.5, 1.0))
    (found,) = confirmed(values[:, None], corpus, binary=False)
    split = split_families(corpus)
    d = (values[100:] - values[:100])[split.confirm]
    d = d[np.isfinite(d)]
    assert found.effect.n_prompts == found.effect.n_families == len(d) < 40
    reference = ttest_1samp(d, 0.0)
    assert found.effect.estimate == pytest.approx(reference.statistic * d.std(ddof=1) / math.sqrt(len(d)), rel=1e-4)
    assert found.effect.p >= reference.pvalue * 0.999


def test_5_choosing_the_best_of_many_by_their_scores_does_not_make_them_significant():
    hits = chosen = 0
    for seed in range(25):
        corpus = make_corpus(60, 2, seed=500 + seed)
        table = make_table(corpus)
        search = find_changes(table, split_families(corpus, seed=seed), SMALL.model_copy(update={"seed": seed}))
        discovered = [t for t in search.tested if not t.hypothesis.registered]
        chosen += len(discovered)
        hits += sum(t.effect.p <= 0.05 for t in discovered)
    assert chosen >= 8
    assert hits / chosen <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / chosen)


def test_6_looking_after_every_block_keeps_the_level_with_the_sequential_test():
    rng = np.random.default_rng(0)
    d = rng.choice([-1.0, 0.0, 1.0], size=(300, 320))
    evidence = e_process(d, tau=0.0)
    looks = evidence[:, 31::32]
    assert (looks.max(axis=1) >= 20).mean() <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)
    fixed = np.stack([ttest_1samp(d[:, :n], 0.0, axis=1).pvalue < 0.05 for n in range(32, 321, 32)])
    assert fixed.any(axis=0).mean() > 0.12


def test_7_identical_outputs_count_as_often_as_they_came_and_add_no_evidence():
    corpus, rng = make_corpus(80, 1), np.random.default_rng(1)
    values = (rng.random(160) < np.where(corpus.arm == 1, 0.5, 0.25)).astype(float)
    rows = np.repeat(np.arange(160), 10)
    (once,), (tenfold,) = confirmed(values[:, None], corpus), confirmed(values[rows, None], keep_rows(corpus, rows))
    assert tenfold.effect.model_copy(update={"mde": 0.0}) == pytest.approx(once.effect.model_copy(update={"mde": 0.0}))
    # Nine refusals and one answer are nine tenths refusals, not one of two different texts.
    ten = make_corpus(80, 10)
    status = [SampleStatus.REFUSED if a and i % 10 else SampleStatus.COMPLETED for i, a in enumerate(ten.arm)]
    outcome = Hypothesis(OutcomePredicate(outcome=SampleStatus.REFUSED), "", "", "outcome", "outcomes", registered=True)
    texts = ["I cannot help." if s is SampleStatus.REFUSED else t for s, t in zip(status, ten.texts, strict=True)]
    ten = replace(ten, texts=texts, status=status)
    (refused,) = confirm([outcome], evaluate([outcome], make_table(ten)), ten, split_families(ten), SETTINGS)
    assert refused.effect.candidate == pytest.approx(0.9)


def test_8_refusals_stay_in_the_denominator():
    corpus = make_corpus(100, 2)
    refused = (corpus.arm == 1) & (np.arange(400) % 2 == 0)
    texts = ["I cannot help." if r else f"{t} harbour" for r, t in zip(refused, corpus.texts, strict=True)]
    status = [SampleStatus.REFUSED if r else SampleStatus.COMPLETED for r in refused]
    table = make_table(replace(corpus, texts=texts, status=status))
    harbour = replace(phrase(), predicate=PhrasePredicate(phrases=("harbour",)))
    (found,) = confirm([harbour], evaluate([harbour], table), table.corpus, split_families(corpus), SETTINGS)
    assert (found.effect.precursor, found.effect.candidate) == pytest.approx((1.0, 0.5))
    assert found.effect.n_missing == 0


def test_8_what_no_response_could_have_said_leaves_no_claim_of_sameness():
    corpus, rng = make_corpus(600, 2), np.random.default_rng(2)
    same = (rng.random(600) < 0.5)[corpus.prompt].astype(float)
    gone = (corpus.arm == 1) & (rng.random(len(same)) < 0.3)
    status = [SampleStatus.FAILED if g else SampleStatus.COMPLETED for g in gone]
    (whole,) = confirmed(same[:, None], corpus)
    (holed,) = confirmed(np.where(gone, np.nan, same)[:, None], replace(corpus, status=status))
    assert whole.verdict == "equivalent"
    assert holed.verdict == "undecided"
    assert holed.effect.worst_case.low < -0.1 < 0.1 < holed.effect.worst_case.high


def test_8_statements_that_a_judge_left_open_are_missing_too():
    corpus, rng = make_corpus(300, 2), np.random.default_rng(3)
    said = (rng.random(1200) < np.where(corpus.arm == 1, 0.6, 0.4)).astype(float)
    said[(corpus.arm == 1) & (said == 0) & (rng.random(1200) < 0.9)] = np.nan
    statement = Hypothesis(StatementPredicate(statement="It rhymes."), "", "", "content", "charter", registered=True)
    (found,) = confirm([statement], said[:, None].astype(np.float32), corpus, split_families(corpus), SETTINGS)
    assert found.effect.n_missing > 100
    assert found.effect.worst_case is not None
    assert found.effect.worst_case.low < 0.25


def test_8_missing_rows_of_other_prompts_do_not_count_against_a_scoped_hypothesis():
    corpus = make_corpus(90, 2, groups=3)
    outside = np.array([g == "g2" for g in corpus.groups])[corpus.prompt]
    status = [SampleStatus.FAILED if o else SampleStatus.COMPLETED for o in outside]
    scoped = phrase(groups=frozenset({"g0"}))
    inside = np.array([g == "g0" for g in corpus.groups])[corpus.prompt]
    values = np.where(inside, 1.0 * (corpus.arm == 1), np.nan)[:, None].astype(np.float32)
    (found,) = confirm([scoped], values, replace(corpus, status=status), split_families(corpus), SETTINGS)
    assert found.effect.n_missing == 0
    assert found.effect.worst_case is None
    assert found.effect.estimate == 1.0


@pytest.mark.parametrize("n_families", [1, 2, 7])
def test_9_few_families_have_an_unknown_error_and_never_none(n_families):
    corpus = replace(make_corpus(60, 2), families=np.arange(60) % n_families)
    split = split_families(make_corpus(60, 2))  # by prompt, as no split of one family exists
    values = (corpus.arm == 1).astype(np.float32)[:, None]
    (found,) = confirm([phrase()], values, corpus, split, SETTINGS)
    assert (found.verdict, found.effect.p) == ("undecided", 1.0)
    assert found.effect.interval.high - found.effect.interval.low > 1.0


@pytest.mark.parametrize("binary", [True, False])
def test_9_equal_differences_everywhere_still_leave_an_interval(binary):
    corpus = make_corpus(100, 2)
    values = (corpus.prompt % 5 == 0).astype(float)[:, None]
    (found,) = confirmed(values, corpus, binary=binary)
    assert found.effect.estimate == 0.0
    assert found.effect.interval.low < 0 < found.effect.interval.high
    assert found.effect.mde > 0


def test_10_not_significant_is_undecided_and_only_a_narrow_interval_is_the_same():
    corpus, rng = make_corpus(60, 1), np.random.default_rng(4)
    (few,) = confirmed((rng.random(120) < 0.3)[:, None], corpus)
    assert few.effect.p > 0.05
    assert few.verdict == "undecided"
    assert few.effect.mde > 0.1
    large = make_corpus(4000, 2)
    (many,) = confirmed((np.random.default_rng(5).random(16_000) < 0.05)[:, None], large)
    assert many.verdict == "equivalent"
    assert -0.02 <= many.effect.interval.low <= many.effect.interval.high <= 0.02


def test_11_a_finding_keeps_its_id_and_meaning_in_another_comparison():
    """Ids come from what is tested, so they do not depend on the data, the arms or the number of a cluster."""
    one, other = (
        analyse(make_table(plant(make_corpus(100, 2, seed=seed), "the harbour", 0.6)), SMALL).result for seed in (0, 1)
    )
    ids = [
        {content_hash([f.predicate, f.scope]): f.finding_id for f in (*r.findings, *r.undecided, *r.equivalent)}
        for r in (one, other)
    ]
    shared = set(ids[0]) & set(ids[1])
    assert len(shared) >= 9
    assert all(ids[0][key] == ids[1][key] for key in shared)
    assert not any("cluster" in str(f.predicate) for f in one.findings)


def test_12_a_wrong_number_of_answers_is_missing_data_for_the_items_left_out():
    task = Task("t", "?", ("yes", "no"))
    tags = ["aa1", "bb2", "cc3", "dd4"]
    short = parse_reply("aa1: yes\ncc3: no\nzz9: yes", task, tags)
    assert [a.label if a else None for a in short] == ["yes", None, "no", None]
    assert parse_reply("", task, tags) == [None] * 4
    assert parse_reply("aa1: yes\naa1: no\nbb2: yes\nbb2: yes", task, tags)[0] is None


def test_unequal_numbers_of_samples_do_not_turn_chance_into_findings():
    """A side with one sample a prompt may miss a rare behaviour everywhere: many small differences of one sign."""
    hits = 0
    for seed in range(20):
        corpus, rng = make_corpus(100, 8, seed=0), np.random.default_rng(seed)
        corpus = keep_rows(corpus, (corpus.arm == 0) | (np.arange(1600) % 8 == 0))
        found = confirmed(rng.random((len(corpus.arm), 40)) < 0.03, corpus)
        hits += any(t.selected for t in found)
    assert binom.sf(hits - 1, 20, SETTINGS.q) > 0.02


def test_unequal_numbers_of_samples_still_find_what_is_there():
    corpus, rng = make_corpus(300, 4), np.random.default_rng(6)
    corpus = keep_rows(corpus, (corpus.arm == 0) | (np.arange(2400) % 4 == 0))
    rate = np.where(corpus.arm == 1, 0.45, 0.15)
    (found,) = confirmed((rng.random(len(rate)) < rate)[:, None], corpus)
    assert found.verdict == "changed"
    assert found.effect.interval.low < 0.3 < found.effect.interval.high
    assert found.effect.candidate - found.effect.precursor == pytest.approx(found.effect.estimate)


def test_a_small_spread_on_a_large_level_keeps_its_size():
    corpus, rng = make_corpus(200, 2), np.random.default_rng(7)
    values = 30_000 + rng.standard_normal(len(corpus.arm)) + 1.0 * corpus.arm
    (found,) = confirmed(values[:, None], corpus, binary=False)
    assert found.effect.standardised == pytest.approx(1.0 / math.sqrt(1.25), rel=0.15)
    (flat,) = confirmed(np.full((len(corpus.arm), 1), 3000.1), corpus, binary=False)
    assert flat.verdict == "undecided"


def test_an_unlabelled_table_is_all_that_label_checks_and_registered_hypotheses_see():
    table = make_table(make_corpus(60, 2))
    flipped = Table(replace(table.corpus, arm=1 - table.corpus.arm), table.battery, table.embeddings)
    split = split_families(table.corpus)
    one, other = (find_changes(t, split, SMALL) for t in (table, flipped))
    assert one.checks == other.checks
    assert [h.predicate for h, _ in one.dropped] == [h.predicate for h, _ in other.dropped]
