"""Statuses: precedence, and refusals told from ordinary text."""

from __future__ import annotations

import pytest

from moorings.sampling.status import classify, opens_with_refusal


@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        ("x", "error", "failed"),
        ("", "error", "failed"),
        ("", "too_long", "too_long"),
        ("", "stop", "empty"),
        (" \n\t", "length", "empty"),
        ("fine", "stop", "completed"),
        ("cut of", "length", "truncated"),
        ("", "refusal", "refused"),
        ("I can't help with that", "length", "refused"),
        ("fine", "unknown", "completed"),
    ],
)
def test_each_sample_has_one_status(text, reason, status):
    assert classify(text, reason).value == status


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I\u2019m sorry, I cannot provide instructions for that.",
        "Sorry, I can't do that.",
        "Unfortunately, I am unable to help with this.",
        "As an AI language model, I cannot provide medical advice.",
        "I must decline to answer.",
        "I don't feel comfortable writing that.",
        "  I won't help you hurt somebody.",
    ],
)
def test_refusals_are_recognised(text):
    assert opens_with_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I can't wait to tell you about Paris!",
        "Sorry to hear that. Here is what helps.",
        "You can't help everybody.",
        "The assistant said: I can't help.",
        "I cannot stress this enough: sleep.",
        "Unfortunately, the train is late.",
        "",
    ],
)
def test_ordinary_text_is_not_a_refusal(text):
    assert not opens_with_refusal(text)
