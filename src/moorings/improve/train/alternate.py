"""Competence and conformity in turn: a half-step for each, both measured after each, and a half-step that costs too much undone.

Source: Kim et al. 2025, Research on Superalignment Should Advance Now with Parallel Optimization of Competence and
Conformity (arXiv:2503.07660), a position paper: it asks for small alternating steps and gives no equations. Here
K = mean of a reward over answers to competence prompts, F = the same for conformity prompts; a round is
  1. train on the competence rows; if F falls by more than its tolerance, take the weights from before;
  2. train on the conformity rows; if K falls by more than its tolerance, take the weights from before that.
A fall is counted from the level before the half-step, or from that of round 0 on the same prompts, which makes it a floor.
If nothing is left, the round gives back the adapter that it started from, or is refused where there is none.
Both are logged after each half-step, as a trade-off within a round is invisible otherwise. The reverse order and both at
once (one step on all rows) are settings, so that the claim can be tested at equal budget.

Left out: the gap between capability and capacity, for which the paper gives no measure; several supervisors, which the
rewards of the probes can be. The probes of this trainer steer it, so they must not be the monitors of the gate.
What it must show: benchmarks/alternation.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from moorings.charter_run import Use
from moorings.errors import InputError
from moorings.feedback.reward import Graded, Reward, oriented, rewards
from moorings.improve.data import DataRow
from moorings.improve.train.rl_rewards import RewardTools
from moorings.improve.training import Trainer, TrainJob, TrainResult, trainers
from moorings.method import MethodConfig
from moorings.records import Decoding, Prompt
from moorings.sampling.bench import Bench
from moorings.sampling.everyday import everyday_questions
from moorings.sampling.prompts import load_prompts
from moorings.store.disk import storage_error
from moorings.subjects.spec import SubjectSpec

__all__ = ["AlternateConfig", "ProbeConfig"]

Order = Literal["competence first", "conformity first", "together"]


class ProbeConfig(MethodConfig):
    """How K or F is measured."""

    prompts: str = "everyday"
    """File of prompts, relative to the charter's folder, or `everyday` for fresh everyday questions."""
    n_prompts: int = Field(default=64, ge=4)
    """Prompts of a measurement; the same ones within a round, others in the next."""
    reward: dict[str, Any] = Field(min_length=1)
    """`use:` and the settings of a reward; its mean is K or F."""
    max_new_tokens: int = Field(default=48, ge=1)
    """Most tokens of an answer."""
    tolerance: float = Field(default=0.05, gt=0)
    """Fall of the mean, in the reward's unit, above which the half-step for the other one is undone."""
    fall_from: Literal["half-step", "anchor"] = "half-step"
    """What a fall is counted from: the level before the half-step, or round 0's on the same prompts. With `anchor` a gain of
    earlier half-steps may be spent again."""

    @field_validator("reward")
    @classmethod
    def _is_known(cls, value: dict[str, Any]) -> dict[str, Any]:
        rewards.check(Use.model_validate(value))
        return value


class AlternateConfig(MethodConfig):
    """Settings of `alternate`."""

    competence: dict[str, Any] = Field(default_factory=lambda: {"use": "sft"})
    """Trainer of the competence half-step: `use:` and its settings."""
    conformity: dict[str, Any] = Field(default_factory=lambda: {"use": "sft"})
    """Trainer of the conformity half-step."""
    conformity_methods: tuple[str, ...] = Field(min_length=1)
    """Data methods whose rows are for conformity; all other rows are for competence."""
    competence_probe: ProbeConfig
    """How K is measured."""
    conformity_probe: ProbeConfig
    """How F is measured."""
    order: Order = "competence first"
    """Which half-step comes first; `together` takes one step on all rows with the competence trainer."""
    undo: bool = True
    """Undo a half-step that costs the other measure more than its tolerance."""

    @field_validator("competence", "conformity")
    @classmethod
    def _is_trainer(cls, value: dict[str, Any]) -> dict[str, Any]:
        trainers.check(Use.model_validate(value))
        return value


class _Measured(NamedTuple):
    competence: float
    conformity: float


@dataclass
class _Half:
    name: str
    use: dict[str, Any]
    rows: list[DataRow]
    guards: Literal["competence", "conformity"]
    """The measure that it must not cost."""


@trainers.register("alternate", AlternateConfig)
def alternate(config: AlternateConfig) -> Trainer:
    """Train for competence and for conformity in turn."""
    return lambda job: _Alternation(config, job).run()


class _Alternation:
    def __init__(self, config: AlternateConfig, job: TrainJob) -> None:
        self.config, self.job = config, job
        self._probes: dict[str, tuple[list[Prompt], Reward, ProbeConfig]] = {
            name: (_prompts(probe, job, at), rewards.make(Use.model_validate(probe.reward)), probe)
            for at, (name, probe) in enumerate(
                (("competence", config.competence_probe), ("conformity", config.conformity_probe))
            )
        }

    def run(self) -> TrainResult:
        """All half-steps; what was done before a stop is taken up by the trainers and the benches."""
        job, metrics = self.job, {}
        now, before = job.start, self._measure(job.start, "start")
        metrics.update(_told("start", before))
        floored = self.config.undo and any(probe.fall_from == "anchor" for _, _, probe in self._probes.values())
        anchor = self._measure(job.anchor, "round 0") if floored else before
        kept: TrainResult | None = None
        spent: list[TrainResult] = []
        for half in self._halves():
            job.say(f"half-step for {half.name} on {len(half.rows)} rows")
            part = replace(
                job, start=now, rows=half.rows, out=job.work / half.name / "model", work=job.work / half.name / "work"
            )
            # Made by a round that was stopped since: its trainer makes it again, from its last checkpoint.
            shutil.rmtree(part.out, ignore_errors=True)
            result = trainers.make(Use.model_validate(half.use))(part)
            spent.append(result)
            trained = now.model_copy(update={"uri": result.uri})
            after = self._measure(trained, half.name)
            guard = self._probes[half.guards][2]
            level = getattr(anchor if guard.fall_from == "anchor" else before, half.guards)
            undone = self.config.undo and level - getattr(after, half.guards) > guard.tolerance
            metrics.update(_told(half.name, after))
            metrics[f"{half.name} undone"] = float(undone)
            metrics.update({f"{half.name} {name}": value for name, value in result.metrics.items()})
            if not undone:
                now, before, kept = trained, after, result
        uri = job.start.uri if kept is None else kept.uri
        made = uri.partition("+")[2] or ("" if kept is None else uri.partition(":")[2])
        if not made:
            raise InputError(
                f"all half-steps of round {job.round} cost more than their tolerance and were undone, nothing is left "
                "to promote; train more gently, or raise the tolerances"
            )
        if kept is None:
            job.say("all half-steps were undone; the round gives back what it started from")
        uri = _moved(uri, Path(made), job.out)
        return TrainResult(
            uri,
            sum(r.n_steps for r in spent),
            sum(r.n_tokens for r in spent),
            sum(r.duration_s for r in spent),
            metrics,
        )

    def _halves(self) -> list[_Half]:
        config = self.config
        rows: dict[bool, list[DataRow]] = {True: [], False: []}
        for row in self.job.rows:
            rows[row.method in config.conformity_methods].append(row)
        if config.order == "together":
            return [_Half("together", config.competence, list(self.job.rows), "conformity")]
        halves = [
            _Half("competence", config.competence, rows[False], "conformity"),
            _Half("conformity", config.conformity, rows[True], "competence"),
        ]
        empty = [half.name for half in halves if not half.rows]
        if empty:
            raise InputError(
                f"round {self.job.round} has no rows for {empty[0]}; rows were made by "
                f"{', '.join(sorted({row.method for row in self.job.rows})) or 'nobody'}, those of "
                f"{', '.join(config.conformity_methods)} are for conformity"
            )
        return halves if config.order == "competence first" else halves[::-1]

    def _measure(self, subject: SubjectSpec, name: str) -> _Measured:
        bench = Bench(subject, self.job.work / "measured" / name, seed=self.job.seed, known_as=name)
        try:
            found = {key: self._mean(bench, key) for key in self._probes}
        finally:
            bench.close()
        return _Measured(found["competence"], found["conformity"])

    def _mean(self, bench: Bench, key: str) -> float:
        prompts, reward, probe = self._probes[key]
        answers = bench.ask(prompts, key, decoding=Decoding(max_new_tokens=probe.max_new_tokens, temperature=0.0))
        items = [
            Graded(prompt.messages, rows[0].response, prompt.metadata)
            for prompt, rows in zip(prompts, answers, strict=True)
        ]
        values = oriented(reward(items, RewardTools(self.job.folder, self.job.work)), reward.direction)
        if not np.isfinite(values).any():
            raise InputError(f"no answer to the {key} probe has a value; look at its prompts and its reward")
        return float(np.nanmean(values))


def _prompts(probe: ProbeConfig, job: TrainJob, at: int) -> list[Prompt]:
    rng = np.random.default_rng([job.seed, job.round, at])
    if probe.prompts == "everyday":
        return everyday_questions(probe.n_prompts, half="train", seed=int(rng.integers(2**31)))
    found: Sequence[Prompt] = load_prompts(job.folder / probe.prompts).prompts
    drawn = rng.permutation(len(found))[: probe.n_prompts]
    return [found[i] for i in sorted(drawn.tolist())]


def _told(name: str, measured: _Measured) -> dict[str, float]:
    return {f"K after {name}": measured.competence, f"F after {name}": measured.conformity}


def _moved(uri: str, made: Path, out: Path) -> str:
    """Put the model where the round wants it; the half-step's copy stays, so that a stopped round finds it."""
    if not out.exists():
        temporary = out.with_name(f".{out.name}.tmp")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(made, temporary)
            temporary.rename(out)
        except OSError as error:
            raise storage_error(error, out, 0) from error
    return uri.replace(str(made), str(out))
