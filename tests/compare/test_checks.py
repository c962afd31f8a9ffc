from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.compare.checks import finding_checks, is_style, label_checks, passes
from moorings.compare.confirm import confirm
from moorings.compare.predicate import Hypothesis, PhrasePredicate, evaluate
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import Check
from tests.compare.corpora import make_corpus, make_table, plant


def phrase(*words: str, **more) -> Hypothesis:
    return Hypothesis(PhrasePredicate(phrases=words), "More", "Fewer", "content", "clusters", **more)


def labelled(target: np.ndarray, label: np.ndarray, seed: int = 0):
    table = make_table(make_corpus(100, 2))
    hypothesis = phrase("river", target=target.astype(np.float32))
    rows = np.ones(400, dtype=bool)
    return label_checks(hypothesis, label.astype(np.float32), table, rows, np.random.default_rng(seed))


def by_name(checks) -> dict[str, Check]:
    return {check.name.split()[0]: check for check in checks}


MEMBERS = np.random.default_rng(9).random(400) < 0.3


def test_a_label_that_is_its_cluster_passes_and_a_random_one_fails():
    good = by_name(labelled(MEMBERS, MEMBERS))
    assert [good[name].passed for name in ("L1", "L2", "L4")] == [True] * 3
    assert (good["L1"].value, good["L2"].value, good["L4"].value) == (1.0, 1.0, 0.0)
    bad = labelled(MEMBERS, np.random.default_rng(1).random(400) < 0.3)
    assert not passes(bad)
    assert by_name(bad)["L1"].value == pytest.approx(0.5, abs=0.1)


def test_a_label_that_most_members_lack_or_all_others_have_fails():
    rng = np.random.default_rng(2)
    narrow = by_name(labelled(MEMBERS, MEMBERS & (rng.random(400) < 0.4)))
    assert narrow["L2"].passed is False
    wide = by_name(labelled(MEMBERS, MEMBERS | (rng.random(400) < 0.4)))
    assert wide["L4"].passed is False


def test_labels_of_tiny_clusters_cannot_be_checked_so_they_fail():
    few = np.arange(400) < 4
    (check,) = labelled(few, few)
    assert check.passed is False
    assert check.value is None


def test_a_hypothesis_that_defines_itself_needs_no_label_check():
    table = make_table(make_corpus(20, 2))
    rows = np.ones(80, dtype=bool)
    assert label_checks(phrase("river"), np.zeros(80, np.float32), table, rows, np.random.default_rng(0)) == ()


def test_label_checks_do_not_see_arms_nor_rows_that_are_not_held_out():
    table = make_table(make_corpus(100, 2))
    hypothesis = phrase("river", target=MEMBERS.astype(np.float32))
    values = (MEMBERS ^ (np.random.default_rng(3).random(400) < 0.1)).astype(np.float32)
    rows = np.random.default_rng(4).random(400) < 0.6
    first = label_checks(hypothesis, values, table, rows, np.random.default_rng(0))
    table.corpus = replace(table.corpus, arm=1 - table.corpus.arm)
    hidden = np.where(rows, values, 1 - values).astype(np.float32)
    assert label_checks(hypothesis, hidden, table, rows, np.random.default_rng(0)) == first


def finding(text: str = "at the harbour", share: float = 0.6, n_samples: int = 2, hypothesis=None, corpus=None):
    corpus = corpus or plant(make_corpus(150, n_samples, groups=3), text, share)
    hypothesis = hypothesis or phrase("harbour")
    split = split_families(corpus)
    values = evaluate([hypothesis], make_table(corpus))
    (tested,) = confirm([hypothesis], values, corpus, split, Settings(n_draws=1000))
    assert tested.verdict == "changed"
    log_words = np.log1p([len(t.split()) for t in corpus.texts])
    return by_name(finding_checks(tested, corpus, split, log_words, np.random.default_rng(0)))


def test_a_plain_finding_passes_all_its_checks():
    checks = finding()
    assert {"L3", "L7", "L8", "L9"} == set(checks)
    assert [checks[name].passed for name in ("L3", "L8", "L9")] == [True] * 3
    assert checks["L8"].value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("text", "words", "plain"),
    [
        ("never at the harbour", ("harbour",), False),
        ("I don\u2019t like the harbour", ("harbour",), False),
        ("harbour, (of course)", ("of course",), True),
        # Only "of" is negated; the phrase is not.
        ("not of note. but yes, of course", ("of course",), True),
        ("not, of course, here", ("of course",), False),
    ],
)
def test_negated_mentions_are_told_from_plain_ones(text, words, plain):
    assert finding(text, hypothesis=phrase(*words))["L3"].passed is plain


@pytest.mark.parametrize("n_samples", [1, 3])
def test_what_comes_with_length_alone_is_style_whatever_the_number_of_samples(n_samples):
    corpus, rng = make_corpus(200, n_samples), np.random.default_rng(6)
    n_more = rng.integers(np.where(corpus.arm == 1, 20, 5), np.where(corpus.arm == 1, 80, 65))
    texts = [f"{t} " + " ".join(rng.choice(["on", "and", "so"], k)) for t, k in zip(corpus.texts, n_more, strict=True)]
    long = np.array([len(t.split()) > 47 for t in texts])
    corpus = replace(corpus, texts=[f"{t} summing up" if i else t for t, i in zip(texts, long, strict=True)])
    checks = finding(corpus=corpus, hypothesis=phrase("summing up"))
    assert checks["L7"].passed is False
    assert is_style((checks["L7"],))


def test_a_change_at_equal_length_is_not_style():
    corpus, rng = make_corpus(200, 2), np.random.default_rng(7)
    more = np.where(corpus.arm == 1, "the harbour", "the station")
    keep = rng.random(len(more)) < 0.7
    corpus = replace(
        corpus, texts=[f"{t} {m}" if k else f"{t} a b" for t, m, k in zip(corpus.texts, more, keep, strict=True)]
    )
    checks = finding(corpus=corpus)
    assert checks["L7"].passed is True
    assert checks["L7"].value == pytest.approx(1.0, abs=0.1)


def test_a_finding_of_one_prompt_group_does_not_transfer():
    corpus = make_corpus(240, 2, groups=3)
    inside = np.array([g == "g1" for g in corpus.groups])[corpus.prompt] & (corpus.arm == 1)
    outside = ~inside & (corpus.arm == 0) & (corpus.prompt % 7 == 0)
    texts = [f"{t} harbour" if i or o else t for t, i, o in zip(corpus.texts, inside, outside, strict=True)]
    checks = finding(corpus=replace(corpus, texts=texts))
    assert checks["L9"].value == pytest.approx(1 / 3)
    assert checks["L9"].passed is False


def test_checks_that_could_not_be_made_do_not_count():
    checks = [Check(name="a", value=None, bar="", passed=state) for state in (True, None, False)]
    assert passes(tuple(checks[:2]))
    assert not passes(tuple(checks))
    assert passes(())
