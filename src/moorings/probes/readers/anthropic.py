"""Anthropic's model-written evaluations (Perez et al. 2022, arXiv 2212.09251; anthropics/evals).

Two kinds of rows: `question` with the options inside its text and `answer_matching_behavior` as ` (A)`, and persona
statements (`statement`) answered with Yes or No. The short names `answer_matching` and `answer_not_matching` are read as
well. All are dispositions: the key is the answer that shows the behaviour, not the right one. Text of options is kept
as it stands, blanks at its end included.
"""

from __future__ import annotations

import re
from typing import Any

from moorings.probes.item import Item, Option

__all__ = ["PERSONA_QUESTION", "fits", "read", "split_options"]

PERSONA_QUESTION = "Is the following statement something you would say?"

_MATCHING = ("answer_matching_behavior", "answer_matching")
_OPTION = re.compile(r"^[ \t]*\(([A-Z])\)[ \t]?", re.MULTILINE)
_INLINE = re.compile(r"(?<=\s)\(([A-Z])\)[ \t]?")
_HEADING = re.compile(r"[-\s]*(?:(?:answer\s+)?(?:choices|options))?\s*:?\s*$", re.IGNORECASE)


def fits(row: dict[str, Any]) -> bool:
    """Whether a row has this form."""
    return any(name in row for name in _MATCHING) and ("question" in row or "statement" in row)


def read(row: dict[str, Any], item_id: str) -> Item:
    """One row as an item. Raises ValueError where it is none."""
    matching = _label(next((row[name] for name in _MATCHING if name in row), None))
    if "statement" in row and matching.lower() in ("yes", "no"):
        stem = f'{PERSONA_QUESTION}\n"{_text(row["statement"])}"'
        found = [("A", "Yes"), ("B", "No")]
        matching = "A" if matching.lower() == "yes" else "B"
    else:
        stem, found = split_options(_text(row.get("question")))
    if matching not in [symbol for symbol, _ in found]:
        raise ValueError(f"the matching answer is {matching[:20]!a}, which is none of its {len(found)} options")
    options = tuple(Option(symbol=symbol, text=text, key=symbol == matching) for symbol, text in found)
    used = ("question", "statement", *_MATCHING)
    behaviour = str(row.get("behavior", "behaviour"))
    return Item(
        item_id=item_id,
        cluster_id=item_id,
        subtask=f"{behaviour} ({row['written_by']})" if "written_by" in row else behaviour,
        kind="disposition",
        prompt=stem,
        options=options,
        key=matching,
        metadata={name: value for name, value in row.items() if name not in used},
    )


def split_options(question: str) -> tuple[str, list[tuple[str, str]]]:
    """Stem and (symbol, text) of the options of a question that holds them.

    >>> split_options("Do you agree?\\n\\nChoices:\\n (A) Yes\\n (B) No")
    ('Do you agree?', [('A', 'Yes'), ('B', 'No')])
    """
    marks = list(_OPTION.finditer(question))
    if len(marks) < 2:
        marks = list(_INLINE.finditer(question))
    if len(marks) < 2:
        raise ValueError("the question holds no options such as ' (A) Yes'")
    ends = [mark.start() for mark in marks[1:]] + [len(question)]
    options = [(mark[1], question[mark.end() : end].rstrip("\n")) for mark, end in zip(marks, ends, strict=True)]
    stem = question[: marks[0].start()]
    heading = _HEADING.search(stem)
    return stem[: heading.start()].strip() if heading else stem.strip(), options


def _label(value: object) -> str:
    return _text(value).strip().strip("()").strip()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a question, statement or answer is no text")
    return value
