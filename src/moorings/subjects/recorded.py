"""Responses that were recorded elsewhere, as a subject: `recorded:FILE`.

Options of the spec: `format` (auto, jsonl, csv, parquet, alpaca, inspect, lm_eval), `prompt_column`,
`response_column`, `group_column`, `skip_bad`, `quarantine`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from moorings.errors import ConfigError, InputError, nearest
from moorings.records import (
    Decoding,
    FinishReason,
    Generation,
    Message,
    Prompt,
    Request,
    SubjectInfo,
    content_hash,
)
from moorings.subjects.columns import PromptIds, messages_hash
from moorings.subjects.recorded_formats import FORMATS, Draft, Mapper, ReadOptions, make_mapper
from moorings.subjects.spec import SubjectSpec, parse_uri, subject_backends
from moorings.subjects.tables import RowReader, hash_source

__all__ = ["RecordedRow", "RecordedSubject", "open_recorded"]

_COLUMN_OPTIONS = ("prompt_column", "response_column", "group_column")
_OPTIONS = ("format", *_COLUMN_OPTIONS, "skip_bad", "quarantine")


@dataclass(frozen=True)
class RecordedRow:
    """One recorded answer."""

    prompt: Prompt
    response: str
    index: int
    """0-based number among the answers to the same prompt, in the file's order."""
    finish_reason: FinishReason
    messages: tuple[Message, ...]
    """The whole transcript, the answer included."""
    n_prompt_tokens: int | None = None
    n_output_tokens: int | None = None
    error: str | None = None
    """The failure in one line, set exactly when finish_reason is 'error'."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The row's columns other than prompt, response, group and id, as they were."""


class _Stamp(NamedTuple):
    """Enough of a file's state to notice that it was changed."""

    size_bytes: int
    mtime_ns: int


class RecordedSubject:
    """A file of prompts and the answers that some model once gave.

    `rows` streams all of them. `generate` looks answers up, for use beside live subjects; it holds
    the file's answers in memory and draws one of a prompt's answers with the request's seed.
    """

    def __init__(
        self,
        path: Path | str,
        options: ReadOptions | None = None,
        *,
        skip_bad: bool = False,
        quarantine: Path | str | None = None,
        uri: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.options = options or ReadOptions()
        if self.options.format == "auto" and self.path.suffix.lower() == ".eval":
            self.options = ReadOptions("inspect", *(getattr(self.options, name) for name in _COLUMN_OPTIONS))
        self.uri = uri or f"recorded:{self.path}"
        self.skip_bad, self.quarantine = skip_bad, quarantine
        self._reader = self._open()
        self._hash: tuple[_Stamp, str] | None = None
        self._answers: dict[str, list[RecordedRow]] | None = None

    @property
    def n_bad(self) -> int:
        """Rows set aside by the pass of `rows` under way or last made."""
        return self._reader.n_bad

    def describe(self) -> SubjectInfo:
        """Facts for the fingerprint: the file's content, and which of its columns are read."""
        reading = {name: getattr(self.options, name) for name in ("format", *_COLUMN_OPTIONS)}
        return SubjectInfo(
            name=self.path.name,
            uri=self.uri,
            engine="recorded",
            engine_version="1",
            precision="none",
            weights=self._content_hash()[1],
            template=None if self.options == ReadOptions() else content_hash(reading),
            device="none",
            seeding="none",
        )

    def rows(self) -> Iterator[RecordedRow]:
        """Stream the answers in the file's order; memory grows by a few hundred bytes a prompt, not by text.

        Raises:
            InputError: A bad row (unless `skip_bad`), wrong columns, or a file that changed meanwhile.
        """
        stamp, _ = self._content_hash()
        self._reader = self._open()
        ids = PromptIds()
        with closing(self._drafts(self._reader)) as drafts:
            for draft in drafts:
                yield _number(draft, ids)
        if _stamp(self.path) != stamp:
            raise InputError(f"{self.path} was changed while it was read; read it again when it is complete")

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer each request with an answer recorded for exactly its messages; decoding has no effect."""
        if self._answers is None:
            answers: dict[str, list[RecordedRow]] = {}
            for row in self.rows():
                answers.setdefault(messages_hash(row.prompt.messages), []).append(row)
            self._answers = answers
        for request in requests:
            found = self._answers.get(messages_hash(request.messages))
            yield self._generation(request, found[request.seed % len(found)] if found else None)

    def close(self) -> None:
        """Forget the answers held for `generate`."""
        self._answers = None

    def _generation(self, request: Request, row: RecordedRow | None) -> Generation:
        if row is None:
            error = f"{self.path.name} holds no answer to exactly these messages"
            return Generation(request_id=request.request_id, text="", finish_reason="error", error=error)
        return Generation(
            request_id=request.request_id,
            text=row.response,
            finish_reason=row.finish_reason,
            n_prompt_tokens=row.n_prompt_tokens,
            n_output_tokens=row.n_output_tokens,
            error=row.error,
        )

    def _open(self) -> RowReader:
        form = self.options.format
        kind = form if form in ("jsonl", "csv", "parquet", "inspect") else None
        if kind is not None and not self.path.is_file():
            raise InputError(f"{self.path} is not a file; format '{form}' needs one")
        return RowReader(self.path, kind=kind, skip_bad=self.skip_bad, quarantine=self.quarantine)

    def _drafts(self, reader: RowReader) -> Generator[Draft]:
        mapper: Mapper | None = None
        for _, row in reader:
            if mapper is None:
                mapper = make_mapper(self.path, self.options, row)
            try:
                drafts = mapper(row)
            except ValueError as error:
                reader.reject(str(error))
                continue
            yield from drafts

    def _content_hash(self) -> tuple[_Stamp, str]:
        stamp = _stamp(self.path)
        if self._hash is None:
            self._hash = (stamp, hash_source(self.path))
        if self._hash[0] != stamp:
            raise InputError(f"{self.path} was changed after it was opened; open it again")
        return self._hash


def _number(draft: Draft, ids: PromptIds) -> RecordedRow:
    prompt_id, index = ids.next(draft.own_id, messages_hash(draft.prompt))
    return RecordedRow(
        prompt=Prompt(prompt_id=prompt_id, messages=draft.prompt, group=draft.group),
        response=draft.response,
        index=index,
        finish_reason=draft.finish_reason,
        messages=draft.transcript or (*draft.prompt, Message(role="assistant", content=draft.response)),
        n_prompt_tokens=draft.n_prompt_tokens,
        n_output_tokens=draft.n_output_tokens,
        error=draft.error,
        metadata=draft.metadata,
    )


def _stamp(path: Path) -> _Stamp:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        states = [os.stat(file) for file in files]
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); check the path and its permissions") from error
    return _Stamp(sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0))


@subject_backends.register("recorded")
def open_recorded(spec: SubjectSpec) -> RecordedSubject:
    """Open `recorded:FILE`.

    Raises:
        ConfigError: Unknown option, format, or an option of the wrong type.
        InputError: No such file, or one of a kind that is not read.
    """
    for name, value in spec.options.items():
        if name not in _OPTIONS:
            raise ConfigError(f"unknown option '{name}' of recorded:; {nearest(name, _OPTIONS)}")
        kind = bool if name == "skip_bad" else (str, Path)
        if not isinstance(value, kind) and not (value is None and name not in ("format", "skip_bad")):
            wanted = "true or false" if name == "skip_bad" else "a text"
            raise ConfigError(f"option '{name}' of recorded: is {value!r}; allowed: {wanted}")
    form = spec.options.get("format", "auto")
    if form not in FORMATS:
        raise ConfigError(f"unknown format '{form}' of recorded:; {nearest(form, FORMATS)}")
    options = ReadOptions(form, *(spec.options.get(name) for name in _COLUMN_OPTIONS))
    return RecordedSubject(
        Path(parse_uri(spec.uri)[1]).expanduser(),
        options,
        skip_bad=spec.options.get("skip_bad", False),
        quarantine=spec.options.get("quarantine"),
        uri=spec.uri,
    )
