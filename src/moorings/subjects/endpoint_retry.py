"""When to ask a server again, and how long to wait before.

A server's `Retry-After` is honoured, as seconds or as an HTTP date, up to `MAX_RETRY_AFTER_S`; a longer
wish is cut to that, since the attempts after it wait again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["MAX_BACKOFF_S", "MAX_RETRY_AFTER_S", "Clock", "is_passing", "parse_retry_after", "retry_delay_s"]

MAX_BACKOFF_S = 60.0
"""Longest wait between two attempts where the server names none."""
MAX_RETRY_AFTER_S = 120.0
"""Longest wait that a server's Retry-After can ask for."""

_PASSING = {408, 409, 425, 429}


@dataclass(frozen=True)
class Clock:
    """Time as a client sees it; tests put their own in its place."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    """Seconds since 1970, to read HTTP dates."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    """A number in [0, 1)."""


def is_passing(status: int) -> bool:
    """Whether the same request may get through later.

    >>> [is_passing(status) for status in (400, 408, 429, 503)]
    [False, True, True, True]
    """
    return status in _PASSING or 500 <= status <= 599


def parse_retry_after(value: str | None, now_s: float) -> float | None:
    """Seconds to wait by a Retry-After header, between 0 and `MAX_RETRY_AFTER_S`; None if it says nothing readable.

    >>> parse_retry_after("7", 0.0), parse_retry_after("Thu, 01 Jan 1970 00:00:30 GMT", 10.0), parse_retry_after("soon", 0.0)
    (7.0, 20.0, None)
    """
    text = (value or "").strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        wait_s = float(text)
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        # A date without a zone is read as GMT, the only zone that HTTP dates have.
        wait_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


def retry_delay_s(attempt: int, backoff_s: float, jitter: float, retry_after_s: float | None = None) -> float:
    """Wait after a failed attempt: the doubled back-off or what the server asks for, whichever is longer.

    Args:
        attempt: 0 after the first attempt.
        backoff_s: Wait after the first attempt, before jitter.
        jitter: In [0, 1); takes off up to half, so that clients which failed together do not return together.
        retry_after_s: What the server asked for.
    """
    own = min(backoff_s * 2.0 ** min(attempt, 32), MAX_BACKOFF_S) * (1.0 - jitter / 2.0)
    return max(own, retry_after_s or 0.0)
