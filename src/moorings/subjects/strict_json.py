"""JSON from strangers: read only what can be stored and read back unchanged.

Python's parser takes NaN, turns 1e999 into infinity, keeps the last of two equal keys and lets half
of a surrogate pair through. Each of these would change or break a record later, so each is a fault here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["MAX_DEPTH", "JsonItem", "fault_of_value", "iter_list_items", "parse_json"]

MAX_DEPTH = 100
"""Deepest nesting of lists and objects in one row."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_BLANK = re.compile(r"[ \t\n\r]*")


class JsonItem(NamedTuple):
    """One value and what is wrong with it, if anything."""

    value: Any
    fault: str | None
    source: str
    """The text that the value was read from."""


class _Parser:
    """A JSON decoder that goes on after a fault and remembers the first one.

    Going on matters in a list: the place where a faulty item ends is known only once it is read.
    """

    def __init__(self) -> None:
        self.fault: str | None = None
        self.decoder = json.JSONDecoder(
            parse_constant=self._constant,
            parse_float=self._float,
            parse_int=self._int,
            object_pairs_hook=self._object,
        )

    def _constant(self, text: str) -> None:
        self.fault = self.fault or f"{text} is not JSON; write null or a finite number"

    def _float(self, text: str) -> float | None:
        value = float(text)
        if math.isinf(value):
            self.fault = self.fault or f"{text[:40]} is too large for a number; write it as text"
            return None
        return value

    def _int(self, text: str) -> int | None:
        # Text this long is out of range anyway; int() takes quadratic time on it or refuses it.
        value = int(text) if len(text) <= 20 else None
        if value is None or not -(2**63) <= value < 2**63:
            self.fault = self.fault or f"{text[:40]} does not fit 64 bits; write it as text"
            return None
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            self.fault = self.fault or f"key {twice[:40]!a} occurs twice in one object; remove one"
        return found

    def read(self, text: str, start: int) -> tuple[JsonItem, int]:
        """One value from `start`, and where it ends. Raises ValueError where the syntax breaks."""
        self.fault = None
        try:
            value, end = self.decoder.raw_decode(text, start)
        except RecursionError:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
        source = text[start:end]
        fault = self.fault or _too_deep(value, source)
        if fault is None and _SURROGATE_ESCAPE.search(source):
            fault = fault_of_value(value)
        return JsonItem(value, fault, source), end


def parse_json(text: str) -> JsonItem:
    """Read one JSON value that fills the text; a broken one has value None and a fault.

    >>> parse_json('{"a": 1, "a": 2}').fault
    "key 'a' occurs twice in one object; remove one"
    """
    try:
        item, end = _Parser().read(text, _skip_blank(text, 0))
    except ValueError as error:
        return JsonItem(None, _reason(error), text)
    if _skip_blank(text, end) < len(text):
        return JsonItem(None, f"more text after the value, at character {end + 1}", text)
    return item


def iter_list_items(text: str) -> Iterator[JsonItem]:
    """Read a JSON list item by item.

    Raises:
        ValueError: The text is not a list, or its syntax breaks so that the next item cannot be found.
    """
    parser = _Parser()
    at = _skip_blank(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("the file does not start with '['; if it holds one object a line, name it .jsonl")
    at = _skip_blank(text, at + 1)
    if text[at : at + 1] == "]":
        at += 1
    else:
        while True:
            item, end = parser.read(text, at)
            yield item
            at = _skip_blank(text, end)
            mark, at = text[at : at + 1], at + 1
            if mark == "]":
                break
            if mark != ",":
                raise ValueError(f"expected ',' or ']' at character {at}")
            at = _skip_blank(text, at)
    if _skip_blank(text, at) < len(text):
        raise ValueError(f"more text after the list, at character {at + 1}")


def fault_of_value(value: Any) -> str | None:
    """Say why a value of plain lists, dicts, texts and numbers cannot be stored as JSON in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        return "half of a surrogate pair (\\ud800 to \\udfff) is no character; remove it or write the pair"
    except ValueError:
        return "a number is not finite; write null or a finite number"
    except RecursionError:
        return f"nested deeper than {MAX_DEPTH} levels"
    return None


def _too_deep(value: Any, source: str) -> str | None:
    if source.count("[") + source.count("{") <= MAX_DEPTH:
        return None
    level, depth = [value], 0
    while level := [
        child
        for parent in level
        if isinstance(parent, dict | list)
        for child in (parent.values() if isinstance(parent, dict) else parent)
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
    return None


def _skip_blank(text: str, start: int) -> int:
    match = _BLANK.match(text, start)
    return match.end() if match else start


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    return str(error)
