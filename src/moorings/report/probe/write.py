"""All forms of a report of probes in one folder, each file whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from moorings import __version__
from moorings.compare.as_json import finite
from moorings.errors import InputError
from moorings.probes.answers import AnswerSheet
from moorings.probes.live.track import LiveTrack
from moorings.probes.metrics.profile import Profile
from moorings.records import Record
from moorings.report.probe.html import render_probe_html
from moorings.report.probe.live import LiveRecord
from moorings.report.probe.markdown import render_probe_markdown
from moorings.report.probe.view import ProbeReport, assemble
from moorings.store.disk import Disk, write_atomic

__all__ = ["ProbeRecord", "read_probe_report", "render_probe_json", "write_probe_report"]


class ProbeRecord(Record):
    """What profile.json holds: every number of the report, without texts of items."""

    moorings_probe_report: int = Field(default=1, ge=1, le=1)
    title: str
    rounds: tuple[str, ...]
    """Labels of the profiles if they are rounds in order; empty if they are subjects."""
    profiles: tuple[Profile, ...]
    live: LiveRecord | None = None


def write_probe_report(
    profiles: Sequence[Profile],
    folder: Path,
    *,
    sheets: Sequence[AnswerSheet] = (),
    title: str = "",
    rounds: Sequence[str] = (),
    live: LiveTrack | Mapping[str, Any] | None = None,
    disk: Disk | None = None,
) -> dict[str, Path]:
    """Write profile.json, report.md and report.html; files of the same names are replaced.

    Args:
        profiles: One for each subject or round, in order; may be empty if there is a live track.
        folder: Where to; made if missing.
        sheets: Answer sheets that the profiles were made from. With them items are mapped, the hardest are shown, and
            rounds are compared item by item.
        title: Of the report; made up from the subjects if empty.
        rounds: Label of each profile if they are rounds in order; empty if they are different subjects.
        live: A live track, or what its `as_json` gave.
        disk: System calls, for tests.

    Returns:
        The written files by `json`, `markdown` and `html`.

    Raises:
        ConfigError: No profile and no live track, or not one round a profile.
        InputError: A sheet belongs to no profile, an answer does not fit its item, or `live` is no live track.
        StorageFullError: No room; an older file stays as it was.
        StorageError: Any other failed system call.
    """
    report = assemble(profiles, sheets, title, rounds, live)
    forms = {
        "json": ("profile.json", render_probe_json(report)),
        "markdown": ("report.md", render_probe_markdown(report)),
        "html": ("report.html", render_probe_html(report, __version__)),
    }
    written = {}
    for form, (name, text) in forms.items():
        write_atomic(folder / name, text.encode("utf-8"), disk or Disk())
        written[form] = folder / name
    return written


def render_probe_json(report: ProbeReport) -> str:
    """Every number as ASCII JSON: broken surrogates as escapes, numbers that are not finite as strings."""
    record = ProbeRecord(
        title=report.title,
        rounds=tuple(entry.label for entry in report.entries) if report.over_rounds else (),
        profiles=tuple(entry.profile for entry in report.entries),
        live=report.live,
    )
    return json.dumps(finite(record.model_dump()), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def read_probe_report(path: Path) -> ProbeRecord:
    """Read a profile.json back.

    Raises:
        InputError: The file is not one.
    """
    try:
        return ProbeRecord.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        reason = ascii(str(error).splitlines()[0])[1:-1]
        raise InputError(
            f"{path} is no report of probes that Moorings wrote ({reason}); give the profile.json of a report"
        ) from error
