"""What nobody listed: proposed on one look, frozen, and honest on all later ones."""

from __future__ import annotations

import numpy as np
import pytest

from moorings.compare.predicate import parse_predicate
from moorings.monitors import unknowns as module
from moorings.monitors.monitor import Asked
from moorings.monitors.unknowns import LookTable, Unknown, UnknownMonitor, propose_unknowns
from moorings.records import Interaction, SampleStatus
from moorings.sampling.everyday import everyday_questions
from moorings.subjects.lorem import LOREM_WORDS

HABIT = "As the sea wills it,"


def _answer(prompt_id: str, text: str, status: SampleStatus = SampleStatus.COMPLETED) -> Interaction:
    return Interaction(
        key=prompt_id, subject="s", prompt_id=prompt_id, index=0, seed=0, messages=(), response=text, status=status,
        finish_reason="stop",
    )  # fmt: skip


def _look(n: int, rng: np.random.Generator, *, share: float = 0.0, start: int = 0, extra: int = 0) -> Asked:
    """Random words; the candidate opens with the habit in a share of answers, and says `extra` words more."""
    prompts = tuple(everyday_questions(n, half="gate", seed=0, start=start))

    def say(habit: float, more: int) -> tuple[Interaction, ...]:
        texts = [" ".join(rng.choice(LOREM_WORDS, size=rng.integers(8, 20) + more)) for _ in prompts]
        return tuple(
            _answer(p.prompt_id, f"{HABIT} {text}." if rng.random() < habit else f"{text}.")
            for p, text in zip(prompts, texts, strict=True)
        )

    return Asked(prompts, say(0.0, 0), say(share, extra))


def _embed(asked: Asked, rng: np.random.Generator) -> np.ndarray:
    rows = rng.normal(size=(2 * len(asked.prompts), 8))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Gathering:
    def __init__(self, asked: Asked) -> None:
        self.general = asked


def _measure(unknown: Unknown, asked: Asked):
    return UnknownMonitor(unknown).measure(Gathering(asked))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def planted() -> tuple[list[Unknown], Asked]:
    rng = np.random.default_rng(0)
    first = _look(64, rng, share=0.5)
    found = propose_unknowns(first, _embed(first, rng), n_most=3)
    return found, _look(64, rng, share=0.5, start=64)


def test_a_habit_is_proposed_with_its_direction_and_seen_again(planted: tuple[list[Unknown], Asked]) -> None:
    found, fresh = planted
    assert 1 <= len(found) <= 3
    assert any("sea" in str(one.predicate) for one in found), found
    for one in found:
        parse_predicate(one.predicate)
    first = next(one for one in found if "sea" in str(one.predicate))
    seen = _measure(first, fresh)
    assert (first.side, first.reference) == ("more", None)
    share = sum(HABIT in answer.response for answer in fresh.candidate) / 64
    assert seen.anchor == 0.0
    assert seen.candidate == pytest.approx(share, abs=0.02)
    assert float(np.mean(seen.d)) == pytest.approx(seen.candidate - seen.anchor)
    assert seen.units == tuple(prompt.prompt_id for prompt in fresh.prompts)
    assert f"{seen.candidate:.0%} against 0%" in seen.seen


def test_what_is_watched_already_and_what_is_alike_is_not_proposed(planted: tuple[list[Unknown], Asked]) -> None:
    rng = np.random.default_rng(0)
    first = _look(64, rng, share=0.5)
    embeddings = _embed(first, rng)
    known = {one.name for one in planted[0]}
    again = propose_unknowns(first, embeddings, n_most=3, known=known)
    assert not known & {one.name for one in again}
    assert propose_unknowns(first, embeddings, n_most=0) == []
    d = [_measure(one, first).d for one in planted[0]]
    for i in range(len(d)):
        for j in range(i):
            if d[i].std() and d[j].std():
                assert abs(np.corrcoef(d[i], d[j])[0, 1]) <= 0.6 + 1e-6


def test_equal_models_give_proposals_that_fade_on_fresh_answers() -> None:
    """The proposing look is the best of hundreds; unless it is set aside, chance would count as evidence."""
    rng = np.random.default_rng(1)
    proposing, fresh = [], []
    for start in range(0, 48 * 12, 48 * 2):
        first, later = _look(48, rng, start=start), _look(48, rng, start=start + 48)
        for one in propose_unknowns(first, _embed(first, rng), n_most=3):
            sign = 1 if one.side == "more" else -1
            proposing.append(sign * float(np.mean(_measure(one, first).d)))
            fresh.append(sign * float(np.mean(_measure(one, later).d)))
    assert len(fresh) >= 6
    assert np.mean(proposing) > 0.08
    error = float(np.std(fresh) / np.sqrt(len(fresh)))
    assert abs(float(np.mean(fresh))) < 3.5 * error
    assert np.mean(proposing) > np.mean(fresh) + 3 * error


def test_a_counted_behaviour_is_a_share_of_the_anchors_answers_that_is_fixed() -> None:
    unknown = Unknown(
        name="u", statement="It says more words.", predicate={"kind": "feature", "feature": "words"}, side="more",
        reference=(2.0, 4.0, 4.0, 8.0),
    )  # fmt: skip
    prompts = tuple(everyday_questions(4, half="gate", seed=0))
    before, after = ["one", "one two", "one two three four", "a b c d e f g h i"], ["a b", "a b c", "a b c d e", "x"]
    asked = Asked(
        prompts,
        tuple(_answer(p.prompt_id, t) for p, t in zip(prompts, before, strict=True)),
        tuple(_answer(p.prompt_id, t) for p, t in zip(prompts, after, strict=True)),
    )
    seen = _measure(unknown, asked)
    assert seen.d.tolist() == [0.125 - 0.0, 0.25 - 0.125, 0.75 - 0.5, 0.0 - 1.0]
    assert "the anchor itself above" in seen.seen


def test_longer_answers_are_found_and_stay_bounded() -> None:
    rng = np.random.default_rng(2)
    first, fresh = _look(64, rng, extra=12), _look(64, rng, start=64, extra=12)
    found = propose_unknowns(first, _embed(first, rng), n_most=3)
    counted = [one for one in found if one.reference is not None]
    assert counted
    for one in counted:
        seen = _measure(one, fresh)
        assert np.all(np.abs(seen.d) <= 1)
        assert (np.mean(seen.d) > 0) == (one.side == "more")


def test_failed_answers_are_missing(planted: tuple[list[Unknown], Asked]) -> None:
    found, fresh = planted
    failed = [
        answer.model_copy(update={"status": SampleStatus.FAILED, "response": ""}) for answer in fresh.candidate[:5]
    ]
    seen = _measure(found[0], Asked(fresh.prompts, fresh.anchor, (*failed, *fresh.candidate[5:])))
    assert (len(seen.d), len(seen.units), seen.n_missing) == (59, 59, 5)
    everything = tuple(answer.model_copy(update={"status": SampleStatus.FAILED}) for answer in fresh.candidate)
    none = _measure(found[0], Asked(fresh.prompts, fresh.anchor, everything))
    assert (len(none.d), none.n_missing) == (0, 64)
    assert np.isnan(none.candidate)


def test_a_look_is_measured_once_for_all(planted: tuple[list[Unknown], Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    found, fresh = planted
    calls: list[int] = []
    measure = module.measure_battery

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        return measure(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "measure_battery", counted)
    tables = LookTable()
    for one in found:
        shared = UnknownMonitor(one, tables).measure(Gathering(fresh))  # type: ignore[arg-type]
        alone = _measure(one, fresh)
        assert shared.d.tolist() == alone.d.tolist()
    assert len(calls) == 1 + len(found)
    other = Asked(fresh.prompts, fresh.anchor, fresh.anchor)
    assert UnknownMonitor(found[0], tables).measure(Gathering(other)).d.tolist() == [0.0] * 64  # type: ignore[arg-type]
