"""Who watches a run while it goes on: the live view, the report that is rewritten after each decision, and exporters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from moorings.errors import MooringsError
from moorings.records import Decision, Evidence
from moorings.report.exporters import Exporters, open_exporters
from moorings.report.live import LiveView
from moorings.report.run.from_run import report_run

__all__ = ["Watchers", "watching"]


@contextmanager
def watching(folder: Path, exporters: Sequence[str]) -> Iterator[Watchers]:
    """Show a run on this terminal, keep its report up to date, and log to other tools.

    Args:
        folder: Of the run.
        exporters: Names of `open_exporters`.

    Raises:
        ConfigError: An exporter is unknown.
        MissingExtraError: An exporter's package is not installed.
    """
    with ExitStack() as stack:
        logs = stack.enter_context(open_exporters(exporters, folder))
        view = stack.enter_context(LiveView())
        watchers = Watchers(folder, view, logs)
        yield watchers
        watchers.write_report()


class Watchers:
    """Passes on what happens; see `supervise.observer.Observer`."""

    def __init__(self, folder: Path, view: LiveView, logs: Exporters) -> None:
        self._folder, self._view, self._logs = folder, view, logs

    def run_started(self, facts: dict[str, Any]) -> None:
        """Title, purpose, rounds and where the run lies."""
        self._view.run_started(facts)
        self._logs.start(str(facts["title"]), facts)

    def round_started(self, round: int, attempt: int) -> None:
        """A round begins or is taken up."""
        self._view.round_started(round, attempt)

    def phase(self, name: str) -> None:
        """Another phase of the round."""
        self._view.phase(name)

    def progress(self, done: int, total: int, unit: str) -> None:
        """How far the phase is."""
        self._view.progress(done, total, unit)

    def evidence(self, evidence: Evidence) -> None:
        """What a monitor has seen so far."""
        self._view.evidence(evidence)
        self._logs.scalar(f"mean/{evidence.monitor}", evidence.mean, evidence.round)
        self._logs.scalar(f"e_value/{evidence.monitor}", evidence.e_value, evidence.round)

    def decided(self, decision: Decision) -> None:
        """The gate, or a person, decided."""
        self._view.decided(decision)
        self._logs.text("decision", f"{decision.action}: {decision.rule}", decision.round)
        # The decision stands; a report that cannot be written now is written after the next one.
        try:
            self.write_report()
        except MooringsError as error:
            self._view.message(f"the report could not be written: {error}")

    def message(self, text: str) -> None:
        """Anything else worth a line."""
        self._view.message(text)

    def write_report(self) -> None:
        """Bring the report up to date, if there is anything to report."""
        if (self._folder / "run.json").exists():
            report_run(self._folder)
