"""Rows with a question, its choices and the answer, under the names that public data sets give them.

Read are: `choices` as a list, as ARC's `{text, label}`, or as columns (A to E, option_a, choice1, ending0, sol1);
answers as index from 0, letter, label or text (Winogrande's `1` and `2` are labels of `option1` and `option2`); BIG-bench's `target_scores`; TruthfulQA's `mc1_targets` and its
`best_answer` with `incorrect_answers`. Where a source has no order of options, their order is drawn from the content
hash of the question, so that the key has no fixed place.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from moorings.probes.item import Item, Option
from moorings.records import content_hash
from moorings.subjects.strict_json import parse_json

__all__ = ["fits", "read", "symbol"]

_STEMS = ("question", "prompt", "query", "input", "stem", "question_stem", "sentence", "ctx", "goal", "premise", "text")
_CONTEXTS = ("context", "passage", "article", "story", "support")
_CHOICES = ("choices", "options", "answers", "endings", "candidates", "answer_choices", "multiple_choices")
_COLUMNS = (
    ("A", "B", "C", "D", "E"),
    ("option_a", "option_b", "option_c", "option_d", "option_e"),
    ("opa", "opb", "opc", "opd"),
    ("choice1", "choice2", "choice3", "choice4"),
    ("option1", "option2", "option3", "option4"),
    ("ending0", "ending1", "ending2", "ending3"),
    ("sol1", "sol2"),
    ("action1", "action2"),
)
_ANSWERS = (
    "answer", "answerKey", "answer_key", "label", "target", "gold", "correct", "correct_answer", "answer_index",
    "answer_idx", "correct_index", "correct_choice", "cop", "correct_option",
)  # fmt: skip
_GROUPS = ("subtask", "subject", "category", "task", "dataset", "topic", "group")
_KEEP_SHORT = 40


def fits(row: dict[str, Any]) -> bool:
    """Whether a row has this form."""
    try:
        read(row, "row")
    except ValueError:
        return False
    return True


def read(row: dict[str, Any], item_id: str) -> Item:
    """One row as an item. Raises ValueError where it is none."""
    used: list[str] = []
    stem = _stem(row, used)
    choices, right = _scored(row, stem, used) or _listed(row, used)
    group = next((row[name] for name in _GROUPS if isinstance(row.get(name), str) and row[name]), None)
    own_id = next(
        (str(row[name]) for name in ("id", "item_id", "question_id") if row.get(name) not in (None, "")), None
    )
    return Item(
        item_id=f"{item_id}:{own_id}" if own_id else item_id,
        cluster_id=item_id,
        subtask=group or "questions",
        prompt=stem,
        options=tuple(Option(symbol=symbol(at), text=choice, key=at == right) for at, choice in enumerate(choices)),
        key=symbol(right),
        metadata={name: value for name, value in row.items() if name not in used},
    )


def symbol(at: int) -> str:
    """Letter of a place, a number after Z.

    >>> symbol(0), symbol(26)
    ('A', '27')
    """
    return string.ascii_uppercase[at] if at < 26 else str(at + 1)


def _stem(row: dict[str, Any], used: list[str]) -> str:
    parts = []
    context = next((name for name in _CONTEXTS if isinstance(row.get(name), str) and row[name].strip()), None)
    question = next((name for name in _STEMS if isinstance(row.get(name), str) and row[name].strip()), None)
    nested = row.get("question")
    if isinstance(nested, dict) and isinstance(nested.get("stem"), str):
        used.append("question")
        return str(nested["stem"])
    for name in (context, question):
        if name is not None:
            used.append(name)
            parts.append(row[name].strip())
    if not parts:
        raise ValueError(f"has no question; allowed columns: {', '.join((*_STEMS, *_CONTEXTS))}")
    return "\n".join(parts)


def _scored(row: dict[str, Any], stem: str, used: list[str]) -> tuple[list[str], int] | None:
    """Choices that come with a score or in lists of right and wrong ones."""
    targets = row.get("mc1_targets")
    if isinstance(targets, dict) and {"choices", "labels"} <= set(targets):
        used.append("mc1_targets")
        return _one_best(_texts(targets["choices"]), targets["labels"])
    scores = row.get("target_scores")
    if scores is None:
        scores = targets
    if isinstance(scores, dict) and scores:
        used += ["target_scores", "mc1_targets"]
        return _one_best(list(scores), list(scores.values()))
    if isinstance(row.get("best_answer"), str) and isinstance(row.get("incorrect_answers"), list):
        used += ["best_answer", "incorrect_answers"]
        choices = [row["best_answer"], *_texts(row["incorrect_answers"])]
        order = np.random.default_rng(int(content_hash(stem)[:16], 16)).permutation(len(choices))
        return [choices[at] for at in order], int(np.flatnonzero(order == 0)[0])
    return None


def _one_best(choices: list[str], scores: object) -> tuple[list[str], int]:
    numbers = isinstance(scores, list) and all(isinstance(score, int | float) for score in scores)
    if not isinstance(scores, list) or not numbers or len(choices) != len(scores) or len(choices) < 2:
        raise ValueError("choices and their scores do not fit together")
    best = [at for at, score in enumerate(scores) if score == max(scores)]
    if len(best) != 1:
        raise ValueError(f"{len(best)} choices have the highest score; exactly 1 must")
    return choices, best[0]


def _listed(row: dict[str, Any], used: list[str]) -> tuple[list[str], int]:
    choices, labels = _choices(row, used)
    answer = next((name for name in _ANSWERS if row.get(name) is not None), None)
    if answer is None:
        raise ValueError(f"has no answer; allowed columns: {', '.join(_ANSWERS)}")
    used.append(answer)
    return choices, _place(row[answer], choices, labels)


def _choices(row: dict[str, Any], used: list[str]) -> tuple[list[str], list[str]]:
    nested = row.get("question")
    homes = [row, nested] if isinstance(nested, dict) else [row]
    for home in homes:
        for name in _CHOICES:
            value = _parsed(home.get(name))
            if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
                value = [{"text": t, "label": label} for t, label in zip(value["text"], value["label"], strict=True)]
            if isinstance(value, list) and len(value) > 1:
                used.append(name)
                texts = [one["text"] if isinstance(one, dict) and "text" in one else one for one in value]
                labels = [str(one["label"]) if isinstance(one, dict) and "label" in one else "" for one in value]
                return _texts(texts), labels
    for names in _COLUMNS:
        there = [name for name in names if isinstance(row.get(name), str) and row[name].strip()]
        if len(there) > 1:
            used += there
            return [row[name] for name in there], [name.removeprefix("option") for name in there]
    raise ValueError(f"has no choices; allowed columns: {', '.join(_CHOICES)}, or A to E, option_a, choice1, ending0")


def _parsed(value: object) -> object:
    """A list that a CSV holds as JSON text."""
    if isinstance(value, str) and value.strip().startswith(("[", "{")):
        return parse_json(value).value
    return value


def _texts(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError("a choice is no text")
    return [str(value) for value in values]


def _place(answer: object, choices: list[str], labels: list[str]) -> int:
    """Position of the answer: by label, text, letter or index from 0, in this order."""
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, str):
        text = answer.strip()
        for known in (labels, choices):
            if known.count(text) == 1:
                return known.index(text)
        bare = text.strip("().").upper()
        if len(bare) == 1 and bare in string.ascii_uppercase[: len(choices)]:
            return string.ascii_uppercase.index(bare)
        if text.isdecimal():
            answer = int(text)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return answer
    raise ValueError(f"the answer {answer!a:.{_KEEP_SHORT}} is none of its {len(choices)} choices")
