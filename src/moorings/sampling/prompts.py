"""Prompt sets and personas, read from the files people keep them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from moorings.errors import ConfigError, InputError
from moorings.records import Message, Persona, Prompt
from moorings.subjects.columns import (
    GROUP_COLUMNS,
    ID_COLUMNS,
    PROMPT_COLUMNS,
    check_column,
    first_of,
    messages_hash,
    to_label,
    to_messages,
)
from moorings.subjects.strict_json import fault_of_value, parse_json
from moorings.subjects.tables import Row, RowReader, hash_source

__all__ = ["MAX_PERSONA_BYTES", "PromptSet", "load_personas", "load_prompts"]

MAX_PERSONA_BYTES = 2**20

_COLUMNS = ("messages", *(name for name in PROMPT_COLUMNS if name != "input"))


@dataclass(frozen=True)
class PromptSet:
    """Prompts with unique ids, and where they came from."""

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str
    """Of the file's content."""
    n_bad: int = 0
    """Rows that were set aside."""


@dataclass(frozen=True)
class _Columns:
    prompt: str
    group: str | None
    own_id: str | None

    def read(self, row: Row) -> Prompt:
        """The prompt of a row. Raises ValueError for a bad row."""
        if self.prompt not in row:
            raise ValueError(f"has no column '{self.prompt}'; found: {', '.join(row)}")
        messages = to_messages(row[self.prompt], self.prompt)
        _check_chat(messages, self.prompt)
        own_id = to_label(row.get(self.own_id), self.own_id) if self.own_id else None
        used = (self.prompt, self.group, self.own_id)
        return Prompt(
            prompt_id=own_id or messages_hash(messages)[:16],
            messages=messages,
            group=to_label(row.get(self.group), self.group) if self.group else None,
            metadata={name: value for name, value in row.items() if name not in used},
        )


def load_prompts(
    path: Path | str,
    *,
    prompt_column: str | None = None,
    group_column: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    quarantine: Path | str | None = None,
) -> PromptSet:
    """Read a prompt set from text, JSON lines, JSON, CSV, Parquet or a dataset folder.

    A prompt's id is the row's `prompt_id` or `id`, else 16 hex digits of its content hash; a repeated
    id gets the suffix #2, #3, …

    Args:
        path: The file or folder; see `RowReader` for the kinds.
        prompt_column: None takes messages, prompt, instruction, question or text, whichever is there first.
        group_column: None takes group, topic, category or dataset, or no group.
        limit: Most prompts to take, from the start.
        skip_bad: Set bad rows, empty prompts among them, aside instead of raising.
        quarantine: Where bad rows go; None takes PATH.quarantine.

    Raises:
        ConfigError: limit below 1.
        InputError: Unreadable file, wrong columns, a bad row, or no prompt at all.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; allowed: 1 or more, or None for all prompts")
    path = Path(path)
    reader = RowReader(path, skip_bad=skip_bad, quarantine=quarantine)
    prompts: list[Prompt] = []
    taken: dict[str, int] = {}
    for prompt in _read(reader, prompt_column, group_column):
        prompts.append(prompt.model_copy(update={"prompt_id": _unique(prompt.prompt_id, taken)}))
        if len(prompts) == limit:
            break
    if not prompts:
        aside = f" ({reader.n_bad} bad rows went to {reader.quarantine})" if reader.n_bad else ""
        raise InputError(f"{path} holds no prompt{aside}; write one prompt a row")
    name = path.name.removesuffix(".gz")
    return PromptSet(Path(name).stem, tuple(prompts), hash_source(path), reader.n_bad)


def _read(reader: RowReader, prompt_column: str | None, group_column: str | None) -> Iterator[Prompt]:
    columns: _Columns | None = None
    for _, row in reader:
        if columns is None:
            columns = _choose(reader.path, row, prompt_column, group_column)
        try:
            prompt = columns.read(row)
        except ValueError as error:
            reader.reject(str(error))
            continue
        yield prompt


def _choose(path: Path, first: Row, prompt_column: str | None, group_column: str | None) -> _Columns:
    check_column(path, "prompt_column", prompt_column, first)
    check_column(path, "group_column", group_column, first)
    prompt = prompt_column or first_of(_COLUMNS, first)
    if prompt is None:
        raise InputError(
            f"{path} has no prompt column; columns found: {', '.join(first) or '(none)'}; "
            f"known names: {', '.join(_COLUMNS)}; name it with prompt_column"
        )
    others = [name for name in GROUP_COLUMNS if name != prompt]
    own_id = first_of([name for name in ID_COLUMNS if name != prompt], first)
    return _Columns(prompt, group_column or first_of(others, first), own_id)


def _check_chat(messages: tuple[Message, ...], column: str) -> None:
    last = messages[-1]
    if not last.content.strip():
        raise ValueError(f"the prompt in column '{column}' is empty")
    if last.role == "assistant":
        raise ValueError(f"the chat in column '{column}' ends with an answer; end it with the user's turn")


def _unique(prompt_id: str, taken: dict[str, int]) -> str:
    """The id, or the id with the first free suffix; `taken` maps each id to the last suffix given."""
    if prompt_id not in taken:
        taken[prompt_id] = 1
        return prompt_id
    number = taken[prompt_id] + 1
    while f"{prompt_id}#{number}" in taken:
        number += 1
    taken[prompt_id] = number
    taken[f"{prompt_id}#{number}"] = 1
    return f"{prompt_id}#{number}"


def load_personas(path: Path | str) -> tuple[Persona, ...]:
    """Read personas from YAML or JSON: {name: system prompt}, or a list of {name, system}.

    Raises:
        InputError: Unreadable, of another form, a name given twice, or none at all.
    """
    path = Path(path)
    pairs = _pairs(path, _parse(path))
    names: set[str] = set()
    for name, system in pairs:
        if not isinstance(name, str) or not name.strip() or not isinstance(system, str):
            shown = ascii(name[:40]) if isinstance(name, str) else f"(a {type(name).__name__})"
            raise InputError(f"{path}: persona {shown} needs a name and a system prompt, both texts")
        if name in names:
            raise InputError(f"{path}: persona {name[:40]!a} is given twice; rename one")
        if fault := fault_of_value([name, system]):
            raise InputError(f"{path}: persona {name[:40]!a}: {fault}")
        names.add(name)
    if not pairs:
        raise InputError(f"{path} holds no persona; write NAME: SYSTEM PROMPT, one a line")
    return tuple(Persona(name=name, system=system) for name, system in pairs)


def _parse(path: Path) -> Any:
    """The value that the file holds."""
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", ".json"):
        raise InputError(f"{path} is no file of personas; allowed: .yaml, .yml, .json")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PERSONA_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at byte {error.start + 1}; convert it to UTF-8") from error
    if len(raw) > MAX_PERSONA_BYTES:
        raise InputError(f"{path} is larger than {MAX_PERSONA_BYTES} bytes; allowed: less")
    if suffix == ".json":
        value, fault, _ = parse_json(text)
        if fault:
            raise InputError(f"{path}: {fault}")
        return value
    try:
        value = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path} is not readable YAML: {' '.join(str(error).split())[:300]}") from error
    if isinstance(value, dict) and isinstance(node, yaml.MappingNode) and len(node.value) > len(value):
        raise InputError(f"{path}: a name is given twice; rename one")
    return value


def _pairs(path: Path, value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if value is None:
        return []
    if isinstance(value, list) and all(
        isinstance(entry, dict) and entry.keys() == {"name", "system"} for entry in value
    ):
        return [(entry["name"], entry["system"]) for entry in value]
    raise InputError(f"{path} holds no personas; allowed: a mapping NAME: SYSTEM PROMPT, or a list of {{name, system}}")
