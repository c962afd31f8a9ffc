"""Run the data methods of a round one after the other, and account for every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.improve.data import DataRow, DataStep, Workbench, data_methods
from moorings.records import Prompt, content_hash

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from moorings.sampling.bench import Bench

__all__ = ["Collected", "MethodStep", "collect"]


class MethodStep(NamedTuple):
    """What one method did: n_in + n_added = n_out + all that was dropped."""

    name: str
    """Its registered name, with #2, #3, … where it is used again."""
    n_in: int
    n_added: int
    """Rows that it made or read, those dropped at once included."""
    n_out: int
    dropped: dict[str, int]
    """Rows left out, by reason; `duplicate` for those equal to an earlier row."""
    metrics: dict[str, float]


class Collected(NamedTuple):
    """The data of a round."""

    rows: list[DataRow]
    """At least one, with different ids."""
    steps: tuple[MethodStep, ...]

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """Rows left out, by method and reason."""
        return {step.name: step.dropped for step in self.steps}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """What each method logged."""
        return {step.name: step.metrics for step in self.steps}

    @property
    def origins(self) -> dict[str, float]:
        """Share of rows by who wrote the response."""
        counts = Counter(row.origin for row in self.rows)
        return {origin: counts[origin] / len(self.rows) for origin in sorted(counts)}


class _Scope:
    """The workbench as one method of the sequence sees it: randomness and labels of its own."""

    def __init__(self, workbench: Workbench, rng: np.random.Generator, prefix: str) -> None:
        self._workbench, self.rng, self._prefix = workbench, rng, prefix

    @property
    def subject(self) -> Bench:
        return self._workbench.subject

    @property
    def anchor(self) -> Bench:
        return self._workbench.anchor

    @property
    def prompts(self) -> Sequence[Prompt]:
        return self._workbench.prompts

    @property
    def round(self) -> int:
        return self._workbench.round

    @property
    def history(self) -> Sequence[Sequence[DataRow]]:
        return self._workbench.history

    @property
    def folder(self) -> Path:
        return self._workbench.folder

    @property
    def kept(self) -> Path:
        return self._workbench.kept

    def label(self, what: str) -> str:
        return self._workbench.label(f"{self._prefix}-{what}")

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        return self._workbench.embed(texts)


def collect(uses: Sequence[Use], workbench: Workbench) -> Collected:
    """Run data methods in order; equal rows are kept once, the first of them.

    Each method gets randomness and labels of its own, so changing one of them does not reshuffle the others.

    Args:
        uses: Methods with their settings; all are checked before the first runs.
        workbench: What they may use. Equal workbenches give equal rows.

    Returns:
        At least one row, and what each method did.

    Raises:
        ConfigError: Unknown method or setting, or a method that loses rows without counting them.
        InputError: Nothing is left in the end; names the method that dropped all.
    """
    import numpy as np

    methods = [data_methods.make(use) for use in uses]
    root = int(workbench.rng.integers(2**63))
    rows: list[DataRow] = []
    steps: list[MethodStep] = []
    for at, (use, method) in enumerate(zip(uses, methods, strict=True)):
        again = sum(earlier.use == use.use for earlier in uses[:at])
        name = f"{use.use}#{again + 1}" if again else use.use
        seed = int(content_hash([root, name])[:16], 16)
        scope = _Scope(workbench, np.random.default_rng(seed), name.replace("#", "-"))
        step = method(list(rows), scope)
        steps.append(_account(name, len(rows), step))
        rows = _different(step.rows)
    if not rows:
        raise InputError(_nothing(steps))
    return Collected(rows, tuple(steps))


def _different(rows: Sequence[DataRow]) -> list[DataRow]:
    first: dict[str, DataRow] = {}
    for row in rows:
        first.setdefault(row.row_id, row)
    return list(first.values())


def _account(name: str, n_in: int, step: DataStep) -> MethodStep:
    n_out = len({row.row_id for row in step.rows})
    dropped = {reason: n for reason, n in step.dropped.items() if n}
    n_added = len(step.rows) + sum(dropped.values()) - n_in
    if n_added < 0:
        raise ConfigError(
            f"data method '{name}' was given {n_in} rows, returned {len(step.rows)} and counted {sum(dropped.values())} "
            "as dropped; a method must count each row that it leaves out"
        )
    if len(step.rows) > n_out:
        dropped["duplicate"] = dropped.get("duplicate", 0) + len(step.rows) - n_out
    return MethodStep(name, n_in, n_added, n_out, dropped, dict(step.metrics))


def _nothing(steps: Sequence[MethodStep]) -> str:
    culprit = next((step for step in reversed(steps) if not step.n_out and step.n_in + step.n_added), None)
    if culprit is None:
        names = ", ".join(f"'{step.name}'" for step in steps) or "none"
        return f"the round has no data: no method made a row (methods: {names}); add a source such as best_of_n or file"
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(culprit.dropped.items(), key=lambda pair: -pair[1]))
    return (
        f"the round has no data: data method '{culprit.name}' dropped all {culprit.n_in + culprit.n_added} rows "
        f"({reasons}); loosen it or give it more rows"
    )
