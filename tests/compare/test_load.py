from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moorings.compare.load import ArmSource, load_corpus, parse_arm
from moorings.errors import InputError
from moorings.records import Interaction, SampleStatus, content_hash
from moorings.store import BatchNote, Run

QUESTION = [{"role": "user", "content": "Where to?"}]
SHOTS = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": "Three?"},
]


def row(
    prompt: str, index: int = 0, answer: str | None = "Yes.", *, before: list[dict[str, str]] | None = None, **more
):
    asked = before or [{"role": "user", "content": f"What of {prompt}?"}]
    said = [] if answer is None else [{"role": "assistant", "content": answer}]
    facts = {
        "key": content_hash([prompt, index, more.get("persona")]),
        "subject": "5" * 64,
        "prompt_id": prompt,
        "index": index,
        "seed": None,
        "messages": [*asked, *said],
        "response": answer or "",
        "status": "completed" if answer is not None else "failed",
        "finish_reason": "stop" if answer is not None else "error",
    }
    return Interaction.model_validate({**facts, **more})


def store(path: Path, rows: Sequence[Interaction], **config: object) -> ArmSource:
    with Run.create(path, {"kind": "sample", **config}) as run:
        for number, one in enumerate(rows):
            note = BatchNote(f"{number:016d}", "sampled", "2026-01-01T00:00:00.000+00:00", 0.5, 7, 1, "host:1")
            run.add_interactions([one], note)
        run.finish()
    return ArmSource(path.name, str(path))


@pytest.mark.parametrize(
    ("text", "name", "run", "persona"),
    [
        ("runs/base@pirate", "base@pirate", "runs/base", "pirate"),
        ("runs/base/", "base", "runs/base/", None),
        ("s3://user@host/run", "run", "s3://user@host/run", None),
        ("me@home/run", "run", "me@home/run", None),
    ],
)
def test_an_arm_is_a_run_with_or_without_a_persona(text, name, run, persona):
    assert parse_arm(text) == ArmSource(name, run, persona)


def test_only_shared_prompts_are_kept_and_the_others_named(tmp_path):
    a = store(tmp_path / "a", [row("p1"), row("p2"), row("p3")])
    b = store(tmp_path / "b", [row("p1"), row("p3"), row("p4"), row("p5")])
    loaded = load_corpus([a, b])
    assert set(loaded.corpus.prompt_ids) == {"p1", "p3"}
    assert [text.split()[0] for text in loaded.warnings] == ["1", "2"]
    assert [arm.n_responses for arm in loaded.arms] == [2, 2]


def test_runs_that_share_no_prompt_are_refused(tmp_path):
    with pytest.raises(InputError, match="share no prompt"):
        load_corpus([store(tmp_path / "a", [row("p1")]), store(tmp_path / "b", [row("p2")])])


def test_a_persona_that_is_not_in_the_run_is_named(tmp_path):
    a = store(tmp_path / "a", [row("p1")])
    with pytest.raises(InputError, match="no responses under persona 'pirate'"):
        load_corpus([a, a._replace(persona="pirate")])


def test_personas_are_matched_by_the_prompt_without_their_system_message(tmp_path):
    said = [{"role": "system", "content": "You are a pirate."}, *QUESTION]
    rows = [row("p1", before=QUESTION), row("p1", before=said, answer="Arr.", persona="pirate")]
    run = store(tmp_path / "a", rows)
    corpus = load_corpus([run, run._replace(name="a@pirate", persona="pirate")]).corpus
    assert list(corpus.texts) == ["Yes.", "Arr."]
    assert corpus.prompts == ("Where to?",)


@pytest.mark.parametrize("all_failed", [False, True])
def test_a_failed_sample_of_a_chat_with_earlier_answers_is_not_lost(tmp_path, all_failed):
    whole = row("p1", 0, before=SHOTS)
    failed = [row("p1", i, None, before=SHOTS) for i in range(0 if all_failed else 1, 3)]
    a = store(tmp_path / "a", [whole, row("p1", 1, before=SHOTS)])
    b = store(tmp_path / "b", [*failed, *([] if all_failed else [whole])])
    corpus = load_corpus([a, b]).corpus
    assert len(corpus.prompts) == 1
    assert corpus.prompts[0].endswith("Three?")
    assert corpus.missing[corpus.arm == 1].sum() == len(failed)


def test_a_talk_that_failed_half_way_keeps_its_prompt_and_its_answers(tmp_path):
    more = [{"role": "assistant", "content": "First."}, {"role": "user", "content": "And?"}]
    good = row("p1", 0, "Second.", before=[*SHOTS, *more])
    cut = row("p1", 1, None, before=[*SHOTS, *more])
    corpus = load_corpus([store(tmp_path / name, [cut, good], n_turns=2) for name in "ab"]).corpus
    assert len(corpus.prompts) == 1
    assert list(corpus.texts) == ["First.\n\nSecond.", "First."] * 2
    assert list(corpus.status) == [SampleStatus.COMPLETED, SampleStatus.FAILED] * 2


def test_the_order_of_stored_rows_does_not_matter(tmp_path):
    rows = [row(f"p{i % 9}", i // 9, f"Answer {i}.") for i in range(27)]
    twins = [row(f"q{i}", 0, f"Twin {i}.", before=QUESTION) for i in range(3)]
    rows += twins
    orders = [range(30), np.random.default_rng(0).permutation(30)]
    one, other = (
        load_corpus([store(tmp_path / f"{name}{n}", [rows[i] for i in order]) for name in "ab"]).corpus
        for n, order in enumerate(orders)
    )
    assert list(one.texts) == list(other.texts)
    assert (one.prompt == other.prompt).all()
    assert one.prompt_ids == other.prompt_ids


def test_prompts_that_differ_in_marks_only_or_are_said_to_belong_together_are_one_family(tmp_path):
    asked = [[{"role": "user", "content": text}] for text in ("Why now?", "why NOW", "Why later?", "!!!", "???")]
    rows = [row(f"p{i}", before=before) for i, before in enumerate(asked)]
    rows += [row(f"r{i}", metadata={"family": "same"}) for i in range(2)]
    corpus = load_corpus([store(tmp_path / name, rows) for name in "ab"]).corpus
    family = dict(zip(corpus.prompt_ids, corpus.families.tolist(), strict=True))
    assert family["p0"] == family["p1"] != family["p2"]
    assert family["p3"] != family["p4"]
    assert family["r0"] == family["r1"]


def test_identical_outputs_are_kept_with_their_number(tmp_path):
    rows = [row("p1", i, "I cannot help.") for i in range(4)]
    loaded = load_corpus([store(tmp_path / name, rows) for name in "ab"])
    assert len(loaded.corpus.texts) == 8
    assert [(arm.n_responses, arm.n_distinct) for arm in loaded.arms] == [(4, 1), (4, 1)]
