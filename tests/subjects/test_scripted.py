"""Scripted subjects answer the same everywhere, and misbehave on request at a fixed rate."""

from __future__ import annotations

from collections import Counter

import pytest

from moorings.errors import ConfigError
from moorings.records import Decoding, Message, Request
from moorings.subjects.protocol import Subject
from moorings.subjects.scripted import ScriptedSubject
from moorings.subjects.spec import SubjectSpec, open_subject

DECODING = Decoding()


def requests(n: int, text: str = "hello there") -> list[Request]:
    message = Message(role="user", content=text)
    return [Request(request_id=str(seed), messages=(message,), seed=seed) for seed in range(n)]


def test_echo_repeats_the_last_message() -> None:
    (answer,) = open_subject("scripted:echo").generate(requests(1), DECODING)
    assert (answer.text, answer.finish_reason, answer.n_output_tokens) == ("hello there", "stop", 2)


def test_lorem_depends_on_seed_and_messages_only() -> None:
    first = list(open_subject("scripted:lorem").generate(requests(20), DECODING))
    again = list(open_subject("scripted:lorem").generate(reversed(requests(20)), DECODING))
    other = list(open_subject("scripted:lorem").generate(requests(20, "other"), DECODING))
    assert sorted(again, key=lambda a: int(a.request_id)) == first
    assert len({answer.text for answer in [*first, *other]}) == 40


def test_limit_cuts_and_says_so() -> None:
    (answer,) = open_subject("scripted:lorem").generate(requests(1), Decoding(max_new_tokens=2, logprobs=True))
    assert (answer.finish_reason, answer.n_output_tokens) == ("length", 2)
    assert answer.logprobs_nats is not None
    assert len(answer.logprobs_nats) == 2


def test_hostile_shows_every_status_at_a_small_rate() -> None:
    subject = open_subject("scripted:lorem", options={"hostile": True})
    answers = list(subject.generate(requests(3000), DECODING))
    kinds = Counter(answer.finish_reason for answer in answers)
    kinds["empty"] = sum(answer.finish_reason == "stop" and not answer.text.strip() for answer in answers)
    kinds["refusal"] = sum(answer.text.startswith("I'm sorry") for answer in answers)
    kinds["awkward"] = sum("<script>" in answer.text or "\x1b" in answer.text for answer in answers)
    for kind in ("error", "too_long", "length", "empty", "refusal", "awkward"):
        assert 10 < kinds[kind] < 150, kind
    assert all((answer.error is not None) == (answer.finish_reason == "error") for answer in answers)
    assert answers == list(open_subject("scripted:lorem", options={"hostile": True}).generate(requests(3000), DECODING))


def test_mapping_answers_known_messages_and_fails_on_others() -> None:
    subject = ScriptedSubject({"hello there": "hi"})
    known, unknown = subject.generate([*requests(1), *requests(1, "who?")], DECODING)
    assert known.text == "hi"
    assert (unknown.finish_reason, unknown.error) == ("error", "the script has no answer to this message")


def test_fingerprint_follows_script_version_and_hostility() -> None:
    specs = [
        SubjectSpec(uri="scripted:lorem"),
        SubjectSpec(uri="scripted:echo"),
        SubjectSpec(uri="scripted:lorem", options={"hostile": True}),
        SubjectSpec(uri="scripted:lorem", options={"version": "2"}),
    ]
    fingerprints = [open_subject(spec).describe().fingerprint() for spec in specs]
    assert len(set(fingerprints)) == 4
    assert open_subject(specs[0]).describe().fingerprint() == fingerprints[0]
    assert ScriptedSubject({"a": "b"}).describe().fingerprint() != ScriptedSubject({"a": "c"}).describe().fingerprint()


def test_is_a_subject_and_closes_twice() -> None:
    subject = open_subject("scripted:echo")
    assert isinstance(subject, Subject)
    subject.close()
    subject.close()


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        ("scripted:ecko", {}, "did you mean 'echo'"),
        ("scripted:echo", {"hostil": True}, "did you mean 'hostile'"),
        ("scripted:echo", {"hostile": "yes"}, "must be a bool"),
    ],
)
def test_wrong_names_are_refused(uri: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_subject(uri, options=options)
