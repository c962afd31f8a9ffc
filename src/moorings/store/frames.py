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

__all__ = ["GENESIS", "Chain", "Entry", "check_kind"]

GENESIS = "0" * 64
"""Stands for the hash before the first line."""
_KIND = re.compile(r"[a-z_]{1,40}")
_HEAD = re.compile(rb'\{"seq":(\d{1,15}),"type":"([a-z_]{1,40})","data":')


def check_kind(kind: str) -> None:
    """Refuse what cannot name an entry.

    Raises:
        StorageError: It is not 1 to 40 lower-case letters and underscores.
    """
    if not _KIND.fullmatch(kind):
        raise StorageError(f"'{kind}' cannot name a journal entry; use 1 to 40 lower-case letters and underscores")


class Entry(NamedTuple):
    """One verified journal line; `body` is parsed only when asked for."""

    seq: int
    type: str
    body: bytes
    hash: str

    def data(self) -> Any:
        """The entry's payload.

        Raises:
            StorageError: The line is in its place but is no JSON: it was not written by Moorings.
        """
        try:
            return json.loads(self.body)["data"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StorageError(
                f"journal entry {self.seq} ({self.type}) cannot be read: {type(error).__name__}; "
                "it was not written by Moorings, so do not trust this run"
            ) from error


class Chain:
    """How far a journal has been verified, and the place where its next line goes."""

    def __init__(self) -> None:
        self.next_seq = 0
        self.head = GENESIS
        """Hash of the last verified line."""
        self.good_bytes = 0
        """Length of the verified prefix."""
        self.torn = b""
        """A last line that does not verify, as a crash leaves it; empty if there is none."""

    def follow(self, lines: Iterable[bytes], source: str) -> Iterator[Entry]:
        """Verify the lines after the verified prefix, in order.

        A crash can only leave the one line that was being written, so anything more than one bad line at the very
        end is damage, not a torn write.

        Raises:
            StorageError: A line before the end is damaged.
        """
        self.torn = b""
        for line in lines:
            if self.torn:
                raise StorageError(
                    f"{source} is damaged at byte {self.good_bytes:,} (entry {self.next_seq}), before its end; nothing "
                    "was changed. `moorings runs verify RUN --repair` keeps the verified part and sets the rest aside"
                )
            entry = self._check(line)
            if entry:
                self.advance(entry, len(line))
                yield entry
            else:
                self.torn = line

    def frame(self, kind: str, data_json: str) -> tuple[bytes, Entry]:
        """Make the next line and its entry; `kind` must pass `check_kind`, `data_json` must be JSON without raw newlines.

        Lone surrogates, which UTF-8 cannot hold, become JSON escapes.
        """
        body = f'{{"seq":{self.next_seq},"type":"{kind}","data":{data_json}}}'.encode("utf-8", "backslashreplace")
        digest = hashlib.sha256(self.head.encode() + body).hexdigest()
        return digest.encode() + b" " + body + b"\n", Entry(self.next_seq, kind, body, digest)

    def advance(self, entry: Entry, n_bytes: int) -> None:
        """Take an entry into the verified prefix."""
        self.next_seq, self.head, self.good_bytes = entry.seq + 1, entry.hash, self.good_bytes + n_bytes

    def _check(self, line: bytes) -> Entry | None:
        digest, _, body = line.rstrip(b"\n").partition(b" ")
        head = _HEAD.match(body)
        if not line.endswith(b"\n") or len(digest) != 64 or not head or int(head[1]) != self.next_seq:
            return None
        if hashlib.sha256(self.head.encode() + body).hexdigest().encode() != digest:
            return None
        return Entry(self.next_seq, head[2].decode(), body, digest.decode())
