r"""The journal's line: `<sha256> {"seq":…,"type":…,"data":…}\n`.

The hash covers the previous line's hash and this line's JSON, so a changed, lost or swapped line is found, and
the last hash stands for the whole history. `cut -d' ' -f2- journal.log | jq` reads it without Moorings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from moorings.errors import StorageError

__all__ = ["GENESIS", "Entry", "Scan", "frame", "parse_frame", "scan_lines"]

GENESIS = "0" * 64
"""Stands for the hash before the first line."""
_HEAD = re.compile(rb'\{"seq":(\d{1,15}),"type":"([a-z_]{1,40})","data":')


class Entry(NamedTuple):
    """One verified journal line; `body` is parsed only when asked for."""

    seq: int
    type: str
    body: bytes
    hash: str

    def data(self) -> Any:
        """The entry's payload."""
        return json.loads(self.body)["data"]


class Scan(NamedTuple):
    """What a scan of a journal's lines found out about its end."""

    next_seq: int
    last_hash: str
    good_bytes: int
    """Length of the verified prefix."""
    torn: bytes
    """Bytes after the verified prefix that a crash left half-written; empty if none."""


def frame(seq: int, kind: str, data_json: str, previous: str) -> tuple[bytes, str]:
    """Make one line and its hash; `data_json` must be JSON without raw newlines."""
    body = f'{{"seq":{seq},"type":"{kind}","data":{data_json}}}'.encode()
    digest = hashlib.sha256(previous.encode() + body).hexdigest()
    return digest.encode() + b" " + body + b"\n", digest


def parse_frame(line: bytes, seq: int, previous: str) -> Entry | None:
    """Check one line against its place; None if it is not the line that belongs there."""
    digest, _, body = line.rstrip(b"\n").partition(b" ")
    head = _HEAD.match(body)
    if not line.endswith(b"\n") or len(digest) != 64 or not head or int(head[1]) != seq:
        return None
    if hashlib.sha256(previous.encode() + body).hexdigest().encode() != digest:
        return None
    return Entry(seq, head[2].decode(), body, digest.decode())


def scan_lines(lines: Iterable[bytes], source: str) -> Iterator[Entry | Scan]:
    """Verify lines in order; yields each entry and, last, one `Scan`.

    A crash can only leave the one line that was being written, so anything more than one bad line at the very
    end is damage, not a torn write.

    Raises:
        StorageError: A line before the end is damaged.
    """
    seq, previous, good, torn = 0, GENESIS, 0, b""
    for line in lines:
        entry = None if torn else parse_frame(line, seq, previous)
        if entry:
            seq, previous, good = seq + 1, entry.hash, good + len(line)
            yield entry
        elif torn:
            raise StorageError(
                f"{source} is damaged at byte {good:,} (entry {seq}), before its end; nothing was changed. "
                "`moorings runs verify RUN --repair` keeps the verified part and sets the rest aside"
            )
        else:
            torn = line
    yield Scan(seq, previous, good, torn)
