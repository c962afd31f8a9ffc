"""What a row of recorded responses says, format by format.

A mapper takes one row and returns the answers in it; it raises ValueError for a bad row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moorings.errors import InputError
from moorings.records import FinishReason, Message, content_hash
from moorings.subjects.columns import (
    GROUP_COLUMNS,
    ID_COLUMNS,
    PROMPT_COLUMNS,
    RESPONSE_COLUMNS,
    check_column,
    first_of,
    to_label,
    to_messages,
)
from moorings.subjects.strict_json import parse_json
from moorings.subjects.tables import Row

__all__ = ["FORMATS", "Draft", "Mapper", "ReadOptions", "make_mapper"]

FORMATS = ("auto", "jsonl", "csv", "parquet", "alpaca", "inspect", "lm_eval")

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "tool_calls": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "refusal": "refusal",
    "content_filter": "refusal",
    "too_long": "too_long",
    "error": "error",
}


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file of recorded responses; None goes by the usual names."""

    format: str = "auto"
    prompt_column: str | None = None
    response_column: str | None = None
    group_column: str | None = None


@dataclass(frozen=True)
class Draft:
    """An answer as a row tells it, before it is numbered."""

    prompt: tuple[Message, ...]
    response: str
    own_id: str | None = None
    group: str | None = None
    transcript: tuple[Message, ...] | None = None
    """Where there is more than the prompt and the answer."""
    finish_reason: FinishReason = "unknown"
    n_prompt_tokens: int | None = None
    n_output_tokens: int | None = None
    error: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


Mapper = Callable[[Row], list[Draft]]


def make_mapper(path: Path, options: ReadOptions, first: Row) -> Mapper:
    """Choose the mapper for a file by its options and its first row.

    Raises:
        InputError: The columns wanted are not there; lists those found.
    """
    if options.format == "inspect":
        return lambda row: [_inspect_draft(row, options.group_column)]
    if options.format == "lm_eval" or (options.format == "auto" and {"arguments", "resps", "doc"} <= first.keys()):
        for name in ("arguments", "resps"):
            check_column(path, "lm_eval sample logs have it", name, first)
        return _LmEvalMapper(options.group_column)
    return _TableMapper(path, options, first)


def _finish(value: Any, error: Any) -> tuple[FinishReason, str | None]:
    """Finish reason and error line from what a row says of them."""
    reason = _FINISH.get(value, "unknown") if isinstance(value, str) else "unknown"
    if reason != "error":
        return reason, None
    return reason, " ".join(str(error).split()) if error else "recorded as failed, without a reason"


class _TableMapper:
    """Tables with a prompt and a response column, or with a column of whole chats."""

    def __init__(self, path: Path, options: ReadOptions, first: Row) -> None:
        prompt: str
        response: str | None
        group: str | None
        if options.format == "alpaca":
            prompt, response, group = "instruction", "output", "dataset" if "dataset" in first else None
        else:
            prompt, response = _choose(path, options, first)
            group = options.group_column or first_of(GROUP_COLUMNS, first)
        for setting, name in (("prompt_column", prompt), ("response_column", response), ("group_column", group)):
            check_column(path, setting, name, first)
        self.prompt, self.response, self.group = prompt, response, group
        self.own_id = first_of(ID_COLUMNS, first)
        # Alpaca's form: the instruction's material stands in a column of its own.
        self.context = "input" if prompt == "instruction" and options.prompt_column is None else None
        used = (self.prompt, self.response, self.group, self.own_id, self.context)
        self.used = {name for name in used if name is not None}

    def __call__(self, row: Row) -> list[Draft]:
        for name in (self.prompt, self.response):
            if name is not None and name not in row:
                raise ValueError(f"has no column '{name}'; found: {', '.join(row)}")
        messages = to_messages(self._prompt(row), self.prompt)
        finish_reason, error = _finish(row.get("finish_reason"), row.get("error"))
        response = self._response(row, messages, failed=finish_reason == "error")
        if messages[-1].role == "assistant":
            if messages[-1].content != response:
                raise ValueError(f"column '{self.prompt}' ends with another answer than column '{self.response}' holds")
            messages = messages[:-1]
        if not messages:
            raise ValueError(f"column '{self.prompt}' holds an answer but no prompt")
        draft = Draft(
            prompt=messages,
            response=response,
            own_id=to_label(row.get(self.own_id), self.own_id) if self.own_id else None,
            group=to_label(row.get(self.group), self.group) if self.group else None,
            finish_reason=finish_reason,
            n_prompt_tokens=_count(row, "n_prompt_tokens"),
            n_output_tokens=_count(row, "n_output_tokens"),
            error=error,
            metadata={name: value for name, value in row.items() if name not in self.used},
        )
        return [draft]

    def _prompt(self, row: Row) -> Any:
        prompt = row[self.prompt]
        context = row.get(self.context) if self.context else None
        if context is None or context == "":
            return prompt
        if not isinstance(prompt, str) or not isinstance(context, str):
            raise ValueError(f"columns '{self.prompt}' and '{self.context}' are read as one prompt and must be texts")
        return f"{prompt}\n\n{context}" if context.strip() else prompt

    def _response(self, row: Row, messages: tuple[Message, ...], *, failed: bool) -> str:
        if self.response is None:
            if messages[-1].role != "assistant":
                raise ValueError(f"column '{self.prompt}' does not end with an assistant's turn, so there is no answer")
            return messages[-1].content
        value = row[self.response]
        if isinstance(value, str):
            return value
        if value is None and failed:
            return ""
        if isinstance(value, list):
            last = to_messages(value, self.response)[-1]
            if last.role == "assistant":
                return last.content
        raise ValueError(f"column '{self.response}' holds no text (null, a number or a chat without an answer)")


def _choose(path: Path, options: ReadOptions, first: Row) -> tuple[str, str | None]:
    """The columns of prompts and answers; no answer column where whole chats are recorded."""
    response = options.response_column
    chats = "messages" in first and options.prompt_column is None and response is None
    response = response or first_of(RESPONSE_COLUMNS, first)
    prompt = "messages" if chats else options.prompt_column
    if prompt is None:
        prompt = first_of([*(name for name in PROMPT_COLUMNS if name != response), "messages"], first)
    if prompt is None or (response is None and not chats and prompt != "messages"):
        missing = "prompt" if prompt is None else "response"
        allowed = [*PROMPT_COLUMNS, "messages"] if prompt is None else RESPONSE_COLUMNS
        raise InputError(
            f"{path} has no {missing} column; columns found: {', '.join(first) or '(none)'}; "
            f"known names: {', '.join(allowed)}; name it with {missing}_column"
        )
    return prompt, response


def _count(row: Row, name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class _LmEvalMapper:
    """Rows that lm-evaluation-harness writes with --log_samples, of tasks that generate text.

    The model's own words (`resps`) are taken, not the filtered ones. A row that only scores answers
    again, under another filter, repeats them and yields nothing.
    """

    def __init__(self, group_column: str | None) -> None:
        self.group_column = group_column
        self._seen: dict[str, tuple[Any, str]] = {}

    def __call__(self, row: Row) -> list[Draft]:
        if "arguments" not in row or "resps" not in row:
            raise ValueError(f"has no 'arguments' or no 'resps'; found: {', '.join(row)}")
        own_id = to_label(row.get("doc_id"), "doc_id")
        if self._is_repeat(own_id, row):
            return []
        calls, answers = _calls(row["arguments"]), row["resps"]
        if not isinstance(answers, list) or len(calls) != len(answers) or not calls:
            raise ValueError("'arguments' and 'resps' are not lists of one length")
        metadata = {name: value for name, value in row.items() if name not in ("arguments", "resps", "doc_id")}
        drafts = []
        for call, texts in zip(calls, answers, strict=True):
            prompt = _context(call)
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
                raise ValueError("'resps' holds no generated text; only tasks that generate text are recorded answers")
            group = self._group(row)
            drafts += [Draft(prompt, text, own_id=own_id, group=group, metadata=metadata) for text in texts]
        return drafts

    def _is_repeat(self, own_id: str | None, row: Row) -> bool:
        if own_id is None or "filter" not in row:
            return False
        mark = (row["filter"], content_hash([row["arguments"], row["resps"]])[:16])
        first = self._seen.setdefault(own_id, mark)
        return first[0] != mark[0] and first[1] == mark[1]

    def _group(self, row: Row) -> str | None:
        if self.group_column is None:
            return None
        doc = row.get("doc")
        source = row if self.group_column in row or not isinstance(doc, dict) else doc
        if self.group_column not in source:
            raise ValueError(f"has no column '{self.group_column}' (group_column); found: {', '.join(source)}")
        return to_label(source[self.group_column], self.group_column)


def _calls(arguments: Any) -> list[Any]:
    """Each request's arguments: newer logs name them (gen_args_0, arg_0), older ones list them."""
    if isinstance(arguments, dict):
        return [list(call.values()) if isinstance(call, dict) else call for call in arguments.values()]
    return arguments if isinstance(arguments, list) else []


def _context(call: Any) -> tuple[Message, ...]:
    if not isinstance(call, list) or not call:
        raise ValueError("'arguments' holds no request")
    if len(call) > 1 and not isinstance(call[1], Mapping):
        raise ValueError("the task compares log-likelihoods; only tasks that generate text are recorded answers")
    if len(call) > 2:
        raise ValueError("the request holds more than text; only text is recorded")
    context = call[0][0] if isinstance(call[0], list) and len(call[0]) == 1 else call[0]
    if not isinstance(context, str):
        raise ValueError("the request's prompt is no text")
    # Chat endpoints are given the chat as JSON text.
    if context.startswith("[") and '"role"' in context:
        chat, fault, _ = parse_json(context)
        if fault is None and isinstance(chat, list):
            return to_messages(chat, "arguments")
    return (Message(role="user", content=context),)


def _inspect_draft(row: Row, group_column: str | None) -> Draft:
    """A sample of an Inspect log: what stood before the first answer is the prompt.

    Turns of tools stand in the transcript as the user's, marked with the tool's name.
    """
    turns = [_inspect_turn(turn) for turn in row["messages"]]
    first = next((at for at, turn in enumerate(turns) if turn.role == "assistant"), len(turns))
    given = row["input"]
    prompt = tuple(turns[:first])
    if not prompt:
        prompt = to_messages(given, "input") if isinstance(given, str) else tuple(_inspect_turn(turn) for turn in given)
    choices = row["output"].get("choices") or []
    response = _inspect_turn(choices[0]["message"]).content if choices else ""
    finish = "error" if row.get("error") or not choices else choices[0].get("stop_reason")
    finish_reason, error = _finish(finish, (row.get("error") or {}).get("message") or row["output"].get("error"))
    one_turn = len(turns) - first <= 1
    usage = row["output"].get("usage") if one_turn else None
    metadata = row.get("metadata") or {}
    if group_column is not None and group_column not in metadata:
        raise ValueError(f"metadata has no '{group_column}' (group_column); found: {', '.join(metadata) or '(none)'}")
    return Draft(
        prompt=prompt,
        response=response,
        own_id=to_label(row["id"], "id"),
        group=to_label(metadata[group_column], group_column) if group_column else None,
        transcript=None if one_turn else tuple(turns),
        finish_reason=finish_reason,
        n_prompt_tokens=usage.get("input_tokens") if usage else None,
        n_output_tokens=usage.get("output_tokens") if usage else None,
        error=error,
        metadata={
            "epoch": row["epoch"],
            "target": row["target"],
            "scores": row["scores"],
            "model": row["output"].get("model"),
            "limit": row.get("limit"),
            **({"metadata": metadata} if metadata else {}),
        },
    )


def _inspect_turn(turn: dict[str, Any]) -> Message:
    content = turn["content"]
    if isinstance(content, list):
        # Reasoning is the model's own aside; Inspect leaves it out of an answer's text too.
        kept = [part for part in content if part.get("type") != "reasoning"]
        if not all(part.get("type") == "text" for part in kept):
            raise ValueError("a turn holds an image, sound or file; only text is recorded")
        content = "".join(part["text"] for part in kept)
    if turn["role"] == "tool":
        return Message(role="user", content=f"[tool {turn.get('function') or ''}]\n{content}")
    return Message(role=turn["role"], content=content)
