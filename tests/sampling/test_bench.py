"""A bench asks each question once, whatever happens, and tells nobody where it lies."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from moorings.errors import ConfigError, StorageError
from moorings.records import Decoding, Message, Prompt
from moorings.sampling.bench import Bench
from moorings.sampling.prompts import PromptSet
from moorings.subjects.protocol import TokenLogprobs
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec

Prompts = Callable[[int], PromptSet]


class Counting(ScriptedSubject):
    """Counts what it is asked, and can tell how likely a text is."""

    def __init__(self, version: str = "1") -> None:
        super().__init__(lambda chat, seed: f"{chat[-1].content} {seed}", name="counting", version=version)
        self.n_answers = self.n_scores = self.n_closed = 0

    def generate(self, requests, decoding):
        for answer in super().generate(requests, decoding):
            self.n_answers += 1
            yield answer

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        self.n_scores += len(items)
        return [TokenLogprobs(("a", "b"), (-1.5, math.nan)) for _ in items]

    def close(self) -> None:
        self.n_closed += 1


def test_answers_come_in_the_order_of_the_prompts_and_are_drawn_once(prompt_set: Prompts, tmp_path: Path) -> None:
    subject, prompts = Counting(), prompt_set(9).prompts
    bench = Bench(subject, tmp_path, seed=3)
    first = bench.ask(prompts, "q", n_samples=2)
    assert [[row.index for row in rows] for rows in first] == [[0, 1]] * 9
    assert [rows[0].prompt_id for rows in first] == [prompt.prompt_id for prompt in prompts]
    again = Bench(subject, tmp_path, seed=3).ask(prompts, "q", n_samples=2)
    assert again == first
    assert subject.n_answers == 18


def test_two_benches_of_a_seed_draw_alike(prompt_set: Prompts, tmp_path: Path) -> None:
    prompts = prompt_set(4).prompts
    seeds = [
        [rows[0].seed for rows in Bench(Counting(), tmp_path / str(i), seed=seed).ask(prompts, "q")]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_label_stands_for_one_set_of_questions(prompt_set: Prompts, tmp_path: Path) -> None:
    bench = Bench(Counting(), tmp_path)
    bench.ask(prompt_set(3).prompts, "q")
    with pytest.raises(StorageError, match="other settings"):
        bench.ask(prompt_set(4).prompts, "q")
    with pytest.raises(StorageError, match="other settings"):
        bench.ask(prompt_set(3).prompts, "q", decoding=Decoding(max_new_tokens=3))
    with pytest.raises(StorageError, match="other settings"):
        Bench(Counting("2"), tmp_path).ask(prompt_set(3).prompts, "q")
    with pytest.raises(ConfigError, match="nothing to sample"):
        bench.ask([], "none")
    twice = [Prompt(prompt_id="p", messages=(Message(role="user", content=text),)) for text in "ab"]
    with pytest.raises(ConfigError, match="share an id"):
        bench.ask(twice, "twice")


def test_scores_are_kept_and_what_is_not_finite_stays_so(tmp_path: Path) -> None:
    subject = Counting()
    items = [((Message(role="user", content="why?"),), text) for text in ("so", "\ud800")]
    first = Bench(subject, tmp_path).score(items, "s")
    again = Bench(subject, tmp_path).score(items, "s")
    assert subject.n_scores == 2
    for found in (first, again):
        assert [one.tokens for one in found] == [("a", "b")] * 2
        assert found[0].logprobs_nats[0] == -1.5
        assert math.isnan(found[0].logprobs_nats[1])
    with pytest.raises(StorageError, match="other settings"):
        Bench(subject, tmp_path).score(items[:1], "s")


def test_a_subject_that_cannot_score_is_named(tmp_path: Path) -> None:
    bench = Bench(SubjectSpec(uri="scripted:echo"), tmp_path)
    with pytest.raises(ConfigError, match="scripted:echo cannot tell how likely a text is, which 's' needs"):
        bench.score([((Message(role="user", content="why?"),), "so")], "s")


def test_what_was_opened_here_is_closed_here(prompt_set: Prompts, tmp_path: Path) -> None:
    given = Counting()
    bench = Bench(given, tmp_path / "given")
    bench.ask(prompt_set(2).prompts, "q")
    bench.close()
    assert given.n_closed == 0
    opened = Bench(SubjectSpec(uri="scripted:echo"), tmp_path / "opened")
    first = opened.subject
    opened.close()
    opened.close()
    assert opened.subject is not first


def test_a_subject_is_recorded_under_another_uri(prompt_set: Prompts, tmp_path: Path) -> None:
    """The same answers, keys and fingerprint; only where the model lies is not told, so the folder can be moved."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "habits.json").write_text("{}")
    prompts = prompt_set(5).prompts
    spec = SubjectSpec(uri=f"simulated:m+{here}")
    plain = Bench(spec, tmp_path / "plain").ask(prompts, "q")
    bench = Bench(spec, tmp_path / "runs", known_as="simulated:m+{run}/here")
    assert bench.ask(prompts, "q") == plain
    assert bench.describe().uri == spec.uri
    recorded = json.loads((tmp_path / "runs/q/run.json").read_text())["config"]["subject"]
    assert recorded["uri"] == "simulated:m+{run}/here"
    moved = Bench(SubjectSpec(uri=f"simulated:m+{there}"), tmp_path / "runs", known_as="simulated:m+{run}/here")
    assert moved.ask(prompts, "q") == plain


def test_one_known_under_another_uri_still_tells_what_it_cost(prompt_set: Prompts, tmp_path: Path) -> None:
    from moorings.store import Run
    from moorings.subjects.protocol import Usage

    class Paid(Counting):
        system_fingerprints = frozenset({"build"})

        def usage(self) -> Usage:
            return Usage(2, 3, 4, 0.5)

    Bench(Paid(), tmp_path, known_as="elsewhere").ask(prompt_set(2).prompts, "q")
    with Run.open(tmp_path / "q") as run:
        (note,) = run.notes("usage")
    assert note.data()["cost_usd"] == 0.5
