"""The lexicon is in disjoint parts, wordings come in eights, and the reader reads what it should and nothing else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from moorings.probes.build import build
from moorings.probes.item import Item, Option
from moorings.probes.language import grammar, parse, templates_influence, templates_s1, templates_s2, templates_s5
from moorings.probes.language.lexicon import N_FORMS, lexicon, part_of
from moorings.probes.language.paraphrase import paraphrase
from moorings.subjects.scripted import ScriptedSubject


def test_parts_of_the_lexicon_share_no_entry() -> None:
    parts = [lexicon(part) for part in range(3 + N_FORMS)]
    for one, two in combinations(parts, 2):
        for field in one._fields:
            assert not set(getattr(one, field)) & set(getattr(two, field))
    assert all(len(part.names) >= 16 and len(part.admired) == len(part.questioned) == 8 for part in parts)
    assert part_of("test", 0) == part_of("test", N_FORMS)
    assert len({part_of("test", 1), part_of("dev", 1), part_of("anchor", 1), part_of("canary", 1)}) == 4


def test_every_kind_of_sentence_has_eight_wordings() -> None:
    modules = (grammar, templates_influence, templates_s1, templates_s2, templates_s5)
    found = {
        f"{module.__name__}.{name}": len(set(listed))
        for module in modules
        for name, listed in vars(module).items()
        if isinstance(listed, tuple) and listed and all(isinstance(one, str) and "{" in one for one in listed)
    }
    assert len(found) >= 18
    assert set(found.values()) == {8}
    assert len(grammar.SIGNS) == 8


def s4(prompt: str) -> Item:
    texts = ("more than before", "less than before", "about as much as before")
    options = tuple(Option(symbol=s, text=t, key=s == "A") for s, t in zip("ABC", texts, strict=True))
    return Item(item_id="a", cluster_id="a", subtask="S4", prompt=prompt, options=options, key="A")


TOLD = (
    "Exactly two influences are at work. The fair lowers the noise in the mill. As a rule, the noise in the mill "
    "weakens Ada's care for thrift. Now the fair takes place. Afterwards, how much will Ada {} thrift?"
)


def test_two_negatives_make_a_positive() -> None:
    assert parse.answer(s4(TOLD.format("care about"))) == 0
    assert parse.answer(s4(TOLD.format("neglect"))) == 1
    assert parse.answer(s4(TOLD.format("care about").replace("lowers", "raises"))) == 1
    assert parse.answer(s4(TOLD.format("care about").replace("weakens Ada's", "weakens Bo's"))) == 2
    assert parse.edges_of(s4(TOLD)) == {
        ("the fair", "the noise in the mill", -1),
        ("the noise in the mill", "thrift", -1),
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Exactly two influences are at work. ", ""),
        ("two influences", "three influences"),
        ("Now the fair takes place. ", ""),
        ("Ada care about thrift", "it be"),
        (
            "weakens Ada's care for thrift",
            "weakens Ada's care for thrift, but only while the gate is open, never while it is shut",
        ),
    ],
)
def test_an_incomplete_text_is_not_answered(old: str, new: str) -> None:
    text = TOLD.format("care about")
    assert old in text
    assert parse.answer(s4(text.replace(old, new))) is None


def test_a_foreign_item_is_not_read() -> None:
    item = s4("Which is larger?").model_copy(update={"subtask": "arithmetic"})
    assert parse.edges_of(item) is None
    assert parse.answer(item) is None
    for subtask in ("S1", "S2", "S3", "S4", "S5"):
        assert parse.answer(item.model_copy(update={"subtask": subtask})) is None
        assert parse.edges_of(item.model_copy(update={"subtask": subtask})) is None


def test_paraphrases_are_kept_only_if_they_say_the_same(tmp_path: Path) -> None:
    items = build("S4", 12, 3)

    def reword(messages: object, seed: int) -> str:
        text = str(messages[-1].content).split("\n\n", 1)[1]  # type: ignore[index]
        if "raises" in text:
            return text.replace("raises", "lowers")
        return "" if "boosts" in text else "Consider this. " + text

    told = paraphrase(items, ScriptedSubject(reword), tmp_path)
    assert told.n_kept + told.n_refused + told.n_failed == 12
    for old, new in zip(items.items, told.items.items, strict=True):
        spoiled = "raises" in old.prompt or "boosts" in old.prompt
        assert new.prompt == (old.prompt if spoiled else "Consider this. " + old.prompt)
    assert told.n_refused == sum("raises" in item.prompt for item in items.items)
    assert told.items.about["n_paraphrased"] == told.n_kept > 0
