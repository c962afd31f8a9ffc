"""Records: round trips, one canonical text, and fingerprints that follow behaviour alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from moorings.errors import ConfigError
from moorings.records import Decoding, Interaction, Message, SubjectInfo, canonical_json, content_hash
from moorings.subjects.comparable import require_same_engine

INFO = SubjectInfo(name="n", uri="u", engine="e", engine_version="1", precision="fp32", weights="w")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.integers(0, 2**63 - 1))
def test_an_interaction_survives_json(text, seed):
    row = Interaction(
        key="0" * 64,
        subject="s",
        prompt_id=text,
        index=0,
        seed=seed,
        messages=(Message(role="user", content=text),),
        response=text,
        status="completed",
        finish_reason="stop",
        logprobs_nats=(-0.1, -2.5),
        metadata={"t": text},
    )
    assert Interaction.model_validate_json(row.model_dump_json()) == row


def test_equal_values_share_one_text():
    assert (
        canonical_json({"b": 1, "a": [1.5, None]})
        == canonical_json({"a": [1.5, None], "b": 1})
        == '{"a":[1.5,null],"b":1}'
    )
    assert content_hash({"a": 1}) != content_hash({"a": 2})
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(float("nan"))


def test_a_fingerprint_follows_behaviour_not_names():
    base = INFO.fingerprint(Decoding())
    assert INFO.model_copy(update={"name": "other", "uri": "elsewhere"}).fingerprint(Decoding()) == base
    for change in (
        {"engine": "x"},
        {"engine_version": "2"},
        {"precision": "int8"},
        {"weights": "v"},
        {"adapter": "a"},
        {"template": "t"},
        {"device": "cuda"},
        {"batch_size": 2},
        {"threads": 2},
        {"workers": 2},
    ):
        assert INFO.model_copy(update=change).fingerprint(Decoding()) != base
    assert INFO.fingerprint(Decoding(temperature=0.5)) != base


def test_unknown_keys_and_impossible_values_are_refused():
    with pytest.raises(ValidationError):
        Message(role="user", content="x", extra=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Decoding(top_p=0)
    with pytest.raises(ValidationError):
        Decoding(max_new_tokens=0)


def test_subjects_sampled_differently_are_not_compared_by_accident():
    other = INFO.model_copy(update={"precision": "int8", "weights": "v"})
    with pytest.raises(ConfigError, match="precision: fp32 against int8"):
        require_same_engine(INFO, other)
    assert require_same_engine(INFO, other, allow_mixed=True) == ["precision: fp32 against int8"]
    assert require_same_engine(INFO, INFO.model_copy(update={"weights": "v", "adapter": "a"})) == []
