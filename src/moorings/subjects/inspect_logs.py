"""Samples of Inspect AI logs (.eval, or its .json), read through Inspect's own reader.

A .eval log is a zip archive from a stranger: before Inspect opens it, every member is decompressed
piecewise and thrown away, to see that it is as small as it says and within the bounds below.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from moorings.errors import InputError, MissingExtraError
from moorings.subjects.strict_json import fault_of_value
from moorings.subjects.tables import MAX_JSON_BYTES, RawRow

__all__ = ["MAX_LOG_BYTES", "MAX_MEMBER_BYTES", "sample_rows"]

MAX_MEMBER_BYTES = 256 * 2**20
"""Largest member (one sample, as a rule) of a log, uncompressed."""
MAX_LOG_BYTES = 16 * 2**30
"""Largest log, uncompressed."""

_SAMPLES_AT_ONCE = 8
_UNUSED = {"events", "store", "timelines"}
_KEPT = {"id", "epoch", "input", "messages", "output", "target", "metadata", "error", "limit"}


def sample_rows(path: Path) -> Iterator[RawRow]:
    """Stream the samples of a log, a few at a time.

    Raises:
        InputError: Damaged, larger than the bounds, or not an Inspect log.
        MissingExtraError: `inspect_ai` is not installed.
    """
    try:
        import inspect_ai.log  # also teaches zipfile the zstd compression that logs are written with
    except ImportError:
        raise MissingExtraError(f"reading the Inspect log {path}", "inspect") from None
    zipped = path.suffix.lower() == ".eval"
    n_members = _check_archive(path) if zipped else _check_size(path)
    number = 0
    samples = _read_zipped(inspect_ai.log, path) if zipped else _read_json(inspect_ai.log, path)
    while True:
        try:
            sample = next(samples, None)
        except Exception as error:  # a damaged log makes Inspect raise any of a dozen kinds
            reason = _one_line(error)
            raise InputError(
                f"{path}, sample {number + 1}: Inspect cannot read it ({reason}); check it with: inspect log dump {path}"
            ) from error
        if sample is None:
            break
        number += 1
        value = sample.model_dump(mode="json", include=_KEPT)
        value["scores"] = {name: score.value for name, score in (sample.scores or {}).items()}
        fault = fault_of_value(value)
        yield RawRow(number, value, fault, None)
    if zipped and number < n_members:
        raise InputError(f"{path} holds {n_members} samples but lists {number}; the log is damaged")


def _read_zipped(log: Any, path: Path) -> Iterator[Any]:
    location = str(path)
    log.read_eval_log(location, header_only=True, format="eval")
    wanted = iter([(entry.id, entry.epoch) for entry in log.read_eval_log_sample_summaries(location, format="eval")])
    while some := list(islice(wanted, _SAMPLES_AT_ONCE)):
        yield from log.read_eval_log_samples_by_id(
            location, some, concurrency=1, resolve_attachments=True, format="eval", exclude_fields=_UNUSED
        )


def _read_json(log: Any, path: Path) -> Iterator[Any]:
    yield from log.read_eval_log(str(path), resolve_attachments=True, format="json").samples or []


def _check_size(path: Path) -> int:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(
            f"{path} is larger than {MAX_JSON_BYTES} bytes; convert it with: inspect log convert --to eval {path}"
        )
    return 0


def _check_archive(path: Path) -> int:
    """Decompress every member within bounds and return the number of samples.

    Raises:
        InputError: Not a zip archive, too large, or larger than it says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_claims(path, members)
            for member in members:
                _check_member(path, archive, member)
    except InputError:
        raise
    except Exception as error:  # each compression has its own kind of error for damaged data
        reason = _one_line(error)
        raise InputError(f"{path} is not a readable Inspect log ({reason}); is it damaged or cut short?") from error
    return sum(member.filename.startswith("samples/") for member in members)


def _check_claims(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = {member.filename for member in members}
    if len(names) < len(members):
        raise InputError(f"{path} holds two members of one name; it is no log that Inspect wrote")
    largest = max(members, key=lambda member: member.file_size, default=None)
    if largest is not None and largest.file_size > MAX_MEMBER_BYTES:
        raise InputError(
            f"{path}: member {largest.filename} unpacks to {largest.file_size} bytes; allowed: {MAX_MEMBER_BYTES}"
        )
    total = sum(member.file_size for member in members)
    if total > MAX_LOG_BYTES:
        raise InputError(f"{path} unpacks to {total} bytes; allowed: {MAX_LOG_BYTES}; split the log")


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    # Asking for one byte more than is claimed shows a stream that goes on where zipfile would stop.
    asked = copy.copy(member)
    asked.file_size += 1
    size = 0
    with archive.open(asked) as stream:
        # Few bytes at a time: zipfile unpacks as many compressed bytes at once as it is asked for, whatever they become.
        while piece := stream.read(4096):
            size += len(piece)
    if size != member.file_size:
        raise InputError(f"{path}: member {member.filename} says {member.file_size} bytes but holds another number")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
