from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.confirm import confirm
from moorings.compare.examples import paired_examples
from moorings.compare.predicate import Hypothesis, OutcomePredicate, PhrasePredicate
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import SampleStatus
from tests.compare.corpora import make_corpus

CORPUS = make_corpus(150, 2)
SPLIT = split_families(CORPUS)
RATE = np.where(CORPUS.arm == 1, 0.6, 0.2)
HELD = (np.random.default_rng(0).random(len(RATE)) < RATE).astype(np.float32)


def confirmed(values=HELD, corpus=CORPUS, predicate=None):
    hypothesis = Hypothesis(predicate or PhrasePredicate(phrases=("x",)), "More", "Fewer", "content", "phrases")
    return confirm([hypothesis], values[:, None], corpus, SPLIT, Settings(n_draws=1000))[0]


@pytest.mark.parametrize("sign", [1, -1])
def test_examples_show_the_finding_on_confirmed_prompts(sign):
    values = HELD if sign == 1 else 1 - HELD
    shown = paired_examples(confirmed(values), CORPUS, SPLIT.confirm, 5)
    assert len({e.prompt_id for e in shown}) == 5
    for example in shown:
        assert (example.candidate_value - example.precursor_value) * sign == 1
        prompt = CORPUS.prompt_ids.index(example.prompt_id)
        assert SPLIT.confirm[prompt]
        sides = [
            [CORPUS.texts[i] for i in np.flatnonzero((CORPUS.prompt == prompt) & (CORPUS.arm == a))] for a in (0, 1)
        ]
        assert example.precursor in sides[0]
        assert example.candidate in sides[1]
        assert example.marks == ("x",)


def test_larger_differences_come_first_then_shorter_texts():
    values = (HELD * (1 + CORPUS.prompt % 3)).astype(np.float32)
    shown = paired_examples(confirmed(values), CORPUS, SPLIT.confirm, 30)
    keys = [(-(e.candidate_value - e.precursor_value), len(e.precursor) + len(e.candidate)) for e in shown]
    assert keys == sorted(keys)


def test_none_are_asked_for_or_fit():
    assert paired_examples(confirmed(), CORPUS, SPLIT.confirm, 0) == ()
    assert paired_examples(confirmed(), CORPUS, np.zeros(150, dtype=bool), 3) == ()
    assert paired_examples(confirmed(np.where(CORPUS.arm == 1, np.nan, HELD)), CORPUS, SPLIT.confirm, 3) == ()


def test_rows_without_a_response_are_shown_only_for_outcomes():
    failed = (CORPUS.arm == 1) & (CORPUS.prompt % 2 == 0)
    status = [SampleStatus.FAILED if f else SampleStatus.COMPLETED for f in failed]
    corpus = replace(CORPUS, status=status, texts=["" if f else t for f, t in zip(failed, CORPUS.texts, strict=True)])
    outcome = confirmed(failed.astype(np.float32), corpus, OutcomePredicate(outcome=SampleStatus.FAILED))
    assert {e.candidate for e in paired_examples(outcome, corpus, SPLIT.confirm, 3)} == {""}
    phrase = confirmed(np.where(failed, np.nan, HELD), corpus)
    assert all(e.candidate for e in paired_examples(phrase, corpus, SPLIT.confirm, 50))


def test_long_and_hostile_texts_are_cut_and_kept_as_they_are():
    texts = ["</script>\u202e\ud800" + "x" * 10_000] * len(CORPUS.texts)
    (shown,) = paired_examples(
        confirmed(corpus=replace(CORPUS, texts=texts)), replace(CORPUS, texts=texts), SPLIT.confirm, 1
    )
    assert shown.candidate.startswith("</script>\u202e\ud800")
    assert len(shown.candidate) == len(shown.precursor) == 4000
