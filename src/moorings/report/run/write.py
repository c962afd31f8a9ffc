"""All forms of a run report in one folder, each file whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

from moorings.compare.as_json import finite
from moorings.report.run.html import render_run_html
from moorings.report.run.markdown import render_run_markdown
from moorings.report.run.story import RunStory
from moorings.store.disk import Disk, write_atomic

__all__ = ["read_story", "render_story_json", "write_run_report"]


def write_run_report(story: RunStory, folder: Path, *, disk: Disk | None = None) -> dict[str, Path]:
    """Write story.json, report.md and report.html; files of the same names are replaced.

    Args:
        story: The run as far as it has come.
        folder: Where to; made if missing. Paths of the story's comparison reports start from it.
        disk: System calls, for tests.

    Returns:
        The written files by `json`, `markdown` and `html`.

    Raises:
        StorageFullError: No room; an older file stays as it was.
        StorageError: Any other failed system call.
    """
    forms = {
        "json": ("story.json", render_story_json),
        "markdown": ("report.md", render_run_markdown),
        "html": ("report.html", render_run_html),
    }
    written = {}
    for form, (name, render) in forms.items():
        path = folder / name
        write_atomic(path, render(story).encode("utf-8"), disk or Disk())
        written[form] = path
    return written


def render_story_json(story: RunStory) -> str:
    """All of a story as ASCII JSON: broken surrogates as escapes, numbers that are not finite as strings."""
    return json.dumps(finite(story.model_dump()), indent=1, ensure_ascii=True, allow_nan=False, default=str) + "\n"


def read_story(path: Path) -> RunStory:
    """Read a story.json back.

    Raises:
        InputError: The file is not one.
    """
    from pydantic import ValidationError

    from moorings.errors import InputError

    try:
        return RunStory.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        reason = ascii(str(error).splitlines()[0])[1:-1]
        raise InputError(
            f"{path} is not the story of a run that Moorings wrote ({reason}); give the story.json of a run report"
        ) from error
