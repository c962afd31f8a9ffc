"""Runs: every planned sample once, whatever fails, stops or runs twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from moorings import runs
from moorings.errors import BackendError, ConfigError, StorageError
from moorings.execution import Outcome
from moorings.records import Decoding, Generation, Message, Persona, Prompt, Request, SubjectInfo
from moorings.sampling.prompts import PromptSet
from moorings.sampling.sample import sample
from moorings.store import Run
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec

LOREM = SubjectSpec(uri="scripted:lorem", batch_size=4)


class Counting(ScriptedSubject):
    """Counts requests, can raise on a given call, and passes for an engine worth caching."""

    def __init__(self, *, raise_on: set[int] = frozenset(), engine: str = "counting") -> None:
        super().__init__(lambda messages, seed: f"{messages[-1].content} {seed}", batch_size=4)
        self.asked: Counter[str] = Counter()
        self.calls, self.raise_on, self.engine = 0, raise_on, engine

    def describe(self) -> SubjectInfo:
        return super().describe().model_copy(update={"engine": self.engine})

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        self.calls += 1
        if self.calls in self.raise_on:
            raise RuntimeError("the engine broke")
        self.asked.update(r.request_id for r in requests)
        yield from reversed(list(super().generate(requests, decoding)))


class Repeating:
    """An executor that runs tasks up to three times, out of order, and hands results out twice."""

    name, workers, in_process = "repeating", 1, True

    def map(self, task: Callable[[Any], Any], items: Sequence[Any], *, retries: int) -> Iterator[Outcome[Any, Any]]:
        for n, item in enumerate(reversed(items)):
            for _ in range(1 + n % 3):
                result = task(item)
                yield Outcome(item, result, None, 1)

    def close(self) -> None:
        return None


def exported(run, tmp_path) -> bytes:
    path = tmp_path / "out.jsonl"
    runs.export(run, path)
    return path.read_bytes()


def test_every_planned_sample_is_stored_once(tmp_path, prompt_set):
    people = (Persona(name="a", system="A"), Persona(name="b", system="B"))
    result = sample(LOREM, prompt_set(7), tmp_path / "r", n_samples=3, personas=people)
    rows = runs.query(tmp_path / "r", "SELECT prompt_id, persona, index, key FROM samples").to_pylist()
    assert result.n_samples == result.n_drawn == len(rows) == 42
    assert len({r["key"] for r in rows}) == 42
    assert Counter(r["persona"] for r in rows) == {"a": 21, "b": 21}
    assert runs.verify(tmp_path / "r").ok
    assert runs.show(tmp_path / "r")["status"] == "complete"


def test_the_same_call_again_draws_nothing(tmp_path, prompt_set):
    subject = Counting(engine="scripted")
    sample(subject, prompt_set(5), tmp_path / "r")
    again = sample(subject, prompt_set(5), tmp_path / "r")
    assert again.n_drawn == 0
    assert again.n_samples == 5
    assert set(subject.asked.values()) == {1}


def test_a_run_stopped_by_an_engine_goes_on_where_it_was(tmp_path, prompt_set):
    broken = Counting(raise_on={3, 4, 5}, engine="scripted")
    with pytest.raises(
        BackendError, match="failed 3 times, last with RuntimeError: the engine broke; what was stored is kept"
    ):
        sample(broken, prompt_set(20), tmp_path / "r", retries=2)
    with Run.open(tmp_path / "r") as run:
        assert len(list(run.interactions())) == 8
    done = sample(broken, prompt_set(20), tmp_path / "r", retries=2)
    assert done.n_drawn == 12
    assert set(broken.asked.values()) == {1}
    sample(Counting(engine="scripted"), prompt_set(20), tmp_path / "whole")
    assert exported(tmp_path / "r", tmp_path) == exported(tmp_path / "whole", tmp_path)


def test_an_executor_that_repeats_and_reorders_changes_nothing(tmp_path, prompt_set):
    sample(LOREM, prompt_set(30), tmp_path / "a", n_samples=2)
    twice = sample(LOREM, prompt_set(30), tmp_path / "b", n_samples=2, executor=Repeating())
    assert twice.n_samples == twice.n_drawn == 60
    assert exported(tmp_path / "a", tmp_path) == exported(tmp_path / "b", tmp_path)
    assert runs.verify(tmp_path / "b").ok


@pytest.mark.parametrize("executor", ["threads:3", "processes:2"])
def test_executors_give_the_same_samples(tmp_path, prompt_set, executor):
    spec = LOREM.model_copy(update={"threads": 1})
    sample(spec, prompt_set(12), tmp_path / "a")
    sample(spec, prompt_set(12), tmp_path / "b", executor=executor)
    assert exported(tmp_path / "a", tmp_path) == exported(tmp_path / "b", tmp_path)


def test_other_settings_are_refused_and_named(tmp_path, prompt_set):
    sample(LOREM, prompt_set(3), tmp_path / "r")
    with pytest.raises(StorageError, match=r"other settings: decoding\.temperature was 1\.0, now 0\.5"):
        sample(LOREM, prompt_set(3), tmp_path / "r", decoding=Decoding(temperature=0.5))
    with pytest.raises(StorageError, match="seed was 0, now 1"):
        sample(LOREM, prompt_set(3), tmp_path / "r", seed=1)


def test_failures_of_single_samples_are_recorded_not_dropped(tmp_path, prompt_set):
    spec = SubjectSpec(uri="scripted:lorem", options={"hostile": True})
    result = sample(spec, prompt_set(300), tmp_path / "r", decoding=Decoding(logprobs=True))
    assert sum(result.statuses.values()) == 300
    assert {"failed", "refused", "truncated", "empty", "too_long", "completed"} == set(result.statuses)
    rows = runs.query(tmp_path / "r", "SELECT * FROM samples").to_pylist()
    assert all((r["error"] is not None) == (r["status"] == "failed") for r in rows)
    assert all(len(r["logprobs_nats"]) == r["n_output_tokens"] for r in rows if r["status"] == "completed")
    assert runs.verify(tmp_path / "r").ok


def test_samples_are_reused_across_runs_and_plans_stay_fixed(tmp_path, prompt_set, monkeypatch):
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))
    subject = Counting()
    sample(subject, prompt_set(6), tmp_path / "a")
    more = sample(subject, prompt_set(10), tmp_path / "b")
    assert (more.n_cached, more.n_drawn) == (6, 4)
    assert set(subject.asked.values()) == {1}
    renamed = PromptSet(
        name="renamed",
        prompts=tuple(
            p.model_copy(update={"prompt_id": f"n{p.prompt_id}", "group": "new"}) for p in prompt_set(6).prompts
        ),
        sha256="1" * 64,
    )
    taken = sample(subject, renamed, tmp_path / "c")
    assert (taken.n_cached, taken.n_drawn) == (6, 0)
    assert {r["group"] for r in runs.query(tmp_path / "c", 'SELECT "group" FROM samples').to_pylist()} == {"new"}
    fresh = sample(subject, prompt_set(6), tmp_path / "d", cache=False)
    assert fresh.n_drawn == 6


def test_failed_samples_are_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))
    prompts = PromptSet(
        name="two",
        prompts=tuple(Prompt(prompt_id=t, messages=(Message(role="user", content=t),)) for t in ("known", "unknown")),
        sha256="0" * 64,
    )

    class Half(ScriptedSubject):
        def describe(self):
            return super().describe().model_copy(update={"engine": "half"})

    half = Half({"known": "yes"})
    first = sample(half, prompts, tmp_path / "a")
    assert first.statuses == {"completed": 1, "failed": 1}
    second = sample(half, prompts, tmp_path / "b")
    assert (second.n_cached, second.n_drawn) == (1, 1)


def test_another_subject_can_play_the_user(tmp_path, prompt_set):
    answers = ScriptedSubject(lambda m, s: f"answer to: {m[-1].content[:20]}", name="model", batch_size=3)
    asks = ScriptedSubject(lambda m, s: f"and {len(m)}? {m[0].role}", name="person")
    sample(answers, prompt_set(4), tmp_path / "r", user=asks, n_turns=3)
    for row in runs.query(tmp_path / "r", "SELECT messages, response FROM samples").to_pylist():
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * 3
        assert [m["content"] for m in row["messages"]][2::2] == ["and 3? system", "and 5? system"]
        assert row["response"] == row["messages"][-1]["content"] == "answer to: and 5? system"


def test_a_user_that_fails_ends_only_its_own_interaction(tmp_path, prompt_set):
    answers = ScriptedSubject(lambda m, s: m[-1].content, name="model")
    asks = ScriptedSubject({"Question 0: ": "go on"}, name="person")
    result = sample(answers, prompt_set(3), tmp_path / "r", user=asks, n_turns=2)
    assert result.statuses == {"completed": 1, "failed": 2}
    errors = runs.query(tmp_path / "r", "SELECT DISTINCT error FROM samples WHERE error IS NOT NULL").to_pylist()
    assert errors == [{"error": "user's side: the script has no answer to this message"}]


def test_an_engine_that_swallows_a_request_is_an_error(tmp_path, prompt_set):
    class Lossy(ScriptedSubject):
        def generate(self, requests, decoding):
            yield from list(super().generate(requests, decoding))[1:]

    with pytest.raises(BackendError, match="no answer to 1 of 4 requests"):
        sample(Lossy(lambda m, s: "x", batch_size=4), prompt_set(4), tmp_path / "r", retries=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_samples": 0}, "nothing to sample"),
        ({"n_turns": 2}, "several turns need a subject that plays"),
        ({"limit": 0}, "0 prompts"),
        ({"executor": "cloud"}, "unknown executor 'cloud'"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, prompt_set, settings, message):
    with pytest.raises(ConfigError, match=message):
        sample(LOREM, prompt_set(3), tmp_path / "r", **settings)
    assert not (tmp_path / "r").exists()


def test_an_opened_subject_cannot_go_to_other_processes(tmp_path, prompt_set):
    with pytest.raises(ConfigError, match="needs a subject's URI"):
        sample(ScriptedSubject(lambda m, s: "x"), prompt_set(3), tmp_path / "r", executor="processes:2")


def test_an_unknown_scheme_is_named_with_the_nearest(tmp_path, prompt_set):
    with pytest.raises(ConfigError, match="unknown subject scheme 'bundeld'; did you mean 'bundled'"):
        sample("bundeld:smollm2-135m", prompt_set(3), tmp_path / "r")


def test_progress_is_one_json_line_an_event_off_the_terminal(tmp_path, prompt_set, capsys):
    sample(LOREM, prompt_set(9), tmp_path / "r", progress=True)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[0] == {"event": "progress", "done": 0, "total": 9, "tokens_per_s": 0.0, "left_s": None}
    assert events[-1]["done"] == 9
    assert events[-1]["tokens_per_s"] > 0


def test_a_run_on_an_object_store_equals_a_local_one(tmp_path, prompt_set):
    sample(LOREM, prompt_set(10), tmp_path / "a")
    sample(LOREM, prompt_set(10), "memory://runs/b")
    assert exported(tmp_path / "a", tmp_path) == exported("memory://runs/b", tmp_path)
