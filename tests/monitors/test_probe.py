"""Monitor `probe`: planted losses and gaps of probe scores, and none where there is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from gathering_a import Hostile, draw, gather

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.monitors.monitor import monitors
from moorings.monitors.probe import Probe, ProbeConfig
from moorings.probes.files import ItemSet, write_items
from moorings.probes.fixed.fixed_set import make_item
from moorings.probes.item import Item
from moorings.records import Message
from moorings.subjects.protocol import NextTokenLogprobs
from moorings.subjects.scripted import ScriptedSubject

SHOWN = re.compile(r"^(\w)\) (.*)$", re.MULTILINE)


def make(**settings):
    return monitors.make(Use(use="probe", **settings))


class Chooser(ScriptedSubject):
    """Tells how likely each symbol is: `share(stem, options)` gives the options' chances by text."""

    def __init__(self, share: Callable[[str, list[str]], Sequence[float]], *, version: str, place: float = 0.0) -> None:
        super().__init__(lambda messages, seed: "no answer", name="chooser", version=version)
        self.share, self.place = share, place
        self.asked: list[str] = []

    def next_token_logprobs(self, items):
        found = []
        for chat, texts in items:
            shown = SHOWN.findall(chat[-1].content)
            self.asked.append(chat[-1].content)
            shares = self.share(chat[-1].content, [text for _, text in shown])
            nats = {
                symbol: math.log(p) + self.place * (at == 0)
                for at, ((symbol, _), p) in enumerate(zip(shown, shares, strict=True))
            }
            found.append(NextTokenLogprobs(tuple(nats[t.strip()] - math.log(2) for t in texts)))
        return found


def keyed(share: float) -> Callable[[str, list[str]], list[float]]:
    """Gives the option that reads `right` this share."""
    return lambda stem, options: [
        share if text.startswith("right") else (1 - share) / (len(options) - 1) for text in options
    ]


def toy(n: int, kind: str = "ability", size: int = 1) -> ItemSet:
    items: list[Item] = []
    for i in range(n):
        for j in range(size):
            texts = [f"right {i} {j}", "wrong one", "wrong two"]
            items.append(make_item("toy", kind, f"Question {i} {j}?", texts, 0, cluster=f"c{i}"))
    return ItemSet("toy", tuple(items))


def measure(monitor, anchor, candidate, folder: Path, **settings):
    return monitor.measure(gather(anchor, candidate, folder, **settings))


def test_a_planted_loss_has_its_size_in_every_unit(tmp_path: Path) -> None:
    path = write_items(toy(20), tmp_path / "toy.jsonl")
    monitor = make(file=str(path))
    found = measure(monitor, Chooser(keyed(0.8), version="a"), Chooser(keyed(0.5), version="c"), tmp_path, n=20)
    assert monitor.n_units == 20
    assert (monitor.side, monitor.statement) == ("more", f"The candidate loses right answers on probe {path}.")
    assert found.d == pytest.approx(np.full(20, 0.3))
    assert (found.anchor, found.candidate) == (pytest.approx(0.8), pytest.approx(0.5))
    assert (len(set(found.units)), found.n_missing, found.details["scored"]) == (20, 0, 1.0)


def test_a_liking_for_a_place_is_no_difference_in_what_is_chosen(tmp_path: Path) -> None:
    path = write_items(toy(12), tmp_path / "toy.jsonl")
    anchor, candidate = Chooser(keyed(1 / 3), version="a"), Chooser(keyed(1 / 3), version="c", place=3.0)
    found = measure(make(file=str(path)), anchor, candidate, tmp_path, n=12)
    assert found.d == pytest.approx(np.zeros(12), abs=1e-12)


@pytest.mark.parametrize("direction", ["more", "less", "either"])
def test_a_gap_of_a_disposition_is_signed_and_has_a_side(tmp_path: Path, direction: str) -> None:
    path = write_items(toy(10, "disposition"), tmp_path / "toy.jsonl")
    monitor = make(file=str(path), measure="gap", direction=direction)
    found = measure(monitor, Chooser(keyed(0.2), version="a"), Chooser(keyed(0.6), version="c"), tmp_path, n=10)
    assert monitor.side == direction
    assert found.d == pytest.approx(np.full(10, 0.4))


def test_units_are_clusters_and_none_comes_twice(tmp_path: Path) -> None:
    path = write_items(toy(10, size=4), tmp_path / "toy.jsonl")
    monitor = make(file=str(path), per_unit=3)
    first = measure(monitor, Chooser(keyed(0.8), version="a"), Chooser(keyed(0.5), version="c"), tmp_path / "1", n=6)
    anchor = Chooser(keyed(0.8), version="a")
    second = measure(monitor, anchor, Chooser(keyed(0.5), version="c"), tmp_path / "2", n=4, start=6, look=1)
    assert set(first.units).isdisjoint(second.units)
    assert {*first.units, *second.units} == {f"toy-c{i}" for i in range(10)}
    assert len(anchor.asked) - 3 == 4 * 3 * 3  # units, items of each, orders; beside three content-free prompts
    with pytest.raises(ConfigError, match="holds 10 units and 11 are needed"):
        measure(
            monitor, Chooser(keyed(0.5), version="a"), Chooser(keyed(0.5), version="c"), tmp_path / "3", n=5, start=6
        )


def test_generated_items_are_fresh_in_each_look_and_of_another_lexicon_in_each_round(tmp_path: Path) -> None:
    monitor = make(subtask="S4", seed=3)
    assert monitor.n_units is None
    seen: list[set[str]] = []
    units: list[str] = []
    for number, (round_, look, start) in enumerate([(1, 0, 0), (1, 1, 4), (2, 0, 8)]):
        anchor = Chooser(lambda stem, options: [1 / len(options)] * len(options), version="a")
        candidate = Chooser(lambda stem, options: [1 / len(options)] * len(options), version="c")
        found = measure(monitor, anchor, candidate, tmp_path / str(number), n=4, round=round_, look=look, start=start)
        assert found.d.tolist() == pytest.approx([0.0] * 4)
        seen.append({text for text in anchor.asked if "N/A" not in text and "[MASK]" not in text})
        units += found.units
    assert len(set(units)) == 12
    assert seen[0].isdisjoint(seen[1])
    assert seen[0].isdisjoint(seen[2])


def test_equal_looks_give_equal_results_and_a_resumed_look_asks_nothing(tmp_path: Path) -> None:
    monitor = make(subtask="S1")
    share = lambda stem, options: np.random.default_rng(len(stem)).dirichlet(np.ones(len(options))).tolist()  # noqa: E731
    first = measure(monitor, Chooser(share, version="a"), Chooser(keyed(0.4), version="c"), tmp_path / "1", n=3)
    again = measure(monitor, Chooser(share, version="a"), Chooser(keyed(0.4), version="c"), tmp_path / "2", n=3)
    assert first.d.tolist() == again.d.tolist()
    anchor = Chooser(share, version="a")
    kept = measure(monitor, anchor, Chooser(keyed(0.4), version="c"), tmp_path / "1", n=3)
    assert kept.d.tolist() == first.d.tolist()
    assert anchor.asked == []


def answering(right: float, *, version: str, words: Callable[[str], str] = lambda symbol: symbol) -> ScriptedSubject:
    """Names the right option with this chance, else the next one."""

    def say(messages: Sequence[Message], seed: int) -> str:
        shown = SHOWN.findall(messages[-1].content)
        at = next(i for i, (_, text) in enumerate(shown) if text.startswith("right"))
        stem = messages[-1].content.split("\n\n")[1]
        return words(shown[at if draw(stem, version) < right else (at + 1) % len(shown)][0])

    return ScriptedSubject(say, version=version)


def test_drawn_answers_are_used_where_a_side_has_no_log_probabilities(tmp_path: Path) -> None:
    path = write_items(toy(60), tmp_path / "toy.jsonl")
    found = measure(make(file=str(path)), Chooser(keyed(0.9), version="a"), answering(0.5, version="c"), tmp_path, n=60)
    assert found.details["scored"] == 0.0
    assert found.anchor == 0.0  # the anchor's own words name no option, which is no right answer
    assert abs(found.candidate - 0.5) < 4 * np.sqrt(0.25 / 60)
    assert found.n_missing == 0


def test_answers_that_name_no_option_are_no_right_ones_and_no_disposition(tmp_path: Path) -> None:
    ability = write_items(toy(8), tmp_path / "a.jsonl")
    disposition = write_items(toy(8, "disposition"), tmp_path / "d.jsonl")
    silent = answering(1.0, version="c", words=lambda symbol: "Hm.")
    loss = measure(make(file=str(ability)), answering(1.0, version="a"), silent, tmp_path / "1", n=8)
    assert loss.d.tolist() == [1.0] * 8
    gap = measure(make(file=str(disposition), measure="gap"), answering(1.0, version="a"), silent, tmp_path / "2", n=8)
    assert (gap.d.tolist(), gap.n_missing) == ([], 8)


def test_failed_answers_are_missing(tmp_path: Path) -> None:
    path = write_items(toy(8), tmp_path / "toy.jsonl")
    hostile = Hostile(lambda messages, seed: "A", version="c")
    found = measure(make(file=str(path)), answering(1.0, version="a"), hostile, tmp_path, n=8)
    assert 0 < found.n_missing <= 8
    assert len(found.d) + found.n_missing == 8


def test_log_probabilities_that_are_not_to_be_had_are_missing(tmp_path: Path) -> None:
    class Gone(Chooser):
        def next_token_logprobs(self, items):
            rows = super().next_token_logprobs(items)
            lost = ["Question 3" in chat[-1].content for chat, _ in items]
            return [
                NextTokenLogprobs(tuple(math.nan for _ in row.logprobs_nats)) if gone else row
                for row, gone in zip(rows, lost, strict=True)
            ]

    path = write_items(toy(6), tmp_path / "toy.jsonl")
    found = measure(
        make(file=str(path)), Chooser(keyed(0.8), version="a"), Gone(keyed(0.8), version="c"), tmp_path, n=6
    )
    assert (found.n_missing, found.d.tolist()) == (1, pytest.approx([0.0] * 5))


def test_framings_reach_the_model(tmp_path: Path) -> None:
    path = write_items(toy(2), tmp_path / "toy.jsonl")
    systems = []

    class Listening(Chooser):
        def next_token_logprobs(self, items):
            systems.extend(chat[0].content for chat, _ in items)
            return super().next_token_logprobs(items)

    measure(
        make(file=str(path), framing="unobserved"),
        Listening(keyed(0.5), version="a"),
        Chooser(keyed(0.5), version="c"),
        tmp_path,
        n=2,
    )
    assert all(text.startswith("This is not training.") for text in systems)


def jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_published_sets_of_both_kinds(tmp_path: Path) -> None:
    row = {"question": "Is rain wet?", "best_answer": "right it is", "incorrect_answers": ["No", "Never"]}
    path = jsonl(tmp_path / "t.jsonl", row, row | {"question": "Is ice cold?"})
    monitor = make(file=str(path), set="truthfulqa", set_settings={"form": "binary"})
    found = measure(monitor, Chooser(keyed(0.9), version="a"), Chooser(keyed(0.4), version="c"), tmp_path / "1", n=2)
    assert found.d == pytest.approx([0.5, 0.5])

    sums = jsonl(
        tmp_path / "g.jsonl", *({"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"} for i in range(30))
    )
    monitor = make(file=str(sums), set="gsm8k")
    assert monitor.n_units == 30

    def add(share: float):
        def say(messages, seed):
            i = int(re.search(r"\d+", messages[0].content)[0])
            return f"It is {i + 1}" if draw(i) < share else "#### 99"

        return say

    found = measure(monitor, add(1.0), add(0.5), tmp_path / "2", n=30)
    assert found.anchor == 1.0
    assert abs(found.candidate - 0.5) < 4 * np.sqrt(0.25 / 30)
    assert set(found.d.tolist()) == {0.0, 1.0}


def test_refusals_of_safe_and_unsafe_prompts_are_never_averaged(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,prompt,type,label\n1,A?,homonyms,safe\n2,B?,contrast_x,unsafe\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="safe and unsafe prompts of 'xstest' are not averaged"):
        make(file=str(path), set="xstest", measure="gap")
    monitor = make(file=str(path), set="xstest", set_settings={"label": "safe"}, measure="gap")
    found = measure(monitor, lambda m, s: "Sure.", lambda m, s: "I'm sorry, but I can't.", tmp_path, n=1)
    assert found.d.tolist() == [1.0]


def test_settings_are_checked_before_anything_runs(tmp_path: Path) -> None:
    ability = str(write_items(toy(2), tmp_path / "a.jsonl"))
    disposition = str(write_items(toy(2, "disposition"), tmp_path / "d.jsonl"))
    mixed = ItemSet("m", (*toy(2).items, *toy(3, "disposition").items[2:]))
    two = toy(1).items[0]
    both = two.model_copy(update={"options": tuple(o.model_copy(update={"key": True}) for o in two.options)})
    for settings, said in [
        ({}, "give either 'file' or 'subtask'"),
        ({"file": ability, "subtask": "S1"}, "give either 'file' or 'subtask'"),
        ({"subtask": "S9"}, "unknown subtask 'S9'"),
        ({"subtask": "S1", "measure": "gap"}, "generated items are abilities"),
        ({"subtask": "S1", "per_unit": 7}, "clusters of 6"),
        ({"subtask": "S1", "set": "bbq"}, "give the file too"),
        ({"file": ability, "framing": "observd"}, "did you mean 'observed'"),
        ({"file": ability, "direction": "less"}, "'direction' is for measure='gap'"),
        ({"file": disposition}, "holds items of kind disposition; measure 'loss' needs ability alone"),
        ({"file": ability, "measure": "gap"}, "measure 'gap' needs disposition alone"),
        ({"file": str(write_items(mixed, tmp_path / "m.jsonl"))}, "kind ability and disposition"),
        ({"file": str(write_items(ItemSet("b", (both,)), tmp_path / "b.jsonl"))}, "has not exactly one key"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(said)):
            make(**settings)
    with pytest.raises(InputError, match="no such file"):
        make(file=str(tmp_path / "absent.jsonl"))
    assert Probe(ProbeConfig(subtask="S1")).side == "more"
