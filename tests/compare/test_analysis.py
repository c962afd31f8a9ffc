from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.charter import Charter
from moorings.compare.analysis import analyse, missing_counts
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.errors import ConfigError
from moorings.records import Finding, SampleStatus
from tests.compare.corpora import (
    SMALL,
    keep_rows,
    make_corpus,
    make_table,
    plant,
    sentence,
)

PLANTED = make_table(plant(make_corpus(160, 2, groups=2), "as the harbour master says", 0.5))


def result_of(table: Table, settings: Settings = SMALL, charter: Charter | None = None):
    return analyse(table, settings, charter).result


def all_findings(result) -> dict[str, Finding]:
    return {f.finding_id: f for f in (*result.findings, *result.equivalent, *result.undecided)}


def test_a_planted_behaviour_is_found_named_and_shown():
    result = result_of(PLANTED)
    assert result.findings[0].part_of is None
    top = next(f for f in result.findings if f.origin == "phrases" and "harbour" in f.statement)
    assert top.effect.interval.low < 0.5 < top.effect.interval.high + 0.1
    assert top.effect.candidate - top.effect.precursor == pytest.approx(top.effect.estimate)
    assert "harbour" in top.examples[0].candidate
    assert "harbour" not in top.examples[0].precursor
    assert result.verdict == "changed"
    assert all(test.p < 0.01 for test in result.omnibus)
    ids = [f.finding_id for f in result.findings]
    assert len(ids) == len(set(ids))
    assert {f.part_of for f in result.findings} - {None} <= set(ids)


def test_swapping_the_arms_flips_every_sign_and_nothing_else():
    corpus = PLANTED.corpus
    swapped = Table(replace(corpus, arm=1 - corpus.arm), PLANTED.battery, PLANTED.embeddings)
    one, other = (all_findings(result_of(table)) for table in (PLANTED, swapped))
    assert set(one) == set(other)
    for key, found in one.items():
        mirror = other[key]
        assert mirror.effect.estimate == pytest.approx(-found.effect.estimate, abs=1e-12)
        assert (mirror.effect.interval.low, mirror.effect.interval.high) == pytest.approx(
            (-found.effect.interval.high, -found.effect.interval.low)
        )
        assert (mirror.effect.p, mirror.effect.p_adjusted) == pytest.approx((found.effect.p, found.effect.p_adjusted))
        assert (mirror.verdict, mirror.part_of, mirror.kind) == (found.verdict, found.part_of, found.kind)
        assert (mirror.effect.precursor, mirror.effect.candidate) == pytest.approx(
            (found.effect.candidate, found.effect.precursor)
        )
        if found.effect.estimate and found.verdict == "changed":
            assert mirror.statement != found.statement


def test_the_same_analysis_twice_is_the_same():
    assert result_of(PLANTED) == result_of(PLANTED)


def test_renaming_and_reordering_prompts_changes_no_number():
    """Prompts in another order, their ids kept: the parts, and so all results, stay."""
    corpus, rng = PLANTED.corpus, np.random.default_rng(0)
    order = rng.permutation(160)
    where = np.argsort(order)
    rows = np.lexsort((np.arange(len(corpus.arm)), where[corpus.prompt], corpus.arm))
    moved = replace(
        keep_rows(corpus, rows),
        prompt=where[corpus.prompt[rows]],
        prompt_ids=tuple(corpus.prompt_ids[i] for i in order),
        prompts=tuple(corpus.prompts[i] for i in order),
        groups=tuple(corpus.groups[i] for i in order),
    )
    settings = SMALL.model_copy(update={"n_clusters": 0})  # the start of k-means depends on the order of rows
    one, other = (all_findings(result_of(table, settings)) for table in (PLANTED, make_table(moved)))
    assert set(one) == set(other)
    for key, found in one.items():
        assert other[key].effect.estimate == pytest.approx(found.effect.estimate, abs=1e-9)
        assert other[key].verdict == found.verdict


def test_repeated_outputs_do_not_inflate_evidence():
    corpus = plant(make_corpus(120, 1), "as the harbour master says", 0.25)
    repeated = keep_rows(corpus, np.repeat(np.arange(len(corpus.texts)), 6))
    settings = SMALL.model_copy(update={"n_phrases": 0, "n_phrase_sets": 0, "n_clusters": 0, "n_topics": 0})
    one, other = (all_findings(result_of(make_table(c), settings)) for c in (corpus, repeated))
    assert set(one) == set(other)
    for key, found in one.items():
        assert other[key].effect.p == pytest.approx(found.effect.p, rel=1e-6)
        assert other[key].effect.interval.low == pytest.approx(found.effect.interval.low)


@pytest.mark.parametrize("kind", ["plain", "repeated", "unequal"])
def test_a_comparison_with_itself_finds_something_in_at_most_q_of_runs(kind):
    n_runs, hits = (40 if kind == "plain" else 25), 0
    for seed in range(n_runs):
        corpus, rng = make_corpus(40, 2, seed=1000 + seed), np.random.default_rng(seed)
        if kind == "repeated":
            few = [sentence(rng) for _ in range(12)]
            corpus = replace(corpus, texts=[few[(p + rng.integers(2)) % 12] for p in corpus.prompt])
        if kind == "unequal":
            corpus = keep_rows(corpus, (corpus.arm == 0) | (np.arange(160) % 2 == 0))
        hits += bool(result_of(make_table(corpus), SMALL.model_copy(update={"seed": seed})).findings)
    assert hits / n_runs <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / n_runs)


def test_outcomes_are_findings_and_their_rows_stay_in_the_count():
    corpus = make_corpus(120, 2)
    status = [
        SampleStatus.REFUSED if a and p % 2 else SampleStatus.COMPLETED
        for a, p in zip(corpus.arm, corpus.prompt, strict=True)
    ]
    result = result_of(make_table(replace(corpus, status=status)))
    refused = next(f for f in result.findings if f.kind == "outcome")
    assert refused.statement == "Requests are refused more often"
    assert refused.effect.candidate == pytest.approx(0.5, abs=0.1)
    assert refused.part_of is None


def test_missing_samples_are_counted_with_their_share():
    corpus = make_corpus(20, 2)
    status = [SampleStatus.FAILED if i in (0, 50, 51) else SampleStatus.COMPLETED for i in range(80)]
    counts = missing_counts(replace(corpus, status=status))
    assert [(m.arm, m.status, m.n) for m in counts] == [("before", "failed", 1), ("after", "failed", 2)]
    assert counts[1].share.low < 0.05 < counts[1].share.high


def test_a_charter_decides_what_was_meant():
    def charter(**lists) -> Charter:
        return Charter.model_validate({"title": "t", "purpose": "p", **lists})

    wanted = charter(intended=[{"name": "sea", "phrases": ["Harbour"], "direction": "more"}])
    result = result_of(PLANTED, charter=wanted)
    entry = next(f for f in result.findings if f.origin == "charter")
    assert entry.intent.verdict == "intended"
    assert entry.effect.estimate > 0.3
    banned = charter(forbidden=[{"name": "sea", "phrases": ["harbour"], "direction": "more"}])
    assert result_of(PLANTED, charter=banned).verdict == "concerning"
    with pytest.raises(ConfigError, match="word"):
        result_of(PLANTED, charter=charter(unchanged=[{"name": "x", "feature": "wrods"}]))


_N = 240
_BASE = make_corpus(60, 2)
_RNG = np.random.default_rng(3)
_STATUSES = {"": SampleStatus.EMPTY}
ODD = {
    "equal": ["Same text."] * _N,
    "empty": [""] * _N,
    "one emoji": ["🎉"] * _N,
    "surrogates": [t + " \ud83d \udc00 \x00\u202e" for t in _BASE.texts],
    "no spaces": [f"日本語のテキスト{i % 7}" for i in range(_N)],
    "huge": [
        "x y " * 20_000 if i % 60 == 0 else "a" * 100_000 if i % 60 == 1 else t for i, t in enumerate(_BASE.texts)
    ],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_are_no_change_and_no_crash(name):
    texts = ODD[name]
    status = [_STATUSES.get(text, SampleStatus.COMPLETED) for text in texts]
    result = result_of(make_table(replace(_BASE, texts=texts, status=status)))
    assert result.verdict == "no change found"
    assert not np.isnan([f.effect.mde for f in all_findings(result).values()]).any()
    assert result.model_dump_json()


def only_one_prompt_answered():
    corpus = make_corpus(200, 2)
    status = [SampleStatus.COMPLETED if p == 0 else SampleStatus.FAILED for p in corpus.prompt]
    texts = [t if p == 0 else "" for t, p in zip(corpus.texts, corpus.prompt, strict=True)]
    return replace(corpus, texts=texts, status=status)


@pytest.mark.parametrize(
    "corpus",
    [
        make_corpus(20, 1),
        make_corpus(60, 1),
        make_corpus(60, 2, groups=1),
        replace(make_corpus(60, 2), groups=tuple(None if i % 4 == 0 else f"g{i % 3}" for i in range(60))),
        replace(make_corpus(40, 2, status=SampleStatus.FAILED), texts=[""] * 160),
        only_one_prompt_answered(),
    ],
    ids=["20 prompts", "1 sample", "1 group", "some groups", "all failed", "1 answered"],
)
def test_odd_shapes_are_no_change_and_no_crash(corpus):
    result = result_of(make_table(corpus))
    assert result.findings == ()
    assert result.model_dump_json()


def test_an_arm_without_any_response_is_a_finding_about_its_outcome_only():
    corpus = make_corpus(60, 2)
    status = [SampleStatus.FAILED if a else SampleStatus.COMPLETED for a in corpus.arm]
    texts = ["" if a else t for t, a in zip(corpus.texts, corpus.arm, strict=True)]
    (found,) = result_of(make_table(replace(corpus, texts=texts, status=status))).findings
    assert found.statement == "No response came back more often"
    assert found.effect.interval.high <= 1.0


@pytest.mark.parametrize("corpus", [make_corpus(19, 2), replace(make_corpus(60, 2), families=np.arange(60) // 20)])
def test_few_families_are_refused(corpus):
    with pytest.raises(ConfigError, match="at least 20 prompts"):
        result_of(make_table(corpus))
