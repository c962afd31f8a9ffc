"""Row by row from a file that a stranger wrote: JSON lines, JSON, CSV, text, Parquet, a dataset folder.

A row is either given or reported with its number; none is dropped in silence. Blank lines of text
formats hold no row. A line counts as bad if it is not UTF-8, does not parse, is longer than
`MAX_LINE_BYTES`, or holds what cannot be stored unchanged: numbers that are not finite or beyond
64 bits, equal keys, nesting deeper than 100, half a surrogate pair (refused, not replaced, because a
replaced character would be a different prompt or answer). Memory does not grow with the file, but
for `.json`, which is read whole and bounded by `MAX_JSON_BYTES`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from moorings.errors import ConfigError, InputError
from moorings.subjects.quarantine import Quarantine
from moorings.subjects.strict_json import iter_list_items, parse_json

__all__ = ["KINDS", "MAX_JSON_BYTES", "MAX_LINE_BYTES", "RawRow", "Row", "RowReader", "hash_source", "read_rows"]

Row = dict[str, Any]

MAX_LINE_BYTES = 64 * 2**20
MAX_JSON_BYTES = 128 * 2**20

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".txt": "txt",
    ".parquet": "parquet",
}
"""File name ending to kind; the text kinds may have a further .gz."""

_ALLOWED = ".jsonl, .ndjson, .json, .csv, .txt (each also with .gz), .parquet, or a folder of datasets' save_to_disk"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class RawRow(NamedTuple):
    """A row as found, before anyone decided whether it is good."""

    number: int
    """1-based line of text formats (where the row starts), 1-based row of the others."""
    value: Row | None
    fault: str | None
    source: bytes | None
    """The bytes as they stood in the file; None where the file has no text form."""
    continues: bool = False
    """True for the further pieces of a line that is too long to hold."""


class RowReader:
    """Iterate over the good rows of a file; bad ones raise, or go to a quarantine file and are counted.

    Args:
        path: The file or dataset folder.
        kind: Read as jsonl, json, csv, txt, parquet or inspect whatever the file is called; None goes by its name.
        skip_bad: Set bad rows aside instead of raising.
        quarantine: Where they go, verbatim; None takes PATH.quarantine. Overwritten by each pass that finds one.

    Raises:
        ConfigError: The quarantine file is the input itself.
        InputError: No such file, or one of a kind that is not read (pickle is never opened).
    """

    def __init__(
        self, path: Path | str, *, kind: str | None = None, skip_bad: bool = False, quarantine: Path | str | None = None
    ) -> None:
        self.path = Path(path)
        self.kind = kind or kind_of(self.path)
        self.skip_bad = skip_bad
        self.quarantine = Path(quarantine or f"{self.path}.quarantine")
        if self.quarantine.resolve() == self.path.resolve():
            raise ConfigError(f"quarantine file {self.quarantine} is the input itself; name another file")
        self.n_bad = 0
        """Bad rows of the pass under way or last made."""
        self._aside: Quarantine | None = None
        self._current: RawRow | None = None

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        self.n_bad = 0
        with Quarantine(self.quarantine) as self._aside, closing(self._raw_rows()) as rows:
            for raw in rows:
                self._current = raw
                if raw.fault is not None:
                    self.reject(raw.fault)
                elif raw.value is not None:
                    yield raw.number, raw.value

    def reject(self, reason: str) -> None:
        """Declare the row given last (or the one being read) bad.

        Raises:
            InputError: `skip_bad` is off.
            StorageError: The quarantine file cannot be written.
        """
        raw = self._current
        if raw is None or self._aside is None:
            raise RuntimeError("no row was read yet")
        if not self.skip_bad:
            self.fail(raw.number, f"{reason}; mend the row, or set it aside with --skip-bad (skip_bad=True)")
        source = raw.source
        if source is None:
            source = json.dumps(raw.value, default=repr).encode()
        self._aside.write(source, continues=raw.continues)
        self.n_bad += not raw.continues

    def fail(self, number: int, reason: str) -> NoReturn:
        """Give up on the file, naming it and the row."""
        word = "line" if self.kind in ("jsonl", "csv", "txt") else "row"
        raise InputError(f"{self.path}, {word} {number}: {reason}")

    def _raw_rows(self) -> Generator[RawRow]:
        rows = _open_rows(self.path, self.kind)
        number = 0
        with closing(rows):
            while True:
                try:
                    raw = next(rows)
                except StopIteration:
                    return
                except (OSError, EOFError, zlib.error) as error:
                    self.fail(number + 1, f"the file cannot be read on from here ({error}); it is damaged or cut short")
                number = raw.number
                yield raw


def read_rows(
    path: Path | str, *, skip_bad: bool = False, quarantine: Path | str | None = None
) -> Iterator[tuple[int, Row]]:
    """Stream (number, row) from a file; see `RowReader`, which also tells the number of bad rows."""
    return iter(RowReader(path, skip_bad=skip_bad, quarantine=quarantine))


def kind_of(path: Path) -> str:
    """Tell from a path's name how to read it: a value of `KINDS`, or "folder".

    Raises:
        InputError: Missing, not a regular file, or of no known kind.
    """
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise InputError(f"no such file: {path}")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; allowed: {_ALLOWED}")
    name = path.name.lower()
    kind = KINDS.get(Path(name.removesuffix(".gz")).suffix)
    if kind is None or (kind == "parquet" and name.endswith(".gz")):
        raise InputError(f"{path} is of no kind that is read here; allowed: {_ALLOWED}; convert it to one of these")
    return kind


def hash_source(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and hashes of a folder's files."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = (f"{file.relative_to(path).as_posix()}\0{hash_source(file)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error}); check the path and its permissions") from error


def _open_rows(path: Path, kind: str) -> Generator[RawRow]:
    if kind in ("parquet", "folder"):
        from moorings.subjects import columnar  # pyarrow is slow to import

        yield from columnar.parquet_rows(path) if kind == "parquet" else columnar.folder_rows(path)
        return
    if kind == "inspect":
        from moorings.subjects import inspect_logs

        yield from inspect_logs.sample_rows(path)
        return
    readers = {"jsonl": _jsonl_rows, "json": _json_rows, "csv": _csv_rows, "txt": _txt_rows}
    compressed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if compressed else path.open("rb") as file:
        yield from readers[kind](path, file)  # type: ignore[arg-type]


def _lines(path: Path, file: BinaryIO, *, blank: bool = False) -> Iterator[RawRow]:
    """Lines without a value, blank ones if wanted; the pieces of an endless line come one by one."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1 and raw.startswith(_OTHER_BOMS):
            raise InputError(f"{path} is UTF-16 or UTF-32; allowed: UTF-8; convert it, for example with iconv -t UTF-8")
        if len(raw) <= MAX_LINE_BYTES:
            if blank or not raw.isspace():
                yield RawRow(number, None, None, raw)
            continue
        fault = f"the line is longer than {MAX_LINE_BYTES} bytes"
        yield RawRow(number, None, fault, raw)
        while not raw.endswith(b"\n") and (raw := file.readline(2**20)):
            yield RawRow(number, None, fault, raw, continues=True)


def _decode(line: RawRow) -> str:
    """The text of a line, without a byte order mark. Raises ValueError if it is not UTF-8."""
    raw = line.source or b""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1} (0x{raw[error.start]:02x})") from None
    return text.removeprefix("\ufeff") if line.number == 1 else text


def _jsonl_rows(path: Path, file: BinaryIO) -> Iterator[RawRow]:
    for line in _lines(path, file):
        if line.fault is not None:
            yield line
            continue
        try:
            value, fault, _ = parse_json(_decode(line))
        except ValueError as error:
            value, fault = None, str(error)
        if fault is None and not isinstance(value, dict):
            fault = f"holds {_article(value)}; each line must be one object {{…}}"
        elif fault is not None and not (line.source or b"").endswith(b"\n"):
            fault += " (the last line; the file may be cut short)"
        yield line._replace(value=None if fault else value, fault=fault)


def _txt_rows(path: Path, file: BinaryIO) -> Iterator[RawRow]:
    for line in _lines(path, file):
        if line.fault is not None:
            yield line
            continue
        try:
            yield line._replace(value={"prompt": _decode(line).rstrip("\r\n")})
        except ValueError as error:
            yield line._replace(fault=str(error))


def _json_rows(path: Path, file: BinaryIO) -> Iterator[RawRow]:
    raw = file.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise InputError(f"{path} holds more than {MAX_JSON_BYTES} bytes of JSON; allowed: less; convert it to .jsonl")
    number = 0
    try:
        text = _decode(RawRow(1, None, None, raw))
        del raw
        for item in iter_list_items(text):
            number += 1
            fault = item.fault
            if fault is None and not isinstance(item.value, dict):
                fault = f"holds {_article(item.value)}; each item of the list must be one object {{…}}"
            yield RawRow(number, None if fault else item.value, fault, item.source.encode("utf-8"))
    except ValueError as error:
        # After broken syntax nobody can tell where the next item starts, so nothing can be set aside.
        raise InputError(f"{path}: not a readable JSON list after {number} rows: {error}; mend the file") from error


class _LineTooLong(Exception):
    """A CSV record that is too long to hold."""


class _CsvLines:
    """The lines that the CSV parser takes, kept until its record is complete."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._lines = _lines(path, file, blank=True)
        self.taken: list[RawRow] = []
        self.fault: str | None = None
        self._size_bytes = 0

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        self._size_bytes += len(line.source or b"")
        if line.fault is not None or self._size_bytes > MAX_LINE_BYTES:
            raise _LineTooLong(line.fault or f"the record is longer than {MAX_LINE_BYTES} bytes; is a quote unclosed?")
        try:
            return _decode(line)
        except ValueError as error:
            # The parser must still see the whole record, else its remainder would be read as new rows.
            self.fault = self.fault or str(error)
            return (line.source or b"").decode("utf-8", "surrogateescape")

    def record(self, value: Row | None, fault: str | None) -> RawRow:
        """What the lines taken since the last record came to."""
        first = self.taken[0]
        source = b"".join(line.source or b"" for line in self.taken)
        if fault and len(self.taken) > 1:
            fault += f" (the record ends on line {self.taken[-1].number})"
        self.taken, self.fault, self._size_bytes = [], None, 0
        return RawRow(first.number, value, fault, source, first.continues)


def _csv_rows(path: Path, file: BinaryIO) -> Iterator[RawRow]:
    # The limit belongs to the process and is 128 KiB by default, less than a long answer; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    # After a broken record the parser goes on at the next line.
    lines = _CsvLines(path, file)
    parser = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        fields, fault = [], None
        try:
            fields = next(parser)
        except StopIteration:
            return
        except (csv.Error, _LineTooLong) as error:
            fault = f"not CSV: {error}"
        fault = lines.fault or fault
        if not fields and fault is None:
            lines.record(None, None)
            continue
        if header is None:
            header = _header(path, fields, fault)
            lines.record(None, None)
            continue
        if fault is None and len(fields) != len(header):
            fault = f"has {len(fields)} fields, the first line has {len(header)}"
        yield lines.record(None if fault else dict(zip(header, fields, strict=False)), fault)


def _header(path: Path, fields: list[str], fault: str | None) -> list[str]:
    if fault is None and len(set(fields)) < len(fields):
        fault = f"a column name occurs twice among {', '.join(fields)}"
    if fault is not None:
        raise InputError(f"{path}: the first line does not name the columns: {fault}; mend that line")
    return fields


def _article(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
