"""A judge proposes statements on the discovery prompts, checks them on the others, and is asked what was meant."""

from __future__ import annotations

from dataclasses import replace

from moorings.charter import Charter
from moorings.compare.analysis import analyse
from tests.compare.corpora import SMALL, make_corpus, make_table, plant
from tests.compare.test_judge import judge_of

CHARTER = Charter.model_validate({"title": "t", "purpose": "p", "unchanged": [{"name": "w", "feature": "words"}]})


def answer(parts: dict[str, str]) -> str:
    """What an attentive reader says to each kind of question."""
    if "notes" in parts:
        return "speaks of the harbour master"
    if "one response" in parts:
        both = parts["one response"], parts["another response"]
        return "speaks of the harbour master" if sum("harbour" in text for text in both) == 1 else "none"
    return "yes" if "harbour" in parts["text"] else "no"


def test_a_statement_of_the_judge_is_confirmed_on_prompts_it_was_not_written_from():
    table = make_table(plant(make_corpus(120, 2), "as the harbour master says", 0.5))
    table.judge = judge_of(answer)
    found = analyse(table, SMALL).result
    judged = [f for f in found.findings if f.origin == "judge"]
    assert [f.predicate for f in judged] == [{"kind": "statement", "statement": "speaks of the harbour master"}]
    assert abs(judged[0].effect.estimate - 0.5) < 0.15
    assert not judged[0].registered
    assert found.n_hypotheses["judge"] == 1


def test_without_a_judge_no_statement_is_tested():
    assert "judge" not in analyse(make_table(make_corpus(60, 2)), SMALL).result.n_hypotheses


def test_a_judge_that_answers_nothing_readable_adds_nothing():
    table = make_table(make_corpus(60, 2))
    table.judge = judge_of(lambda parts: "hm")
    result = analyse(table, SMALL, CHARTER, judges=(table.judge,)).result
    assert result.findings == ()


def test_the_judge_never_reads_a_side_or_a_held_out_pair():
    seen: list[dict[str, str]] = []

    def note(parts: dict[str, str]) -> str:
        seen.append(parts)
        return "none"

    corpus = make_corpus(60, 2)
    table = make_table(replace(corpus, texts=[f"side{a} {t}" for a, t in zip(corpus.arm, corpus.texts, strict=True)]))
    table.judge = judge_of(note)
    analyse(table, SMALL)
    pairs = [parts for parts in seen if "one response" in parts]
    first = [parts["one response"].startswith("side1") for parts in pairs]
    assert 0 < sum(first) < len(first)
    assert all(set(parts) == {"one response", "another response"} for parts in pairs)
