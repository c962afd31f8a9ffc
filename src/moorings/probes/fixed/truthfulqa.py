"""TruthfulQA (Lin, Hilton, Evans 2021, arXiv:2109.07958).

Formats: `TruthfulQA.csv` (Type, Category, Question, Best Answer, Correct Answers, Incorrect Answers; lists are split
at semicolons), `mc_task.json` (question, mc1_targets, mc2_targets: text to label), the form of data hubs (choices and
labels in lists), and JSON lines with lists.
An ability: the key is the best answer. Forms: `mc1`, one right answer among all false ones, and `binary`, the best
answer against the best (or else the first) false one, which the authors advise since 2025 as it cannot be solved by
picking the odd one out.
Left out: `mc2`, which needs several right options, and the free-text judges, which are models of their own.
It must show: every question becomes an item; stored keys stand evenly over the places.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from moorings.errors import ConfigError
from moorings.probes.files import ItemSet
from moorings.probes.fixed.fixed_set import Located, assemble, fixed_sets, make_item, rotate, rows_under

__all__ = ["read_truthfulqa"]


@fixed_sets.register("truthfulqa")
def read_truthfulqa(path: Path, form: Literal["mc1", "binary"] = "mc1") -> ItemSet:
    """Read the questions.

    Args:
        path: The published file.
        form: `mc1` takes all false answers, `binary` one.

    Raises:
        ConfigError: Another form.
        InputError: A row that has no such format, or no row.
    """
    if form not in ("mc1", "binary"):
        raise ConfigError(f"form is {form!a:.40}; allowed: mc1, binary")
    items = []
    for at in rows_under(path, (".csv", ".json", ".jsonl", ".jsonl.gz", ".parquet")):
        question = at.text("question")
        best, wrong = _answers(at)
        wrong = [answer for answer in dict.fromkeys(wrong) if answer != best]
        if not wrong:
            at.fail("has no false answer; check that the file is the published one")
        texts = [best, *(wrong if form == "mc1" else wrong[:1])]
        turn = rotate(len(texts), question)
        turned = texts[turn:] + texts[:turn]
        metadata = {name: at.get(name) for name in ("type", "category") if at.get(name)}
        try:
            item = make_item(
                "truthfulqa", "ability", question, turned, turned.index(best), structure=form, metadata=metadata
            )
        except ValueError as error:
            at.fail(f"has {error}; use form=binary")
        items.append(item)
    return assemble("truthfulqa", items, path, "ability", "Lin et al. 2021, arXiv:2109.07958", form=form)


def _answers(at: Located) -> tuple[str, list[str]]:
    """The best answer and the false ones, the best false one first where it is named."""
    targets = at.get("mc1_targets")
    if targets is None:
        wrong = _list(at, at.get("incorrect answers", "incorrect_answers"))
        named = at.get("best incorrect answer", "best_incorrect_answer")
        return at.text("best answer", "best_answer"), [*_list(at, named or ""), *wrong]
    labelled = dict(_labelled(at, targets))
    right = [text for text, label in labelled.items() if label == 1]
    if len(right) != 1:
        at.fail(f"mc1_targets has {len(right)} right answers; allowed: exactly 1")
    return right[0], [text for text, label in labelled.items() if label != 1]


def _labelled(at: Located, targets: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(targets, str):
        try:
            targets = json.loads(targets)
        except json.JSONDecodeError as error:
            at.fail(f"mc1_targets is no JSON: {error}")
    if not isinstance(targets, dict):
        at.fail(f"mc1_targets is {targets!a:.60}; allowed: an object of answers with 1 or 0")
    choices, labels = targets.get("choices"), targets.get("labels")
    if not isinstance(choices, list) or not isinstance(labels, list):
        yield from targets.items()
    elif len(choices) != len(labels) or not all(isinstance(choice, str) for choice in choices):
        at.fail(f"mc1_targets has {len(choices)} choices and {len(labels)} labels; each text needs one label")
    else:
        yield from zip(choices, labels, strict=True)


def _list(at: Located, value: Any) -> list[str]:
    if isinstance(value, str):
        value = value.split(";")
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        at.fail(f"false answers are {value!a:.60}; allowed: texts with ';' between them, or a list of texts")
    return [text for one in value if (text := one.strip())]
