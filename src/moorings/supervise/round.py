"""One try of a round: collect data, audit it, train, look, decide. Each phase is recorded before the next one begins.

What a phase made is found again by its key in the lineage, so a run that was killed anywhere takes up the phase that
was under way and repeats none before it.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from moorings.charter_run import Use
from moorings.errors import BackendError, ConfigError, InputError, StorageError
from moorings.improve.data import DataRow
from moorings.improve.training import TrainJob, defences, trainers
from moorings.sampling.bench import Bench
from moorings.sampling.plan import derive_seed
from moorings.supervise.benches import SharedEmbedder
from moorings.supervise.lineage import Lineage
from moorings.supervise.models import file_hashes, movable, spec_of
from moorings.supervise.observer import Observer
from moorings.supervise.plan import RunPlan
from moorings.supervise.rows import audit_rows, collect_rows, finite, read_rows
from moorings.supervise.state import Candidate, RunState

__all__ = ["RoundTry"]


class RoundTry:
    """One try of a round and the folder it works in.

    Args:
        plan: Of the run.
        lineage: Of the run, open for writing.
        state: Where the run stands; its round and attempt are this one's.
        observer: Told what happens.
        embed: Shared by all rounds.
    """

    def __init__(
        self, plan: RunPlan, lineage: Lineage, state: RunState, observer: Observer, embed: SharedEmbedder
    ) -> None:
        self.plan, self.lineage, self.state, self.observer, self.embed = plan, lineage, state, observer, embed
        self.round, self.attempt = state.round, state.attempt
        self.key = f"{self.round}.{self.attempt}"
        self.place = {"round": self.round, "attempt": self.attempt}
        self.folder = lineage.folder / "rounds" / self.key
        self.seed = derive_seed(plan.section.seed, "round", self.round, self.attempt)
        self._read: dict[str, list[DataRow]] = {}

    @property
    def start(self) -> str:
        """URI of the model that is trained on."""
        return self.state.promoted[-1].uri if self.state.promoted else self.plan.section.subject

    def methods(self) -> tuple[tuple[Use, ...], Use | None, tuple[Use, ...]]:
        """Data methods, trainer and defences of this try."""
        before = [self.lineage.get(f"{self.round}.{attempt} decided") or {} for attempt in range(self.attempt)]
        rolled_back = any(decision.get("action") == "rollback" for decision in before)
        return self.plan.section.at(self.round, self.attempt, rolled_back=rolled_back)

    def make_candidate(self) -> Candidate:
        """Collect, audit and train; phases that are recorded are not repeated.

        Raises:
            MooringsError: A phase failed; what came before it is kept.
        """
        audit_rows(self, self.rows())
        trained = self._train(self.trained_rows())
        return Candidate(self.round, self.attempt, trained["uri"], trained["rows"])

    def rows(self) -> list[DataRow]:
        """The training rows, collected once."""
        kept = self.lineage.get(f"{self.key} collected")
        if kept is None:
            with self.phase("collect data"):
                kept = collect_rows(self)
        return list(self._rows_of(kept["rows"]))

    def trained_rows(self) -> list[DataRow]:
        """The rows that are trained on: all collected ones but those that the audit left out.

        Raises:
            InputError: The audit left none.
        """
        rows = self.rows()
        left = self._without_left_out(self.key, rows)
        if rows and not left:
            raise InputError(
                f"the audit flagged all {len(rows)} rows of round {self.round}; look at them, or set run.audit to note"
            )
        return left

    def past_rows(self) -> list[list[DataRow]]:
        """Rows that all promoted rounds were trained on, oldest first."""
        return [self._without_left_out(f"{c.round}.{c.attempt}", self._rows_of(c.rows)) for c in self.state.promoted]

    def _without_left_out(self, key: str, rows: list[DataRow]) -> list[DataRow]:
        left_out = set((self.lineage.get(f"{key} audited") or {}).get("left_out", ()))
        return [row for row in rows if row.row_id not in left_out]

    def _rows_of(self, digest: str) -> list[DataRow]:
        """Rows of this or an earlier round, read once."""
        if digest not in self._read:
            self._read[digest] = read_rows(self.lineage, digest)
        return self._read[digest]

    @cached_property
    def anchor(self) -> Bench:
        """The model of round 0, its answers kept with this round."""
        return self.bench(self.plan.section.subject, "anchor", "gate")

    @cached_property
    def previous(self) -> Bench | None:
        """The last promoted model, or None while that is the anchor."""
        if not self.state.promoted:
            return None
        return self.bench(self.state.promoted[-1].uri, "previous", "gate")

    @cached_property
    def candidate(self) -> Bench:
        """The model that this try made."""
        trained = self.lineage.get(f"{self.key} trained")
        if trained is None:
            raise StorageError(f"round {self.key} has made no model yet")
        return self.bench(trained["uri"], "candidate", "gate")

    def bench(self, uri: str, name: str, purpose: str) -> Bench:
        """A model of the run whose answers are kept with this round."""
        spec = spec_of(self.plan.section, uri, self.lineage.folder)
        seed = derive_seed(self.plan.section.seed, purpose, self.round, self.attempt)
        known_as = movable(uri, self.lineage.folder)
        return Bench(spec, self.folder / purpose / name, seed=seed, known_as=known_as)

    def close(self) -> None:
        """Free all models."""
        for name in ("anchor", "previous", "candidate"):
            bench = self.__dict__.pop(name, None)
            if bench is not None:
                bench.close()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Tell and time a phase; its time is kept when it succeeds."""
        self.observer.phase(name)
        start = time.monotonic()
        yield
        self.lineage.note_seconds(self.key, name, time.monotonic() - start)

    def _train(self, rows: list[DataRow]) -> dict[str, Any]:
        kept = self.lineage.get(f"{self.key} trained")
        if kept is not None:
            return kept
        _, train, defend = self.methods()
        job = self._job(rows, defend)
        with self.phase("train"):
            # Whole, but a crash came before its event: the trainer makes it again from its last checkpoint.
            shutil.rmtree(job.out, ignore_errors=True)
            result = trainers.make(_named(train))(job)
            _check_losses(result.metrics)
            self.lineage.note_seconds(self.key, "train alone", result.duration_s)
            trained = self.lineage.add(
                f"{self.key} trained",
                "trained",
                {
                    **self.place,
                    "uri": movable(result.uri, self.lineage.folder),
                    "rows": (self.lineage.get(f"{self.key} collected") or {})["rows"],
                    "files": file_hashes(job.out),
                    "n_steps": result.n_steps,
                    "n_tokens": result.n_tokens,
                    "metrics": finite(result.metrics),
                },
            )
        # Checkpoints of a training whose result is recorded are of no more use.
        shutil.rmtree(job.work, ignore_errors=True)
        return trained

    def _job(self, rows: list[DataRow], defend: tuple[Use, ...]) -> TrainJob:
        section, run = self.plan.section, self.lineage.folder
        return TrainJob(
            start=spec_of(section, self.start, run),
            anchor=spec_of(section, section.subject, run),
            rows=rows,
            out=self.folder / "model",
            work=self.folder / "training",
            round=self.round,
            seed=derive_seed(self.seed, "train"),
            defences=[defences.make(use) for use in defend],
            past=[run / "rounds" / f"{one.round}.{one.attempt}" / "model" for one in self.state.promoted],
            past_rows=self.past_rows(),
            folder=self.plan.folder,
            on_point=self.lineage.run.on_point,
            say=self.observer.message,
            tick=lambda done, total: self.observer.progress(done, total, "steps"),
        )


def _check_losses(metrics: Mapping[str, float]) -> None:
    """Refuse a model whose training ended in no number, whatever its trainer thinks of it."""
    for name in ("loss_start", "loss_end"):
        if not math.isfinite(metrics.get(name, 0.0)):
            raise BackendError(
                f"training ended with {name} {metrics[name]}, so its model is not used; lower learning_rate"
            )


def _named(train: Use | None) -> Use:
    if train is None:
        raise ConfigError("the charter names no trainer; write run.train with use:")
    return train
