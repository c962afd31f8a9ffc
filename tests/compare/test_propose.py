from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moorings.charter import Charter
from moorings.compare.predicate import FeaturePredicate, OutcomePredicate, PhrasePredicate, Table
from moorings.compare.propose import (
    charter_hypotheses,
    discovered_hypotheses,
    registered_hypotheses,
    scoped_hypotheses,
)
from moorings.compare.split import Split, split_families
from moorings.errors import ConfigError
from moorings.records import SampleStatus
from tests.compare.corpora import SMALL, make_corpus, make_table, plant


def names(hypotheses) -> list[object]:
    return [(h.predicate, h.groups, h.origin) for h in hypotheses]


def changed_only(table: Table, split: Split, part: str) -> Table:
    """The same table with other responses on the prompts of one part."""
    corpus = table.corpus
    other = np.array([getattr(split, part)[p] for p in corpus.prompt])
    texts = [f"Zebra crossing {t} zebra!" if o else t for t, o in zip(corpus.texts, other, strict=True)]
    arm_marked = [f"{t} omega omega." if o and a else t for t, o, a in zip(texts, other, corpus.arm, strict=True)]
    return make_table(replace(corpus, texts=arm_marked))


def test_registered_hypotheses_do_not_see_arms_or_texts():
    corpus = replace(make_corpus(30, 2), status=[SampleStatus.COMPLETED, SampleStatus.REFUSED] * 60)
    table = make_table(corpus)
    found = registered_hypotheses(table)
    assert names(found) == names(registered_hypotheses(Table(replace(corpus, arm=1 - corpus.arm), *_rest(table))))
    assert [h.predicate.outcome for h in found if isinstance(h.predicate, OutcomePredicate)] == [SampleStatus.REFUSED]
    assert sum(isinstance(h.predicate, FeaturePredicate) for h in found) == 9
    assert all(h.registered for h in found)


def _rest(table: Table):
    return table.battery, table.embeddings


@pytest.mark.parametrize("part", ["confirm", "reserve"])
def test_what_is_said_on_held_out_prompts_changes_no_hypothesis(part):
    table = make_table(plant(make_corpus(160, 2, groups=2), "as the harbour says", 0.5))
    split = split_families(table.corpus)
    other = changed_only(table, split, part)
    for propose in (discovered_hypotheses, scoped_hypotheses):
        assert names(propose(table, split, SMALL)) == names(propose(other, split, SMALL))
    assert discovered_hypotheses(table, split, SMALL)
    assert not any("omega" in str(h.predicate) for h in discovered_hypotheses(other, split, SMALL))


def test_a_planted_phrase_is_proposed_whichever_arm_has_it():
    for arm in (0, 1):
        table = make_table(plant(make_corpus(160, 2), "as the harbour says", 0.5, arm=arm))
        found = discovered_hypotheses(table, split_families(table.corpus), SMALL)
        assert any("harbour" in str(h.predicate) for h in found)
        assert not any(h.registered for h in found)


def test_hypotheses_do_not_depend_on_which_arm_is_called_the_candidate():
    table = make_table(plant(make_corpus(160, 2, groups=2), "as the harbour says", 0.5))
    split = split_families(table.corpus)
    flipped = Table(replace(table.corpus, arm=1 - table.corpus.arm), *_rest(table))
    for propose in (discovered_hypotheses, scoped_hypotheses):
        assert set(names(propose(table, split, SMALL))) == set(names(propose(flipped, split, SMALL)))


def test_the_words_of_clusters_are_written_without_a_look_at_the_arm():
    """Shuffling sides within prompts may change which clusters are taken, never what is said of one."""
    corpus = plant(make_corpus(200, 2), "of ships and ports and sailing far", 0.4)
    table, settings = make_table(corpus), SMALL.model_copy(update={"n_clusters": 500})
    split, labels = split_families(corpus), []
    for seed in range(3):
        swap = np.random.default_rng(seed).random(200)[corpus.prompt] < 0.02 * seed
        arm = np.where(swap, 1 - corpus.arm, corpus.arm)
        found = discovered_hypotheses(Table(replace(corpus, arm=arm), *_rest(table)), split, settings)
        labels.append({h.target.tobytes(): h.predicate for h in found if h.origin == "clusters"})
    shared = [key for key in labels[0] if any(key in other for other in labels[1:])]
    assert len(shared) >= 3
    for key in shared:
        assert len({found[key] for found in labels if key in found}) == 1


def test_a_difference_within_one_group_is_proposed_for_that_group_alone():
    corpus = make_corpus(240, 2, groups=3)
    in_group = np.array([g == "g1" for g in corpus.groups])[corpus.prompt]
    texts = [f"{t} Why?" if i and a else t for t, i, a in zip(corpus.texts, in_group, corpus.arm, strict=True)]
    table = make_table(replace(corpus, texts=texts))
    found = scoped_hypotheses(table, split_families(corpus), SMALL)
    assert found[0].groups == frozenset({"g1"})
    assert {h.predicate.feature for h in found[:2]} >= {"question"}
    assert not any(h.registered for h in found)
    assert found[0].more.startswith("On prompts of 'g1': ")


@pytest.mark.parametrize("groups", [0, 1, 60])
def test_no_group_is_looked_into_where_there_is_one_or_all_are_small(groups):
    table = make_table(make_corpus(120, 2, groups=groups))
    assert scoped_hypotheses(table, split_families(table.corpus), SMALL) == []


def test_equal_texts_propose_nothing():
    corpora = [replace(make_corpus(100, 2), texts=["Same text."] * 400)]
    corpora.append(replace(corpora[-1], texts=[""] * 400))
    corpora.append(replace(corpora[-1], status=[SampleStatus.FAILED] * 400))
    for corpus in corpora:
        assert discovered_hypotheses(make_table(corpus), split_families(corpus), SMALL) == []


def test_charter_entries_become_hypotheses_with_scope_and_tolerance():
    charter = Charter.model_validate(
        {
            "title": "t",
            "purpose": "p",
            "intended": [{"name": "shorter", "feature": "words", "direction": "less"}],
            "unchanged": [{"name": "tone", "phrases": ["Of course!"], "scope": {"groups": ["g1"]}, "tolerance": 0.05}],
            "forbidden": [{"name": "refuse", "outcome": "refused"}, {"name": "rude", "statement": "It is rude."}],
        }
    )
    table = make_table(make_corpus(30, 2, groups=2))
    shorter, tone, refuse = charter_hypotheses(charter, table)
    assert shorter.entry == "shorter"
    assert isinstance(tone.predicate, PhrasePredicate)
    assert (tone.groups, tone.tolerance) == (frozenset({"g1"}), 0.05)
    assert refuse.kind == "outcome"
    assert all(h.registered for h in (shorter, tone, refuse))
    assert charter_hypotheses(None, table) == []
    bad = Charter.model_validate(
        {"title": "t", "purpose": "p", "intended": [{"name": "x", "feature": "wrods", "direction": "less"}]}
    )
    with pytest.raises(ConfigError, match="word"):
        charter_hypotheses(bad, table)
