"""Rewards that can be checked: an answer key, and tests that a program must pass.

A program that a model wrote runs in `execution.sandbox` and nowhere else.
Both can be gamed where key or tests are weak: an answer that lists everything `contains` the key, and a program can
return the values that its tests ask for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from moorings.errors import ConfigError
from moorings.execution.sandbox import run_python
from moorings.feedback.lexical import count_phrases
from moorings.feedback.reward import Graded, Reward, RewardConfig, Tools, rewards
from moorings.feedback.scored import ScoredBy

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Match", "agrees", "code_of"]

Match = Literal["exact", "contains", "last_number"]

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*+(?:\.\d+)?")
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_START = re.compile(r"^[ \t]*(?:def|from|import) ", re.MULTILINE)


def agrees(response: str, key: Any, match: Match) -> float:
    """1 if a response agrees with a key or one of a list of keys, else 0; NaN without a key.

    >>> agrees("It costs 1,004.0", "1004", "last_number"), agrees("Paris, France", ["Rome", "paris"], "contains")
    (1.0, 1.0)
    """
    keys = [str(one) for one in (key if isinstance(key, list) else [key]) if one is not None and str(one).strip()]
    if not keys:
        return float("nan")
    if match == "exact":
        return float(_plain(response) in {_plain(one) for one in keys})
    if match == "contains":
        return float(count_phrases(response, keys) > 0)
    found = _NUMBER.findall(response)
    wanted = [float(number[-1].replace(",", "")) for one in keys if (number := _NUMBER.findall(one))]
    return float(bool(found) and float(found[-1].replace(",", "")) in wanted) if wanted else float("nan")


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s.+\-/]", " ", text.casefold()).split()).rstrip(".")


class AnswerKeyConfig(RewardConfig):
    """Settings of `answer_key`."""

    key: str = "answer"
    """Column of the prompt file that holds the right answer, or a list of right ones."""
    match: Match = "exact"
    """Equal but for case, marks and white space; held as whole words; or the last number of the answer is the key's."""


@rewards.register("answer_key", AnswerKeyConfig)
def answer_key(config: AnswerKeyConfig) -> Reward:
    """1 if the answer agrees with the prompt's key, else 0; missing where the prompt has no key."""

    def score(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        return np.array([agrees(item.response, item.metadata.get(config.key), config.match) for item in items])

    return ScoredBy("answer_key", "share right", "higher", score)


class _Check(NamedTuple):
    call: str
    expected: str


class ProgramConfig(RewardConfig):
    """Settings of `program`."""

    key: str = "tests"
    """Column of the prompt file that holds the tests: a list of pairs of a Python expression, such as `f(3)`, and the
    `repr` of its value."""
    partial: bool = False
    """Give the share of passed tests; False gives 1 only if all pass."""


@rewards.register("program", ProgramConfig)
def program(config: ProgramConfig) -> Reward:
    """Whether the program in the answer passes the prompt's tests; missing where the prompt has none.

    A program that breaks, tries what is not allowed or passes its limits has failed: that is its deed and no missing
    datum. For `partial` each test is then run alone, so that one that fails does not take the others with it.

    Raises:
        ConfigError: A prompt's tests are not pairs of texts.
        BackendError: The sandbox's process could not be started.
    """

    def score(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        return np.array([_passed(item, config) for item in items], dtype=np.float64)

    return ScoredBy("program", "share of tests" if config.partial else "share right", "higher", score)


def _passed(item: Graded, config: ProgramConfig) -> float:
    checks = _checks(item.metadata.get(config.key), config.key)
    if not checks:
        return float("nan")
    source = code_of(item.response)
    ran = run_python(source, [check.call for check in checks])
    if ran.status == "ok":
        passed = [value == check.expected for value, check in zip(ran.values, checks, strict=True)]
    elif config.partial:
        passed = [_passes_alone(source, check) for check in checks]
    else:
        return 0.0
    return sum(passed) / len(checks) if config.partial else float(all(passed))


def _passes_alone(source: str, check: _Check) -> bool:
    ran = run_python(source, [check.call])
    return ran.status == "ok" and tuple(ran.values) == (check.expected,)


def _checks(given: Any, key: str) -> list[_Check]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in given
    ):
        raise ConfigError(
            f"reward 'program': column {key!a} holds {given!a:.60}; write a list of pairs such as ['f(3)', '9']"
        )
    return [_Check(*pair) for pair in given]


def code_of(answer: str) -> str:
    """The code in an answer: its first fenced block, else what starts at a definition or import, else all of it.

    >>> code_of("Sure: ```python\\ndef f(x): return x\\n``` done")
    'def f(x): return x\\n'
    """
    fenced = _FENCE.search(answer)
    if fenced:
        return fenced[1]
    start = _START.search(answer)
    return answer[start.start() :].rstrip("`") if start else answer
