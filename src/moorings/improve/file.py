"""Rows from a file of prompts and responses: JSON lines, JSON, CSV, Parquet or a dataset folder.

Who wrote the responses is not in the file and cannot be guessed, so it is a setting without a default. The file is
read again each round; with `n_rows` a fresh draw (algorithm R, Vitter 1985) takes that many of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from moorings.errors import InputError, nearest
from moorings.improve.data import DataMethod, DataRow, DataStep, Origin, Workbench, data_methods, make_row
from moorings.method import MethodConfig
from moorings.subjects.recorded import RecordedRow, RecordedSubject
from moorings.subjects.recorded_formats import ReadOptions

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FileConfig", "Reading", "file", "read_rows", "reservoir"]

T = TypeVar("T")


class Reading(MethodConfig):
    """Which columns of a file are read; None goes by the usual names."""

    prompt_column: str | None = None
    """None takes messages, prompt, instruction, question, input or text, whichever is there."""
    response_column: str | None = None
    """None takes response, output, answer or completion."""
    rejected_column: str | None = None
    """Worse responses, for preference training; None reads none."""
    skip_bad: bool = False
    """Set bad rows aside in a quarantine file and count them, instead of stopping the round."""


class FileConfig(Reading):
    """Settings of `file`."""

    path: str
    """File or dataset folder; a relative path starts from the charter's folder."""
    origin: Origin
    """Who wrote the responses: `human`, `self`, `other model` or `template`."""
    n_rows: int | None = Field(default=None, ge=1)
    """Rows drawn at random in each round, without replacement; None takes all."""
    weight: float = Field(default=1.0, ge=0.0)
    """Factor of these rows' loss."""


@data_methods.register("file", FileConfig)
def file(config: FileConfig) -> DataMethod:
    """Rows that somebody wrote down."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        dropped: Counter[str] = Counter()
        n_read = 0

        def counted() -> Iterator[DataRow]:
            nonlocal n_read
            for row in read_rows(workbench.folder / config.path, config, config.origin, "file", dropped):
                n_read += 1
                yield row.model_copy(update={"weight": config.weight})

        if config.n_rows is None:
            found = list(counted())
        else:
            found = reservoir(counted(), config.n_rows, workbench.rng)
            dropped["not drawn"] += n_read - len(found)
        n_bad = dropped["empty response"] + dropped["recorded as failed"] + dropped["malformed"]
        metrics = {"candidates": float(n_read + n_bad), "rows_in_file": float(n_read + n_bad)}
        return DataStep([*rows, *found], dict(dropped), metrics)

    return method


def read_rows(path: Path, reading: Reading, origin: Origin, method: str, dropped: Counter[str]) -> Iterator[DataRow]:
    """Stream rows of a file; those that cannot be trained on are counted in `dropped`.

    Raises:
        InputError: Unreadable file, wrong columns, or a bad row that is not to be skipped.
    """
    options = ReadOptions(prompt_column=reading.prompt_column, response_column=reading.response_column)
    subject = RecordedSubject(path, options, skip_bad=reading.skip_bad)
    for row in subject.rows():
        if row.error is not None:
            dropped["recorded as failed"] += 1
        elif not row.response.strip():
            dropped["empty response"] += 1
        else:
            yield _to_row(row, reading.rejected_column, origin, method, path)
    dropped["malformed"] += subject.n_bad


def _to_row(row: RecordedRow, rejected_column: str | None, origin: Origin, method: str, path: Path) -> DataRow:
    rejected = None
    if rejected_column is not None:
        rejected = row.metadata.get(rejected_column)
        if isinstance(rejected, list) and rejected and isinstance(rejected[-1], dict):
            rejected = rejected[-1].get("content")
        if not isinstance(rejected, str):
            raise InputError(
                f"{path}: prompt '{row.prompt.prompt_id}' has no text in column '{rejected_column}' (rejected_column); "
                f"{nearest(rejected_column, row.metadata)}"
            )
    return make_row(
        row.prompt.messages,
        row.response,
        origin=origin,
        method=method,
        round=0,
        rejected=rejected,
        parents=(row.prompt.prompt_id,),
    )


def reservoir(items: Iterable[T], n: int, rng: np.random.Generator) -> list[T]:
    """`n` items of a stream, each with equal probability, in one pass and in the stream's order.

    Source: Vitter 1985, algorithm R.
    """
    kept: list[tuple[int, T]] = []
    for at, item in enumerate(items):
        if at < n:
            kept.append((at, item))
        elif (place := int(rng.integers(at + 1))) < n:
            kept[place] = (at, item)
    return [item for _, item in sorted(kept, key=lambda pair: pair[0])]
