"""Answer keys and programs."""

from __future__ import annotations

import math

import pytest
from feedback_tools import FakeTools, graded

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.feedback.reward import rewards
from moorings.feedback.verifiers import agrees, code_of


def grade(tools: FakeTools, use: str, response: str, settings: dict[str, object], **metadata: object) -> float:
    return float(rewards.make(Use(use=use, **settings))([graded(response, **metadata)], tools)[0])


@pytest.mark.parametrize(
    ("match", "answer", "key", "expected"),
    [
        ("exact", "  Paris! ", "paris", 1.0),
        ("exact", "Paris, France", "paris", 0.0),
        ("contains", "comparison", "paris", 0.0),
        ("last_number", "2 and 2 make 1,004.0", ["no", "1004"], 1.0),
        ("last_number", "none", "4", 0.0),
    ],
)
def test_an_answer_key_is_met_or_not(tmp_path, match, answer, key, expected):
    assert agrees(answer, key, match) == expected
    assert grade(FakeTools(tmp_path), "answer_key", answer, {"match": match}, answer=key) == expected


@pytest.mark.parametrize("key", [None, "", [], [None, " "]])
def test_no_key_is_missing_not_wrong(key):
    assert math.isnan(agrees("x", key, "exact"))


TESTS = [["f(2)", "4"], ["f(-3)", "9"]]
RIGHT = "Sure:\n```python\ndef f(x):\n    return x * x\n```\nDone."


@pytest.mark.parametrize(
    ("answer", "whole", "partial"),
    [
        (RIGHT, 1.0, 1.0),
        ("def f(x):\n    return 2 * x", 0.0, 0.5),
        ("def f(x):\n    return x * x if x > 0 else 1 / 0", 0.0, 0.5),
        ("I do not know.", 0.0, 0.0),
        ("def f(x):\n    import socket\n    return x * x", 0.0, 0.0),
    ],
)
def test_a_program_is_run_and_judged_from_outside(tmp_path, answer, whole, partial):
    tools = FakeTools(tmp_path)
    assert grade(tools, "program", answer, {}, tests=TESTS) == whole
    assert grade(tools, "program", answer, {"partial": True}, tests=TESTS) == partial


def test_a_program_without_tests_is_missing(tmp_path):
    assert math.isnan(grade(FakeTools(tmp_path), "program", RIGHT, {}))
    assert math.isnan(grade(FakeTools(tmp_path), "program", RIGHT, {"partial": True}, tests=[]))


@pytest.mark.parametrize("tests", ["f(2)", [["f(2)"]], [["f(2)", 4]]])
def test_tests_of_another_form_are_refused(tmp_path, tests):
    with pytest.raises(ConfigError, match="list of pairs"):
        grade(FakeTools(tmp_path), "program", RIGHT, {}, tests=tests)


def test_code_is_found_in_an_answer():
    assert code_of("``` \nx = 1") == "x = 1"
    assert code_of("Here: \nimport math\nx = 2`") == "import math\nx = 2"
    assert code_of("def f(x): return 1`") == "def f(x): return 1"
    assert code_of("nothing") == "nothing"
