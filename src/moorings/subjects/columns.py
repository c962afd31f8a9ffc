"""Which column of a stranger's table means what, and how its values become a chat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from moorings.errors import InputError, nearest
from moorings.records import Message, content_hash
from moorings.subjects.strict_json import parse_json

__all__ = [
    "GROUP_COLUMNS",
    "ID_COLUMNS",
    "PROMPT_COLUMNS",
    "RESPONSE_COLUMNS",
    "PromptIds",
    "check_column",
    "first_of",
    "messages_hash",
    "to_label",
    "to_messages",
]

PROMPT_COLUMNS = ("prompt", "instruction", "question", "input", "text")
RESPONSE_COLUMNS = ("response", "output", "answer", "completion")
GROUP_COLUMNS = ("group", "topic", "category", "dataset")
ID_COLUMNS = ("prompt_id", "id")

_ROLES = {"system", "user", "assistant"}


def first_of(names: Sequence[str], columns: Iterable[str]) -> str | None:
    """The first of the names that is a column."""
    found = set(columns)
    return next((name for name in names if name in found), None)


def check_column(source: object, setting: str, name: str | None, columns: Iterable[str]) -> None:
    """Refuse a column name that the table has not.

    Raises:
        InputError: Lists the columns found.
    """
    if name is not None and name not in set(columns):
        raise InputError(f"{source} has no column '{name}' ({setting}); {nearest(name, columns)}")


def to_messages(value: Any, column: str) -> tuple[Message, ...]:
    """Read a cell as a chat: a text is one user turn; a list, or its JSON text, is a list of turns.

    Raises:
        ValueError: Neither, naming the column and what it holds.
    """
    if isinstance(value, str):
        if column != "messages":
            return (Message(role="user", content=value),)
        value, fault, _ = parse_json(value)
        if fault:
            raise ValueError(f"column '{column}' is {fault}; write a list of {{role, content}}")
    if not isinstance(value, list) or not value:
        raise ValueError(f"column '{column}' holds {_shown(value)}; write a text or a list of {{role, content}}")
    return tuple(_to_message(turn, column) for turn in value)


def to_label(value: Any, column: str) -> str | None:
    """Read a cell as a name (group, id): a text or a whole number; null and '' mean none.

    Raises:
        ValueError: Anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"column '{column}' holds {_shown(value)}; write a text or a whole number")


def messages_hash(messages: Sequence[Message]) -> str:
    """Content hash of a chat."""
    return content_hash([{"role": message.role, "content": message.content} for message in messages])


class PromptIds:
    """Give each prompt an id, and each answer to it the next index, in a few hundred bytes a prompt.

    An id that the file gives to two different prompts gets the suffix #2, #3, … for the later ones.

    >>> ids = PromptIds()
    >>> ids.next("a", "00ff"), ids.next("a", "00ff"), ids.next("a", "1234")
    (('a', 0), ('a', 1), ('a#2', 0))
    """

    def __init__(self) -> None:
        self._hashes: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._later: dict[tuple[str, int], str] = {}
        self._suffixes: dict[str, int] = {}

    def next(self, own_id: str | None, digest: str) -> tuple[str, int]:
        """Prompt id and 0-based index of a further answer to the chat with this hash."""
        short = int(digest[:16], 16)
        prompt_id = own_id or digest[:16]
        if self._hashes.setdefault(prompt_id, short) != short:
            prompt_id = self._later.get((prompt_id, short)) or self._add_suffix(prompt_id, short)
        index = self._counts.get(prompt_id, 0)
        self._counts[prompt_id] = index + 1
        return prompt_id, index

    def _add_suffix(self, own_id: str, short: int) -> str:
        number = self._suffixes.get(own_id, 1) + 1
        while f"{own_id}#{number}" in self._hashes:
            number += 1
        self._suffixes[own_id] = number
        prompt_id = f"{own_id}#{number}"
        self._hashes[prompt_id] = short
        self._later[own_id, short] = prompt_id
        return prompt_id


def _to_message(turn: Any, column: str) -> Message:
    if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
        raise ValueError(f"a turn of column '{column}' is {_shown(turn)}; write {{role, content}}")
    role, content = turn["role"], turn["content"]
    if not isinstance(role, str) or role not in _ROLES:
        raise ValueError(f"column '{column}' has role {_shown(role)}; allowed: assistant, system, user")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise ValueError(f"a turn of column '{column}' holds {_shown(content)}; only text is recorded")
    return Message(role=role, content=content)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if value == []:
        return "an empty list"
    if isinstance(value, str):
        return ascii(value[:40])
    return str(value) if isinstance(value, int | float) else f"a {type(value).__name__}"
