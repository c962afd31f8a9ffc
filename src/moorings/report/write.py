"""All forms of a report in one folder, each file whole or not there."""

from __future__ import annotations

from pathlib import Path

from moorings.compare.as_json import comparison_from_json, comparison_to_json
from moorings.compare.comparison import Comparison
from moorings.errors import InputError
from moorings.report.html import render_html
from moorings.report.junit import render_junit
from moorings.report.markdown import render_markdown
from moorings.store.disk import Disk, write_atomic

__all__ = ["read_comparison", "write_report"]


def write_report(comparison: Comparison, folder: Path, *, disk: Disk | None = None) -> dict[str, Path]:
    """Write report.html, report.md, comparison.json and junit.xml; files of the same names are replaced.

    Args:
        comparison: What to report.
        folder: Where to; made if missing.
        disk: System calls, for tests.

    Returns:
        The written files by `html`, `markdown`, `json` and `junit`.

    Raises:
        StorageFullError: No room; an older file stays as it was.
        StorageError: Any other failed system call.
    """
    forms = {
        "json": ("comparison.json", comparison_to_json),
        "markdown": ("report.md", render_markdown),
        "junit": ("junit.xml", render_junit),
        "html": ("report.html", render_html),
    }
    written = {}
    for form, (name, render) in forms.items():
        path = folder / name
        write_atomic(path, render(comparison).encode("utf-8"), disk or Disk())
        written[form] = path
    return written


def read_comparison(path: Path) -> Comparison:
    """Read a comparison.json back.

    Raises:
        InputError: The file is not one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); give the comparison.json of a report") from error
    return comparison_from_json(data, str(path))
