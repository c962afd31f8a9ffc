"""One try of a round: collect data, audit it, train, look, decide. Each phase is recorded before the next one begins.

What a phase made is found again by its key in the lineage, so a run that was killed anywhere takes up the phase that
was under way and repeats none before it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError, StorageError
from moorings.improve.asking import score_all
from moorings.improve.data import DataRow
from moorings.improve.pipeline import collect
from moorings.improve.training import TrainJob, defences, trainers
from moorings.monitors.data_screen import screen_rows
from moorings.records import canonical_json
from moorings.sampling.bench import Bench
from moorings.sampling.plan import derive_seed
from moorings.subjects.protocol import TokenLogprobs
from moorings.supervise.benches import RoundWorkbench, SharedEmbedder
from moorings.supervise.lineage import Lineage
from moorings.supervise.models import file_hashes, in_run, movable, spec_of
from moorings.supervise.observer import Observer
from moorings.supervise.plan import RunPlan
from moorings.supervise.questions import training_prompts
from moorings.supervise.state import Candidate, RunState

__all__ = ["RoundTry", "read_rows"]

_MOST_SCORED = 2000
"""Rows above which the audit does without their loss under the anchor, which would take long."""


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
        self.folder = lineage.folder / "rounds" / self.key
        self.seed = derive_seed(plan.section.seed, "round", self.round, self.attempt)

    def trained_rows(self) -> list[DataRow]:
        """The rows that are trained on: all collected ones but those that the audit left out."""
        left_out = set((self.lineage.get(f"{self.key} audited") or {}).get("left_out", ()))
        rows = [row for row in self.rows() if row.row_id not in left_out]
        if left_out and not rows:
            raise InputError(
                f"the audit flagged all {len(left_out)} rows of round {self.round}; look at them, or set run.audit to note"
            )
        return rows

    def make_candidate(self) -> Candidate:
        """Collect, audit and train; phases that are recorded are not repeated.

        Raises:
            MooringsError: A phase failed; what came before it is kept.
        """
        self._audit(self.rows())
        trained = self._train(self.trained_rows())
        return Candidate(self.round, self.attempt, trained["uri"], trained["rows"])

    def rows(self) -> list[DataRow]:
        """The training rows, collected once."""
        kept = self.lineage.get(f"{self.key} collected")
        if kept is None:
            with self.phase("collect data"):
                kept = self._collect()
        return read_rows(self.lineage, kept["rows"])

    @cached_property
    def anchor(self) -> Bench:
        """The model of round 0, its answers kept with this round."""
        return self._bench(self.plan.section.subject, "anchor", "gate")

    @cached_property
    def previous(self) -> Bench | None:
        """The last promoted model, or None while that is the anchor."""
        if not self.state.promoted:
            return None
        return self._bench(self.state.promoted[-1].uri, "previous", "gate")

    @cached_property
    def candidate(self) -> Bench:
        """The model that this try made."""
        trained = self.lineage.get(f"{self.key} trained")
        if trained is None:
            raise StorageError(f"round {self.key} has made no model yet")
        return self._bench(trained["uri"], "candidate", "gate")

    def close(self) -> None:
        """Free all models."""
        for name in ("anchor", "previous", "candidate"):
            bench = self.__dict__.pop(name, None)
            if bench is not None:
                bench.close()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Tell and time a phase; the time is kept when it succeeds."""
        self.observer.phase(name)
        start = time.monotonic()
        yield
        self.lineage.note_seconds(self.key, name, time.monotonic() - start)

    def _bench(self, uri: str, name: str, purpose: str) -> Bench:
        spec = spec_of(self.plan.section, uri, self.lineage.folder)
        seed = derive_seed(self.plan.section.seed, purpose, self.round, self.attempt)
        return Bench(spec, self.folder / purpose / name, seed=seed)

    def _start(self) -> str:
        """URI of the model that is trained on."""
        return self.state.promoted[-1].uri if self.state.promoted else self.plan.section.subject

    def _collect(self) -> dict[str, Any]:
        section = self.plan.section
        data, _, _ = section.at(self.round, self.attempt)
        subject, anchor = self._bench(self._start(), "subject", "data"), self._bench(section.subject, "anchor", "data")
        bench = RoundWorkbench(
            subject=subject,
            anchor=anchor,
            prompts=training_prompts(section, self.plan.folder),
            round=self.round,
            history=[read_rows(self.lineage, one.rows) for one in self.state.promoted],
            folder=self.plan.folder,
            seed=self.seed,
            embed=self.embed,
        )
        try:
            collected = collect(data, bench)
        finally:
            subject.close()
            anchor.close()
        sealed = {row.row_id for row in self.plan.questions.trained_on(collected.rows)}
        rows = [row for row in collected.rows if row.row_id not in sealed]
        if not rows:
            raise InputError(
                f"round {self.round} has no training rows: all {len(collected.rows)} collected ones are sealed gate prompts"
            )
        dropped = (
            {**collected.dropped, "pipeline": {"sealed gate prompts": len(sealed)}} if sealed else collected.dropped
        )
        digest = self.lineage.run.put_artifact(f"rows-{self.key}.jsonl", _to_lines(rows))
        return self.lineage.add(
            f"{self.key} collected",
            "collected",
            {
                "round": self.round,
                "attempt": self.attempt,
                "rows": digest,
                "n_rows": len(rows),
                "origins": _counts([row.origin for row in rows]),
                "methods": _counts([row.method for row in rows]),
                "dropped": dropped,
                "metrics": collected.metrics,
            },
        )

    def _audit(self, rows: Sequence[DataRow]) -> None:
        if self.lineage.get(f"{self.key} audited") is not None:
            return
        with self.phase("audit data"):
            past = [row.response for one in self.state.promoted for row in read_rows(self.lineage, one.rows)]
            report = screen_rows(
                rows,
                reference=past,
                losses_nats=self._losses(rows),
                embeddings=self.embed([row.response for row in rows]),
            )
            digest = self.lineage.run.put_artifact(
                f"audit-{self.key}.json",
                canonical_json(report.model_dump(mode="json")).encode("utf-8", "surrogatepass"),
            )
            flagged = [row.row_id for row in report.flagged]
            self.lineage.add(
                f"{self.key} audited",
                "audited",
                {
                    "round": self.round,
                    "attempt": self.attempt,
                    "report": digest,
                    "n_flagged": len(flagged),
                    "left_out": flagged if self.plan.section.audit == "drop" else [],
                },
            )

    def _losses(self, rows: Sequence[DataRow]) -> list[float] | None:
        """Mean nats a token of each response under the anchor; None where it cannot tell."""
        if len(rows) > _MOST_SCORED:
            return None
        bench = self._bench(self.plan.section.subject, "anchor", "audit")
        try:
            scored = score_all(bench, [(row.prompt, row.response) for row in rows], "rows")
        except ConfigError:
            return None
        finally:
            bench.close()
        return [_mean_loss(one) for one in scored]

    def _train(self, rows: Sequence[DataRow]) -> dict[str, Any]:
        kept = self.lineage.get(f"{self.key} trained")
        if kept is not None:
            return kept
        _, train, defend = self.plan.section.at(self.round, self.attempt)
        section, run = self.plan.section, self.lineage.folder
        out = self.folder / "model"
        with self.phase("train"):
            # Whole, but a crash came before its event: the trainer makes it again from its last checkpoint.
            shutil.rmtree(out, ignore_errors=True)
            job = TrainJob(
                start=spec_of(section, self._start(), run),
                anchor=spec_of(section, section.subject, run),
                rows=rows,
                out=out,
                work=self.folder / "training",
                round=self.round,
                seed=derive_seed(self.seed, "train"),
                defences=[defences.make(use) for use in defend],
                past=[_model_folder(in_run(one.uri, run)) for one in self.state.promoted],
                past_rows=[read_rows(self.lineage, one.rows) for one in self.state.promoted],
                on_point=self.lineage.run.on_point,
                say=self.observer.message,
                tick=lambda done, total: self.observer.progress(done, total, "steps"),
            )
            result = trainers.make(_named(train))(job)
            self.lineage.note_seconds(self.key, "train alone", result.duration_s)
            return self.lineage.add(
                f"{self.key} trained",
                "trained",
                {
                    "round": self.round,
                    "attempt": self.attempt,
                    "uri": movable(result.uri, run),
                    "rows": self._collected()["rows"],
                    "files": file_hashes(out),
                    "n_steps": result.n_steps,
                    "n_tokens": result.n_tokens,
                    "metrics": {name: round(value, 6) for name, value in result.metrics.items()},
                },
            )

    def _collected(self) -> dict[str, Any]:
        return self.lineage.get(f"{self.key} collected") or {}


def _mean_loss(scored: TokenLogprobs | None) -> float:
    if scored is None or not scored.logprobs_nats:
        return float("nan")
    return -sum(scored.logprobs_nats) / len(scored.logprobs_nats)


def read_rows(lineage: Lineage, digest: str) -> list[DataRow]:
    """Training rows that were kept as an artifact.

    Raises:
        StorageError: They are missing or damaged.
    """
    text = lineage.run.get_artifact(digest).decode("utf-8", "surrogatepass")
    return [DataRow.model_validate(json.loads(line)) for line in text.split("\n") if line]


def _named(train: Use | None) -> Use:
    if train is None:
        raise ConfigError("the charter names no trainer; write run.train with use:")
    return train


def _to_lines(rows: Sequence[DataRow]) -> bytes:
    lines = [canonical_json(row.model_dump(mode="json")) for row in rows]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


def _model_folder(uri: str) -> Path:
    """Where a trained subject's files lie."""
    _, _, adapter = uri.partition("+")
    return Path(adapter or uri.partition(":")[2])
