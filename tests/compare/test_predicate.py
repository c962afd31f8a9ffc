from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.predicate import (
    FeaturePredicate,
    Hypothesis,
    OutcomePredicate,
    PhrasePredicate,
    StatementPredicate,
    evaluate,
    parse_predicate,
)
from moorings.errors import ConfigError
from moorings.records import SampleStatus
from tests.compare.corpora import make_corpus, make_table

TEXTS = ["Of course! Set sail.", "of COURSE, no", "Don\u2019t panic", "", "course of events", "Sail away $"]


def hypothesis(predicate, **more) -> Hypothesis:
    return Hypothesis(predicate, "More", "Fewer", "content", "charter", **more)


def table_of(texts, status=None, groups=None):
    n = len(texts) // 2
    corpus = replace(make_corpus(n, 1), texts=texts, status=status or [SampleStatus.COMPLETED] * len(texts))
    return make_table(replace(corpus, groups=groups or (None,) * n))


@pytest.mark.parametrize(
    ("phrases", "hits", "held"),
    [
        (("of course",), 1, [1, 1, 0, 0, 0, 0]),
        (("Of Course!",), 1, [1, 0, 0, 0, 0, 0]),
        (("don't panic",), 1, [0, 0, 1, 0, 0, 0]),
        (("^ of course",), 1, [1, 1, 0, 0, 0, 0]),
        (("sail", "course"), 2, [1, 0, 0, 0, 0, 0]),
        (("sail", "Sail"), 1, [1, 0, 0, 0, 0, 1]),
        (("course",), 1, [1, 1, 0, 0, 1, 0]),
    ],
)
def test_phrases_mean_what_a_person_would_write(phrases, hits, held):
    values = evaluate([hypothesis(PhrasePredicate(phrases=phrases, min_hits=hits))], table_of(TEXTS))
    assert values[:, 0].tolist() == held


@pytest.mark.parametrize("phrase", ["%", "^ $", "\ud800"])
def test_a_phrase_that_could_never_be_found_is_refused(phrase):
    with pytest.raises(ConfigError, match="holds no word"):
        evaluate([hypothesis(PhrasePredicate(phrases=(phrase,)))], table_of(TEXTS))


def test_rows_without_a_response_have_an_outcome_and_nothing_else():
    status = [SampleStatus.FAILED, SampleStatus.TOO_LONG, *[SampleStatus.EMPTY] * 2, *[SampleStatus.REFUSED] * 2]
    hypotheses = [
        hypothesis(OutcomePredicate(outcome=SampleStatus.FAILED)),
        hypothesis(OutcomePredicate(outcome=SampleStatus.REFUSED)),
        hypothesis(FeaturePredicate(feature="words")),
        hypothesis(PhrasePredicate(phrases=("sail",))),
    ]
    values = evaluate(hypotheses, table_of(TEXTS, status))
    assert values[:, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert values[:, 1].tolist() == [0, 0, 0, 0, 1, 1]
    assert np.isnan(values[:2, 2:]).all()
    assert values[3, 2:].tolist() == [0, 0]


def test_prompts_out_of_scope_have_no_value():
    scoped = hypothesis(FeaturePredicate(feature="words"), groups=frozenset({"a"}))
    values = evaluate([scoped], table_of(TEXTS, groups=("a", None, "b")))
    assert np.isfinite(values[:, 0]).tolist() == [True, False, False] * 2
    assert scoped.scope == "prompts of a"


def test_a_statement_without_a_judge_has_no_value():
    values = evaluate([hypothesis(StatementPredicate(statement="It is kind."))], table_of(TEXTS))
    assert np.isnan(values).all()


def test_an_unknown_feature_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="word"):
        evaluate([hypothesis(FeaturePredicate(feature="wrods"))], table_of(TEXTS))


@pytest.mark.parametrize(
    "predicate",
    [
        FeaturePredicate(feature="words"),
        PhrasePredicate(phrases=("a", "b"), min_hits=2),
        OutcomePredicate(outcome=SampleStatus.EMPTY),
        StatementPredicate(statement="It rhymes."),
    ],
)
def test_predicates_survive_their_record(predicate):
    assert parse_predicate(predicate.model_dump(mode="json")) == predicate


def test_a_subset_keeps_measurements_and_renumbers_prompts():
    table = make_table(replace(make_corpus(6, 2), families=np.array([0, 0, 1, 1, 2, 2])))
    rows = np.flatnonzero(np.isin(table.corpus.prompt, [1, 4, 5]))
    some = table.subset(rows)
    assert some.corpus.prompt_ids == ("p1", "p4", "p5")
    assert some.corpus.families.tolist() == [0, 1, 1]
    assert [some.corpus.prompt_ids[p] for p in some.corpus.prompt[:4]] == ["p1", "p1", "p4", "p4"]
    assert (some.battery.values == table.battery.values[rows]).all()
    assert (some.embeddings == table.embeddings[rows]).all()
