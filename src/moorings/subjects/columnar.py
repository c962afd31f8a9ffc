"""Rows of Parquet files and of dataset folders, a few hundred at a time.

Tables hold more types than JSON: dates and times become ISO texts, decimals texts, and NaN, a
table's usual mark of a missing number, becomes null. Bytes and infinities make a row bad.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moorings.errors import InputError, MissingExtraError
from moorings.subjects.strict_json import fault_of_value, parse_json
from moorings.subjects.tables import RawRow

__all__ = ["folder_rows", "parquet_rows"]

_BATCH_ROWS = 256


def parquet_rows(path: Path) -> Iterator[RawRow]:
    """Stream a Parquet file; only one batch of rows is decoded at a time.

    Raises:
        InputError: Not a readable Parquet file, or two columns of one name.
    """
    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _check_names(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in _rows_of(batch, number):
                    number = row.number
                    yield row
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: not readable as Parquet after {number} rows ({_one_line(error)}); write the file anew"
        ) from error


def folder_rows(path: Path) -> Iterator[RawRow]:
    """Stream a dataset that `datasets` saved with save_to_disk.

    Raises:
        InputError: The folder is no such dataset, or holds several splits.
        MissingExtraError: `datasets` is not installed.
    """
    _check_folder(path)
    try:
        import datasets
    except ImportError:
        raise MissingExtraError(f"reading the dataset folder {path}", "datasets") from None
    number = 0
    try:
        # The arrow format hands out stored values as they are: no image or sound is decoded.
        dataset = datasets.load_from_disk(str(path), keep_in_memory=False).with_format("arrow")
        _check_names(path, dataset.column_names)
        for table in dataset.iter(batch_size=_BATCH_ROWS):
            for row in _rows_of(table, number):
                number = row.number
                yield row
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not readable as a dataset folder after {number} rows ({_one_line(error)}); save it anew"
        ) from error


def _check_folder(path: Path) -> None:
    if (path / "dataset_dict.json").is_file():
        splits = sorted(child.name for child in path.iterdir() if (child / "state.json").is_file())
        raise InputError(f"{path} holds the splits {', '.join(splits) or '(none)'}; name one of them: {path}/SPLIT")
    state_file = path / "state.json"
    if not state_file.is_file():
        raise InputError(f"{path} is a folder but no dataset that save_to_disk wrote; name a file, or such a folder")
    try:
        state, fault, _ = parse_json(state_file.read_text(encoding="utf-8"))
        names = [entry["filename"] for entry in state["_data_files"]]
        plain = all(Path(name).name == name for name in names)
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{state_file} does not list the dataset's files; save the dataset anew") from None
    if fault or not plain:
        raise InputError(f"{state_file} names a file outside its folder; save the dataset anew")


def _check_names(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{path}: a column name occurs twice among {', '.join(names)}; rename one")


def _rows_of(batch: Any, before: int) -> Iterator[RawRow]:
    """The rows of a record batch or table, numbered after those that came before."""
    try:
        values = batch.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        values = [_one_row(batch, at) for at in range(batch.num_rows)]
    for number, value in enumerate(values, start=before + 1):
        if isinstance(value, str):
            yield RawRow(number, None, value, b"(row %d: %s)" % (number, value.encode()))
            continue
        try:
            row = {name: _plain(cell, name) for name, cell in value.items()}
            yield RawRow(number, row, fault_of_value(row), None)
        except ValueError as error:
            yield RawRow(number, value, str(error), None)


def _one_row(batch: Any, at: int) -> dict[str, Any] | str:
    try:
        row: dict[str, Any] = batch.slice(at, 1).to_pylist()[0]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return f"a value cannot be read: {_one_line(error)}"
    return row


def _plain(value: Any, column: str) -> Any:
    """The value as JSON knows it. Raises ValueError naming the column if there is no such value."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError(f"column '{column}' holds an infinite number; write null or a finite number")
        return None if math.isnan(value) else value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"column '{column}' holds {value}, which does not fit 64 bits; write it as text")
        return value
    if isinstance(value, dict):
        return {str(name): _plain(cell, column) for name, cell in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(cell, column) for cell in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    raise ValueError(
        f"column '{column}' holds {type(value).__name__}, which JSON has not; drop the column or write text"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
