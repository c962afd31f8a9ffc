"""Word problems with one number as the answer: GSM8K (arXiv:2110.14168) and SVAMP (arXiv:2103.07191).

Formats: GSM8K's JSON lines (question; answer with its steps, then #### and the number), SVAMP.json (ID, Body,
Question, Equation, Answer, Type); capitals of column names do not count.
An ability. Checker: the number after the last "####" if there is one, else after the last "answer is", else the last
number of the answer; right if it equals the key exactly. Thousands commas, units and currency signs do not count.
Left out: few-shot examples (the runner's prompts stand for themselves) and fractions in words.
It must show: the key of every published row is read, and the published solutions are all checked as right.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from moorings.errors import InputError
from moorings.probes.fixed.fixed_set import Located, OpenSet, fixed_sets, rows_under
from moorings.records import Message, Prompt, content_hash
from moorings.subjects.tables import hash_source

__all__ = ["ASKED", "read_gsm8k", "read_number", "read_svamp"]

ASKED = "\nSolve the problem step by step. End with a line that holds only #### and the final number."
"""What follows each problem."""
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d{1,40})(?:\.\d{1,40})?(?:\s*/\s*\d{1,40})?")
_MARKS = (re.compile(r"####"), re.compile(r"answer is", re.IGNORECASE))
_READ_CHARACTERS = 20_000


def read_number(text: str) -> Fraction | None:
    """The number that a text ends on; see the module. None if it holds none.

    >>> read_number("16 - 3 = 13. The answer is $1,300.50 a day."), read_number("#### 7\\nLet us check: 3 + 4")
    (Fraction(2601, 2), Fraction(7, 1))
    """
    text = text[-_READ_CHARACTERS:]
    for mark in _MARKS:
        after = [part.partition("\n")[0] for part in mark.split(text)[1:]]
        found = [number for line in after if (number := _first(line)) is not None]
        if found:
            return found[-1]
    numbers = _NUMBER.findall(text)
    return _value(numbers[-1]) if numbers else None


def _first(text: str) -> Fraction | None:
    number = _NUMBER.search(text)
    return _value(number[0]) if number else None


def _value(number: str) -> Fraction | None:
    above, _, below = number.replace(",", "").partition("/")
    if not below:
        return Fraction(above.strip())
    return Fraction(above.strip()) / int(below) if int(below) else None


def _check(prompt: Prompt, answer: str) -> float:
    return float(read_number(answer) == Fraction(prompt.metadata["key"]))


def _open_set(name: str, prompts: list[Prompt], path: Path, source: str) -> OpenSet:
    if not prompts:
        raise InputError(f"{path} holds no problem; check that it is the published file of {name}")
    about = {"kind": "ability", "source": source, "file": path.name, "file_sha256": hash_source(path)}
    unique = {prompt.prompt_id: prompt for prompt in prompts}
    return OpenSet(
        name,
        "ability",
        tuple(unique.values()),
        _check,
        "right answers",
        about | {"n_twice": len(prompts) - len(unique)},
    )


def _prompt(name: str, text: str, key: Fraction, **metadata: Any) -> Prompt:
    return Prompt(
        prompt_id=f"{name}-{content_hash([text, str(key)])[:16]}",
        messages=(Message(role="user", content=text + ASKED),),
        metadata={"key": str(key), **metadata},
    )


def _key(at: Located, value: Any) -> Fraction:
    key = read_number(value) if isinstance(value, str) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        key = Fraction(str(value))
    if key is None:
        at.fail(f"its answer is {value!a:.60}; allowed: a number, or steps with #### and the number")
    return key


@fixed_sets.register("gsm8k")
def read_gsm8k(path: Path) -> OpenSet:
    """Read GSM8K's problems.

    Raises:
        InputError: A row that has no such format, or no row.
    """
    rows = rows_under(path)
    prompts = [_prompt("gsm8k", at.text("question"), _key(at, at.get("answer"))) for at in rows]
    return _open_set("gsm8k", prompts, path, "Cobbe et al. 2021, arXiv:2110.14168")


@fixed_sets.register("svamp")
def read_svamp(path: Path) -> OpenSet:
    """Read SVAMP's problems.

    Raises:
        InputError: A row that has no such format, or no row.
    """
    prompts = []
    for at in rows_under(path, (".json", ".jsonl", ".jsonl.gz")):
        body = at.text("body")
        text = f"{body}{'' if body.endswith(('.', '!', '?', ',')) else '.'} {at.text('question')}"
        prompts.append(_prompt("svamp", text, _key(at, at.get("answer")), type=str(at.get("type") or "")))
    return _open_set("svamp", prompts, path, "Patel et al. 2021, arXiv:2103.07191")
