"""How far a long job is: a bar with tokens/s and time left for people, one JSON line an event for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

__all__ = ["Meter", "SilentMeter", "open_meter"]


class Meter(Protocol):
    """Told of each acknowledged batch."""

    def __enter__(self) -> Meter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, total: int, done: int) -> None:
        """Say how many samples there are and how many are stored already."""
        ...

    def advance(self, n_samples: int, n_tokens: int) -> None:
        """Count an acknowledged batch."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


class SilentMeter:
    """Counts nothing."""

    def __enter__(self) -> SilentMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def start(self, total: int, done: int) -> None:
        """See `Meter`."""

    def advance(self, n_samples: int, n_tokens: int) -> None:
        """See `Meter`."""

    def say(self, text: str) -> None:
        """See `Meter`."""


class BarMeter:
    """A live bar on a terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("sampling", total=None, rate="")
        self._tokens, self._since = 0, time.monotonic()

    def __enter__(self) -> BarMeter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, total: int, done: int) -> None:
        """See `Meter`."""
        self._since = time.monotonic()
        self._bar.reset(self._task, total=total, completed=done, rate="")

    def advance(self, n_samples: int, n_tokens: int) -> None:
        """See `Meter`."""
        self._tokens += n_tokens
        rate = self._tokens / max(1e-9, time.monotonic() - self._since)
        self._bar.update(self._task, advance=n_samples, rate=f"{rate:,.0f} tokens/s" if self._tokens else "")

    def say(self, text: str) -> None:
        """See `Meter`."""
        self._bar.console.print(text, markup=False, highlight=False)


class LineMeter:
    """One JSON object a line on standard error, at most one a second and one at the end."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._total = self._done = self._tokens = self._drawn = 0
        self._since = self._last = clock()

    def __enter__(self) -> LineMeter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._emit()

    def start(self, total: int, done: int) -> None:
        """See `Meter`."""
        self._total, self._done, self._since = total, done, self._clock()
        self._emit()

    def advance(self, n_samples: int, n_tokens: int) -> None:
        """See `Meter`."""
        self._done, self._drawn, self._tokens = self._done + n_samples, self._drawn + n_samples, self._tokens + n_tokens
        if self._clock() - self._last >= 1:
            self._emit()

    def say(self, text: str) -> None:
        """See `Meter`."""
        self._write(json.dumps({"event": "note", "text": text}) + "\n")

    def _emit(self) -> None:
        self._last = self._clock()
        spent = max(1e-9, self._last - self._since)
        left = (self._total - self._done) * spent / self._drawn if self._drawn else None
        event = {
            "event": "progress",
            "done": self._done,
            "total": self._total,
            "tokens_per_s": round(self._tokens / spent, 1),
            "left_s": None if left is None else round(left, 1),
        }
        self._write(json.dumps(event) + "\n")


def open_meter(show: bool) -> Meter:
    """A bar on a terminal, JSON lines elsewhere, or nothing."""
    if not show:
        return SilentMeter()
    console = Console(stderr=True)
    return BarMeter(console) if console.is_terminal else LineMeter(sys.stderr.write)
