"""Questions from a file: rows are taken in turn, so none is ever asked twice in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorings.errors import ConfigError, InputError
from moorings.monitors.monitor import MonitorConfig
from moorings.records import content_hash

__all__ = ["FileRow", "FileSettings", "Rows", "read_questions"]


class FileSettings(MonitorConfig):
    """Settings of monitors that can take their questions from a file."""

    file: str | None = None
    """JSON lines (or CSV, Parquet ...) with questions of your own; None asks generated ones."""


@dataclass(frozen=True)
class FileRow:
    """A row with its unit's name."""

    unit: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of a file in an order that only their content decides."""

    path: str
    rows: tuple[FileRow, ...]

    def take(self, start: int, n: int) -> list[FileRow]:
        """Rows `start` to `start + n`.

        Raises:
            ConfigError: The file has run out.
        """
        if start + n > len(self.rows):
            raise ConfigError(
                f"{self.path} holds {len(self.rows)} different rows and {start + n} are needed by now; "
                "add rows, or use fewer rounds or a smaller budget"
            )
        return list(self.rows[start : start + n])


def read_questions(settings: FileSettings, columns: Mapping[str, tuple[str, ...]], kind: str) -> Rows | None:
    """Read a monitor's own file; rows that are there twice are asked once.

    Args:
        settings: Names the file; None of it gives None.
        columns: Name of a value to the columns that may hold it, the first that is there counts; all must be texts.
        kind: Of question, for the units' names.

    Raises:
        InputError: Unreadable, a row without a column or with something else than a text in it, or no row at all.
    """
    from moorings.subjects.tables import read_rows

    if settings.file is None:
        return None
    found: dict[str, FileRow] = {}
    for number, row in read_rows(settings.file):
        values = {name: _text(row, allowed, settings.file, number) for name, allowed in columns.items()}
        unit = f"{kind}-file-{content_hash(values)[:16]}"
        found[unit] = FileRow(unit, values)
    if not found:
        raise InputError(f"{settings.file} holds no question; write a row a question with {_shown(columns)}")
    ordered = tuple(found[unit] for unit in sorted(found))
    return Rows(settings.file, ordered)


def _text(row: dict[str, Any], allowed: tuple[str, ...], path: str, number: int) -> str:
    value = next((row[name] for name in allowed if name in row), None)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{path}, row {number}: needs a text in column {' or '.join(allowed)}; found {sorted(row)}")
    return value


def _shown(columns: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(" or ".join(allowed) for allowed in columns.values())
