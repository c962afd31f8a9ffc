"""A run as it happens: a panel that redraws itself on a terminal, one JSON line an event elsewhere.

Names, statements and messages may quote model output; they are shown with their controls made visible, and never
read as markup. The panel is cut to the window at every drawing, so a window may shrink to nothing and grow again.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from moorings.compare.as_json import finite
from moorings.records import Decision, Evidence
from moorings.report.run.view import ACTIONS, STATUSES, e_text, two
from moorings.report.text import shown
from moorings.report.wording import number, seconds

__all__ = ["LiveView"]

_STYLES = {"good": "green", "warn": "yellow", "bad": "red", "info": "cyan", "calm": "dim"}
_ORDER = ("harm", "undecided", "fine")
_WIDE, _BAR, _NARROW = 84, 60, 34
"""Least widths of the whole table, of the bar, and of the panel."""
_EVENT_GAP_S = 1.0


@dataclass
class _State:
    """What the panel shows."""

    title: str = "Run"
    n_rounds: int | None = None
    promoted: int | None = None
    round: int = 0
    attempt: int = 0
    phase: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    since: float = 0.0
    """Start of the phase."""
    first: int | None = None
    """Units that were done when the phase first told of them."""
    seen: dict[str, Evidence] = field(default_factory=dict)
    """Newest evidence by monitor."""
    decisions: list[Decision] = field(default_factory=list)


class LiveView:
    """What the supervisor tells as a run goes on, shown to whoever watches.

    Args:
        console: Where to; standard error unless given. Without a terminal behind it JSON lines are written instead.
        write: Takes the JSON lines; the console's file unless given.
        clock: Seconds, for estimates.

    Example:
        with LiveView() as view:
            view.run_started({"title": "Self-training", "n_rounds": 3})
            view.round_started(1, 0)
            view.phase("train")
            view.progress(12, 120, "steps")
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        write: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(file=sys.stderr)
        self._clock, self._state = clock, _State()
        self._last_event, self._width = -math.inf, self._console.width
        self._write: Callable[[str], object] | None = None
        self._live: Live | None = None
        if write is not None or not self._console.is_terminal:
            self._write = write or self._console.file.write
        else:
            self._live = Live(
                console=self._console, get_renderable=self._draw, refresh_per_second=4, vertical_overflow="crop"
            )

    def __enter__(self) -> LiveView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def run_started(self, facts: Mapping[str, Any]) -> None:
        """Begin, or go on with, a run.

        Args:
            facts: `title`, `n_rounds` and `promoted_round` are shown; others are only written as JSON.
        """
        self._state.title = str(facts.get("title") or "Run")
        self._state.n_rounds, self._state.promoted = facts.get("n_rounds"), facts.get("promoted_round")
        self._tell("run", **facts)

    def round_started(self, round: int, attempt: int) -> None:
        """Begin a try of a round."""
        self._state.round, self._state.attempt, self._state.phase = round, attempt, ""
        self._state.total = self._state.first = None
        self._tell("round", round=round, attempt=attempt)

    def phase(self, name: str) -> None:
        """Begin a phase of the round."""
        s = self._state
        s.phase, s.done, s.total, s.unit, s.first, s.since = name, 0, None, "", None, self._clock()
        self._last_event = -math.inf
        self._tell("phase", round=s.round, attempt=s.attempt, phase=name)

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Tell how far the phase is; as JSON at most once a second and at its end."""
        s, now = self._state, self._clock()
        if s.first is None:
            s.first, s.since = done, now
        s.done, s.total, s.unit = done, total, unit
        if done == total or now - self._last_event >= _EVENT_GAP_S:
            self._last_event = now
            self._tell("progress", phase=s.phase, done=done, total=total, unit=unit, left_s=self._left_s())

    def evidence(self, evidence: Evidence) -> None:
        """Tell what a monitor saw."""
        self._state.seen[evidence.monitor] = evidence
        self._tell("evidence", **evidence.model_dump())

    def decided(self, decision: Decision) -> None:
        """Tell what became of a round."""
        s = self._state
        s.decisions.append(decision)
        if decision.action == "promote":
            s.promoted = decision.round
        elif decision.back_to is not None:
            s.promoted = decision.back_to
        s.phase = ""
        self._tell("decision", **decision.model_dump())

    def message(self, text: str) -> None:
        """Tell people one thing; on a terminal it stays above the panel."""
        if self._live:
            self._console.print(Text(shown(text, 2000)))
        self._tell("message", text=text)

    def _tell(self, event: str, **facts: Any) -> None:
        if self._write:
            line = json.dumps({"event": event, **finite(facts)}, ensure_ascii=True, allow_nan=False, default=str)
            self._write(line + "\n")

    def _left_s(self) -> float | None:
        """Estimate of the phase's time left; None until a unit was done while watching."""
        s = self._state
        done = s.done - (s.first if s.first is not None else s.done)
        if s.total is None or done <= 0:
            return None
        return round(max(0.0, self._clock() - s.since) / done * max(0, s.total - s.done), 1)

    def _draw(self) -> RenderableType:
        """The panel for the window as it is now."""
        width, height = self._console.size
        if width != self._width:
            # A terminal folds lines that are drawn already when it narrows; only a clean screen has no remains.
            self._width = width
            self._console.clear()
        if width < _NARROW or height < 8:
            return Text(_one_line(self._summary()), overflow="crop", no_wrap=True)
        room = height - 6
        history = self._history(min(len(self._state.decisions), max(1, room // 3)))
        room -= len(history) + 2
        parts: list[RenderableType] = [self._now(width), *history]
        if self._state.seen and room > 0:
            parts += [Text(), self._monitors(width, room)]
        title = Text(f" {_one_line(self._state.title)[: width - 12]} ")
        return Panel(Group(*parts), title=title, title_align="left", border_style="dim", padding=(0, 1))

    def _summary(self) -> str:
        s = self._state
        of = f"/{s.n_rounds}" if s.n_rounds else ""
        share = f" {s.done}/{s.total}" if s.total else ""
        return f"round {s.round}{of} {s.phase}{share}"

    def _now(self, width: int) -> RenderableType:
        """Where the run is, with a bar."""
        s, left = self._state, self._left_s()
        planned = f" of {s.n_rounds}" if s.n_rounds else ""
        attempt = f", try {s.attempt + 1}" if s.attempt else ""
        where = f"Round {s.round}{planned}{attempt}" if s.round else "Starting"
        promoted = "not known" if s.promoted is None else f"round {s.promoted}" if s.promoted else "the anchor"
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True, overflow="ellipsis", justify="right")
        grid.add_row(Text(where, style="bold"), Text(f"promoted: {promoted}", style="dim"))
        doing = _one_line(s.phase) or "between phases"
        count = f"{s.done:,} of {s.total:,} {_one_line(s.unit)}" if s.total else f"{s.done:,} {_one_line(s.unit)}"
        count = count if s.unit or s.total else ""
        after = f"{count}{'' if left is None else f', {seconds(left)} left'}"
        bar: RenderableType = (
            ProgressBar(total=s.total, completed=min(s.done, s.total), width=width // 4)
            if s.total and width >= _BAR
            else Text()
        )
        line = Table.grid(padding=(0, 2))
        for _ in range(3):
            line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_row(Text(doing), bar, Text(after, style="dim"))
        return Group(grid, line)

    def _history(self, n: int) -> list[RenderableType]:
        """The newest decisions, one line each."""
        lines: list[RenderableType] = []
        for d in self._state.decisions[len(self._state.decisions) - n :] if n else ():
            tone, sign, word = ACTIONS[d.action]
            attempt = f", try {d.attempt + 1}" if d.attempt else ""
            by = "" if d.by == "gate" else f" (by {_one_line(d.by, 40)})"
            head = f"{sign} Round {d.round}{attempt} {word}{by}"
            line = Text(head, style=_STYLES[tone], no_wrap=True, overflow="ellipsis")
            lines.append(line.append(f"  {_one_line(d.rule)}", style="dim"))
        return lines

    def _monitors(self, width: int, room: int) -> RenderableType:
        """The newest evidence, the gravest first, as many rows as there is room for."""
        seen = sorted(self._state.seen.values(), key=lambda e: (_ORDER.index(e.status), e.monitor))
        shown_rows = seen if len(seen) <= room + 1 else seen[:room]
        wide = width >= _WIDE
        table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
        table.add_column("Monitor", ratio=1, no_wrap=True, overflow="ellipsis")
        for name in ("Mean", *(("Interval", "Tolerance", "Evidence", "Round") if wide else ()), "Now"):
            table.add_column(name, no_wrap=True, justify="left" if name == "Now" else "right")
        for e in shown_rows:
            tone, sign, word = STATUSES[e.status]
            more = (
                f"{two(e.interval.low)} to {two(e.interval.high)}",
                number(e.tolerance),
                f"{e_text(e.e_value)} of {e_text(e.threshold)}",
                str(e.round),
            )
            row = [_one_line(e.monitor), two(e.mean), *(more if wide else ()), f"{sign} {word}"]
            table.add_row(*(Text(cell) for cell in row), style=_STYLES[tone])
        rest = len(seen) - len(shown_rows)
        return Group(table, *([Text(f"and {rest} more", style="dim")] if rest else []))


def _one_line(text: str, limit: int = 300) -> str:
    """Text on one line, with what would act or hide made visible."""
    return " ".join(shown(text, limit).split())
