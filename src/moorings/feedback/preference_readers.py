"""Reads preferences from files of several makers, row by row; a bad row is named and never guessed at.

| format | columns |
|---|---|
| `transcripts` | `chosen` and `rejected` are whole dialogues of turns `Human:` and `Assistant:` (HH-RLHF, arXiv:2204.05862) |
| `dialogue` | `prompt` is such a dialogue that ends in `Assistant:`; `chosen` and `rejected` are replies |
| `conversation` | `chosen` and `rejected` are lists of turns {role, content}, with or without the `prompt` (TRL) |
| `plain` | `prompt`, `chosen`, `rejected` are texts; the prompt is one turn of the user (TRL) |
| `options` | `prompt`, and lists `correct` and `incorrect`: one preference for each two of them |

`auto` decides row by row. A dialogue in which the two replies are followed by further turns is refused: the judgement was
then not about these two replies alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from moorings.feedback.preferences import Preference
from moorings.records import Message
from moorings.subjects.columns import to_messages
from moorings.subjects.tables import Row, RowReader, hash_source

__all__ = ["PreferenceFormat", "Preferences", "preferences_of_row", "read_preferences"]

PreferenceFormat = Literal["auto", "transcripts", "dialogue", "conversation", "plain", "options"]
Chat = tuple[Message, ...]

_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


class Preferences(NamedTuple):
    """What a file holds."""

    preferences: list[Preference]
    n_bad: int
    """Rows that were set aside."""
    sha256: str
    """Of the file."""


def read_preferences(
    path: Path | str,
    *,
    form: PreferenceFormat = "auto",
    skip_bad: bool = False,
    quarantine: Path | str | None = None,
) -> Preferences:
    """Read JSON lines, JSON, CSV or Parquet (text kinds also with .gz), or a dataset folder.

    Args:
        path: The file.
        form: How its rows are read; see the module.
        skip_bad: Set bad rows aside instead of raising.
        quarantine: Where they go, verbatim; None takes PATH.quarantine.

    Raises:
        InputError: No such file, or a bad row, which is named.
    """
    reader = RowReader(path, skip_bad=skip_bad, quarantine=quarantine)
    found: list[Preference] = []
    for _, row in reader:
        try:
            found += preferences_of_row(row, form)
        except ValueError as error:
            reader.reject(str(error))
    return Preferences(found, reader.n_bad, hash_source(reader.path))


def preferences_of_row(row: Row, form: PreferenceFormat = "auto") -> list[Preference]:
    """The preferences of one row; more than one only for `options`.

    Raises:
        ValueError: The row is not of this format, or its replies are equal.
    """
    made, used = _READERS[_guessed(row) if form == "auto" else form](row)
    rest = {key: value for key, value in row.items() if key not in used and value is not None}
    for one in made:
        if one.chosen == one.rejected:
            raise ValueError("chosen and rejected are the same text")
        if not one.prompt:
            raise ValueError("nothing stands before the replies; write the prompt")
    return [one.model_copy(update={"metadata": rest}) for one in made]


def _guessed(row: Row) -> str:
    if "correct" in row and "incorrect" in row:
        return "options"
    if any(isinstance(row.get(column), list) for column in ("prompt", "chosen", "rejected")):
        return "conversation"
    prompt = row.get("prompt")
    if prompt is None:
        return "transcripts"
    return "dialogue" if isinstance(prompt, str) and _is_dialogue(prompt) else "plain"


def _is_dialogue(text: str) -> bool:
    return text.lstrip().startswith(("Human:", "Assistant:")) and text.rstrip().endswith("Assistant:")


_Read = tuple[list[Preference], tuple[str, ...]]
_PAIR = ("prompt", "chosen", "rejected")


def _transcripts(row: Row) -> _Read:
    if row.get("prompt") is not None:
        raise ValueError("column 'prompt' stands beside whole dialogues; remove it, or read the row as another format")
    chosen, rejected = (_turns(_text(row, column), column) for column in ("chosen", "rejected"))
    return [_split(chosen, rejected)], _PAIR


def _dialogue(row: Row) -> _Read:
    text = _text(row, "prompt")
    if not _is_dialogue(text):
        raise ValueError("column 'prompt' is no dialogue that starts with 'Human:' and ends in 'Assistant:'")
    prompt = _turns(text.rstrip().removesuffix("Assistant:"), "prompt")
    return [Preference(prompt=prompt, chosen=_reply(row, "chosen"), rejected=_reply(row, "rejected"))], _PAIR


def _conversation(row: Row) -> _Read:
    prompt: Chat = () if row.get("prompt") is None else to_messages(row["prompt"], "prompt")
    chosen, rejected = ((*prompt, *_chat(row, column)) for column in ("chosen", "rejected"))
    return [_split(chosen, rejected)], _PAIR


def _plain(row: Row) -> _Read:
    prompt = (Message(role="user", content=_text(row, "prompt")),)
    return [Preference(prompt=prompt, chosen=_text(row, "chosen"), rejected=_text(row, "rejected"))], _PAIR


def _options(row: Row) -> _Read:
    prompt = (Message(role="user", content=_text(row, "prompt")),)
    right, wrong = (_texts(row, column) for column in ("correct", "incorrect"))
    made = [Preference(prompt=prompt, chosen=good, rejected=bad) for good in right for bad in wrong]
    return made, ("prompt", "correct", "incorrect")


_READERS: dict[str, Callable[[Row], _Read]] = {
    "conversation": _conversation,
    "dialogue": _dialogue,
    "options": _options,
    "plain": _plain,
    "transcripts": _transcripts,
}


def _split(chosen: Chat, rejected: Chat) -> Preference:
    """The turns that two dialogues share, and the replies in which they differ."""
    n = next((at for at, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other), None)
    if n is None:
        raise ValueError("chosen and rejected are the same dialogue, or one is the beginning of the other")
    if chosen[n].role != "assistant" or rejected[n].role != "assistant":
        raise ValueError("the dialogues differ before the assistant's reply; both must answer the same turns")
    if len(chosen) != n + 1 or len(rejected) != n + 1:
        raise ValueError("the dialogues go on after the replies in which they differ")
    return Preference(prompt=chosen[:n], chosen=chosen[n].content, rejected=rejected[n].content)


def _turns(text: str, column: str) -> Chat:
    """Turns of a dialogue in HH-RLHF's form."""
    starts = list(_TURN.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise ValueError(f"column '{column}' does not start with 'Human:' or 'Assistant:'; write turns, or a prompt")
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return tuple(
        Message(role="user" if match[1] == "Human" else "assistant", content=text[match.end() : end].strip())
        for match, end in zip(starts, ends, strict=True)
    )


def _chat(row: Row, column: str) -> Chat:
    value = row.get(column)
    if isinstance(value, str):
        return (Message(role="assistant", content=value),)
    return to_messages(value, column)


def _reply(row: Row, column: str) -> str:
    return _text(row, column).strip()


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise ValueError(f"column '{column}' {'is missing' if value is None else 'holds no text'}; write a text")
    return value


def _texts(row: Row, column: str) -> Sequence[str]:
    value: Any = row.get(column)
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError(f"column '{column}' holds no list of texts; write at least one option")
    return value
