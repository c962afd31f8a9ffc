"""Take recorded responses into a run, in bulk and in constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from moorings import __version__
from moorings.errors import ConfigError
from moorings.records import Interaction, Message, content_hash
from moorings.sampling.progress import open_meter
from moorings.sampling.sample import SampleResult, summarise
from moorings.sampling.status import classify
from moorings.store import Run, batch_note
from moorings.subjects.recorded import RecordedRow, RecordedSubject
from moorings.subjects.spec import SubjectSpec, open_subject

__all__ = ["PART_ROWS", "record"]

PART_ROWS = 5000
"""Rows of one Parquet part."""


def record(
    source: str | SubjectSpec,
    run: str | Path,
    *,
    limit: int | None = None,
    progress: bool = False,
    on_point: Callable[[str], None] | None = None,
) -> SampleResult:
    """Copy recorded responses into a run; call again to resume.

    Args:
        source: `recorded:FILE`, or a spec of one with options such as `format` or `response_column`.
        run: Folder or fsspec URL of the run.
        limit: Take only the first responses.
        progress: Show progress on standard error.
        on_point: Called at named points of storing; for crash tests.

    Raises:
        ConfigError: The source is not of scheme `recorded`.
        InputError: The file cannot be read; line and column are named.
        StorageError: The run has other settings, is locked, damaged or out of room.
    """
    started = time.monotonic()
    subject = open_subject(source)
    if not isinstance(subject, RecordedSubject):
        raise ConfigError(
            f"'{source}' is not a file of recorded responses; write recorded:FILE, or use `sample` with prompts"
        )
    info = subject.describe()
    fingerprint = info.fingerprint()
    config = {"kind": "record", "subject": info.model_dump(), "limit": limit, "moorings": __version__}
    with ExitStack() as stack:
        store = stack.enter_context(Run.create_or_open(run, config))
        if on_point:
            store.on_point = on_point
        meter = stack.enter_context(open_meter(progress))
        meter.start(0, store.n_stored)
        rows = islice(subject.rows(), limit)
        n_new = 0
        while part := [_interaction(row, fingerprint) for row in islice(rows, PART_ROWS)]:
            n_tokens = sum(row.n_output_tokens or 0 for row in part)
            added = store.add_part(part, batch_note((row.key for row in part), "recorded", n_output_tokens=n_tokens))
            meter.advance(added, n_tokens)
            n_new += added
        store.finish()
        return summarise(
            store, fingerprint, info.engine, n_drawn=n_new, n_cached=0, n_bad=subject.n_bad, started=started
        )


def _interaction(row: RecordedRow, fingerprint: str) -> Interaction:
    text = [m.model_dump() for m in row.prompt.messages]
    return Interaction(
        key=content_hash([fingerprint, row.prompt.prompt_id, text, row.index]),
        subject=fingerprint,
        prompt_id=row.prompt.prompt_id,
        group=row.prompt.group,
        index=row.index,
        seed=None,
        messages=row.messages or (*row.prompt.messages, Message(role="assistant", content=row.response)),
        response=row.response,
        status=classify(row.response, row.finish_reason),
        finish_reason=row.finish_reason,
        n_prompt_tokens=row.n_prompt_tokens,
        n_output_tokens=row.n_output_tokens,
        error=row.error,
        metadata=row.metadata,
    )
