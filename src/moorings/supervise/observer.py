"""What a supervised run tells those who watch it while it goes on."""

from __future__ import annotations

from typing import Any, Protocol

from moorings.records import Decision, Evidence

__all__ = ["Observer", "Silent"]


class Observer(Protocol):
    """Called as things happen; must not raise."""

    def run_started(self, facts: dict[str, Any]) -> None:
        """Title, purpose, rounds and where the run lies."""
        ...

    def round_started(self, round: int, attempt: int) -> None:
        """A round begins or is taken up."""
        ...

    def phase(self, name: str) -> None:
        """Another phase of the round."""
        ...

    def progress(self, done: int, total: int, unit: str) -> None:
        """How far the phase is."""
        ...

    def evidence(self, evidence: Evidence) -> None:
        """What a monitor has seen so far."""
        ...

    def decided(self, decision: Decision) -> None:
        """The gate, or a person, decided."""
        ...

    def message(self, text: str) -> None:
        """Anything else worth a line."""
        ...


class Silent:
    """Tells nobody."""

    def run_started(self, facts: dict[str, Any]) -> None:
        """See `Observer`."""

    def round_started(self, round: int, attempt: int) -> None:
        """See `Observer`."""

    def phase(self, name: str) -> None:
        """See `Observer`."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """See `Observer`."""

    def evidence(self, evidence: Evidence) -> None:
        """See `Observer`."""

    def decided(self, decision: Decision) -> None:
        """See `Observer`."""

    def message(self, text: str) -> None:
        """See `Observer`."""
