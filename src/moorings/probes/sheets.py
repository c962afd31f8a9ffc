"""Answer sheets as JSON lines: what the sheet is, then its items, then its answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from moorings.errors import InputError
from moorings.probes.answers import Answer, AnswerSheet, Mode
from moorings.probes.item import Item
from moorings.records import Record, SampleStatus, canonical_json
from moorings.store.disk import Disk, write_atomic
from moorings.subjects.tables import RowReader

__all__ = ["ANSWERS", "read_sheet", "write_sheet"]

ANSWERS = "answers.jsonl"
"""File of a finished sheet in its folder."""


class _Head(Record):
    moorings_answers: int = Field(ge=1, le=1)
    subject: str
    fingerprint: str
    n_items: int
    n_answers: int
    about: dict[str, Any]


class _Row(Record):
    item_id: str
    order: tuple[int, ...]
    framing: str
    mode: Mode
    chosen: int | None
    logprobs: tuple[float | None, ...]
    text: str
    status: SampleStatus

    def answer(self, n_options: int) -> Answer:
        """The answer, checked against its item."""
        fits = sorted(self.order) == list(range(n_options)) and len(self.logprobs) in (0, n_options)
        if not fits or (self.chosen is not None and not 0 <= self.chosen < n_options):
            raise ValueError(f"it does not fit an item of {n_options} options")
        nats = tuple(math.nan if value is None else value for value in self.logprobs)
        return Answer(**{**dict(self), "logprobs": nats, "status": str(self.status)})


def write_sheet(sheet: AnswerSheet, folder: Path) -> Path:
    """Keep a sheet in a folder; an existing one is replaced in one step. Lone surrogates become U+FFFD.

    Args:
        sheet: Its `about` holds only what JSON can.
        folder: Made if there is none.
    """
    head = _Head(
        moorings_answers=1,
        subject=sheet.subject,
        fingerprint=sheet.fingerprint,
        n_items=len(sheet.items),
        n_answers=len(sheet.answers),
        about=sheet.about,
    )
    lines = [canonical_json(head.model_dump(mode="json"))]
    lines += [
        canonical_json(item.model_dump(mode="json", by_alias=True, exclude_defaults=True)) for item in sheet.items
    ]
    for answer in sheet.answers:
        nats = [value if math.isfinite(value) else None for value in answer.logprobs]
        lines.append(canonical_json({**answer._asdict(), "logprobs": nats}))
    path = folder / ANSWERS
    # Half a surrogate pair is no character: no reader takes it back.
    text = ("\n".join(lines) + "\n").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    write_atomic(path, text.encode(), Disk())
    return path


def read_sheet(folder: Path | str) -> AnswerSheet:
    """The sheet that is kept in a folder.

    Raises:
        InputError: There is none, or it is damaged; the line is named.
    """
    path = Path(folder) / ANSWERS
    if not path.is_file():
        raise InputError(f"{path} is not there; ask the items first, or resume a call that was cut off")
    head: _Head | None = None
    items: dict[str, Item] = {}
    answers: list[Answer] = []
    for number, row in RowReader(path):
        try:
            if head is None:
                head = _Head.model_validate(row)
            elif len(items) < head.n_items:
                item = Item.model_validate(row)
                items[item.item_id] = item
            else:
                found = _Row.model_validate(row)
                answers.append(found.answer(len(items[found.item_id].options)))
        except (ValidationError, KeyError, ValueError) as error:
            kind = type(error).__name__
            raise InputError(f"{path}, line {number} is not of an answer sheet ({kind}); ask again") from None
    if head is None or (len(items), len(answers)) != (head.n_items, head.n_answers):
        raise InputError(f"{path} holds {len(items)} items and {len(answers)} answers; it is cut short, ask again")
    return AnswerSheet(head.subject, head.fingerprint, tuple(items.values()), tuple(answers), head.about)
